"""What the generic stub finds out about a kernel that no host has looked into: the reference for its probes
(stub/generic/probe.asm, multiboot.asm, elf.asm, probe_linux.asm). The rules are those of the host's own readers, which
have other words for what breaks one (docs/kernels.md); each is written here once more, as the stub goes about it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bootwright.common.abi import load as load_abi
from bootwright.common.messages import BootFailure
from bootwright.common.pieces import Piece
from bootwright.common.ranges import FOUR_GIB, Range, Relocation, align_up
from bootwright.kernels import linux
from bootwright.kernels.elf import MAGIC
from bootwright.kernels.protocols import NAMES

WRAP = 1 << 64


@dataclass(frozen=True)
class Probed:
    """A kernel that can be entered: protocol as in protocols.NAMES, physical entry, its pieces; cmdline_room as in
    struct boot_domain; movable: where else all of it may lie.
    """

    protocol: str
    entry: int
    pieces: tuple[Piece, ...]
    cmdline_room: int = 0
    movable: Relocation | None = None


# What a probe asks of the machine: where a kernel that may be moved is to lie, None for nowhere (Loading.find_place).
Room = Callable[[Range, Relocation], int | None]


@dataclass(frozen=True)
class Segment:
    """struct segment of stub/abi/elf.h."""

    type: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int


def probe(file: bytes, who: str, module: str, room: Room) -> Probed:
    """The first protocol that fits the kernel `file` of domain `who`. Raises BootFailure."""
    refused: _Refused | None = None
    for name in NAMES:
        try:
            found = _PROBES[name](file, who, room)
        except _Refused as error:
            refused = refused or error
            continue
        if found is not None:
            return found
    if refused is not None:
        raise BootFailure("E_KERNEL_REQUIRES", who, *refused.values)
    raise BootFailure("E_KERNEL_UNKNOWN", who, module)


class _Refused(Exception):
    """A multiboot header that requires what is not done. values: the header's name, what, and its number."""

    def __init__(self, name: str, what: str, number: int) -> None:
        super().__init__(name)
        self.values = name, load_abi().strings[f"K_{what}"], number


def _broken(who: str, reason: str, number: int) -> BootFailure:
    return BootFailure("E_KERNEL_BROKEN", who, load_abi().strings[f"K_{reason}"], number % WRAP)


def _bytes(file: bytes, who: str, start: int, size: int) -> bytes:
    """Part of the file. Raises BootFailure E_KERNEL_SHORT where it has no such part."""
    if start + size > len(file):
        raise BootFailure("E_KERNEL_SHORT", who, len(file), (start + size) % WRAP)
    return file[start : start + size]


def _entered(protocol: str, entry: int, pieces: Sequence[Piece], who: str) -> Probed:
    if not any(piece.dest <= entry < piece.dest + piece.dest_size for piece in pieces):
        raise _broken(who, "ENTRY", entry)
    return Probed(protocol, entry, tuple(pieces))


# --- multiboot ---


def _header(file: bytes, protocol: str, record: str, align: int) -> tuple[int, Any] | None:
    """The first header for this machine, and its place, in the part of the file that may have one."""
    constants, header = load_abi().constants, load_abi().struct(record)
    window = file[: constants[f"{protocol.upper()}_SEARCH"]]
    for place in range(0, len(window) - len(header) + 1, align):
        words = struct.unpack_from(f"<{len(header) // 4}I", window, place)
        if words[0] == constants[f"{protocol.upper()}_HEADER_MAGIC"] and not sum(words) % (1 << 32):
            found = header(window[place : place + len(header)])
            if protocol == "multiboot1" or found.architecture == constants["MULTIBOOT2_ARCHITECTURE_I386"]:
                return place, found
    return None


def _multiboot1(file: bytes, who: str, room: Room) -> Probed | None:
    constants = load_abi().constants
    found = _header(file, "multiboot1", "multiboot1_header", 4)
    if found is None:
        return None
    place, header = found
    known = sum(constants[f"MULTIBOOT1_{flag}"] for flag in ("PAGE_ALIGN", "MEMORY_INFO", "VIDEO_MODE"))
    if unknown := header.flags & constants["MULTIBOOT1_REQUIREMENTS"] & ~known:
        raise _Refused("multiboot1", "FLAGS", unknown)
    if not header.flags & constants["MULTIBOOT1_ADDRESSES"]:
        return _elf(file, who, "multiboot1", None)
    whole = load_abi().struct("multiboot1_addresses")
    if place + len(whole) > min(len(file), constants["MULTIBOOT1_SEARCH"]):
        raise _broken(who, "HEADER", place)
    said = whole(file[place : place + len(whole)])
    return _flat(file, who, "multiboot1", place, said, said.load_addr, said.entry_addr)


