"""The binary records and constants of `stub/abi/*.h`, for Python and for the assembler alike.

The headers are C as dissect.cstruct reads it: `#define`, `enum`, `struct` of uint8..uint64, int8, char arrays and
nested structs. Everything is little endian and packed: a field lies where the one before it ends.

    abi = load()
    abi.constants["IMAGE_BASE"]                             # 0x100000, from a #define
    abi.constants["BOOT_DOMAIN_MEM_SIZE_VALUE"]             # offset of a (nested) field, bytes
    abi.struct("memory_size")(kind=0, value=4).dumps()      # 16 bytes
    abi.format("M_TABLES", 4096, 1, 2)                      # "tables: 4096 bytes, 1 domains, 2 modules"

Derived constants: for every struct NAME and field f, NAME_F is the offset of f and NAME_SIZEOF the size of
the struct, both in bytes. Where a #define already has such a name (TABLES_MAGIC is the value of the field),
the #define keeps it and the offset is called NAME_F_OFFSET.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dissect.cstruct import Error as CStructError
from dissect.cstruct import Structure, cstruct

from bootwright.common.errors import SourceError, Where

_DEFINE = re.compile(r"^[ \t]*#define[ \t]+(\w+)[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_DECLARED = re.compile(r"\b(?:struct|enum)\s+(\w+)\s*(?::[^{;]*)?\{")
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|/\*.*?\*/|//[^\n]*', re.DOTALL)
_PLACEHOLDER = re.compile(r"%(.?)")


@dataclass(frozen=True)
class BootError:
    """Something that can go wrong at boot: its number as the stub prints it, its name, its sentence."""

    number: int
    name: str
    text: str


@dataclass(frozen=True)
class Define:
    """One #define as it was read: where it stands and the text of its value."""

    name: str
    text: str
    where: Where


def stub_directory() -> Path:
    """The directory of the stub's sources: `stub/` of a checkout, or inside the installed package."""
    return _data_directory("stub")


def linker_directory() -> Path:
    """The directory of the linker's layouts: `linker/` of a checkout, or inside the installed package."""
    return _data_directory("linker")


def _data_directory(name: str) -> Path:
    package = Path(__file__).resolve().parent.parent
    inside = package / name
    return inside if inside.is_dir() else package.parent.parent / name


class Abi:
    """All records, constants and texts of a set of headers.

    constants: #defines with an integer value, members of enums, and the derived ones.
    strings: #defines with a string value. errors: every E_NAME that has an E_NAME_TEXT, in order of number.
    shadowed: names that are a #define's and would also be the offset of a field, now NAME_OFFSET.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        """Read headers, a mapping of shown path to text. Raises SourceError with the place in a header."""
        self._cstruct = cstruct(endian="<")
        self._places: dict[str, Where] = {}
        self._defined: set[str] = set()
        self._shadowed: set[str] = set()
        constants: dict[str, int] = {}
        strings: dict[str, str] = {}
        plain = {path: _COMMENT.sub(_blank_comment, text) for path, text in headers.items()}
        self._read_defines(
            [define for path, text in plain.items() for define in _defines(path, text)], constants, strings
        )
        self._read_records({path: _DEFINE.sub("", text) for path, text in plain.items()}, constants)
        self.constants: Mapping[str, int] = MappingProxyType(constants)
        self.strings: Mapping[str, str] = MappingProxyType(strings)
        self.errors: tuple[BootError, ...] = _boot_errors(constants, strings)
        self.shadowed: frozenset[str] = frozenset(self._shadowed)

    def struct(self, name: str) -> Any:
        """The dissect.cstruct class of struct `name`. Raises KeyError for a name that no header declares."""
        found = self._cstruct.typedefs.get(name)
        if not (isinstance(found, type) and issubclass(found, Structure)):
            raise KeyError(f"no struct {name} in stub/abi")
        return found

    def record_of(self, constant: str) -> str | None:
        """The struct whose size a constant NAME_SIZEOF is, None for another constant."""
        name = constant.removesuffix("_SIZEOF").lower()
        return name if constant.endswith("_SIZEOF") and name in self._cstruct.typedefs else None

    def format(self, name: str, *values: int | str) -> str:
        """The text of string `name` with its placeholders filled: %u decimal, %x hex with 0x, %s string.

        Raises KeyError for an unknown name, ValueError for a wrong number of values, TypeError for a wrong
        kind of value.
        """
        text = self.strings[name]
        wanted = _PLACEHOLDER.findall(text)
        if len(wanted) != len(values):
            raise ValueError(f"{name} takes {len(wanted)} values, not {len(values)}: {text!r}")
        rest = iter(values)
        return _PLACEHOLDER.sub(lambda match: _fill(name, match[1], next(rest)), text)

    def _read_defines(self, defines: list[Define], constants: dict[str, int], strings: dict[str, str]) -> None:
        literals = {define: _literal(define.text) for define in defines}
        self._cstruct.consts.update({define.name: value for define, value in literals.items() if value is not None})
        # A value may name a constant of a header that is read later: read again until nothing more resolves.
        pending = [define for define, value in literals.items() if value is None]
        while pending:
            self._load("".join(f"#define {define.name} {define.text}\n" for define in pending), pending[0].where)
            left = [define for define in pending if not self._is_known(define)]
            if len(left) == len(pending):
                first = left[0]
                raise SourceError(f"{first.name}: cannot make out the value {first.text!r}", first.where)
            pending = left
        names = Counter(define.name for define in defines)
        for define, literal in literals.items():
            if literal is None and names[define.name] > 1:
                self._load(f"#define {define.name} {define.text}\n", define.where)
            value = self._cstruct.consts[define.name] if literal is None else literal
            self._defined.add(define.name)
            self._add(constants if isinstance(value, int) else strings, define.name, value, define.where)

    def _is_known(self, define: Define) -> bool:
        value = self._cstruct.consts[define.name]
        return isinstance(value, int) or (isinstance(value, str) and define.text.startswith('"'))

    def _load(self, text: str, where: Where) -> None:
        try:
            self._cstruct.load(text, compiled=False)  # compiling takes longer than all that is ever read with them
        except CStructError as error:
            raise SourceError(f"not a declaration that can be read: {error}", where) from error

    def _read_records(self, headers: Mapping[str, str], constants: dict[str, int]) -> None:
        """Read what is declared in headers without their #defines, all at once: each load sets up its scanner anew."""
        before = set(self._cstruct.typedefs)
        known = dict(self._cstruct.consts)
        try:
            self._cstruct.load("\n".join(headers.values()), compiled=False)
        except CStructError:
            self._cstruct = cstruct(endian="<")
            self._cstruct.consts.update(known)
            for path, text in headers.items():
                self._load(text, Where(path))  # one of them raises, and says where
            raise
        new = set(self._cstruct.typedefs) - before
        for path, text in headers.items():
            for name in sorted(new.intersection(_DECLARED.findall(text))):
                self._add_record(name, path, constants)
                new.remove(name)

    def _add_record(self, name: str, path: str, constants: dict[str, int]) -> None:
        found = self._cstruct.typedefs[name]
        if isinstance(found, type) and issubclass(found, Structure):
            self._add_offsets(name, found, Where(f"{path}, struct {name}"), constants)
        elif hasattr(found, "__members__"):
            for constant, member in found.__members__.items():
                self._add(constants, constant, int(member.value), Where(f"{path}, enum {name}"))

    def _add_offsets(self, name: str, struct: type[Structure], where: Where, constants: dict[str, int]) -> None:
        for constant, value in _offsets(name.upper(), struct, 0):
            if constant in self._defined and constants[constant] != value:
                self._shadowed.add(constant)
                self._add(constants, f"{constant}_OFFSET", value, where)
            else:
                self._add(constants, constant, value, where)

    def _add(self, into: dict[str, Any], name: str, value: int | str, where: Where) -> None:
        if name in self._places and into.get(name) != value:  # also where one is a number and one a string
            raise SourceError(f"{name}: another value than at {self._places[name]}", where)
        self._places.setdefault(name, where)
        into[name] = value


