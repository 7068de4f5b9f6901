"""Expressions of the dialect: numbers, characters, symbols and C's operators with C's precedence.

    parse("(MAX_STRING + 2) * 8")                       # a tree
    evaluate(tree, lookup)                              # a Value; `lookup` gives the Value of a symbol

A Value is a number and how many addresses are in it: 0 for a plain number, 1 for an address. label + number
and label - label are right, and addresses can be compared (1 or 0); anything else with an address is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from bootwright.common.errors import AssemblyError

_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)(?![\w.])"
    r"|'(?P<character>\\.|[^'\\])'"
    r"|(?P<symbol>\.?[A-Za-z_][\w.]*|\.)"
    r"|(?P<operator><<|>>|[<>=!]=|[-+*/%&|^~()<>]))"
)
_LEVELS = (
    ("|",),
    ("^",),
    ("&",),
    ("==", "!="),
    ("<", "<=", ">", ">="),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)
_PRECEDENCE = {operator: level for level, operators in enumerate(_LEVELS, 1) for operator in operators}
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_ESCAPES = {"n": 10, "r": 13, "t": 9, "0": 0, "\\": 92, "'": 39, '"': 34}


class Value(NamedTuple):
    """A number, and how many addresses were added up in it: 0 a plain number, 1 an address."""

    number: int
    addresses: int = 0


@dataclass(frozen=True)
class Number:
    """A literal."""

    value: int


@dataclass(frozen=True)
class Symbol:
    """A label, a constant, or "." for the address of the statement itself."""

    name: str


@dataclass(frozen=True)
class Unary:
    """-, + or ~ of an expression."""

    operator: str
    operand: Expression


@dataclass(frozen=True)
class Binary:
    """Two expressions joined by one of C's operators."""

    operator: str
    left: Expression
    right: Expression


Expression = Number | Symbol | Unary | Binary
Lookup = Callable[[str], Value]


def parse(text: str) -> Expression:
    """The tree of an expression. Raises AssemblyError (without a place) if it is none."""
    tokens = _tokens(text)
    tree, position = _parse_binary(tokens, 0, 1, text)
    if position != len(tokens):
        raise AssemblyError(f"{text.strip()!r}: {tokens[position][1]!r} is not expected here")
    return tree


def evaluate(tree: Expression, lookup: Lookup) -> Value:
    """The value of a tree. Raises AssemblyError (without a place) for what is not right with addresses."""
    match tree:
        case Number(value):
            return Value(value)
        case Symbol(name):
            return lookup(name)
        case Unary(operator, operand):
            return _unary(operator, evaluate(operand, lookup))
        case Binary(operator, left, right):
            return _binary(operator, evaluate(left, lookup), evaluate(right, lookup))


def symbols(tree: Expression) -> list[str]:
    """The names of all symbols in a tree, from left to right."""
    match tree:
        case Symbol(name):
            return [name]
        case Unary(_, operand):
            return symbols(operand)
        case Binary(_, left, right):
            return [*symbols(left), *symbols(right)]
    return []


def rename(tree: Expression, new_name: Callable[[str], str]) -> Expression:
    """The same tree with other names for its symbols."""
    match tree:
        case Symbol(name):
            return Symbol(new_name(name))
        case Unary(operator, operand):
            return Unary(operator, rename(operand, new_name))
        case Binary(operator, left, right):
            return Binary(operator, rename(left, new_name), rename(right, new_name))
    return tree


def character(text: str) -> int:
    """The code of a character as written between quotes, an escape included. Raises AssemblyError."""
    code = _ESCAPES.get(text[1:], -1) if text.startswith("\\") else ord(text)
    if not 0 <= code < 0x80:
        raise AssemblyError(f"{text!r} is not an ASCII character or a known escape")
    return code


def _tokens(text: str) -> list[tuple[str, str]]:
    found, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if not match or match.lastgroup is None:
            raise AssemblyError(f"{text.strip()!r}: cannot read {text[position:].strip()!r}")
        found.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


def _parse_binary(tokens: list[tuple[str, str]], position: int, lowest: int, text: str) -> tuple[Expression, int]:
    left, position = _parse_unary(tokens, position, text)
    while position < len(tokens):
        kind, operator = tokens[position]
        strength = _PRECEDENCE.get(operator, 0) if kind == "operator" else 0
        if strength < lowest:
            break
        right, position = _parse_binary(tokens, position + 1, strength + 1, text)
        left = Binary(operator, left, right)
    return left, position


def _parse_unary(tokens: list[tuple[str, str]], position: int, text: str) -> tuple[Expression, int]:
    if position >= len(tokens):
        raise AssemblyError(f"{text.strip()!r}: a value is missing")
    kind, token = tokens[position]
    if kind == "number":
        if len(token) > 1 and token[0] == "0" and token.isdigit():
            raise AssemblyError(f"{token}: a decimal number does not start with 0")
        return Number(int(token, 0)), position + 1
    if kind == "character":
        return Number(character(token)), position + 1
    if kind == "symbol":
        return Symbol(token), position + 1
    if token in "-+~":
        operand, position = _parse_unary(tokens, position + 1, text)
        return Unary(token, operand), position
    if token == "(":
        inner, position = _parse_binary(tokens, position + 1, 1, text)
        if position >= len(tokens) or tokens[position] != ("operator", ")"):
            raise AssemblyError(f"{text.strip()!r}: a closing parenthesis is missing")
        return inner, position + 1
    raise AssemblyError(f"{text.strip()!r}: {token!r} is not expected here")


def _unary(operator: str, value: Value) -> Value:
    if operator == "+":
        return value
    if operator == "-":
        return Value(-value.number, -value.addresses)
    if value.addresses:
        raise AssemblyError("~ of an address")
    return Value(~value.number)


def _binary(operator: str, left: Value, right: Value) -> Value:
    if operator == "+":
        return Value(left.number + right.number, left.addresses + right.addresses)
    if operator == "-":
        return Value(left.number - right.number, left.addresses - right.addresses)
    if operator in _COMPARE and {left.addresses, right.addresses} <= {0, 1}:
        return Value(int(_COMPARE[operator](left.number, right.number)))
    if left.addresses or right.addresses:
        raise AssemblyError(f"{operator} with an address: only + and - are right there")
    return Value(_calculate(operator, left.number, right.number))


def _calculate(operator: str, left: int, right: int) -> int:
    if operator in ("<<", ">>") and not 0 <= right < 64:
        raise AssemblyError(f"shift by {right}, which is not in [0, 64)")
    if operator in ("/", "%") and right == 0:
        raise AssemblyError("division by zero")
    match operator:
        case "*":
            return left * right
        case "<<":
            return left << right
        case ">>":
            return left >> right
        case "&":
            return left & right
        case "|":
            return left | right
        case "^":
            return left ^ right
    quotient = abs(left) // abs(right)  # C rounds towards zero
    quotient = quotient if (left < 0) == (right < 0) else -quotient
    return quotient if operator == "/" else left - quotient * right
