"""Places of keys and values."""

from __future__ import annotations

import contextlib
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootwright.common.errors import DescriptionError
from bootwright.description import toml_tree

TEXT = """\
# a comment
[image]
name = "lab"
"odd.key" = 1

[[domain]]
name = "é"   # two bytes, one character
kernel = { package = "x", file = 'y' }
[domain.sub]
a.b = 1

[[domain]]
functions = [
  "console",
  "café", 7,
]
"""


def place(node: toml_tree.Node) -> tuple[int | None, int | None]:
    return node.where.line, node.where.column


def test_places_of_keys_and_values() -> None:
    root = toml_tree.parse(TEXT.encode(), "lab.toml")
    assert root.data == tomllib.loads(TEXT)
    image = root.parts["image"]
    assert str(image.where) == "lab.toml:2:1"
    assert str(image.key) == "lab.toml:2:2"
    assert place(image.parts["name"]) == (3, 8)
    assert str(image.parts["odd.key"].key) == "lab.toml:4:1"
    first, second = root.parts["domain"].elements
    assert place(first) == (6, 1)
    assert place(first.parts["kernel"]) == (8, 10)
    assert place(first.parts["kernel"].parts["file"]) == (8, 34)
    assert place(first.parts["sub"].parts["a"].parts["b"]) == (10, 7)
    assert place(second) == (12, 1)
    assert [place(element) for element in second.parts["functions"].elements] == [(14, 3), (15, 3), (15, 11)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a = \xff", "t:1:5: byte 0xff is not UTF-8 text"),
        (
            b'x = 1\ny = "\xc3\xa9" z',
            "t:2:9: not valid TOML: expected newline or end of document after a statement",
        ),
        (b"a = 1\na = 2", 't:2:1: not valid TOML: key "a" is there already, in line 1'),
        (b"a = " + b"9" * 5000, "t: not valid TOML: "),
    ],
)
def test_what_is_no_toml(text: bytes, message: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        toml_tree.parse(text, "t")
    assert str(caught.value).startswith(message)


scalars = st.one_of(st.booleans(), st.integers(-99, 99), st.text(alphabet="aé#[]=\\ ", max_size=5))


def spell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\") + '"'
    return str(value)


@given(st.lists(st.tuples(st.booleans(), st.dictionaries(st.sampled_from("abcd"), scalars, max_size=3)), max_size=6))
@settings(max_examples=60, deadline=None)
def test_every_value_is_where_it_says(tables: list[tuple[bool, dict[str, object]]]) -> None:
    """The text at the place of each value is the value as it was written."""
    lines: list[str] = []
    for number, (array, entries) in enumerate(tables):
        lines.append("[[many]]" if array else f"[one{number}]")
        lines += [f"{key} = {spell(value)}" for key, value in entries.items()]
    root = toml_tree.parse("\n".join(lines).encode(), "t")
    found = [*root.parts.get("many", toml_tree.Node([], root.where, root.where)).elements]
    found += [node for key, node in root.parts.items() if key != "many"]
    assert len(found) == len(tables)
    for node in found:
        for key, part in node.parts.items():
            line = lines[(part.where.line or 0) - 1]
            assert line[(part.where.column or 0) - 1 :] == spell(part.data)
            assert line[(part.key.column or 0) - 1 :].startswith(f"{key} = ")


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    with contextlib.suppress(DescriptionError):
        toml_tree.parse(raw, "t")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = 2\na = 2", 't:3:1: not valid TOML: key "a" is there already, in line 1'),
        ("[i]\na = 1\nb = 1\n[j]\na = 1\n[i]\n", 't:6:2: not valid TOML: table "i" is there already, in line 1'),
        ("[i]\n[[i]]\n", 't:2:3: not valid TOML: table "i" is there already, in line 1'),
        ("[[i]]\na = 1\n[i]\n", 't:3:2: not valid TOML: table "i" is there already, in line 1'),
        ("[[i]]\na = 1\n[[i]]\na = 1\n\na = 2\n", 't:6:1: not valid TOML: key "i.a" is there already, in line 4'),
        ("a = {b = 1, c = 2, b = 3}", 't:1:20: not valid TOML: key "a.b" is there already, in line 1'),
        ("a.b = 1\n# x\na = 2", 't:3:1: not valid TOML: key "a" is there already, in line 1'),
        ("a = 1\na.b = 2", 't:2:1: not valid TOML: key "a" is there already, in line 1'),
        ("a = [1]\n[[a]]", 't:2:3: not valid TOML: table "a" is there already, in line 1'),
        ("[a]\nb.c = 1\n[a.b]\n", 't:3:4: not valid TOML: table "a.b" is there already, in line 2'),
        ("a = {}\n[a.b]\n", 't:2:2: not valid TOML: table "a" is there already, in line 1'),
        ("[a.b]\n[a]\nb = 1", 't:3:1: not valid TOML: key "a.b" is there already, in line 1'),
        ("\"é\" = 1\n  'é' = 2", 't:2:3: not valid TOML: key "é" is there already, in line 1'),
    ],
)
def test_a_key_that_is_there_twice_is_named_with_the_line_of_the_first(text: str, message: str) -> None:
    with pytest.raises(DescriptionError) as raised:
        toml_tree.parse(text.encode(), "t")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ('a = 1\nb = "x\nc = 2\n', 2, "b"),
        ("a = 'x\nb = 'y'\n", 1, "a"),
        ('[d]\na.b = """x\nc = 2\n', 2, "a.b"),
        ("a = '''x\nb = 1\n", 1, "a"),
        ('a = 1\nb = [\n  "x,\n  "y",\n]\n', 2, "b"),
        ('a = 1\nb = {c = "x}\n', 2, "b"),
        ('a = "x', 1, "a"),
        ('a = "x\r\nb = 1\r\n', 1, "a"),
        ('a = """\nb = 1\n"""\nc = """\nd = 1\n', 4, "c"),
    ],
)
def test_a_string_without_an_end_is_named_by_its_key(text: str, line: int, key: str) -> None:
    with pytest.raises(DescriptionError) as raised:
        toml_tree.parse(text.encode(), "t")
    message = f'not valid TOML: key "{key}": the string that begins in its value has no end'
    assert str(raised.value) == f"t:{line}:1: {message}"
