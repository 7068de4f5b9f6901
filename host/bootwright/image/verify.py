"""The finished image is read back from its bytes: ELF by pyelftools, which wrote none of it, all else by hand.

Checked are the things a loader or the stub would stumble over: the multiboot headers (Multiboot
Specification 0.6.96, section 3.1; Multiboot2 Specification 2.0, section 3.1), the PVH note, program headers
that agree with the plan and do not overlap, the entry points, the tables, and every module's SHA-256.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from elftools.elf.elffile import ELFFile
from elftools.elf.segments import NoteSegment

from bootwright.common import abi
from bootwright.common.errors import VerifyError, Where, about, format_range
from bootwright.common.hashes import blocks
from bootwright.common.ranges import FOUR_GIB
from bootwright.kernels.elf import BROKEN
from bootwright.plan import tables
from bootwright.plan.records import Generic, Plan, PlannedModule

MULTIBOOT1_SEARCH = 8 << 10
MULTIBOOT2_SEARCH = 32 << 10


@dataclass(frozen=True)
class Segment:
    """A PT_LOAD program header: file offset and size, physical address and size in memory, in bytes."""

    offset: int
    file_size: int
    address: int
    size: int
    executable: bool
    writable: bool

    @property
    def end(self) -> int:
        """The first physical address behind it."""
        return self.address + self.size


@dataclass(frozen=True)
class Image:
    """An image as it reads back.

    Entry points are physical addresses, sizes bytes, the PT_LOADs in the order of their headers;
    code_and_rodata is what the executable segment holds: code, strings and notes, without tables and data.
    """

    entry: int
    pvh_entry: int
    segments: tuple[Segment, ...]
    build_id: str
    code_and_rodata: int


def verify(path: Path, plan: Plan | Generic) -> Image:
    """Read the image at `path` back and return it. Raises VerifyError where it is not what was planned."""
    with about("", Where(str(path))):
        try:
            with path.open("rb") as file:
                return _verify(file, path.stat().st_size, plan)
        except (*BROKEN, OSError) as error:
            raise VerifyError(f"does not read back: {error or type(error).__name__}") from error


def _verify(file: BinaryIO, size: int, plan: Plan | Generic) -> Image:
    elf = ELFFile(file)
    segments = tuple(_segment(s) for s in elf.iter_segments("PT_LOAD"))
    _check_header(elf)
    _check_segments(segments, size)
    _check_multiboot(file)
    image = Image(
        entry=elf["e_entry"],
        pvh_entry=_pvh_entry(elf),
        segments=segments,
        build_id=_build_id(elf),
        code_and_rodata=sum(s.file_size for s in segments if s.executable),
    )
    for what, entry in (("entry", image.entry), ("PVH entry", image.pvh_entry)):
        if not any(s.executable and s.address <= entry < s.address + s.file_size for s in segments):
            raise VerifyError(f"{what}: {entry:#x} lies in no executable segment")
    if isinstance(plan, Plan):
        _check_tables(elf, plan)
        for module in plan.carried:
            if module.embedded:
                _check_module(file, segments, module)
    return image


def _segment(segment: Any) -> Segment:
    flags = segment["p_flags"]
    return Segment(
        offset=segment["p_offset"],
        file_size=segment["p_filesz"],
        address=segment["p_paddr"],
        size=segment["p_memsz"],
        executable=bool(flags & 1),
        writable=bool(flags & 2),
    )


def _check_header(elf: ELFFile) -> None:
    found = (elf["e_type"], elf["e_machine"], elf.elfclass)
    if found != ("ET_EXEC", "EM_386", 32):
        raise VerifyError(f"ELF header: {found} is not an ELF32 executable for i386")
    end = elf["e_phoff"] + elf["e_phnum"] * elf["e_phentsize"]
    if end > MULTIBOOT1_SEARCH:
        raise VerifyError(f"program headers: end at {end:#x}; loaders read the first {MULTIBOOT1_SEARCH:#x} bytes")


def _check_segments(segments: Sequence[Segment], file_size: int) -> None:
    for segment in segments:
        shown = f"segment {format_range(segment.address, segment.end)}"
        if segment.offset + segment.file_size > file_size:
            raise VerifyError(f"{shown}: ends behind the file, of {file_size:#x} bytes")
        if segment.end > FOUR_GIB:
            raise VerifyError(f"{shown}: ends above 4 GiB")
        if segment.file_size > segment.size:
            raise VerifyError(f"{shown}: has more bytes in the file, {segment.file_size:#x}")
        if (segment.offset - segment.address) % abi.load().constants["PAGE_SIZE"]:
            raise VerifyError(f"{shown}: file offset {segment.offset:#x} is not congruent to its address")
    _check_apart("in memory", ((s.address, s.end) for s in segments))
    _check_apart("in the file", ((s.offset, s.offset + s.file_size) for s in segments if s.file_size))


def _check_apart(where: str, ranges: Iterable[tuple[int, int]]) -> None:
    ordered = sorted(ranges)
    for one, other in pairwise(ordered):
        if one[1] > other[0]:
            raise VerifyError(f"segments {format_range(*one)} and {format_range(*other)} overlap {where}")


def _check_multiboot(file: BinaryIO) -> None:
    constants = abi.load().constants
    file.seek(0)
    start = file.read(MULTIBOOT2_SEARCH)
    # multiboot1: 3 words aligned to 4, multiboot2: 4 words aligned to 8; each adds up to 0 in 32 bits.
    for name, magic, words, align, limit in (
        ("multiboot1", constants["MULTIBOOT1_HEADER_MAGIC"], 3, 4, MULTIBOOT1_SEARCH),
        ("multiboot2", constants["MULTIBOOT2_HEADER_MAGIC"], 4, 8, MULTIBOOT2_SEARCH),
    ):
        size = words * 4
        places = range(0, min(limit, len(start)) - size + 1, align)
        found = (struct.unpack_from(f"<{words}I", start, at) for at in places)
        if not any(header[0] == magic and sum(header) % (1 << 32) == 0 for header in found):
            raise VerifyError(f"{name} header: none with a right checksum in the first {limit:#x} bytes")


def _notes(elf: ELFFile) -> dict[tuple[str, Any], bytes]:
    """The notes of all PT_NOTE segments, by owner and type."""
    return {
        (note["n_name"], note["n_type"]): note["n_descdata"]
        for segment in elf.iter_segments("PT_NOTE")
        if isinstance(segment, NoteSegment)
        for note in segment.iter_notes()
    }


def _pvh_entry(elf: ELFFile) -> int:
    note_type = abi.load().constants["XEN_ELFNOTE_PHYS32_ENTRY"]
    note = _notes(elf).get(("Xen", note_type))
    if note is None or len(note) not in (4, 8):
        raise VerifyError("PVH note: missing, or not of 4 or 8 bytes")
    return int.from_bytes(note, "little")


def _build_id(elf: ELFFile) -> str:
    note = _notes(elf).get(("GNU", "NT_GNU_BUILD_ID"))
    if note is None or not any(note):
        raise VerifyError("build id: missing, or all zero")
    return note.hex()


def _check_tables(elf: ELFFile, plan: Plan) -> None:
    section = elf.get_section_by_name(".tables")
    if section is None:
        raise VerifyError("tables: no section .tables")
    # decode checks magic, version, length, checksum and references.
    if tables.decode(tables.of_section(section.data())) != plan:
        raise VerifyError("tables: do not say what was planned")


def _check_module(file: BinaryIO, segments: Sequence[Segment], module: PlannedModule) -> None:
    segment = next((s for s in segments if s.address == module.load_address), None)
    if segment is None or (segment.file_size, segment.size) != (module.size, module.size):
        raise VerifyError(f"module {module.name}: no segment {module.load_range} as planned")
    digest = hashlib.sha256()
    for block in blocks(file, segment.offset, segment.file_size):
        digest.update(block)
    if digest.digest() != module.sha256:
        raise VerifyError(f"module {module.name}: the bytes at file offset {segment.offset:#x} are not those planned")
