"""Assembly source as a stream of statements: comments gone, includes read, macros expanded.

A line is `[label:] [name operands] [; comment]`. This module knows `.include`, `.macro` and `.endm`; every
other directive is a statement for `assemble`. Nothing here knows instructions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bootwright.common import utf8
from bootwright.common.abi import stub_directory
from bootwright.common.errors import AssemblyError, BootwrightError, Where, one_or_all

_LABEL = re.compile(r"\s*(\.?[A-Za-z_][\w.]*)\s*:")
_NAME = re.compile(r"(\.?\w+)(?:\s+(.*))?$", re.DOTALL)
_ENCLOSING = re.compile(r"[\"'()\[\]]")
_PARAMETER = re.compile(r"\\([A-Za-z_]\w*)")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*$")
_MAX_MACRO_DEPTH = 16

DIRECTIVES = frozenset({".include", ".macro", ".endm"})
"""What is not a statement, but says which there are."""


@dataclass(frozen=True)
class Line:
    """A line of source as it was read; in a macro's expansion the line of the macro with values filled in.

    where: the place in the file, for an expansion the place of use. macro: "NAME, FILE:LINE" of an expansion.
    """

    where: Where
    text: str
    macro: str | None = None
    depth: int = 0

    def error(self, message: str) -> AssemblyError:
        """An error at this line that names the macro's line too."""
        inside = f" (in macro {self.macro})" if self.macro else ""
        return AssemblyError(message + inside, self.where)

    def place(self, error: AssemblyError) -> AssemblyError:
        """The error, at this line if it has no place of its own."""
        return error if error.where else self.error(error.message)


@dataclass(frozen=True)
class Statement:
    """What one line says: a label, or a directive or instruction with its operands as text.

    index: of its Line in Source.lines. file: the file it belongs to, for an expansion the file of use.
    """

    index: int
    file: str
    label: str | None = None
    name: str = ""
    operands: str = ""


@dataclass
class Source:
    """All lines of a file and its includes in the order of reading, and the statements in them.

    files: all of these; absent: where an include was looked for in vain.
    """

    lines: list[Line] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    errors: list[BootwrightError] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    absent: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Macro:
    """A macro as defined: the names of its parameters and its lines, each with its place."""

    name: str
    parameters: tuple[str, ...]
    body: tuple[tuple[Where, str], ...]
    where: Where


def read(path: Path | str) -> Source:
    """Read a file with everything it includes. Raises AssemblyError, or ErrorList with all that is wrong."""
    reader = _Reader()
    reader.read_file(Path(path), None)
    if reader.source.errors:
        raise one_or_all(reader.source.errors)
    return reader.source


def shown_path(path: Path) -> str:
    """A path as errors and listings show it: from the project's root if it lies there, else as given."""
    try:
        return path.resolve().relative_to(stub_directory().parent).as_posix()
    except ValueError:
        return path.as_posix()


def split_operands(text: str) -> list[str]:
    """Split at commas that stand outside of quotes, parentheses and brackets; "" has no operands."""
    if not _ENCLOSING.search(text):
        return [part.strip() for part in text.split(",")] if text.strip() else []
    parts, start, depth, quote = [], 0, 0, ""
    for position, character in enumerate(_mask_escapes(text)):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    last = text[start:].strip()
    return [*parts, last] if parts or last else []


def strip_comment(text: str) -> str:
    """The text before a `;` that stands outside of quotes, without blanks at its ends."""
    before = text.partition(";")[0]
    if '"' not in before and "'" not in before:
        return before.strip()
    quote = ""
    for position, character in enumerate(_mask_escapes(text)):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == ";":
            return text[:position].strip()
    return text.strip()


def _mask_escapes(text: str) -> str:
    # So that an escaped quote does not end a quotation; same length.
    return re.sub(r"\\[\\\"']", "__", text)


