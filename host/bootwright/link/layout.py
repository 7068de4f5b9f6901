"""Layouts: which section goes where in memory and file, read from linker/*.toml.

    layout = load("stub")               # linker/stub.toml
    layout = load("stub", {"always", "pvh"})    # for a link of the files that are there for these reasons

A layout has a base address, an entry symbol, segments with their sections in order, and assertions with
messages for people. Sections are of these kinds: code and progbits (from source), nobits (zeros, not in the
file), note (from source, in a PT_NOTE too), build-id (a note that the linker makes, with an id of zeros),
reserved (zeros; link() is told how many).
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootwright.asm import expression
from bootwright.asm.expression import Expression, Value
from bootwright.asm.preprocess import shown_path
from bootwright.common import abi
from bootwright.common.errors import AssemblyError, SourceError, Where

PAGE = 0x1000
KINDS = ("code", "progbits", "nobits", "note", "build-id", "reserved")


@dataclass(frozen=True)
class LayoutSection:
    """A section: its alignment in bytes and its kind, see KINDS."""

    name: str
    align: int
    kind: str = "progbits"

    @property
    def short_name(self) -> str:
        """The name as it is in __start_NAME: without the dot in front, other dots as underscores."""
        return self.name.lstrip(".").replace(".", "_").replace("-", "_")


@dataclass(frozen=True)
class LayoutSegment:
    """What is loaded as one piece, from a page boundary on. flags: of "r", "w", "x"."""

    name: str
    flags: str
    sections: tuple[LayoutSection, ...]


@dataclass(frozen=True)
class LayoutAssertion:
    """A condition that must hold once addresses are known, and the sentence to say if it does not."""

    condition: Expression
    message: str


@dataclass(frozen=True)
class Layout:
    """A whole layout. path: as errors show it. base: link address. strings: section of the string pool.

    files: names of sources (below stub/, without .asm) by the reason for which they are linked.
    """

    path: str
    base: int
    entry: str
    strings: str
    segments: tuple[LayoutSegment, ...]
    assertions: tuple[LayoutAssertion, ...] = ()
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def sections(self) -> tuple[LayoutSection, ...]:
        """All sections in the order of their addresses."""
        return tuple(section for segment in self.segments for section in segment.sections)


def load(name: str | Path, reasons: Collection[str] = ()) -> Layout:
    """Read a layout by its name in linker/, or by path. Raises SourceError that names the file.

    reasons: those of its [files] for which something is linked. An assertion with `when`, an expression in which each
    reason of [files] is 1 if it is among them and else 0, is one of the layout's where that is not 0.
    """
    path = name if isinstance(name, Path) else abi.linker_directory() / f"{name}.toml"
    where = Where(shown_path(path))
    try:
        with path.open("rb") as file:
            read = tomllib.load(file)
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no TOML
        raise SourceError(f"cannot be read: {error}", where) from error
    try:
        return _layout(read, where.path, reasons)
    except (KeyError, TypeError, ValueError, AttributeError, AssemblyError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise SourceError(f"not a layout: {reason}", where) from error


def _layout(read: Mapping[str, Any], path: str, reasons: Collection[str]) -> Layout:
    segments = tuple(
        LayoutSegment(entry["name"], entry["flags"], tuple(_section(section) for section in entry["sections"]))
        for entry in read["segment"]
    )
    files = {reason: tuple(names) for reason, names in read.get("files", {}).items()}
    assertions = tuple(
        LayoutAssertion(expression.parse(entry["condition"]), entry["message"])
        for entry in read.get("assert", ())
        if _holds(entry.get("when", "1"), files, reasons)
    )
    base = read["base"] if isinstance(read["base"], int) else _constant(read["base"])
    if base % PAGE:
        raise ValueError(f"base {base:#x} is not a multiple of {PAGE:#x}")
    layout = Layout(path, base, read["entry"], read["strings"], segments, assertions, files)
    for segment in layout.segments:
        kinds = [section.kind == "nobits" for section in segment.sections]
        if kinds != sorted(kinds):
            raise ValueError(f"segment {segment.name}: nobits sections come last")
        if set(segment.flags) - set("rwx"):
            raise ValueError(f"segment {segment.name}: flags {segment.flags!r} are not of r, w and x")
    if layout.strings not in [section.name for section in layout.sections]:
        raise ValueError(f"strings = {layout.strings!r} is none of its sections")
    return layout


def _section(read: Mapping[str, Any]) -> LayoutSection:
    section = LayoutSection(**read)
    if section.kind not in KINDS:
        raise ValueError(f"section {section.name}: kind {section.kind!r} is none of {', '.join(KINDS)}")
    if section.align < 1 or section.align & (section.align - 1) or section.align > PAGE:
        raise ValueError(f"section {section.name}: align {section.align} is not a power of two up to {PAGE}")
    return section


def _holds(when: str, files: Collection[str], reasons: Collection[str]) -> bool:
    def lookup(name: str) -> Value:
        if name not in files:
            raise ValueError(f"when = {when!r}: {name} is no reason of [files]")
        return Value(int(name in reasons))

    return expression.evaluate(expression.parse(when), lookup).number != 0


def _constant(text: str) -> int:
    constants = abi.load().constants

    def lookup(name: str) -> Value:
        if name not in constants:
            raise ValueError(f"{name} is no constant of stub/abi")
        return Value(constants[name])

    return expression.evaluate(expression.parse(text), lookup).number
