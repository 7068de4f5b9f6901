"""What the generic stub finds out about a kernel that no host has looked into: the reference for its probes
(stub/source/probe.asm, elf.asm, probe_linux.asm), which look at headers only and believe what is in bounds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bootwright.abi import load as load_abi
from bootwright.elf import FOUR_GIB, MAGIC
from bootwright.pack import Piece
from bootwright.protocols import NAMES
from bootwright.ranges import Movable, Range, align_up
from bootwright.transcript import BootFailure

WRAP = 1 << 64


@dataclass(frozen=True)
class Probed:
    """A kernel that can be entered: protocol as in protocols.NAMES, physical entry, its pieces; cmdline_room as in
    struct boot_domain.
    """

    protocol: str
    entry: int
    pieces: tuple[Piece, ...]
    cmdline_room: int = 0


# What a probe asks of the machine: where a kernel that may be moved is to lie, None for nowhere (Loading.find_place).
Room = Callable[[Range, Movable], int | None]


@dataclass(frozen=True)
class Segment:
    """struct segment of stub/abi/elf.h."""

    type: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int


def probe(file: bytes, who: str, module: str, room: Room) -> Probed:
    """The first protocol that fits the kernel `file` of domain `who`. Raises BootFailure."""
    for name in NAMES:
        found = _PROBES[name](file, who, room)
        if found is not None:
            return found
    raise BootFailure("E_KERNEL_UNKNOWN", who, module)


def _pvh(file: bytes, who: str, room: Room) -> Probed | None:
    return _elf(file, who, "pvh", _note_entry)


def _multiboot1(file: bytes, who: str, room: Room) -> Probed | None:
    constants = load_abi().constants
    for offset in range(0, min(len(file), constants["MULTIBOOT1_SEARCH"]) - 11, 4):
        words = struct.unpack_from("<3I", file, offset)
        if words[0] == constants["MULTIBOOT1_HEADER_MAGIC"] and not sum(words) % (1 << 32):
            return _elf(file, who, "multiboot1", _start_entry)
    return None


def _multiboot2(file: bytes, who: str, room: Room) -> Probed | None:
    constants = load_abi().constants
    for offset in range(0, min(len(file), constants["MULTIBOOT2_SEARCH"]) - 15, 8):
        words = struct.unpack_from("<4I", file, offset)
        if words[0] == constants["MULTIBOOT2_HEADER_MAGIC"] and not sum(words) % (1 << 32) and not words[1]:
            return _elf(file, who, "multiboot2", _start_entry)
    return None


# --- ELF ---

Entry = Callable[[bytes, Segment, int], int]  # file, segment, e_entry: physical entry, 0 for none


def _elf(file: bytes, who: str, protocol: str, entry_of: Entry) -> Probed | None:
    constants = load_abi().constants
    if len(file) < constants["ELF64_EHDR_SIZEOF"] or not file.startswith(MAGIC):
        return None
    bits = 64 if file[constants["ELF_CLASS"]] == constants["ELF_CLASS_64"] else 32
    head = load_abi().struct(f"elf{bits}_ehdr")(file[: constants["ELF64_EHDR_SIZEOF"]])
    segments = list(_segments(file, who, bits, head.e_phoff, head.e_phnum))
    entry = 0
    for segment in segments:
        entry = entry_of(file, segment, head.e_entry) or entry
    if not entry:
        return None
    pieces: list[Piece] = []
    for segment in segments:
        rest = max(segment.memsz - segment.filesz, 0)
        if segment.type == constants["ELF_PT_LOAD"] and (rest or segment.filesz):
            if len(pieces) >= constants["MAX_PIECES"]:
                raise BootFailure("E_TOO_MANY_PIECES", who, constants["MAX_PIECES"])
            pieces.append(_stored(segment.offset, segment.filesz, segment.paddr, rest))
    return Probed(protocol, entry, tuple(pieces))


def _stored(offset: int, size: int, dest: int, zeros: int, reserve_pages: int = 0) -> Piece:
    return Piece(offset, size, dest, size, zeros, load_abi().constants["PACK_STORED"], reserve_pages)


def _segments(file: bytes, who: str, bits: int, start: int, count: int) -> Iterator[Segment]:
    record = load_abi().struct(f"elf{bits}_phdr")
    end = start + count * len(record)
    if end > len(file):
        raise BootFailure("E_KERNEL_SHORT", who, len(file), end % WRAP)
    for offset in range(start, end, len(record)):
        header = record(file[offset : offset + len(record)])
        last = header.p_offset + header.p_filesz
        if last > len(file):
            raise BootFailure("E_KERNEL_SHORT", who, len(file), last % WRAP)
        yield Segment(header.p_type, header.p_offset, header.p_vaddr, header.p_paddr, header.p_filesz, header.p_memsz)


def _start_entry(file: bytes, segment: Segment, start: int) -> int:
    loads = segment.type == load_abi().constants["ELF_PT_LOAD"]
    inside = 0 <= start - segment.vaddr < segment.memsz
    return (start - segment.vaddr + segment.paddr) % WRAP if loads and inside else 0


def _note_entry(file: bytes, segment: Segment, start: int) -> int:
    constants = load_abi().constants
    if segment.type != constants["ELF_PT_NOTE"]:
        return 0
    place, end = segment.offset, segment.offset + segment.filesz
    while place + constants["ELF_NHDR_SIZEOF"] <= end:
        namesz, descsz, kind = struct.unpack_from("<3I", file, place)
        name = place + constants["ELF_NHDR_SIZEOF"]
        desc = name + align_up(namesz, 4)
        place = desc + align_up(descsz, 4)
        if place > end:
            break
        wanted = kind == constants["XEN_ELFNOTE_PHYS32_ENTRY"] and namesz == 4 and descsz >= 4
        if wanted and file[name : name + 4] == b"Xen\0":
            return int.from_bytes(file[desc : desc + 4], "little")
    return 0


# --- bzImage ---


def _linux(file: bytes, who: str, room: Room) -> Probed | None:
    constants = load_abi().constants
    if len(file) < constants["BOOT_PARAMS_PAD7"]:
        return None
    whole = constants["BOOT_PARAMS_SIZEOF"]
    header = load_abi().struct("boot_params")(file[:whole].ljust(whole, b"\0"))
    if header.header != constants["LINUX_HEADER_MAGIC"]:
        return None
    if not header.loadflags & constants["LINUX_LOADED_HIGH"]:
        return None
    start = ((header.setup_sects or constants["LINUX_DEFAULT_SECTORS"]) + 1) * constants["LINUX_SECTOR"]
    size = len(file) - start
    if size <= 0:
        raise BootFailure("E_KERNEL_SHORT", who, len(file), start)
    needed, place = size, constants["LINUX_LEGACY_ADDRESS"]
    if header.version >= constants["LINUX_VERSION_INIT_SIZE"]:
        needed, place = max(size, header.init_size), header.pref_address
    flags = header.xloadflags if header.version >= constants["LINUX_VERSION_XLOADFLAGS"] else 0
    wide = bool(flags & constants["LINUX_XLF_KERNEL_64"])
    if header.version >= constants["LINUX_VERSION_INIT_SIZE"] and header.relocatable_kernel:
        reach = FOUR_GIB - 1 if wide else header.initrd_addr_max
        found = room(Range.sized(place, needed), Movable(header.kernel_alignment, place, reach))
        if found is None:
            raise BootFailure("E_NO_FREE_ROOM", needed, who)
        place = found
    pages = -(-(needed - size) // constants["PAGE_SIZE"])
    entry = place + (constants["LINUX_ENTRY64"] if wide else 0)
    cmdline_room = constants["LINUX_OLD_CMDLINE_ROOM"]
    if header.version >= constants["LINUX_VERSION_CMDLINE_SIZE"]:
        cmdline_room = (header.cmdline_size + 1) % (1 << 32)
    return Probed("linux", entry, (_stored(start, size, place, 0, pages),), cmdline_room)


_PROBES = {"multiboot2": _multiboot2, "multiboot1": _multiboot1, "pvh": _pvh, "linux": _linux}