@cache
def load() -> Abi:
    """The headers of `stub/abi`, read once. Raises SourceError with the place in a header."""
    directory = stub_directory() / "abi"
    headers: dict[str, str] = {}
    for path in sorted(directory.glob("*.h")):
        try:
            headers[f"stub/abi/{path.name}"] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(f"cannot be read: {error}", Where(f"stub/abi/{path.name}")) from error
    if not headers:
        raise SourceError("no headers (*.h) found", Where(str(directory)))
    return Abi(headers)


def _blank_comment(match: re.Match[str]) -> str:
    # Keeps the number of lines, so that places stay right, and strings, which may hold "//".
    return str(match[1]) if match[1] is not None else "\n" * match[0].count("\n")


def _defines(path: str, text: str) -> list[Define]:
    return [
        Define(match[1], match[2], Where(path, text.count("\n", 0, match.start()) + 1))
        for match in _DEFINE.finditer(text)
    ]


def _literal(text: str) -> int | str | None:
    """The value of a number or a string, None for anything else, which dissect.cstruct works out."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return value if type(value) in (int, str) else None


def _offsets(prefix: str, struct: type[Structure], base: int) -> list[tuple[str, int]]:
    """(constant, value) for the size of a struct and the offset of each field, nested fields too."""
    found = [(f"{prefix}_SIZEOF", struct.size or 0)] if base == 0 else []
    for name, field in struct.fields.items():
        offset = base + (field.offset or 0)
        found.append((f"{prefix}_{name.upper()}", offset))
        if isinstance(field.type, type) and issubclass(field.type, Structure):
            nested = _offsets(f"{prefix}_{name.upper()}", field.type, offset)
            found += [entry for entry in nested if entry[0] != f"{prefix}_{name.upper()}_SIZEOF"]
    return found


def _boot_errors(constants: Mapping[str, int], strings: Mapping[str, str]) -> tuple[BootError, ...]:
    found = [
        BootError(number, name, strings[f"{name}_TEXT"])
        for name, number in constants.items()
        if name.startswith("E_") and f"{name}_TEXT" in strings
    ]
    return tuple(sorted(found, key=lambda error: error.number))


def _fill(name: str, kind: str, value: int | str) -> str:
    if kind == "s" and isinstance(value, str):
        return value
    if kind in ("u", "x") and isinstance(value, int) and value >= 0:
        return str(value) if kind == "u" else f"{value:#x}"
    raise TypeError(f"{name}: %{kind} cannot show {value!r}")