def _multiboot2(file: bytes, who: str, room: Room) -> Probed | None:
    constants = load_abi().constants
    found = _header(file, "multiboot2", "multiboot2_header", constants["MULTIBOOT2_ALIGN"])
    if found is None:
        return None
    place, header = found
    end = place + header.header_length
    if header.header_length < len(header) or end > min(len(file), constants["MULTIBOOT2_SEARCH"]):
        raise _broken(who, "HEADER", place)
    entry, addresses = None, None
    for kind, required, tag in _tags(file[place + len(header) : end], who):
        if kind == constants["MULTIBOOT2_HEADER_TAG_ADDRESS"]:
            addresses = _whole(tag, "multiboot2_header_tag_address", who)
        elif kind == constants["MULTIBOOT2_HEADER_TAG_ENTRY"]:
            entry = _whole(tag, "multiboot2_header_tag_entry", who).entry_addr
        elif kind == constants["MULTIBOOT2_HEADER_TAG_ENTRY_EFI64"]:
            _whole(tag, "multiboot2_header_tag_entry", who)
        elif required:
            _meet(kind, tag)
    if addresses is None:
        return _elf(file, who, "multiboot2", entry)
    if entry is None:
        raise _broken(who, "NO_ENTRY", place)
    start = addresses.load_addr
    if start == constants["MULTIBOOT2_LOAD_FROM_START"]:
        start = addresses.header_addr - place
        if start < 0:
            raise _broken(who, "ADDRESSES", addresses.header_addr)
    return _flat(file, who, "multiboot2", place, addresses, start, entry)


def _tags(data: bytes, who: str) -> Iterator[tuple[int, bool, bytes]]:
    """Each tag's type, whether it is required, and its bytes."""
    constants = load_abi().constants
    place, least = 0, constants["MULTIBOOT2_HEADER_TAG_SIZEOF"]
    while place + least <= len(data):
        kind, flags, size = struct.unpack_from("<HHI", data, place)
        if kind == constants["MULTIBOOT2_HEADER_TAG_END"]:
            break
        if size < least or place + size > len(data):
            raise _broken(who, "TAG", kind)
        yield kind, not flags & constants["MULTIBOOT2_HEADER_TAG_OPTIONAL"], data[place : place + size]
        place += align_up(size, constants["MULTIBOOT2_ALIGN"])


def _whole(tag: bytes, record: str, who: str) -> Any:
    found = load_abi().struct(record)
    if len(tag) < len(found):
        raise _broken(who, "TAG", int.from_bytes(tag[:2], "little"))
    return found(tag[: len(found)])


def _meet(kind: int, tag: bytes) -> None:
    """A tag that is required. Raises _Refused."""
    constants = load_abi().constants
    done = ("CONSOLE", "FRAMEBUFFER", "MODULE_ALIGN", "ENTRY_EFI32", "RELOCATABLE")
    if kind == constants["MULTIBOOT2_HEADER_TAG_INFO_REQUEST"]:
        for (wanted,) in struct.iter_unpack("<I", tag[8 : len(tag) & ~3]):
            if wanted > constants["MULTIBOOT2_TAG_LAST"]:
                raise _Refused("multiboot2", "INFORMATION", wanted)
    elif kind not in {constants[f"MULTIBOOT2_HEADER_TAG_{name}"] for name in done}:
        raise _Refused("multiboot2", "HEADER_TAG", kind)


def _flat(file: bytes, who: str, protocol: str, place: int, said: Any, start: int, entry: int) -> Probed:
    """What the addresses of a header say: start: where loading starts; place: of the header in the file."""
    offset = place - (said.header_addr - start)
    end = said.load_end_addr or start + len(file) - offset
    if start > said.header_addr or offset < 0 or end <= start:
        raise _broken(who, "ADDRESSES", start)
    _bytes(file, who, offset, end - start)
    if end > FOUR_GIB:
        raise _broken(who, "BEYOND", start)
    zeros = said.bss_end_addr - end if said.bss_end_addr else 0
    if zeros < 0:
        raise _broken(who, "ADDRESSES", start)
    return _entered(protocol, entry, [_stored(offset, end - start, start, zeros)], who)


# --- ELF ---


def _pvh(file: bytes, who: str, room: Room) -> Probed | None:
    return _elf(file, who, "pvh", None)


