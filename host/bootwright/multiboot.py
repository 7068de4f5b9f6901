"""The multiboot protocols, 1 and 2: an ELF kernel with a header that says what it wants to be told.

A header that requires what the stub does not hand over is refused, as a boot loader has to. Specifications:
Multiboot 0.6.96, section 3.1; Multiboot2 2.0, section 3.1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bootwright import elf
from bootwright.abi import load as load_abi
from bootwright.errors import KernelError
from bootwright.kernel import Kernel, OtherProtocol, Protocol, Refused

REQUIREMENTS1 = 0xFFFF  # header flags that a loader must understand; those above are remarks
ADDRESSES1 = 1 << 16  # header flag: its own load addresses, and the entry, follow
ENTRY1 = 28  # offset of the entry in such a header
# Header tags that need nothing of the stub, besides those of stub/abi: 5 framebuffer wish, 10 relocatable.
HARMLESS2 = (5, 8, 9, 10)


@dataclass(frozen=True)
class Header:
    """A header that was found: what its own entry overrides, None for the ELF file's; efi_entry: where it is
    entered with EFI's boot services running, None if that is not possible.
    """

    entry: int | None = None
    efi_entry: int | None = None


def _look(path: Path, name: str, find: Callable[[bytes], Header | None]) -> Kernel:
    constants = load_abi().constants
    with path.open("rb") as stream:
        head = stream.read(constants[f"{name.upper()}_SEARCH"])
    if not head.startswith(elf.MAGIC):
        raise OtherProtocol(f"is no ELF file, so protocol {name} cannot enter it")
    header = find(head)
    if header is None:
        raise OtherProtocol(f"has no {name} header in its first {constants[f'{name.upper()}_SEARCH']} bytes")
    kernel = elf.read(path)
    entry = kernel.start if header.entry is None else header.entry
    if entry is None or not any(entry in segment.range for segment in kernel.segments):
        shown = "" if entry is None else f" {entry:#x}"
        raise KernelError(f"has its entry{shown} outside of all its segments")
    reason = f"has a {name} header"
    return Kernel(path, kernel.size, name, entry, kernel.segments, reason, efi_entry=header.efi_entry)


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
        if unknown := flags & REQUIREMENTS1 & ~known:
            raise Refused(f"requires more than it can be told (multiboot1 header flags {unknown:#x})")
        if not flags & ADDRESSES1:
            return Header()
        if offset + ENTRY1 + 4 > len(head):
            raise KernelError("is cut off in its multiboot1 header")
        return Header(struct.unpack_from("<I", head, offset + ENTRY1)[0])
    return None


def _find2(head: bytes) -> Header | None:
    constants = load_abi().constants
    size, align = constants["MULTIBOOT2_HEADER_SIZEOF"], constants["MULTIBOOT2_ALIGN"]
    magic = constants["MULTIBOOT2_HEADER_MAGIC"]
    for offset, _, architecture, length, _ in _places(head, size, align, magic):
        if architecture != constants["MULTIBOOT2_ARCHITECTURE_I386"]:
            continue
        if offset + length > len(head):
            raise KernelError(f"is cut off: its multiboot2 header ends at byte {offset + length:#x}")
        return _read2(head[offset + size : offset + length])
    return None


def _read2(tags: bytes) -> Header:
    """Check what the tags of a header require. Raises KernelError."""
    constants = load_abi().constants
    harmless = {*HARMLESS2, constants["MULTIBOOT2_HEADER_TAG_CONSOLE"]}
    harmless.add(constants["MULTIBOOT2_HEADER_TAG_MODULE_ALIGN"])
    entry, efi_entry, offset = None, None, 0
    while offset + 8 <= len(tags):
        kind, flags, size = struct.unpack_from("<HHI", tags, offset)
        if kind == constants["MULTIBOOT2_HEADER_TAG_END"]:
            break
        if size < 8 or offset + size > len(tags):
            raise KernelError("has a multiboot2 header whose tags do not end where it does")
        content = tags[offset + 8 : offset + size]
        required = not flags & constants["MULTIBOOT2_HEADER_TAG_OPTIONAL"]
        if kind == constants["MULTIBOOT2_HEADER_TAG_ENTRY"] and len(content) >= 4:
            (entry,) = struct.unpack_from("<I", content)
        elif kind == constants["MULTIBOOT2_HEADER_TAG_ENTRY_EFI64"] and len(content) >= 4:
            (efi_entry,) = struct.unpack_from("<I", content)
        elif kind == constants["MULTIBOOT2_HEADER_TAG_INFO_REQUEST"]:
            wanted = [number for (number,) in struct.iter_unpack("<I", content[: len(content) & ~3])]
            # Any that the specification knows may be asked for: one that this machine cannot have is left out.
            unknown = [number for number in wanted if number > constants["MULTIBOOT2_TAG_LAST"]]
            if required and unknown:
                raise Refused(f"requires multiboot2 information that nobody knows (tag {unknown[0]})")
        elif required and kind not in harmless:
            raise Refused(f"requires what its multiboot2 header calls tag {kind}, which is not done here")
        offset += -(-size // 8) * 8
    return Header(entry, efi_entry)


def look1(path: Path, folder: Path) -> Kernel:
    """The multiboot1 kernel at `path`. Raises KernelError; OSError passes."""
    return _look(path, "multiboot1", _find1)


def look2(path: Path, folder: Path) -> Kernel:
    """The multiboot2 kernel at `path`. Raises KernelError; OSError passes."""
    return _look(path, "multiboot2", _find2)


MULTIBOOT1 = Protocol("multiboot1", look1)
MULTIBOOT2 = Protocol("multiboot2", look2)
