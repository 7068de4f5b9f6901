"""Kernels that are ELF files: their segments and their PVH entry, checked.

Read with pyelftools; what an attacker or a broken download could get past it is checked by hand. Only
headers and notes are read, never the segments' bytes. Specifications: the ELF gABI; Xen's public/elfnote.h
for the PVH note.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from elftools.common.exceptions import ELFError
from elftools.common.utils import struct_parse
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import KernelError, counted
from bootwright.common.ranges import FOUR_GIB, Range, Relocation, align_up

MAGIC = b"\x7fELF"
NOTE_HEADER = struct.Struct("<III")  # n_namesz, n_descsz, n_type; name and desc follow, each padded to 4

# What pyelftools raises for files that are cut off or not what they say.
BROKEN = (
    ELFError,
    ConstructError,
    struct.error,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    OverflowError,
    MemoryError,
    AssertionError,
)


@dataclass(frozen=True)
class Segment:
    """A PT_LOAD: p_filesz bytes at p_offset of the file go to physical address p_paddr, zeros up to
    p_memsz.
    """

    p_offset: int
    p_filesz: int
    p_paddr: int
    p_memsz: int

    @property
    def range(self) -> Range:
        """The physical addresses that it takes."""
        return Range.sized(self.p_paddr, self.p_memsz)

    @property
    def stored(self) -> Range:
        """Those of its bytes in the file."""
        return Range.sized(self.p_paddr, self.p_filesz)


@dataclass(frozen=True)
class ElfKernel:
    """An ELF kernel. size: bytes of the file; segments: those that take memory, by address; start: the
    physical address of its entry point, None if that lies in no segment; pvh_entry: physical address from the
    PVH note, None without one; pvh_movable: where else it may be loaded for that entry, by the note that says so;
    linux: it has a note of Linux.
    """

    path: Path
    size: int
    segments: tuple[Segment, ...]
    start: int | None
    pvh_entry: int | None
    pvh_movable: Relocation | None = None
    linux: bool = False


def read(path: Path) -> ElfKernel:
    """Look into the ELF file at `path`. The rules: docs/kernels.md.

    Raises KernelError, without the file's name in front, for what is no x86 executable, for segments that
    end past the file or 4 GiB, overlap or are none. OSError passes.
    """
    size = path.stat().st_size
    if size < load_abi().constants["ELF64_EHDR_SIZEOF"]:
        raise KernelError(f"is a broken ELF file of {size} bytes")
    with path.open("rb") as stream:
        try:
            elf = ELFFile(stream)
            _check_header(elf)
            headers = _program_headers(elf, stream, size)
            segments = _segments(headers, size)
            start = _start(elf["e_entry"], headers)
            entry, movable, linux = _boot_notes(stream, headers, size)
        except BROKEN as error:
            raise KernelError(f"is a broken ELF file: {error or type(error).__name__}") from error
    return ElfKernel(path, size, segments, start, entry, movable, linux)


def _check_header(elf: Any) -> None:
    machine, kind = elf["e_machine"], elf["e_type"]
    if not elf.little_endian or machine not in ("EM_386", "EM_X86_64"):
        raise KernelError(f"is an ELF file for another machine ({machine}), not for x86")
    if kind not in ("ET_EXEC", "ET_DYN"):
        raise KernelError(f"is an ELF file of type {kind}, not an executable")


def _program_headers(elf: Any, stream: BinaryIO, size: int) -> list[Any]:
    # Not elf.iter_segments: that interprets dynamic and interpreter segments, which nobody needs here.
    count, entry, start = elf["e_phnum"], elf["e_phentsize"], elf["e_phoff"]
    limit = load_abi().constants["ELF_MAX_HEADERS"]
    if count > limit:
        raise KernelError(f"has {count} program headers, more than {limit}")
    if count and entry != elf.structs.Elf_Phdr.sizeof():
        raise KernelError(f"is a broken ELF file: its program headers are said to have {entry} bytes each")
    if count and start + count * entry > size:
        raise KernelError(
            f"is cut off: its program headers {Range.sized(start, count * entry)} end past its {size:#x} bytes"
        )
    return [struct_parse(elf.structs.Elf_Phdr, stream, start + i * entry) for i in range(count)]


def _segments(headers: list[Any], size: int) -> tuple[Segment, ...]:
    found: list[Segment] = []
    for index, header in enumerate(headers):
        if header["p_type"] != "PT_LOAD" or header["p_memsz"] == 0:
            continue
        segment = Segment(header["p_offset"], header["p_filesz"], header["p_paddr"], header["p_memsz"])
        stored = Range.sized(segment.p_offset, segment.p_filesz)
        if segment.p_filesz and stored.end > size:
            raise KernelError(f"is cut off: segment {index} is bytes {stored} of a file of {size:#x} bytes")
        if segment.p_filesz > segment.p_memsz:
            raise KernelError(
                f"is a broken ELF file: segment {index} has {segment.p_filesz:#x} bytes in the file, "
                f"but only {segment.p_memsz:#x} in memory"
            )
        if segment.range.end > FOUR_GIB:
            raise KernelError(f"is too large: segment {index} takes {segment.range}, beyond 4 GiB")
        found.append(segment)
    if not found:
        raise KernelError("is an ELF file without a segment to load")
    found.sort(key=lambda segment: segment.range)
    for low, high in pairwise(found):
        if low.range.overlaps(high.range):
            raise KernelError(f"is a broken ELF file: its segments {low.range} and {high.range} overlap")
    return tuple(found)


def _start(entry: int, headers: list[Any]) -> int | None:
    """The physical address of the entry point, which the file gives as a virtual one."""
    for header in headers:
        if header["p_type"] == "PT_LOAD" and 0 <= entry - header["p_vaddr"] < header["p_memsz"]:
            return int(entry - header["p_vaddr"] + header["p_paddr"])
    return None


def _boot_notes(stream: BinaryIO, headers: list[Any], size: int) -> tuple[int | None, Relocation | None, bool]:
    """The PVH entry, where else the kernel may be loaded for it, and is there a note of Linux? The first note of each
    kind counts.
    """
    constants = load_abi().constants
    found: dict[int, bytes] = {}
    linux = False
    for header in headers:
        start, length = header["p_offset"], header["p_filesz"]
        if header["p_type"] != "PT_NOTE":
            continue
        if start + length > size or length > constants["ELF_MAX_NOTES"]:
            raise KernelError(
                f"is a broken ELF file: its notes are bytes {Range.sized(start, length)} of {size:#x} bytes"
            )
        stream.seek(start)
        for owner, kind, desc in _notes(stream.read(length)):
            linux |= owner == b"Linux\0"
            if owner == b"Xen\0":
                found.setdefault(kind, desc)
    entry, reloc = (found.get(constants[f"XEN_ELFNOTE_PHYS32_{name}"]) for name in ("ENTRY", "RELOC"))
    if entry is not None and len(entry) not in (4, 8):
        raise KernelError(f"has a PVH note of {counted(len(entry), 'byte')}, not 4 or 8")
    return (
        None if entry is None else int.from_bytes(entry, "little"),
        None if reloc is None else _pvh_movable(reloc, headers),
        linux,
    )


def _pvh_movable(desc: bytes, headers: list[Any]) -> Relocation:
    """XEN_ELFNOTE_PHYS32_RELOC: up to three words, each with a default."""
    constants = load_abi().constants
    page = int(constants["PAGE_SIZE"])
    largest = max((header["p_align"] for header in headers if header["p_type"] == "PT_LOAD"), default=0)
    words = [largest if largest >= page else constants["PVH_DEFAULT_ALIGNMENT"], 0, FOUR_GIB - 1]
    said = [value for (value,) in struct.iter_unpack("<I", desc[: len(desc) // 4 * 4])][: len(words)]
    alignment, lowest, highest = said + words[len(said) :]
    if not alignment or alignment & (alignment - 1) or alignment >= FOUR_GIB:
        raise KernelError(f"has a PVH note with the alignment {alignment:#x}, which is no power of two below 4 GiB")
    return Relocation(max(alignment, page), lowest, highest)


def _notes(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    # Not pyelftools' iter_notes: that trusts the sizes in a note, whatever they say.
    offset = 0
    while offset + NOTE_HEADER.size <= len(data):
        namesz, descsz, kind = NOTE_HEADER.unpack_from(data, offset)
        name_at = offset + NOTE_HEADER.size
        desc_at = name_at + align_up(namesz, 4)
        offset = desc_at + align_up(descsz, 4)
        if offset > len(data):
            return
        yield data[name_at : name_at + namesz], kind, data[desc_at : desc_at + descsz]
