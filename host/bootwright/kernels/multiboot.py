"""The multiboot protocols, 1 and 2: an ELF kernel with a header that says what it wants to be told; or any file whose
header says where it goes.

A header that requires what the stub does not hand over is refused, as a boot loader has to. Specifications:
Multiboot 0.6.96, section 3.1; Multiboot2 2.0, section 3.1. The rules: docs/kernels.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import KernelError
from bootwright.common.ranges import FOUR_GIB, align_up, span
from bootwright.kernels import elf, sections
from bootwright.kernels.kernel import Kernel, OtherProtocol, Protocol, Refused

# Header tags that need nothing of the stub.
HARMLESS2 = ("CONSOLE", "FRAMEBUFFER", "MODULE_ALIGN", "ENTRY_EFI32", "RELOCATABLE")


@dataclass(frozen=True)
class Addresses:
    """Where a file goes whose header says so. load_addr: None for its first byte; the ends: 0 where nothing is said."""

    header_addr: int
    load_addr: int | None
    load_end_addr: int
    bss_end_addr: int


@dataclass(frozen=True)
class Header:
    """A header that was found, at byte `offset`: its own entry and addresses, None for the ELF file's; efi_entry: where
    it is entered with EFI's boot services running, None if that is not possible.
    """

    offset: int
    entry: int | None = None
    efi_entry: int | None = None
    addresses: Addresses | None = None


def _parse(path: Path, name: str, find: Callable[[bytes], Header | None]) -> Kernel:
    constants = load_abi().constants
    with path.open("rb") as stream:
        head = stream.read(constants[f"{name.upper()}_SEARCH"])
    header = find(head)
    is_elf = head.startswith(elf.MAGIC)
    if header is None or (header.addresses is None and not is_elf):
        where = "is no ELF file, and " if not is_elf else ""
        limit = constants[f"{name.upper()}_SEARCH"]
        what = "header" if header is None else "header with addresses"
        raise OtherProtocol(f"{where}has no {name} {what} in its first {limit} bytes")
    if header.addresses is None:
        kernel = elf.read(path)
        size, segments, start = kernel.size, kernel.segments, kernel.start
    else:
        size, start = path.stat().st_size, None
        segments = (_flat(header, header.addresses, size),)
    entry = start if header.entry is None else header.entry
    if entry is None or not any(entry in segment.stored for segment in segments):
        shown = "" if entry is None else f" {entry:#x}"
        raise KernelError(f"has its entry{shown} outside of all its segments")
    reason = f"has a {name} header"
    return Kernel(path, size, name, entry, segments, reason, efi_entry=header.efi_entry)


def _flat(header: Header, said: Addresses, size: int) -> elf.Segment:
    """What of a file of `size` bytes goes where."""
    start = said.header_addr - header.offset if said.load_addr is None else said.load_addr
    offset = header.offset - (said.header_addr - start)
    end = said.load_end_addr or start + size - offset
    bss_end = said.bss_end_addr or end
    if not 0 <= start <= said.header_addr or offset < 0 or not start < end <= bss_end:
        said_so = ", ".join(f"{part:#x}" for part in (said.header_addr, start, said.load_end_addr, said.bss_end_addr))
        raise KernelError(f"has addresses in its multiboot header that do not fit together ({said_so})")
    if offset + end - start > size:
        raise KernelError(f"is cut off: its multiboot header loads bytes up to {offset + end - start:#x} of {size:#x}")
    if bss_end > FOUR_GIB:
        raise KernelError(f"is too large: loaded at {start:#x} it would end beyond 4 GiB")
    return elf.Segment(offset, end - start, start, bss_end - start)


def _places(head: bytes, size: int, align: int, magic: int) -> Iterator[tuple[int, ...]]:
    """Each header of `size` bytes in `head` whose words, the first of them `magic`, add up to 0: its offset
    and words.
    """
    for offset in range(0, len(head) - size + 1, align):
        words = struct.unpack_from(f"<{size // 4}I", head, offset)
        if words[0] == magic and sum(words) % (1 << 32) == 0:
            yield offset, *words


def _find1(head: bytes) -> Header | None:
    constants = load_abi().constants
    size = constants["MULTIBOOT1_HEADER_SIZEOF"]
    for offset, _, flags, _ in _places(head, size, 4, constants["MULTIBOOT1_HEADER_MAGIC"]):
        # A wish for a screen is none that must be met: what there is of one nobody can say by this protocol.
        known = sum(constants[f"MULTIBOOT1_{name}"] for name in ("PAGE_ALIGN", "MEMORY_INFO", "VIDEO_MODE"))
        if unknown := flags & constants["MULTIBOOT1_REQUIREMENTS"] & ~known:
            raise Refused(f"requires more than it can be told (multiboot1 header flags {unknown:#x})")
        if not flags & constants["MULTIBOOT1_ADDRESSES"]:
            return Header(offset)
        if offset + constants["MULTIBOOT1_ADDRESSES_SIZEOF"] > len(head):
            raise KernelError("is cut off in its multiboot1 header")
        *words, entry = struct.unpack_from("<5I", head, offset + constants["MULTIBOOT1_ADDRESSES_HEADER_ADDR"])
        return Header(offset, entry, addresses=Addresses(*words))
    return None


def _find2(head: bytes) -> Header | None:
    constants = load_abi().constants
    size, align = constants["MULTIBOOT2_HEADER_SIZEOF"], constants["MULTIBOOT2_ALIGN"]
    magic = constants["MULTIBOOT2_HEADER_MAGIC"]
    for offset, _, architecture, length, _ in _places(head, size, align, magic):
        if architecture != constants["MULTIBOOT2_ARCHITECTURE_I386"]:
            continue
        if length < size or offset + length > len(head):
            raise KernelError(f"is cut off: its multiboot2 header ends at byte {offset + length:#x}")
        found = replace(_read2(head[offset + size : offset + length]), offset=offset)
        if found.addresses is not None and found.entry is None:
            raise KernelError("has addresses and no entry in its multiboot2 header")
        return found
    return None


def _read2(tags: bytes) -> Header:
    """What the tags of a header say; the header's offset is 0. Raises KernelError."""
    constants = load_abi().constants
    numbers = {
        name.removeprefix("MULTIBOOT2_HEADER_TAG_"): number
        for name, number in constants.items()
        if name.startswith("MULTIBOOT2_HEADER_TAG_")
    }
    harmless = {numbers[name] for name in HARMLESS2}
    header, offset = Header(0), 0
    while offset + 8 <= len(tags):
        kind, flags, size = struct.unpack_from("<HHI", tags, offset)
        if kind == numbers["END"]:
            break
        least = {numbers["ADDRESS"]: 24, numbers["ENTRY"]: 12, numbers["ENTRY_EFI64"]: 12}.get(kind, 8)
        if size < least or offset + size > len(tags):
            raise KernelError("has a multiboot2 header whose tags do not end where it does")
        content = tags[offset + 8 : offset + size]
        if kind == numbers["ENTRY"]:
            header = replace(header, entry=struct.unpack_from("<I", content)[0])
        elif kind == numbers["ENTRY_EFI64"]:
            header = replace(header, efi_entry=struct.unpack_from("<I", content)[0])
        elif kind == numbers["ADDRESS"]:
            header = replace(header, addresses=_addresses2(content))
        elif not flags & constants["MULTIBOOT2_HEADER_TAG_OPTIONAL"] and kind not in harmless:
            _require2(kind, content)
        offset += align_up(size, 8)
    return header


