"""Symbols of a link and what they are worth.

A name is, in this order: a constant set in source (.set), a label, a constant of stub/abi, a name the linker defines,
the name of a text of stub/abi (then its address in the string pool).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from bootwright.asm import expression
from bootwright.asm.assemble import FILE_MARK, Label, Object, item_symbols
from bootwright.asm.expression import Expression, Value
from bootwright.asm.preprocess import Line
from bootwright.common import abi
from bootwright.common.errors import AssemblyError, BootwrightError


class Symbols:
    """All names of a link. `addresses` is filled and changed by the linker while it lays out."""

    def __init__(self, objects: Sequence[Object], provided: Iterable[str]) -> None:
        """Collect all names. `errors` holds what is wrong with their definitions."""
        self.addresses: dict[str, int] = dict.fromkeys(provided, 0)
        self.errors: list[BootwrightError] = []
        self._abi = abi.load()
        self._constants = self._abi.constants
        self._sets: dict[str, tuple[Line, Expression]] = {}
        self._set_values: dict[str, Value] = {}
        self._fixed: dict[str, bool] = {}
        self._open: list[str] = []
        self._places: dict[str, Line] = {}
        for item in objects:
            self._collect(item)
        # Of each object, the lines of its items and what they refer to.
        self._used = [
            [(entry.line, item_symbols(entry)) for entries in item.sections.values() for entry in entries]
            for item in objects
        ]
        self.pool = self._pool()
        self.addresses |= dict.fromkeys((pool_label(name) for name in self.pool), 0)

    def lookup(self, name: str) -> Value:
        """The Value of a symbol at the addresses of this moment. Raises AssemblyError without a place."""
        if name in self._sets:
            return self._set_value(name)
        if name in self.addresses:
            return Value(self.addresses[name], 1)
        if name in self._constants:
            return Value(self._constants[name])
        if name in self.pool:
            return Value(self.addresses[pool_label(name)], 1)
        raise AssemblyError(f'symbol "{plain_name(name)}" is not defined{self._hint(name)}')

    def _hint(self, name: str) -> str:
        """What may help: the file that keeps the name to itself, or a name that is nearly the same."""
        known = [*self._sets, *self.addresses, *self._constants, *self._abi.strings]
        elsewhere = next((full for full in known if full.startswith(name + FILE_MARK)), None)
        if elsewhere:
            return f" here: {elsewhere.partition(FILE_MARK)[2]} has one, and does not say .global {name}"
        near = get_close_matches(name, list(dict.fromkeys(map(plain_name, known))), 1, 0.7)
        return f"; did you mean {near[0]}?" if near else ""

    def evaluate(self, tree: Expression, here: int) -> Value:
        """The value of an expression in a statement at address `here`."""
        return expression.evaluate(tree, lambda name: Value(here, 1) if name == "." else self.lookup(name))

    def check(self, objects: Sequence[Object]) -> list[BootwrightError]:
        """An error for each statement that refers to what is not defined."""
        errors: dict[tuple[str, str], BootwrightError] = {}
        for item, used in zip(objects, self._used, strict=True):
            constants = [(index, expression.symbols(tree)) for index, tree in item.constants.values()]
            assertions = [(entry.line, expression.symbols(entry.condition)) for entry in item.assertions]
            for index, names in (*used, *constants, *assertions):
                for name in names:
                    self._check_name(name, item.lines[index], errors)
        return list(errors.values())

    def _check_name(self, name: str, line: Line, errors: dict[tuple[str, str], BootwrightError]) -> None:
        try:
            if name != ".":
                self.lookup(name)
        except AssemblyError as error:
            found = line.place(error)
            errors.setdefault((str(found.where), found.message), found)

    def is_fixed(self, name: str) -> bool:
        """Whether a symbol has the same value wherever the linker puts things."""
        if name not in self._sets:
            return name in self._constants and name not in self.addresses
        if name not in self._fixed:
            self._fixed[name] = False  # ends a cycle; evaluating it reports it
            self._fixed[name] = all(self.is_fixed(inner) for inner in expression.symbols(self._sets[name][1]))
        return self._fixed[name]

    def moved(self) -> None:
        """Addresses have changed: what was computed from them is void."""
        self._set_values.clear()

    def _set_value(self, name: str) -> Value:
        if name not in self._set_values:
            line, tree = self._sets[name]
            if name in self._open:
                raise line.error(f"{plain_name(name)} is defined by itself")
            self._open.append(name)
            try:
                self._set_values[name] = expression.evaluate(tree, self.lookup)
            except AssemblyError as error:
                raise line.place(error) from error
            finally:
                self._open.pop()
        return self._set_values[name]

    def _collect(self, item: Object) -> None:
        for name, (index, tree) in item.constants.items():
            if self._claim(name, item.lines[index]):
                self._sets[name] = (item.lines[index], tree)
        for items in item.sections.values():
            for entry in items:
                if isinstance(entry, Label) and self._claim(entry.name, item.lines[entry.line]):
                    self.addresses[entry.name] = 0

    def _claim(self, name: str, line: Line) -> bool:
        if name in self._places:
            shown = plain_name(name)
            self.errors.append(line.error(f"{shown} is already defined at {self._places[name].where}"))
        else:
            self._places[name] = line
            return True
        return False

    def _pool(self) -> dict[str, str]:
        """Texts of stub/abi that are used by name, in order of name."""
        used = {name for entries in self._used for _, names in entries for name in names}
        known = self._sets.keys() | self.addresses.keys()
        return {name: text for name, text in sorted(self._abi.strings.items()) if name in used - known}


def plain_name(name: str) -> str:
    """A name as it is written, without the file that alone knows it."""
    return name.partition(FILE_MARK)[0]


def pool_label(name: str) -> str:
    """What a pooled text is called in the image's symbols."""
    return f"text.{name}"
