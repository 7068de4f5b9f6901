"""Flattened device trees: written, read back, damaged; with dtc and libfdt's tools as judges."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
import trees
from hypothesis import given, settings
from hypothesis import strategies as st

from bootwright.common.errors import BootwrightError
from bootwright.devicetree import dts, fdt
from bootwright.devicetree.bindings import cells, text
from bootwright.devicetree.fdt import Node

NAME = st.from_regex(r"[a-zA-Z0-9,._+-]{1,12}(@[0-9a-f]{1,4})?", fullmatch=True)
# dtc has its own mind about these, in source.
PROPERTY = st.from_regex(r"[a-z]{1,3},[a-zA-Z0-9._+?#-]{1,12}", fullmatch=True)
VALUE = st.binary(max_size=12) | st.lists(trees.WORD, min_size=1, max_size=3).map(lambda words: text(*words))


def unique(nodes: list[Node]) -> tuple[Node, ...]:
    return tuple({node.name: node for node in nodes}.values())


TREE = st.recursive(
    st.builds(Node, NAME, st.dictionaries(PROPERTY, VALUE, max_size=4)),
    lambda inner: st.builds(
        Node, NAME, st.dictionaries(PROPERTY, VALUE, max_size=3), st.lists(inner, max_size=3).map(unique)
    ),
    max_leaves=8,
).map(lambda node: Node("", node.properties, node.children))


@pytest.mark.slow
@given(TREE)
@settings(max_examples=200, deadline=None)
def test_round_trip(tree: Node) -> None:
    blob = fdt.write(tree)
    assert fdt.strict(fdt.parse(blob)) == tree
    assert fdt.strict(fdt.parse(blob + b"more")) == tree, "a loader may hand over more than the tree"


@given(TREE)
@settings(max_examples=30, deadline=None)
def test_dtc_agrees(tree: Node) -> None:
    """What dtc makes of our blob and of our source are the same tree."""

    def dtc(form: str, data: bytes) -> bytes:
        command = ["dtc", "-qq", "-f", "-I", form, "-O", "dtb", "-"]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    for form, data in (("dtb", fdt.write(tree)), ("dts", dts.write(tree).encode())):
        assert fdt.strict(fdt.parse(dtc(form, data))) == tree


@pytest.mark.slow
@given(TREE.flatmap(lambda tree: trees.damaged(fdt.write(tree))))
@settings(max_examples=400, deadline=None)
def test_damage_is_found_or_harmless(blob: bytes) -> None:
    try:
        root = fdt.parse(blob)
    except fdt.Damage as damage:
        assert damage.name or not fdt.is_tree(blob)
        return
    try:
        tree = fdt.strict(root)
    except fdt.Damage as damage:
        assert not damage.name and damage.message
        return
    assert fdt.strict(fdt.parse(fdt.write(tree))) == tree


def header(blob: bytes, **words: int) -> bytes:
    names = (
        "magic",
        "totalsize",
        "struct",
        "strings",
        "reservations",
        "version",
        "compatible",
        "cpu",
        "nstrings",
        "nstruct",
    )
    changed = bytearray(blob)
    for name, word in words.items():
        struct.pack_into(">I", changed, 4 * names.index(name), word)
    return bytes(changed)


SMALL = fdt.write(Node("", {"a": cells(1)}, (Node("b"),)))  # structure: 0x38 to 0x64; strings: 2 bytes


@pytest.mark.parametrize(
    "blob, message",
    [
        (SMALL[:20], "the device tree is 20 bytes long, but its header ends at byte 0x28"),
        (SMALL[:-1], "the device tree is 101 bytes long, but its total size ends at byte 0x66"),
        (header(SMALL, totalsize=39), "the device tree is 39 bytes long, but its header ends at byte 0x28"),
        (header(SMALL, magic=1), "starts with 0x1, not with the magic of a device tree"),
        (header(SMALL, version=15), "the device tree is version 15; versions from 16 to 17 can be read"),
        (header(SMALL, compatible=18), "the device tree is version 18; versions from 16 to 17 can be read"),
        (
            header(SMALL, nstrings=3),
            "the device tree is 102 bytes long, but its strings block ends at byte 0x67",
        ),
        (
            header(SMALL, nstrings=1),
            "the device tree is 102 bytes long, but its strings block ends at byte 0x65",
        ),
        (
            header(SMALL, nstruct=99),
            "the device tree is 102 bytes long, but its structure block ends at byte 0x9b",
        ),
        (header(SMALL, struct=0x3C, nstruct=8), "the device tree is malformed at byte 0x0 of its structure"),
        (header(SMALL, nstruct=8), "the device tree is malformed at byte 0x8 of its structure"),
        (header(SMALL, struct=0x3A, nstruct=8), "the device tree is malformed at byte 0x0 of its structure"),
    ],
)
def test_damaged_headers(blob: bytes, message: str) -> None:
    with pytest.raises(fdt.Damage) as caught:
        fdt.strict(fdt.parse(blob))
    assert caught.value.message == message


def structure(*words: int) -> bytes:
    """A tree with this structure block, and the strings "a" and "a:"."""
    block = struct.pack(f">{len(words)}I", *words)
    strings = b"a\0a:\0"
    start = 56
    head = (
        0xD00DFEED,
        start + len(block) + len(strings),
        start,
        start + len(block),
        40,
        17,
        16,
        0,
        len(strings),
        len(block),
    )
    return struct.pack(">10I", *head) + bytes(16) + block + strings


B = 0x62000000  # "b" and its padding


@pytest.mark.parametrize(
    "words, message",
    [
        ((), "the device tree is malformed at byte 0x0 of its structure"),
        ((9,), "the device tree is malformed at byte 0x0 of its structure"),
        ((2,), "the device tree is malformed at byte 0x0 of its structure"),
        ((5,), "the device tree is malformed at byte 0x0 of its structure"),
        ((3, 0, 0), "the device tree is malformed at byte 0x0 of its structure"),
        ((1, 0), "the device tree is malformed at byte 0x8 of its structure"),
        ((1, 0, 9), "the device tree is malformed at byte 0x8 of its structure"),
        ((1, 0, 2, 1, 0, 2, 9), "the device tree is malformed at byte 0xc of its structure"),
        ((1, 0x61616161), "the device tree is malformed at byte 0x0 of its structure"),
        ((1, 0, 3, 0, 5, 2, 9), "the device tree is malformed at byte 0x8 of its structure"),
        ((1, 0, 3, 99, 0, 2, 9), "the device tree is malformed at byte 0x8 of its structure"),
        ((1, 0, 3, 0), "the device tree is malformed at byte 0x8 of its structure"),
        (
            (1, 0, *([1, B] * 32), *([2] * 33), 9),
            "the device tree is malformed at byte 0x100 of its structure",
        ),
        ((1, 0, 3, 0, 0, 3, 0, 0, 2, 9), 'node /: property "a" is there twice'),
        ((1, 0, 1, B, 2, 1, B, 2, 2, 9), 'node /: node "b" is there twice'),
        ((1, 0, 1, B, 2, 3, 0, 0, 2, 9), 'node /: property "a" comes behind a node inside of it'),
        ((1, 0, 3, 0, 2, 2, 9), 'node /: "a:" is no name for a property'),
        ((1, 0, 3, 0, 1, 2, 9), 'node /: "" is no name for a property'),
        ((1, 0, 1, 0x2F000000, 2, 2, 9), 'node /: "/" is no name for a node in there'),
        ((1, 0, 1, 0, 2, 2, 9), 'node /: "" is no name for a node in there'),
        ((1, B, 2, 9), 'node /: "b" is no name for a node in there'),
    ],
)
def test_damaged_structures(words: tuple[int, ...], message: str) -> None:
    with pytest.raises(fdt.Damage) as caught:
        fdt.strict(fdt.parse(structure(*words)))
    assert caught.value.message == message


def test_what_is_allowed_though_odd() -> None:
    assert fdt.parse(structure(4, 1, 0, 4, 3, 0, 0, 4, 2, 4, 9)).find(b"a"), "NOPs"
    assert fdt.strict(fdt.parse(structure(1, 0, *([1, B] * 31), *([2] * 32), 9))), "32 deep"
    assert fdt.strict(fdt.parse(header(SMALL, version=16, nstruct=0))), "version 16 does not say its length"
    assert fdt.strict(fdt.parse(header(SMALL, version=18))), "a later one that can be read like this one"


def test_source_of_every_kind_of_value() -> None:
    tree = Node(
        "",
        {"a": b"", "b": text("x"), "c": text("x", 'y"\\'), "d": cells(1, 0x20), "e": b"\1\2\3", "f": b"\0"},
    )
    assert dts.write(tree).splitlines()[3:-1] == [
        "\ta;",
        '\tb = "x";',
        '\tc = "x", "y\\"\\\\";',
        "\td = <1 0x20>;",
        "\te = [01 02 03];",
        '\tf = "";',
    ]


def test_places_of_labels_and_included_files(tmp_path: Path) -> None:
    (tmp_path / "more.dtsi").write_text("/ {\n\ta: one {\n\t\tx = <1>;\n\t};\n};\n")
    source = tmp_path / "odd; name.dts"
    source.write_text(
        '/dts-v1/;\n/include/ "more.dtsi"\n&a {\n  y = "; /* no: 1:2-3:4 comment */",\n   "é";\n  z;\n};\n'
    )
    tree, places = dts.read(source)
    assert tree.children[0].properties == {
        "x": cells(1),
        "y": text("; /* no: 1:2-3:4 comment */", "é"),
        "z": b"",
    }
    found = {key: (Path(where.path).name, where.line, where.column) for key, where in places.items()}
    assert found["/one:x"] == ("more.dtsi", 3, 3)
    assert found["/one"] == ("more.dtsi", 2, 9)
    assert found["/one:y"] == (source.name, 4, 3)
    assert found["/one:z"] == (source.name, 6, 3)


def test_an_error_of_dtc_has_its_place(tmp_path: Path) -> None:
    source = tmp_path / "lab.dts"
    source.write_text("/dts-v1/;\n\n/ { a = <1> }\n;")
    with pytest.raises(BootwrightError) as caught:
        dts.read(source)
    assert str(caught.value) == f"{source}:3:13: device tree source: syntax error"