class _Reader:
    def __init__(self) -> None:
        self.source = Source()
        self._open: list[Path] = []
        self._seen: set[Path] = set()
        self._macros: dict[str, Macro] = {}
        self._expansions = 0

    def read_file(self, path: Path, used: Line | None) -> None:
        shown = shown_path(path)
        resolved = path.resolve()
        if resolved in self._open:
            raise self._error(used, f"{shown} includes itself")
        if resolved in self._seen:
            return
        if path.exists() and not path.is_file():  # a named pipe would wait for its other end
            raise self._error(used, f"{shown}: is not a regular file")
        try:
            raw = path.read_bytes()
            if encoding := utf8.other(raw):
                raise self._error(used, f"{shown} {utf8.sentence(encoding)}")
            text = utf8.without_mark(raw).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise self._error(used, f"{shown}: cannot be read: {reason}") from error
        self._seen.add(resolved)
        self.source.files.append(path)
        self._open.append(resolved)
        numbered = ((Where(shown, number), line) for number, line in enumerate(text.splitlines(), 1))
        for where, line in numbered:
            self._read_line(Line(where, line), shown, path, numbered)
        self._open.pop()

    def _error(self, used: Line | None, message: str) -> AssemblyError:
        return used.error(message) if used else AssemblyError(message)

    def _read_line(self, line: Line, file: str, path: Path, rest: Iterator[tuple[Where, str]]) -> None:
        index = len(self.source.lines)
        self.source.lines.append(line)
        try:
            text = strip_comment(line.text)
            while match := _LABEL.match(text):
                self.source.statements.append(Statement(index, file, label=match[1]))
                text = text[match.end() :].strip()
            if text:
                self._read_statement(line, index, file, path, text, rest)
        except AssemblyError as error:
            self.source.errors.append(error)

    def _read_statement(
        self, line: Line, index: int, file: str, path: Path, text: str, rest: Iterator[tuple[Where, str]]
    ) -> None:
        match = _NAME.match(text)
        if not match:
            raise line.error(f"{text!r} is no statement")
        name, operands = match[1], (match[2] or "").strip()
        if name == ".include":
            self._include(line, path, operands)
        elif name == ".macro":
            self._define(line, operands, rest)
        elif name == ".endm":
            raise line.error(".endm without .macro")
        elif name in self._macros:
            self._expand(line, file, path, self._macros[name], operands)
        else:
            self.source.statements.append(Statement(index, file, name=name.lower(), operands=operands))

    def _include(self, line: Line, path: Path, operands: str) -> None:
        match = re.fullmatch(r'"([^"]+)"', operands)
        if not match:
            raise line.error('.include takes a file name in quotes: .include "macros.inc"')
        if match[1].endswith(".h"):
            raise line.error(f"{match[1]}: constants of stub/abi are always known; leave this line out")
        for directory in (path.parent, stub_directory()):
            try:
                there = (directory / match[1]).is_file()
            except OSError as error:  # a name that is too long
                raise line.error(f"{match[1]}: cannot be read: {error.strerror}") from error
            if there:
                self.read_file(directory / match[1], line)
                return
            self.source.absent.append(directory / match[1])
        raise line.error(f"{match[1]}: no such file beside {shown_path(path)} or in stub/")

    def _define(self, line: Line, operands: str, rest: Iterator[tuple[Where, str]]) -> None:
        name, _, parameters = operands.partition(" ")
        names = tuple(split_operands(parameters))
        body = self._body(line, rest)
        for word in (name, *names):
            if not _IDENTIFIER.match(word):
                raise line.error(f"{word!r} cannot name a macro or a parameter")
        if name in self._macros:
            raise line.error(f"macro {name} is already defined at {self._macros[name].where}")
        self._macros[name] = Macro(name, names, body, line.where)

    def _body(self, line: Line, rest: Iterator[tuple[Where, str]]) -> tuple[tuple[Where, str], ...]:
        body: list[tuple[Where, str]] = []
        for where, text in rest:
            self.source.lines.append(Line(where, text))
            plain = strip_comment(text)
            if plain == ".endm":
                return tuple(body)
            if plain.split(None, 1)[:1] == [".macro"]:
                self.source.errors.append(Line(where, text).error(".macro inside of a macro"))
            body.append((where, text))
        raise line.error(".macro without .endm")

    def _expand(self, line: Line, file: str, path: Path, macro: Macro, operands: str) -> None:
        values = split_operands(operands)
        if len(values) != len(macro.parameters):
            raise line.error(f"macro {macro.name} takes {len(macro.parameters)} values, not {len(values)}")
        if line.depth >= _MAX_MACRO_DEPTH:
            raise line.error(f"macro {macro.name} is nested more than {_MAX_MACRO_DEPTH} deep")
        filled = dict(zip(macro.parameters, values, strict=True))
        number = str(self._expansions)
        self._expansions += 1
        for where, text in macro.body:
            inner = Line(line.where, text, f"{macro.name}, {where}", line.depth + 1)
            try:
                expanded = _substitute(inner, strip_comment(text).replace("\\@", number), filled)
            except AssemblyError as error:
                self.source.errors.append(error)
                continue
            shown = text.replace(text.strip(), expanded) if text.strip() else text
            if expanded:
                self._read_line(Line(line.where, shown, inner.macro, inner.depth), file, path, iter(()))


def _substitute(line: Line, text: str, values: dict[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        word = match[1]
        for name in sorted(values, key=len, reverse=True):
            if word.startswith(name):
                return values[name] + word[len(name) :]
        if text.count('"', 0, match.start()) % 2:
            return match[0]  # an escape such as \n in a string
        raise line.error(f"\\{word} is no parameter of this macro")

    return _PARAMETER.sub(replace, text)