def _elf(file: bytes, who: str, protocol: str, entry: int | None) -> Probed | None:
    """entry: what a multiboot header says, None for nothing."""
    constants = load_abi().constants
    if len(file) < constants["ELF64_EHDR_SIZEOF"] or not file.startswith(MAGIC):
        return None
    notes: dict[int, bytes] = {}
    pieces: list[Piece] = []
    start, alignment, (e_entry, segments) = None, 0, _segments(file, who)
    for segment in segments:
        if segment.type == constants["ELF_PT_NOTE"]:
            _read_notes(file, who, segment, notes)
        elif segment.type == constants["ELF_PT_LOAD"]:
            alignment = max(alignment, segment.align)
            if segment.memsz:
                pieces.append(_piece(file, who, segment, pieces))
            if start is None and 0 <= e_entry - segment.vaddr < segment.memsz:
                start = e_entry - segment.vaddr + segment.paddr
    if not pieces:
        raise _broken(who, "NO_SEGMENT", len(segments))
    movable = _movable(notes.get(constants["XEN_ELFNOTE_PHYS32_RELOC"]), alignment, who)
    if protocol != "pvh":
        found = start if entry is None else entry
        if found is None:
            raise _broken(who, "ENTRY", e_entry)
        return _entered(protocol, found, pieces, who)
    note = notes.get(constants["XEN_ELFNOTE_PHYS32_ENTRY"])
    if note is None:
        return None
    return replace(_entered(protocol, int.from_bytes(note, "little"), pieces, who), movable=movable)


def _stored(offset: int, size: int, dest: int, zeros: int, reserve_pages: int = 0) -> Piece:
    return Piece(offset, size, dest, size, zeros, load_abi().constants["PACK_STORED"], reserve_pages)


def _segments(file: bytes, who: str) -> tuple[int, list[Segment]]:
    """e_entry, and the program headers."""
    constants = load_abi().constants
    known = {constants["ELF_CLASS_32"]: 32, constants["ELF_CLASS_64"]: 64}
    bits = known.get(file[constants["ELF_CLASS"]], 64)
    head = load_abi().struct(f"elf{bits}_ehdr")(file[: constants["ELF64_EHDR_SIZEOF"]])
    sound = (
        file[constants["ELF_CLASS"]] in known
        and file[constants["ELF_DATA"]] == constants["ELF_DATA_LITTLE"]
        and head.e_type in (constants["ELF_ET_EXEC"], constants["ELF_ET_DYN"])
        and head.e_machine in (constants["ELF_EM_386"], constants["ELF_EM_X86_64"])
    )
    if not sound:
        raise _broken(who, "MACHINE", head.e_type | head.e_machine << 16)
    record, count = load_abi().struct(f"elf{bits}_phdr"), head.e_phnum
    if count > constants["ELF_MAX_HEADERS"]:
        raise BootFailure("E_TOO_MANY_SEGMENTS", who, count, constants["ELF_MAX_HEADERS"])
    if not count:
        return head.e_entry, []
    if head.e_phentsize != len(record):
        raise _broken(who, "HEADER_SIZE", head.e_phentsize)
    table = _bytes(file, who, head.e_phoff, count * len(record))
    found = (record(table[place : place + len(record)]) for place in range(0, len(table), len(record)))
    return head.e_entry, [
        Segment(h.p_type, h.p_offset, h.p_vaddr, h.p_paddr, h.p_filesz, h.p_memsz, h.p_align) for h in found
    ]


def _piece(file: bytes, who: str, segment: Segment, others: Sequence[Piece]) -> Piece:
    """Of a PT_LOAD that takes memory; where an empty one would lie in the file does not matter."""
    offset = segment.offset if segment.filesz else 0
    _bytes(file, who, offset, segment.filesz)
    if segment.filesz > segment.memsz:
        raise _broken(who, "FILE_SIZE", segment.paddr)
    if segment.paddr + segment.memsz > FOUR_GIB:
        raise _broken(who, "BEYOND", segment.paddr)
    found = _stored(offset, segment.filesz, segment.paddr, segment.memsz - segment.filesz)
    if any(found.range.overlaps(other.range) for other in others):
        raise _broken(who, "OVERLAP", segment.paddr)
    return found


def _read_notes(file: bytes, who: str, segment: Segment, found: dict[int, bytes]) -> None:
    """Adds Xen's notes on PVH; the first of each kind counts."""
    constants = load_abi().constants
    data, place = _bytes(file, who, segment.offset, segment.filesz), 0
    if len(data) > constants["ELF_MAX_NOTES"]:
        raise _broken(who, "NOTES", len(data))
    while place + constants["ELF_NHDR_SIZEOF"] <= len(data):
        namesz, descsz, kind = struct.unpack_from("<3I", data, place)
        name = place + constants["ELF_NHDR_SIZEOF"]
        desc = name + align_up(namesz, 4)
        place = desc + align_up(descsz, 4)
        if place > len(data):
            break
        if namesz != 4 or data[name : name + 4] != b"Xen\0":
            continue
        if kind == constants["XEN_ELFNOTE_PHYS32_ENTRY"] and kind not in found and descsz not in (4, 8):
            raise _broken(who, "NOTE_SIZE", descsz)
        found.setdefault(kind, data[desc : desc + descsz])


