"""Shapes of JSON values, and whether a value has one: for documents that were written elsewhere.

check(value, Keys({"start": HEX, "ranges": Items(NUMBER)}))     # raises ShapeError: where, and what is wrong
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class ShapeError(ValueError):
    """What is wrong: `memory[2].start: 'x' is no hex number`."""


@dataclass(frozen=True)
class Plain:
    """A value that a test accepts; what: how an error calls it."""

    what: str
    accepts: Callable[[Any], bool]


@dataclass(frozen=True)
class Nullable:
    """A shape, or null."""

    shape: Shape


@dataclass(frozen=True)
class Items:
    """A list of values of one shape; count: how many, None for any number."""

    shape: Shape
    count: int | None = None


@dataclass(frozen=True)
class Keys:
    """An object with at least these keys; what else is in it is not looked at."""

    shapes: Mapping[str, Shape]


Shape = Plain | Nullable | Items | Keys

_HIGHEST = 1 << 64
TEXT = Plain("text", lambda value: isinstance(value, str) and value == value.encode("utf-8", "replace").decode())
NUMBER = Plain("number from 0 up", lambda value: type(value) is int and 0 <= value < _HIGHEST)  # True is an int, too
BOOLEAN = Plain("true or false", lambda value: isinstance(value, bool))
PATH = Plain("path", lambda value: TEXT.accepts(value) and "\0" not in value)
BYTE = Plain("number from 0 to 255", lambda value: type(value) is int and 0 <= value < 1 << 8)
WORD = Plain("number of 32 bits", lambda value: type(value) is int and 0 <= value < 1 << 32)
HEX32 = Plain(
    "hex number of 32 bits",
    lambda value: isinstance(value, str) and re.fullmatch(r"0x[0-9a-f]{1,8}", value) is not None,
)
HEX = Plain(
    "hex number",
    lambda value: isinstance(value, str) and re.fullmatch(r"0x[0-9a-f]{1,16}", value) is not None,
)


def check_text(value: Any) -> None:
    """Raises ShapeError where text in a document, looked at or not, cannot be written: JSON can say half a character,
    a surrogate alone.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ShapeError(f"it has half a character, {ord(error.object[error.start]):#06x}") from error


def check(value: Any, shape: Shape, where: str = "") -> None:
    """Raises ShapeError unless the value has the shape. where: the place of the value, for the error."""
    lead = f"{where}: " if where else ""
    match shape:
        case Plain():
            if not shape.accepts(value):
                raise ShapeError(f"{lead}{value!r} is no {shape.what}")
        case Nullable():
            if value is not None:
                check(value, shape.shape, where)
        case Items():
            if not isinstance(value, list):
                raise ShapeError(f"{lead}{value!r} is no list")
            if shape.count is not None and len(value) != shape.count:
                raise ShapeError(f"{lead}{len(value)} items where {shape.count} belong")
            for number, item in enumerate(value):
                check(item, shape.shape, f"{where}[{number}]")
        case Keys():
            if not isinstance(value, dict):
                raise ShapeError(f"{lead}{value!r} is no object")
            for key, inner in shape.shapes.items():
                if key not in value:
                    raise ShapeError(f"{lead}{key!r} is missing")
                check(value[key], inner, f"{where}.{key}" if where else key)