def _addresses2(content: bytes) -> Addresses:
    header, start, end, bss_end = struct.unpack_from("<4I", content)
    from_start = start == load_abi().constants["MULTIBOOT2_LOAD_FROM_START"]
    return Addresses(header, None if from_start else start, end, bss_end)


def _require2(kind: int, content: bytes) -> None:
    """A tag that is required. Raises Refused, but for information that the specification knows: what this machine
    cannot have of it is left out.
    """
    constants = load_abi().constants
    if kind != constants["MULTIBOOT2_HEADER_TAG_INFO_REQUEST"]:
        raise Refused(f"requires what its multiboot2 header calls tag {kind}, which is not done here")
    for (number,) in struct.iter_unpack("<I", content[: len(content) & ~3]):
        if number > constants["MULTIBOOT2_TAG_LAST"]:
            raise Refused(f"requires multiboot2 information that nobody knows (tag {number})")


def _with_sections(kernel: Kernel) -> Kernel:
    """The kernel with its section headers, and behind it, clear of the stub, what no segment loads of the sections."""
    constants = load_abi().constants
    with kernel.path.open("rb") as stream:
        found = sections.find(stream)
    if found is None:
        return kernel
    loose = [part for header in found.records if (part := sections.not_loaded(header, kernel.size))]
    if not loose:
        return replace(kernel, sections=found)
    part, page = span(loose), constants["PAGE_SIZE"]
    start = align_up(max(kernel.span.end, constants["IMAGE_LIMIT"]), page) + part.start % page
    if start + part.size > FOUR_GIB:
        return kernel
    placed = sections.place(found, start - part.start, kernel.size)
    segment = elf.Segment(part.start, part.size, start, part.size)
    return replace(kernel, segments=(*kernel.segments, segment), sections=placed)


def parse1(path: Path, folder: Path) -> Kernel:
    """The multiboot1 kernel at `path`. Raises KernelError; OSError passes."""
    return _with_sections(_parse(path, "multiboot1", _find1))


def parse2(path: Path, folder: Path) -> Kernel:
    """The multiboot2 kernel at `path`. Raises KernelError; OSError passes."""
    return _with_sections(_parse(path, "multiboot2", _find2))


MULTIBOOT1 = Protocol("multiboot1", parse1)
MULTIBOOT2 = Protocol("multiboot2", parse2)