def _movable(desc: bytes | None, largest: int, who: str) -> Relocation | None:
    """XEN_ELFNOTE_PHYS32_RELOC: alignment, lowest start, highest last byte, each with a default."""
    if desc is None:
        return None
    constants = load_abi().constants
    page = constants["PAGE_SIZE"]
    words = [largest if largest >= page else constants["PVH_DEFAULT_ALIGNMENT"], 0, FOUR_GIB - 1]
    for number in range(min(len(desc) // 4, 3)):
        words[number] = int.from_bytes(desc[4 * number : 4 * number + 4], "little")
    if not 0 < words[0] < FOUR_GIB or words[0] & (words[0] - 1):
        raise _broken(who, "ALIGNMENT", words[0])
    return Relocation(max(words[0], page), words[1], words[2])


# --- bzImage ---


def _linux(file: bytes, who: str, room: Room) -> Probed | None:
    constants = load_abi().constants
    if len(file) < constants["BOOT_PARAMS_PAD7"]:
        return None
    whole = constants["BOOT_PARAMS_SIZEOF"]
    header = load_abi().struct("boot_params")(file[:whole].ljust(whole, b"\0"))
    if (header.header, header.boot_flag) != (constants["LINUX_HEADER_MAGIC"], constants["LINUX_BOOT_FLAG"]):
        return None
    if not header.loadflags & constants["LINUX_LOADED_HIGH"]:
        return None
    flags = header.xloadflags if header.version >= constants["LINUX_VERSION_XLOADFLAGS"] else 0
    entry = constants["LINUX_ENTRY64"] if flags & constants["LINUX_XLF_KERNEL_64"] else 0
    start = _check_linux(header, file, who, entry)
    size = len(file) - start
    needed, place = size, constants["LINUX_LEGACY_ADDRESS"]
    if header.version >= constants["LINUX_VERSION_INIT_SIZE"]:
        needed, place = max(size, header.init_size), header.pref_address
    if place < constants["IMAGE_BASE"] or place + needed > FOUR_GIB:
        raise _broken(who, "PLACE", place)
    if header.version >= constants["LINUX_VERSION_INIT_SIZE"] and header.relocatable_kernel:
        alignment = header.kernel_alignment
        if alignment < constants["PAGE_SIZE"] or alignment & (alignment - 1):
            raise _broken(who, "ALIGNMENT", alignment)
        reach = FOUR_GIB - 1 if entry else header.initrd_addr_max
        found = room(Range.sized(place, needed), Relocation(alignment, place, reach))
        if found is None:
            raise BootFailure("E_NO_FREE_ROOM", needed, who)
        place = found
    pages = -(-(needed - size) // constants["PAGE_SIZE"])
    cmdline_room = constants["LINUX_OLD_CMDLINE_ROOM"]
    if header.version >= constants["LINUX_VERSION_CMDLINE_SIZE"]:
        cmdline_room = (header.cmdline_size + 1) % (1 << 32)
    return Probed("linux", place + entry, (_stored(start, size, place, 0, pages),), cmdline_room)


def _check_linux(header: Any, file: bytes, who: str, entry: int) -> int:
    """Where its protected-mode part is in the file. entry: offset in that. Raises BootFailure."""
    constants = load_abi().constants
    start = ((header.setup_sects or constants["LINUX_DEFAULT_SECTORS"]) + 1) * constants["LINUX_SECTOR"]
    if linux.starts_in_real_mode(header) and start > constants["REAL_MODE_HEAP_END"]:
        raise _broken(who, "SETUP", start)
    paragraph = constants["LINUX_PARAGRAPH"]
    end = start
    if header.version >= constants["LINUX_VERSION_SYSSIZE"]:
        end += header.syssize * paragraph
    if start >= len(file) or end >= len(file) + paragraph:  # the last paragraph need not be whole
        raise BootFailure("E_KERNEL_SHORT", who, len(file), end)
    if entry and start + entry >= len(file):
        raise BootFailure("E_KERNEL_SHORT", who, len(file), start + entry)
    return int(start)


_PROBES = {"multiboot2": _multiboot2, "multiboot1": _multiboot1, "pvh": _pvh, "linux": _linux}
