"""One file of assembly source into an Object: sections of items, labels, constants and assertions.

    found = assemble("stub/boot/main.asm")      # an Object; raises AssemblyError or ErrorList
    found.sections[".text"], found.constants, found.assertions

What does not depend on addresses is encoded here, once. A branch and a rip-relative operand are encoded as templates,
whose displacement the linker fills in. The few instructions whose very size depends on a label are left to it whole.

The dialect: Intel syntax, `;` comments, one statement a line. `.loop:` after `print:` is `print.loop`.

    .section NAME           .include "FILE"         .code16 .code32 .code64         .align N
    .byte .word .long .quad EXPR, ...               .space N [, FILL]               .set NAME, EXPR
    .ascii .asciz "TEXT", or the name of a text of stub/abi
    .assert CONDITION, "sentence"      .global NAME, ...
    .macro NAME a, b ... .endm, with \\a for a value

Mode and section are the file's own; each starts in .code64 and .text. Labels and constants are known to the whole link
where .global names them, else to their source with what it includes. Constants and texts of stub/abi are always known.
In an expression "." is the address of the statement. Far jumps go through memory: `ljmp [mem]`, with a 32-bit offset in
32- and 64-bit code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from bootwright.asm import expression, preprocess
from bootwright.asm.expression import Expression, Number, Symbol
from bootwright.asm.instructions import INSTRUCTIONS, PREFIXES, select_form
from bootwright.asm.operands import RESERVED, Instruction, Memory, convert, parse_operand, values
from bootwright.asm.preprocess import Line, Statement
from bootwright.asm.template import Form, UnknownError, forms
from bootwright.common import abi
from bootwright.common.errors import AssemblyError, BootwrightError, one_or_all

_WIDTHS = {".byte": 1, ".word": 2, ".long": 4, ".quad": 8}
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"$')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)")
_SYMBOL = re.compile(r"[A-Za-z_][\w.]*$")
# Between a name that only its file knows, and that file.
FILE_MARK = "@"
_LINKER_NAMES = re.compile(r"__(start|end|image)_")


@dataclass(frozen=True)
class Label:
    """A name for the address of what follows; behind a FILE_MARK the file that alone knows it."""

    line: int
    name: str


@dataclass(frozen=True)
class Code:
    """An instruction. forms: its encodings, the shortest first; none for one that the linker encodes."""

    line: int
    instruction: Instruction[Expression]
    forms: tuple[Form, ...] = ()


@dataclass(frozen=True)
class Data:
    """Numbers of `width` bytes each, little endian."""

    line: int
    width: int
    values: tuple[Expression, ...]


@dataclass(frozen=True)
class Bytes:
    """Bytes as they are."""

    line: int
    data: bytes


@dataclass(frozen=True)
class Align:
    """Padding to a multiple of `boundary` bytes: nops where there is code, else zeros. mode: of the nops."""

    line: int
    boundary: int
    mode: int


@dataclass(frozen=True)
class Space:
    """`size` bytes of value `fill`."""

    line: int
    size: Expression
    fill: Expression


Item = Label | Code | Data | Bytes | Align | Space


@dataclass(frozen=True)
class Assertion:
    """Something that must be true (not 0) once addresses are known, and what to say if it is not."""

    line: int
    condition: Expression
    message: str


@dataclass(frozen=True)
class Object:
    """What one file with its includes contributes to a link. Every `line` is an index into `lines`.

    files: all that were read, or looked for in vain.
    """

    path: str
    lines: tuple[Line, ...]
    sections: Mapping[str, tuple[Item, ...]]
    constants: Mapping[str, tuple[int, Expression]]
    assertions: tuple[Assertion, ...]
    files: tuple[Path, ...]


def assemble(path: Path | str) -> Object:
    """Read one file of source. Raises AssemblyError at a line, or ErrorList with all that is wrong."""
    read = preprocess.read(path)
    assembler = _Assembler(preprocess.shown_path(Path(path)), read.lines)
    errors: list[BootwrightError] = []
    for statement in read.statements:
        try:
            assembler.add(statement)
        except AssemblyError as error:
            errors.append(read.lines[statement.index].place(error))
    errors += assembler.finish()
    if errors:
        raise one_or_all(errors)
    return Object(
        preprocess.shown_path(Path(path)),
        tuple(read.lines),
        {name: tuple(items) for name, items in assembler.sections.items()},
        assembler.constants,
        tuple(assembler.assertions),
        (*read.files, *read.absent),
    )


@dataclass
class _File:
    """Where a file stands: modes, sections and local labels are its own, whatever it includes."""

    mode: int = 64
    section: str = ".text"
    routine: dict[str, str] = field(default_factory=dict)


class _Assembler:
    def __init__(self, path: str, lines: list[Line]) -> None:
        self.sections: dict[str, list[Item]] = {}
        self.constants: dict[str, tuple[int, Expression]] = {}
        self.assertions: list[Assertion] = []
        self._globals: dict[str, int] = {}
        self._path = path
        self._lines = lines
        self._abi = abi.load()
        self._files: dict[str, _File] = {}
        self._file = _File()
        self._line = 0

    def add(self, statement: Statement) -> None:
        """Take in one statement."""
        self._file = self._files.setdefault(statement.file, _File())
        self._line = statement.index
        if statement.label is not None:
            self._label(statement.label)
        elif statement.name in _WIDTHS:
            parts = [self._expression(part) for part in preprocess.split_operands(statement.operands)]
            if not parts:
                raise AssemblyError(f"{statement.name} takes at least one value")
            self._emit(Data(self._line, _WIDTHS[statement.name], tuple(parts)))
        elif statement.name in _HANDLERS:
            _HANDLERS[statement.name](self, statement.operands)
        elif statement.name.startswith("."):
            raise AssemblyError(f"{statement.name} is no directive of this assembler")
        else:
            self._instruction(statement.name, statement.operands)

    def finish(self) -> list[BootwrightError]:
        """What can be done once all statements are there: give every instruction its forms, and names that are not
        global that of the file as well. Returns what is wrong.
        """
        errors: list[BootwrightError] = []
        values = _Constants(self._abi.constants, {name: tree for name, (_, tree) in self.constants.items()})
        rename = self._names(errors)
        for items in self.sections.values():
            for index, item in enumerate(items):
                try:
                    items[index] = _renamed(_encoded(item, values), rename)
                except AssemblyError as error:
                    errors.append(self._lines[item.line].place(error))
        self.constants = {
            rename(name): (line, expression.rename(tree, rename)) for name, (line, tree) in self.constants.items()
        }
        self.assertions = [
            replace(each, condition=expression.rename(each.condition, rename)) for each in self.assertions
        ]
        return errors

    def _names(self, errors: list[BootwrightError]) -> Callable[[str], str]:
        """What a name of this file is called in the link."""
        labels = {item.name for items in self.sections.values() for item in items if isinstance(item, Label)}
        defined = {name.partition(".")[0] for name in labels} | labels | self.constants.keys()
        for name, line in self._globals.items():
            if name not in defined:
                errors.append(self._lines[line].error(f".global {name}: it is not defined in this file"))
        local = defined - self._globals.keys()
        return lambda name: f"{name}{FILE_MARK}{self._path}" if name.partition(".")[0] in local else name

    def _emit(self, item: Item) -> None:
        if self._file.section == ".bss" and isinstance(item, Code | Data | Bytes):
            raise AssemblyError(".bss holds labels, .align and .space only: it is not in the file")
        self.sections.setdefault(self._file.section, []).append(item)

    def _label(self, name: str) -> None:
        if name.startswith("."):
            full = self._qualified(name)
        else:
            full = name
            if "." not in name:
                self._file.routine[self._file.section] = name
            self._check_name(name)
        self._emit(Label(self._line, full))

    def _check_name(self, name: str) -> None:
        if name.lower() in RESERVED:
            raise AssemblyError(f"label {name}: that is the name of a register or a reserved word")
        if name.lower() in INSTRUCTIONS or name.lower() in PREFIXES:
            raise AssemblyError(f"label {name}: that is the name of an instruction")
        if name in self._abi.constants or name in self._abi.strings:
            raise AssemblyError(f"label {name}: that is a constant of stub/abi")
        if _LINKER_NAMES.match(name):
            raise AssemblyError(f"label {name}: names that start with __start_, __end_ or __image_ are the linker's")

    def _qualified(self, name: str) -> str:
        if name == "." or not name.startswith("."):
            return name
        routine = self._file.routine.get(self._file.section)
        if routine is None:
            raise AssemblyError(f"{name}: no label stands before this local one in {self._file.section}")
        return routine + name

    def _expression(self, text: str) -> Expression:
        return expression.rename(expression.parse(text), self._qualified)

    def _instruction(self, name: str, text: str) -> None:
        instruction = _instruction(self._abi, self._file.mode, name, text)
        if "." in text:  # perhaps a local name
            instruction = convert(instruction, lambda tree: expression.rename(tree, self._qualified))
        self._emit(Code(self._line, instruction))

    def _section(self, text: str) -> None:
        if not re.fullmatch(r"\.[\w.-]+", text):
            raise AssemblyError(f".section takes a name such as .text, not {text!r}")
        self._file.section = text
        self.sections.setdefault(text, [])

    def _mode(self, mode: int, text: str) -> None:
        if text:
            raise AssemblyError(f".code{mode} takes nothing behind it")
        self._file.mode = mode

    def _align(self, text: str) -> None:
        boundary = self._number(text)
        if boundary < 1 or boundary & (boundary - 1) or boundary > 4096:
            raise AssemblyError(f".align {boundary}: not a power of two up to 4096")
        self._emit(Align(self._line, boundary, self._file.mode))

    def _string(self, text: str, end: bytes) -> None:
        if text in self._abi.strings:
            self._emit(Bytes(self._line, self._abi.strings[text].encode() + end))
        elif match := _STRING.match(text):
            self._emit(Bytes(self._line, unescape(match[1]) + end))
        else:
            raise AssemblyError(f"{text!r} is neither a string in quotes nor the name of a text in stub/abi")

    def _space(self, text: str) -> None:
        parts = [self._expression(part) for part in preprocess.split_operands(text)]
        if not 1 <= len(parts) <= 2:
            raise AssemblyError(".space takes a size and perhaps a value to fill with")
        if self._file.section == ".bss" and len(parts) == 2:
            raise AssemblyError(".bss is always zero: .space takes only a size here")
        self._emit(Space(self._line, parts[0], parts[1] if len(parts) == 2 else Number(0)))

    def _set(self, text: str) -> None:
        parts = preprocess.split_operands(text)
        if len(parts) != 2 or not _SYMBOL.match(parts[0]):
            raise AssemblyError(".set takes a name and a value: .set STACK_SIZE, 4 * PAGE_SIZE")
        name, tree = parts[0], self._expression(parts[1])
        self._check_name(name)
        if Symbol(".") in (tree, *(Symbol(symbol) for symbol in expression.symbols(tree))):
            raise AssemblyError(".set: a constant has no address of its own, so . means nothing here")
        if name in self.constants:
            raise AssemblyError(f"{name} is already set at {self._lines[self.constants[name][0]].where}")
        self.constants[name] = (self._line, tree)

    def _assert(self, text: str) -> None:
        parts = preprocess.split_operands(text)
        message = _STRING.match(parts[1]) if len(parts) == 2 else None
        if not message:
            raise AssemblyError('.assert takes a condition and a sentence: .assert a <= b, "a is too large"')
        said = unescape(message[1]).decode()
        self.assertions.append(Assertion(self._line, self._expression(parts[0]), said))

    def _global(self, text: str) -> None:
        for name in preprocess.split_operands(text) or [""]:
            if not _SYMBOL.match(name) or "." in name:
                raise AssemblyError(f".global takes names of labels and constants, not {name!r}")
            self._globals.setdefault(name, self._line)

    def _number(self, text: str) -> int:
        """A value that must be known right here: numbers and constants of stub/abi."""

        def lookup(name: str) -> expression.Value:
            if name not in self._abi.constants:
                raise AssemblyError(f"{name} is not known here: only numbers and constants of stub/abi are")
            return expression.Value(self._abi.constants[name])

        return expression.evaluate(expression.parse(text), lookup).number


_HANDLERS: dict[str, Callable[[_Assembler, str], None]] = {
    ".section": _Assembler._section,
    ".code16": lambda assembler, text: assembler._mode(16, text),
    ".code32": lambda assembler, text: assembler._mode(32, text),
    ".code64": lambda assembler, text: assembler._mode(64, text),
    ".align": _Assembler._align,
    ".ascii": lambda assembler, text: assembler._string(text, b""),
    ".asciz": lambda assembler, text: assembler._string(text, b"\0"),
    ".space": _Assembler._space,
    ".set": _Assembler._set,
    ".assert": _Assembler._assert,
    ".global": _Assembler._global,
}
DIRECTIVES = frozenset({*_WIDTHS, *_HANDLERS, *preprocess.DIRECTIVES})
"""Every directive that may be written."""


@cache
def _instruction(known: abi.Abi, mode: int, name: str, text: str) -> Instruction[Expression]:
    """What an instruction says, with local names as written: once for all that say the same.

    name: it, or its prefix. Raises AssemblyError without a place.
    """
    prefix = ""
    if name in PREFIXES:
        prefix, (name, _, text) = name, (*text.partition(" "),)
        name, text = name.lower(), text.strip()
    operands = [parse_operand(operand, mode, known.constants.get) for operand in preprocess.split_operands(text)]
    written = select_form(mode, prefix, name, operands)
    for operand in written.operands:
        if isinstance(operand, Memory):
            _check_displacement(operand.displacement, known)
    return written


def _check_displacement(tree: Expression, known: abi.Abi) -> None:
    for name in expression.symbols(tree):
        if name in known.shadowed:
            raise AssemblyError(f"{name} is a value; the offset of the field is {name}_OFFSET")


def _encoded(item: Item, values: _Constants) -> Item:
    if not isinstance(item, Code):
        return item
    return Code(item.line, item.instruction, forms(item.instruction, values.evaluate))


def _renamed(item: Item, rename: Callable[[str], str]) -> Item:
    """The same item with other names for its symbols."""

    def change(tree: Expression) -> Expression:
        return expression.rename(tree, rename)

    if not isinstance(item, Label) and all(rename(name) == name for name in item_symbols(item)):
        return item
    match item:
        case Label(line, name):
            return Label(line, rename(name))
        case Code(line, instruction, forms):
            return Code(line, convert(instruction, change), forms)
        case Data(line, width, numbers):
            return Data(line, width, tuple(map(change, numbers)))
        case Space(line, size, fill):
            return Space(line, change(size), change(fill))
    return item


class _Constants:
    """What one file knows of its values: the constants of stub/abi, and those that it sets from such."""

    def __init__(self, known: Mapping[str, int], sets: Mapping[str, Expression]) -> None:
        self._known = dict(known)
        self._sets = dict(sets)

    def evaluate(self, tree: Expression) -> expression.Value:
        """The value of an expression. Raises UnknownError if it is not known here."""
        return expression.evaluate(tree, self._lookup)

    def _lookup(self, name: str) -> expression.Value:
        if name not in self._known:
            tree = self._sets.pop(name, None)  # taken out, so that one that names itself ends
            if tree is None:
                raise UnknownError(name)
            value = self.evaluate(tree)
            self._known[name] = value.number
        return expression.Value(self._known[name])


def unescape(text: str) -> bytes:
    """The bytes of a string's inside: UTF-8, with escapes \\n \\r \\t \\0 \\\\ \\" \\' and \\xNN.

    Raises AssemblyError without a place.
    """
    found, position = b"", 0
    for match in _ESCAPE.finditer(text):
        found += text[position : match.start()].encode()
        code = int(match[1][1:], 16) if len(match[1]) == 3 else expression.character(match[0])
        found += bytes([code])
        position = match.end()
    return found + text[position:].encode()


def item_symbols(item: Item) -> list[str]:
    """The names of all symbols that an item refers to."""
    trees: Sequence[Expression] = ()
    match item:
        case Code(_, instruction):
            trees = values(instruction)
        case Data(_, _, numbers):
            trees = numbers
        case Space(_, size, fill):
            trees = (size, fill)
    return [name for tree in trees if not isinstance(tree, Number) for name in expression.symbols(tree)]
