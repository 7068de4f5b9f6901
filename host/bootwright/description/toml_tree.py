"""TOML with the place of every key and value.

The values come from the standard tomllib, which also decides what is valid; the places come from
tree-sitter's syntax tree of the same text. A value whose place the tree does not show takes that of the
table it is in. Specification: TOML 1.0.0.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tree_sitter
import tree_sitter_toml

from bootwright.common import utf8
from bootwright.common.errors import DescriptionError, Where, why

MAX_BYTES = 1 << 20

Keys = tuple[str | int, ...]

# How tomllib's errors begin: for a key that is there twice, and for a string without an end.
_TWICE = ("Cannot overwrite", "Cannot declare", "Cannot mutate", "Duplicate inline table key")
_NO_END = (
    "Unterminated string",
    *(f"{how} character {end!r}" for how in ("Illegal", "Found invalid") for end in ("\n", "\r")),
    "Expected \"'",
)
_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_STATEMENT = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")
_MOST_TRIES = 10  # statements that a string without an end is looked for in


@dataclass(frozen=True)
class Node:
    """A value and where it is written.

    data: what tomllib made of it. where: where the value starts (of a table: its header or brace).
    key: where its key stands (of an array's element: the element itself).
    parts: the entries of a table. elements: the elements of an array. Both empty for anything else.
    """

    data: Any
    where: Where
    key: Where
    parts: Mapping[str, Node] = field(default_factory=dict)
    elements: tuple[Node, ...] = ()


def load(path: Path) -> Node:
    """The document at `path` as a tree of nodes; places name the path as it was given.

    Raises DescriptionError when it cannot be read, is larger than MAX_BYTES, or is not TOML.
    """
    where = Where(str(path))
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise DescriptionError(f"the description cannot be read: {why(error)}", where) from error
    if len(raw) > MAX_BYTES:
        raise DescriptionError(f"the description is larger than {MAX_BYTES} bytes", where)
    return parse(raw, str(path))


def parse(raw: bytes, name: str) -> Node:
    """The document in `raw` (UTF-8); `name` is the path that places show. Raises DescriptionError."""
    raw = utf8.without_mark(raw)
    if encoding := utf8.other(raw):
        raise DescriptionError(f"the description {utf8.sentence(encoding)}", Where(name))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        where = Where(name, before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode()) + 1)
        raise DescriptionError(f"byte {raw[error.start]:#04x} is not UTF-8 text", where) from error
    try:
        data = tomllib.loads(text)
        places = _Places(raw, name)
        return _node(data, (), places, Where(name, 1, 1))
    except tomllib.TOMLDecodeError as error:
        raise _explained(error, raw, name, text) from error
    except RecursionError as error:
        raise DescriptionError("values are nested too deeply", Where(name)) from error
    except ValueError as error:  # Python refuses numbers of thousands of digits
        raise DescriptionError(f"not valid TOML: {error}", Where(name)) from error


def _explained(error: tomllib.TOMLDecodeError, raw: bytes, name: str, text: str) -> DescriptionError:
    """What is wrong, by the key that it is wrong with where that can be told."""
    said = str(error)
    if said.startswith(_TWICE):
        found = _Twice(raw, name).first
        if found is not None:
            message = f"not valid TOML: {found.what} is there already, in line {found.before}"
            return DescriptionError(message, found.where)
    if said.startswith(_NO_END):
        statement = _statement(text, _line_of(said, text))
        if statement is not None:
            line, column, key = statement
            message = f'not valid TOML: key "{key}": the string that begins in its value has no end'
            return DescriptionError(message, Where(name, line, column))
    return _syntax_error(error, name, text)


def _line_of(said: str, text: str) -> int:
    match = re.search(r"\(at line (\d+), column \d+\)$", said)
    return int(match[1]) if match else text.count("\n") + 1


def _statement(text: str, last: int) -> tuple[int, int, str] | None:
    """Line, column and key of the statement that line `last` belongs to: the nearest before that begins with a key, and
    behind what is valid.
    """
    lines = text.split("\n")
    tries = 0
    for number in range(min(last, len(lines)), 0, -1):
        match = _STATEMENT.match(lines[number - 1])
        if match is None:
            continue
        try:
            tomllib.loads("\n".join(lines[: number - 1]))
        except ValueError:
            tries += 1
            if tries == _MOST_TRIES:
                break
            continue
        return number, match.start(1) + 1, match[1].strip()
    return None


def _syntax_error(error: tomllib.TOMLDecodeError, name: str, text: str) -> DescriptionError:
    sentence, _, place = str(error).rpartition(" (at ")
    match = re.fullmatch(r"line (\d+), column (\d+)\)", place)
    if match:
        where = Where(name, int(match[1]), int(match[2]))
    else:
        where = Where(name, text.count("\n") + 1, len(text.rpartition("\n")[2]) + 1)
    return DescriptionError(f"not valid TOML: {sentence[:1].lower()}{sentence[1:]}", where)


def _node(data: Any, path: Keys, places: _Places, outer: Where) -> Node:
    where = places.values.get(path, outer)
    key = places.keys.get(path, where)
    if isinstance(data, dict):
        parts = {name: _node(part, (*path, name), places, where) for name, part in data.items()}
        return Node(data, where, key, parts=parts)
    if isinstance(data, list):
        elements = tuple(_node(part, (*path, i), places, where) for i, part in enumerate(data))
        return Node(data, where, key, elements=elements)
    return Node(data, where, key)


@dataclass(frozen=True)
class _Again:
    """A key or table that is there already. before: the line of the first."""

    what: str
    where: Where
    before: int


class _Twice:
    """The first key or table of a document that is there twice, or is one thing and another; None for none."""

    def __init__(self, raw: bytes, name: str) -> None:
        self.first: _Again | None = None
        self._name, self._lines = name, raw.split(b"\n")
        self._known: dict[Keys, tree_sitter.Node] = {}
        self._arrays: dict[Keys, int] = {}
        for child in _statements(raw):
            if child.type == "pair":
                self._pair(child, ())
            else:
                self._table(child)
            if self.first is not None:
                return

    def _table(self, node: tree_sitter.Node) -> None:
        header = _inner(node)
        parts = _key_parts(header[0]) if header else []
        path: Keys = ()
        for i, (part, place) in enumerate(parts):
            path = (*path, part)
            last = i == len(parts) - 1
            if last and node.type == "table_array_element" and (path in self._arrays or path not in self._known):
                self._arrays[path] = self._arrays.get(path, 0) + 1
                self._known.setdefault(path, place)
            elif last or (path not in self._arrays and self._is_value(path)):
                self._define("table", path, place, place)
            path = (*path, self._arrays[path]) if path in self._arrays else path
        for child in header[1:]:
            if child.type == "pair":
                self._pair(child, path)

    def _pair(self, node: tree_sitter.Node, path: Keys) -> None:
        named = _inner(node)
        if len(named) != 2:
            return
        parts = _key_parts(named[0])
        for i, (part, place) in enumerate(parts):
            path = (*path, part)
            if i == len(parts) - 1 or self._is_value(path):
                self._define("key", path, node, place)
            else:
                self._known.setdefault(path, place)
        self._value(named[1], path)

    def _value(self, node: tree_sitter.Node, path: Keys) -> None:
        for i, child in enumerate(_inner(node)):
            if node.type == "array":
                self._value(child, (*path, i))
            elif node.type == "inline_table" and child.type == "pair":
                self._pair(child, path)

    def _is_value(self, path: Keys) -> bool:
        return path in self._known and self._known[path].type == "pair"

    def _define(self, what: str, path: Keys, node: tree_sitter.Node, place: tree_sitter.Node) -> None:
        former = self._known.setdefault(path, node)
        if former is not node and self.first is None:
            row, column = place.start_point
            shown = ".".join(part for part in path if isinstance(part, str))
            column = len(self._lines[row][:column].decode(errors="replace"))
            where = Where(self._name, row + 1, column + 1)
            self.first = _Again(f'{what} "{shown}"', where, former.start_point[0] + 1)


def _statements(raw: bytes) -> list[tree_sitter.Node]:
    """The pairs and tables that a document consists of."""
    language = tree_sitter.Language(tree_sitter_toml.language())
    found = tree_sitter.Parser(language).parse(raw).root_node.named_children
    return [node for node in found if node.type in ("pair", "table", "table_array_element")]


def _inner(node: tree_sitter.Node) -> list[tree_sitter.Node]:
    return [child for child in node.named_children if child.type != "comment"]


class _Places:
    """Where the keys and values of a valid document stand: both by path from the root."""

    def __init__(self, raw: bytes, name: str) -> None:
        self.keys: dict[Keys, Where] = {}
        self.values: dict[Keys, Where] = {}
        self._name = name
        self._lines = raw.split(b"\n")
        self._counts: dict[Keys, int] = {}  # elements so far of each array of tables
        for child in _statements(raw):
            if child.type == "pair":
                self._pair(child, ())
            else:
                self._table(child)

    def _where(self, node: tree_sitter.Node) -> Where:
        row, column = node.start_point
        before = self._lines[row][:column]  # tree-sitter counts bytes, people count characters
        return Where(self._name, row + 1, len(before.decode(errors="replace")) + 1)

    def _table(self, node: tree_sitter.Node) -> None:
        header = [child for child in node.named_children if child.type != "comment"]
        if not header:
            return
        path: Keys = ()
        parts = _key_parts(header[0])
        for i, (part, place) in enumerate(parts):
            path = (*path, part)
            self.keys.setdefault(path, self._where(place))
            self.values.setdefault(path, self._where(node))
            if i == len(parts) - 1 and node.type == "table_array_element":
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
                self.values.setdefault(path, self._where(node))
        for child in header[1:]:
            if child.type == "pair":
                self._pair(child, path)

    def _pair(self, node: tree_sitter.Node, path: Keys) -> None:
        named = [child for child in node.named_children if child.type != "comment"]
        if len(named) != 2:
            return
        for part, place in _key_parts(named[0]):
            path = (*path, part)
            self.keys.setdefault(path, self._where(place))
            self.values.setdefault(path, self._where(place))
        self._value(named[1], path)

    def _value(self, node: tree_sitter.Node, path: Keys) -> None:
        self.values[path] = self._where(node)
        inner = [child for child in node.named_children if child.type != "comment"]
        if node.type == "array":
            for i, child in enumerate(inner):
                self._value(child, (*path, i))
        elif node.type == "inline_table":
            for child in inner:
                self._pair(child, path)


def _key_parts(node: tree_sitter.Node) -> list[tuple[str, tree_sitter.Node]]:
    """The parts of a bare, quoted or dotted key, quotes and escapes resolved."""
    if node.type == "dotted_key":
        return [part for child in node.named_children for part in _key_parts(child)]
    text = (node.text or b"").decode(errors="replace")
    if node.type == "quoted_key":
        text = str(tomllib.loads(f"key = {text}")["key"])
    return [(text, node)]
