"""Debugging information of a link: which line of source an address comes from, and the records that lie at labels.

Follows DWARF 4 (dwarfstd.org): .debug_line (6.2), .debug_info and .debug_abbrev (7.5). One compile unit; its types are
the structs of stub/abi, its variables the labels in front of `.space NAME_SIZEOF`. Paths are as errors show them, so
that the bytes depend on no folder; a debugger is told where to start from.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from elftools.dwarf.dwarf_expr import DW_OP_name2opcode
from elftools.dwarf.enums import ENUM_DW_AT, ENUM_DW_FORM, ENUM_DW_TAG

from bootwright.common import abi

_ADDRESS_SIZE = 4
_VERSION = 4
_LINE_BASE, _LINE_RANGE, _OPCODE_BASE = -5, 14, 13
_STANDARD_LENGTHS = bytes((0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1))
_LNS_COPY, _LNS_ADVANCE_PC, _LNS_ADVANCE_LINE, _LNS_SET_FILE = 1, 2, 3, 4  # 6.2.5.2
_LNE_END_SEQUENCE, _LNE_SET_ADDRESS = 1, 2  # 6.2.5.3
_LANG_MIPS_ASSEMBLER = 0x8001  # what GNU as says of assembly, whatever the machine
_OP_ADDR = DW_OP_name2opcode["DW_OP_addr"]
_ATE_UNSIGNED, _ATE_UNSIGNED_CHAR = 7, 8
# An abbreviation each: whether it has children, and its attributes with their forms.
_ABBREVIATIONS = {
    "compile_unit": (
        True,
        {"producer": "string", "language": "data2", "name": "string", "stmt_list": "sec_offset"}
        | {"low_pc": "addr", "high_pc": "data4"},
    ),
    "base_type": (False, {"name": "string", "byte_size": "data1", "encoding": "data1"}),
    "structure_type": (True, {"name": "string", "byte_size": "data4"}),
    "member": (False, {"name": "string", "type": "ref4", "data_member_location": "data4"}),
    "array_type": (True, {"type": "ref4"}),
    "subrange_type": (False, {"upper_bound": "data4"}),
    "variable": (False, {"name": "string", "type": "ref4", "location": "exprloc"}),
}
_NUMBER = {tag: number for number, tag in enumerate(_ABBREVIATIONS, 1)}


@dataclass(frozen=True)
class Row:
    """An instruction: its address, and where its source stands."""

    address: int
    size: int
    path: str
    line: int


@dataclass(frozen=True)
class Variable:
    """A label with a record behind it: struct NAME of stub/abi, `count` times."""

    name: str
    address: int
    record: str
    count: int


def sections(rows: Sequence[Row], variables: Iterable[Variable]) -> dict[str, bytes]:
    """The debugging sections by their names; none where there is no code."""
    ordered = sorted(rows, key=lambda row: row.address)
    if not ordered:
        return {}
    return {
        ".debug_line": _lines(ordered),
        ".debug_info": _Information(ordered[0].address, ordered[-1].address + ordered[-1].size).finished(variables),
        ".debug_abbrev": _abbreviations(),
    }


def _lines(rows: Sequence[Row]) -> bytes:
    files = list(dict.fromkeys(row.path for row in rows))
    names = b"".join(path.encode() + b"\0" + bytes(3) for path in files)
    head = struct.pack("<BBBbBB", 1, 1, 1, _LINE_BASE, _LINE_RANGE, _OPCODE_BASE) + _STANDARD_LENGTHS
    tables = head + b"\0" + names + b"\0"
    program = b"".join(_program(rows, {path: number for number, path in enumerate(files, 1)}))
    body = struct.pack("<HI", _VERSION, len(tables)) + tables + program
    return struct.pack("<I", len(body)) + body


def _program(rows: Sequence[Row], files: dict[str, int]) -> Iterator[bytes]:
    """One sequence for each run of addresses without a hole."""
    file, line, at = 1, 1, 0
    last: Row | None = None
    for row in rows:
        if last is None or row.address != last.address + last.size:
            if last is not None:
                yield _end_sequence(last.size)
            yield b"\0" + _uleb(1 + _ADDRESS_SIZE) + bytes((_LNE_SET_ADDRESS,)) + struct.pack("<I", row.address)
            file, line, at = 1, 1, row.address
        if files[row.path] != file:
            file = files[row.path]
            yield bytes((_LNS_SET_FILE,)) + _uleb(file)
        yield bytes((_LNS_ADVANCE_PC,)) + _uleb(row.address - at)
        yield bytes((_LNS_ADVANCE_LINE,)) + _sleb(row.line - line) + bytes((_LNS_COPY,))
        line, at, last = row.line, row.address, row
    if last is not None:
        yield _end_sequence(last.size)


def _end_sequence(size: int) -> bytes:
    return bytes((_LNS_ADVANCE_PC,)) + _uleb(size) + bytes((0, 1, _LNE_END_SEQUENCE))


class _Information:
    """The tree of .debug_info, written front to back; types are written before what refers to them."""

    def __init__(self, low: int, high: int) -> None:
        self._body = bytearray(struct.pack("<HIB", _VERSION, 0, _ADDRESS_SIZE))
        self._types: dict[str, int] = {}
        self._entry(
            "compile_unit", b"bootwright\0", struct.pack("<H", _LANG_MIPS_ASSEMBLER), b"stub\0", bytes(4),
            struct.pack("<II", low, high - low),
        )  # fmt: skip

    def finished(self, variables: Iterable[Variable]) -> bytes:
        """The section, with these variables."""
        for variable in variables:
            self._variable(variable)
        self._body += b"\0"
        return struct.pack("<I", len(self._body)) + bytes(self._body)

    def _entry(self, kind: str, *values: bytes) -> int:
        """Returns where it lies, from the unit's start."""
        place = 4 + len(self._body)
        self._body += _uleb(_NUMBER[kind]) + b"".join(values)
        return place

    def _variable(self, variable: Variable) -> None:
        name, count = variable.record, variable.count
        kind = self._record(name)
        if count > 1:
            kind = self._array(f"{name}[{count}]", kind, count)
        where = bytes((1 + _ADDRESS_SIZE, _OP_ADDR)) + struct.pack("<I", variable.address)
        self._entry("variable", variable.name.encode() + b"\0", struct.pack("<I", kind), where)

    def _record(self, name: str) -> int:
        if name not in self._types:
            found = abi.load().struct(name)
            fields = [(field, self._type(field.type), field.offset) for field in found.fields.values()]
            self._types[name] = self._entry("structure_type", name.encode() + b"\0", struct.pack("<I", found.size))
            for field, kind, offset in fields:
                self._entry("member", field.name.encode() + b"\0", struct.pack("<II", kind, offset))
            self._body += b"\0"
        return self._types[name]

    def _type(self, kind: Any) -> int:
        name = kind.__name__
        if name not in self._types:
            count = getattr(kind, "num_entries", None)
            if count is not None:
                self._types[name] = self._array(name, self._type(kind.type), count)
            elif hasattr(kind, "fields"):
                return self._record(name)
            else:
                encoding = _ATE_UNSIGNED_CHAR if name == "char" else _ATE_UNSIGNED
                self._types[name] = self._entry("base_type", name.encode() + b"\0", bytes((kind.size, encoding)))
        return self._types[name]

    def _array(self, name: str, kind: int, count: int) -> int:
        if name not in self._types:
            self._types[name] = self._entry("array_type", struct.pack("<I", kind))
            self._entry("subrange_type", struct.pack("<I", count - 1))
            self._body += b"\0"
        return self._types[name]


def _abbreviations() -> bytes:
    found = b""
    for tag, (children, attributes) in _ABBREVIATIONS.items():
        found += _uleb(_NUMBER[tag]) + _uleb(ENUM_DW_TAG[f"DW_TAG_{tag}"]) + bytes((children,))
        for name, form in attributes.items():
            found += _uleb(ENUM_DW_AT[f"DW_AT_{name}"]) + _uleb(ENUM_DW_FORM[f"DW_FORM_{form}"])
        found += b"\0\0"
    return found + b"\0"


def _uleb(value: int) -> bytes:
    found = bytearray()
    while True:
        found.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(found)


def _sleb(value: int) -> bytes:
    found = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        done = value == -(byte >> 6)
        found.append(byte | (0 if done else 0x80))
        if done:
            return bytes(found)
