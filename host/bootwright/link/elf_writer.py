"""ELF32 executables for x86, written from placed sections: headers, segments, notes, symbols.

Follows the System V ABI (generic and i386 supplement). The file is: ELF header and program headers in the
first page, the segments at file offsets congruent to their addresses, then .symtab, .strtab, .shstrtab and
the section headers. All addresses are physical as well (p_paddr = p_vaddr), as an image without paging needs.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bootwright.common.ranges import align_up
from bootwright.link.layout import PAGE

_EHDR = struct.Struct("<16sHHIIIIIHHHHHH")
_PHDR = struct.Struct("<8I")
_PHNUM = 44  # where the first header says how many program headers there are
_SHDR = struct.Struct("<10I")
_SYM = struct.Struct("<IIIBBH")
_ET_EXEC, _EM_386, _EV_CURRENT = 2, 3, 1
_PT_NULL, _PT_LOAD, _PT_NOTE = 0, 1, 4
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB, _SHT_NOTE, _SHT_NOBITS = 1, 2, 3, 7, 8
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4
_SHN_ABS = 0xFFF1
_STB_LOCAL, _STB_GLOBAL, _STT_NOTYPE, _STT_OBJECT, _STT_FUNC = 0, 1, 0, 1, 2
_FLAGS = {"x": 1, "w": 2, "r": 4}

_NOTHING: Mapping[str, bytes] = MappingProxyType({})
MAX_PROGRAM_HEADERS = (PAGE - _EHDR.size) // _PHDR.size


@dataclass(frozen=True)
class ElfSection:
    """A placed section: flags of "rwx"; kind code, progbits, note or nobits (no data); size in bytes."""

    name: str
    address: int
    offset: int
    size: int
    align: int
    flags: str
    kind: str
    data: bytes


@dataclass(frozen=True)
class ElfSegment:
    """A PT_LOAD: where its bytes are in the file and in memory."""

    flags: str
    address: int
    offset: int
    file_size: int
    memory_size: int


@dataclass(frozen=True)
class ElfSymbol:
    """A symbol; section None for one that is only a number; local: one that other files may have as well."""

    name: str
    value: int
    size: int
    section: str | None
    local: bool = False


def write(
    entry: int,
    segments: Sequence[ElfSegment],
    sections: Sequence[ElfSection],
    symbols: Sequence[ElfSymbol],
    spare_headers: int,
    unloaded: Mapping[str, bytes] = _NOTHING,
) -> bytes:
    """The bytes of the file; unloaded: sections that are in no segment.

    Raises ValueError if the program headers do not fit into the first page.
    """
    headers = [_load(segment) for segment in segments]
    headers += [_note(run) for run in _note_runs(sections)]
    headers += [_PHDR.pack(*[0] * 8)] * spare_headers
    if len(headers) > MAX_PROGRAM_HEADERS:
        raise ValueError(f"{len(headers)} program headers; {MAX_PROGRAM_HEADERS} fit before the first segment")
    names = _Strings()
    body = bytearray(max([PAGE, *(segment.offset + segment.file_size for segment in segments)]))
    table = [bytes(_SHDR.size), *(_section_header(section, names) for section in sections)]
    for section in sections:
        body[section.offset : section.offset + len(section.data)] = section.data
    for name, data in unloaded.items():
        place = (_append(body, data, 1), len(data), 0, 0, 1, 0)
        table.append(_SHDR.pack(names.add(name), _SHT_PROGBITS, 0, 0, *place))
    symbol_names = _Strings()
    symbol_bytes = _symbols(symbols, sections, symbol_names)
    locals_ = 1 + sum(symbol.local for symbol in symbols)
    symtab = (_append(body, symbol_bytes, 4), len(symbol_bytes), len(table) + 1, locals_, 4, _SYM.size)
    table.append(_SHDR.pack(names.add(".symtab"), _SHT_SYMTAB, 0, 0, *symtab))
    for name, strings in ((".strtab", symbol_names), (".shstrtab", names)):
        name_offset = names.add(name)
        placed = (_append(body, bytes(strings.data), 1), len(strings.data), 0, 0, 1, 0)
        table.append(_SHDR.pack(name_offset, _SHT_STRTAB, 0, 0, *placed))
    section_headers = _append(body, b"".join(table), 4)
    body[: _EHDR.size] = _header(entry, len(headers), section_headers, len(table))
    body[_EHDR.size : _EHDR.size + len(headers) * _PHDR.size] = b"".join(headers)
    return bytes(body)


def with_segment(image: bytes, flags: str, address: int, data: bytes, memory_size: int) -> bytes:
    """A file that was written with spare program headers, with one more segment at its end, in the first of those.

    memory_size: of the segment; what of it is not in `data` is zeros. Raises ValueError if no header is spare.
    """
    offset = align_up(len(image), PAGE)
    body = bytearray(image.ljust(offset, b"\0") + data)
    (count,) = struct.unpack_from("<H", image, _PHNUM)
    for at in range(_EHDR.size, _EHDR.size + count * _PHDR.size, _PHDR.size):
        if image[at : at + _PHDR.size] == bytes(_PHDR.size):
            body[at : at + _PHDR.size] = _load(ElfSegment(flags, address, offset, len(data), memory_size))
            return bytes(body)
    raise ValueError("no program header is spare")


class _Strings:
    def __init__(self) -> None:
        self.data = bytearray(b"\0")

    def add(self, name: str) -> int:
        offset = len(self.data)
        self.data += name.encode() + b"\0"
        return offset


def _append(body: bytearray, data: bytes, align: int) -> int:
    body += bytes(-len(body) % align)
    offset = len(body)
    body += data
    return offset


def _flags(flags: str) -> int:
    return sum(_FLAGS[flag] for flag in flags)


def _header(entry: int, headers: int, section_headers: int, sections: int) -> bytes:
    ident = b"\x7fELF" + bytes((1, 1, _EV_CURRENT)) + bytes(9)
    return _EHDR.pack(
        ident, _ET_EXEC, _EM_386, _EV_CURRENT, entry, _EHDR.size, section_headers, 0,
        _EHDR.size, _PHDR.size, headers, _SHDR.size, sections, sections - 1,
    )  # fmt: skip


def _load(segment: ElfSegment) -> bytes:
    sizes = (segment.file_size, segment.memory_size)
    places = (segment.offset, segment.address, segment.address)
    return _PHDR.pack(_PT_LOAD, *places, *sizes, _flags(segment.flags), PAGE)


def _note_runs(sections: Sequence[ElfSection]) -> list[list[ElfSection]]:
    """Notes that lie one behind the other share one PT_NOTE."""
    runs: list[list[ElfSection]] = []
    for section in sections:
        if section.kind != "note":
            continue
        if runs and runs[-1][-1].address + runs[-1][-1].size == section.address:
            runs[-1].append(section)
        else:
            runs.append([section])
    return runs


def _note(run: list[ElfSection]) -> bytes:
    size = sum(section.size for section in run)
    places = (run[0].offset, run[0].address, run[0].address)
    return _PHDR.pack(_PT_NOTE, *places, size, size, _flags("r"), 4)


def _section_header(section: ElfSection, names: _Strings) -> bytes:
    kinds = {"note": _SHT_NOTE, "nobits": _SHT_NOBITS}
    writable = _SHF_WRITE if "w" in section.flags else 0
    code = _SHF_EXECINSTR if section.kind == "code" else 0
    return _SHDR.pack(
        names.add(section.name), kinds.get(section.kind, _SHT_PROGBITS), _SHF_ALLOC | writable | code,
        section.address, section.offset, section.size, 0, 0, section.align, 0,
    )  # fmt: skip


def _symbols(symbols: Sequence[ElfSymbol], sections: Sequence[ElfSection], names: _Strings) -> bytes:
    index = {section.name: number for number, section in enumerate(sections, 1)}
    code = {section.name for section in sections if section.kind == "code"}
    found = [bytes(_SYM.size)]
    for symbol in sorted(symbols, key=lambda symbol: not symbol.local):  # the ABI wants local ones first
        if symbol.section is None:
            kind, number = _STT_NOTYPE, _SHN_ABS
        else:
            kind, number = _STT_FUNC if symbol.section in code else _STT_OBJECT, index[symbol.section]
        info = (_STB_LOCAL if symbol.local else _STB_GLOBAL) << 4 | kind
        found.append(_SYM.pack(names.add(symbol.name), symbol.value, symbol.size, info, 0, number))
    return b"".join(found)
