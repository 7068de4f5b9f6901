"""The values a description may hold: each reader takes a node and gives a checked value, or says what is
wrong.

A reader raises DescriptionError at the node's place, with a message that starts at the value: read_table puts the
key in front (`memory: `), and its caller the table (`domain "dom0": `).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError, DescriptionError, ErrorList, Where, about
from bootwright.common.words import nearest
from bootwright.description.toml_tree import Node

T = TypeVar("T")
Reader = Callable[[Node], Any]
AnyReader = TypeVar("AnyReader", bound=Reader)


@dataclass(frozen=True)
class Field:
    """One key of a table: its reader, whether it must be there, and its value where it is not.

    own_subject: the reader's errors name their subject themselves, and nothing is put in front of them.
    For docs/description.md, in Markdown: form: what is written; says: what it means; usual: the default, where
    `default` does not say it.
    """

    read: Reader
    required: bool = False
    default: Any = None
    own_subject: bool = False
    form: str = ""
    says: str = ""
    usual: str = ""


def shaped(**shape: Any) -> Callable[[AnyReader], AnyReader]:
    """Marks a reader with the JSON schema of what it takes, for editors (json_schema.py). It may be wider than the
    reader, and never narrower: the reader alone decides.
    """

    def mark(read: AnyReader) -> AnyReader:
        vars(read)["shape"] = shape
        return read

    return mark


def shape(read: Reader) -> dict[str, Any]:
    """The JSON schema that a reader is marked with."""
    found: dict[str, Any] = vars(read)["shape"]
    return found


def fail(node: Node, message: str) -> DescriptionError:
    """The error `message` at the place of the node's value."""
    return DescriptionError(message, node.where)


def quoted(text: str) -> str:
    """The text in quotes as an error shows it: no control characters, not longer than a line."""
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return f'"{plain}"' if len(plain) <= 60 else f'"{plain[:57]}..."'


def kind_of(data: object) -> str:
    """What a person calls a TOML value: "a string", "an integer", ..."""
    names: list[tuple[type, str]] = [
        (str, "a string"),
        (bool, "true or false"),
        (int, "an integer"),
        (float, "a decimal number"),
        (list, "an array"),
        (dict, "a table"),
    ]
    return next((name for kind, name in names if isinstance(data, kind)), "a date or time")


def typed(node: Node, kind: type[T], wanted: str) -> T:
    """The node's value when it is a `kind`. Raises DescriptionError "5 is an integer, not a string"."""
    data = node.data
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        shown = f"{data!r} is " if isinstance(data, int | float) and not isinstance(data, bool) else "is "
        raise fail(node, f"{shown}{kind_of(data)}, not {wanted}")
    return data


def string(node: Node) -> str:
    """A string without control characters."""
    text = typed(node, str, "a string")
    bad = next((c for c in text if ord(c) < 0x20 or ord(c) == 0x7F), None)
    if bad is not None:
        raise fail(node, f"holds the control character {ord(bad):#04x}")
    return text


def bounded_string(limit: int, *, terminated: bool = True, reader: str = "") -> Reader:
    """A string of at most `limit` bytes of UTF-8, the terminating zero byte included if `terminated`. reader: who
    has no room for more.
    """

    @shaped(type="string", maxLength=limit - terminated)
    def read(node: Node) -> str:
        text = string(node)
        size = len(text.encode()) + terminated
        if size > limit:
            counted = " with its terminating zero byte" if terminated else ""
            raise fail(node, f"is {size} bytes long{counted}, but at most {limit} fit{reader and f' into {reader}'}")
        return text

    return read


NAME = "[A-Za-z0-9_][A-Za-z0-9._+-]*"


@shaped(type="string", pattern=f"^{NAME}$", maxLength=load_abi().constants["MAX_NAME"] - 1)
def name(node: Node) -> str:
    """A name: letters, digits and . _ + -, not starting with a dot, dash or plus; MAX_NAME bytes."""
    text: str = bounded_string(load_abi().constants["MAX_NAME"])(node)
    if not re.fullmatch(NAME, text):
        raise fail(
            node,
            f"{quoted(text)} is no name: only letters, digits and . _ + - make one up, "
            "and it starts with a letter, digit or _",
        )
    return text


@shaped(type="boolean")
def boolean(node: Node) -> bool:
    """true or false."""
    return typed(node, bool, "true or false")


def integer(low: int, high: int) -> Reader:
    """An integer in [low, high]."""

    @shaped(type="integer", minimum=low, maximum=high)
    def read(node: Node) -> int:
        value = typed(node, int, "an integer")
        if not low <= value <= high:
            raise fail(node, f"{value} is outside of {low} to {high}")
        return value

    return read


def choice(known: Iterable[str]) -> Reader:
    """One of the words `known`."""
    words = tuple(known)

    @shaped(enum=list(words))
    def read(node: Node) -> str:
        text = string(node)
        if text in words:
            return text
        listed = ", ".join(f'"{word}"' for word in words)
        if len(words) == 1:
            raise fail(node, f"{quoted(text)} is not {listed}")
        raise fail(node, f"{quoted(text)} is none of {listed}{nearest(text, words)}")

    return read


def flags(known: dict[str, int]) -> Reader:
    """An array of words, each of which stands for a bit; gives all the bits."""
    one = choice(known)

    @shaped(type="array", items=shape(one), uniqueItems=True)
    def read(node: Node) -> int:
        typed(node, list, "an array of strings")
        bits = 0
        for element in node.elements:
            bit = known[one(element)]
            if bits & bit:
                raise fail(element, f'"{element.data}" is there twice')
            bits |= bit
        return bits

    return read


def table_shape(fields: dict[str, Field]) -> dict[str, Any]:
    """The JSON schema of a table with these keys."""
    return {
        "type": "object",
        "properties": {key: _field_shape(field) for key, field in fields.items()},
        "required": [key for key, field in fields.items() if field.required],
        "additionalProperties": False,
    }


def _field_shape(field: Field) -> dict[str, Any]:
    said = [field.form, field.says, *([f"default: {field.usual}"] if field.usual else [])]
    plain = isinstance(field.default, str | int) and not field.usual and field.default != ""
    described = {"description": "; ".join(filter(None, said))} if field.says else {}
    return shape(field.read) | described | ({"default": field.default} if plain else {})


def read_table(node: Node, fields: dict[str, Field]) -> tuple[dict[str, Any], dict[str, Where]]:
    """Read a table by its fields.

    Gives the values by Python's name for the key (on-failure: on_failure), and the place of each value that
    is there. Raises ErrorList of everything wrong in it: unknown keys (the nearest known one is named),
    wrong values, missing keys.
    """
    errors: list[BootwrightError] = []
    values: dict[str, Any] = {}
    places: dict[str, Where] = {}
    for key, entry in node.parts.items():
        if key not in fields:
            errors.append(DescriptionError(f"{quoted(key)} is not a known key{nearest(key, fields)}", entry.key))
    for key, spec in fields.items():
        part = node.parts.get(key)
        if part is None:
            values[key.replace("-", "_")] = spec.default
            if spec.required:
                errors.append(DescriptionError(f"{key} is missing", node.where))
            continue
        try:
            with about("" if spec.own_subject else key):
                values[key.replace("-", "_")] = spec.read(part)
            places[key] = part.where
        except BootwrightError as error:
            errors.append(error)
    if errors:
        raise ErrorList(errors)
    return values, places
