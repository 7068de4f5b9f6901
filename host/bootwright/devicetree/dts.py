"""Device tree source: read by dtc, with the place of every node and property; and written.

    tree, places = read(Path("lab.dts"))    # Node, {"/chosen": Where, "/chosen:bootargs": Where, ...}
    text = write(tree)

dtc compiles the text twice: to a blob, which has the values, and to text with annotations, which has the
places (of included files and of nodes changed by label, too). Specification: Devicetree Specification 0.4,
chapter 6.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from bootwright.common import utf8
from bootwright.common.errors import DescriptionError, Where
from bootwright.devicetree import fdt
from bootwright.devicetree.dtc import DTC
from bootwright.devicetree.fdt import Node

BYTES_PROPERTIES = ("domain-uuid",)  # written byte by byte

_POSITION = re.compile(r"(?P<path>.*?):(?P<line>\d+):(?P<column>\d+)-\d+:\d+")
_OPEN = re.compile(r"\s*(?:[\w]+: )*(?P<name>/|[0-9A-Za-z,._+*#?@-]+) \{(?P<rest>.*)")
_PROPERTY = re.compile(r"\s*(?:[\w]+: )*(?P<name>[0-9A-Za-z,._+*#?@-]+)(?: =.*)?; ?(?P<rest>/\* .* \*/)?$")
_INCLUDE = re.compile(rb'/include/\s*"([^"]+)"')


def read(path: Path) -> tuple[Node, Mapping[str, Where]]:
    """The tree that the source at `path` describes, and the places of its nodes ("/a/b") and properties
    ("/a/b:name").

    Raises DescriptionError or ErrorList with places in the source, ToolError where dtc is missing.
    """
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DescriptionError(f"the device tree cannot be read: {reason}", Where(str(path))) from error
    if encoding := utf8.other(raw):
        raise DescriptionError(f"the device tree {utf8.sentence(encoding)}", Where(str(path)))
    _check_included(path, raw)
    blob = DTC.blob(path)
    try:
        tree = fdt.strict(fdt.parse(blob))
    except fdt.Damage as error:  # dtc lets pass what is only a warning to it
        raise DescriptionError(error.message, Where(str(path))) from error
    return tree, dict(_places(DTC.annotated(path)))


def _check_included(path: Path, raw: bytes) -> None:
    """Raises DescriptionError for a file included as text that starts with a byte order mark: dtc 1.6.1 leaves out all
    that is in it, without a word.
    """
    if _INCLUDE.search(raw):
        found = DTC.included(path)
        texts = {path: raw, **{file: file.read_bytes() for file in found}}
        names = {os.path.basename(name) for text in texts.values() for name in _INCLUDE.findall(text)}
        for file in found:
            head = texts[file]
            if os.fsencode(file.name) in names and (head.startswith(utf8.MARK) or utf8.other(head)):
                said = utf8.sentence(utf8.other(head)) if utf8.other(head) else "starts with a byte order mark"
                raise DescriptionError(f"an included file {said}", Where(str(file)))


def _places(annotated: str) -> Iterator[tuple[str, Where]]:
    """The places in dtc's annotated text: each node and property is a line, with its source behind it."""
    outer: list[str] = []
    for line in annotated.split("\n"):
        if match := _OPEN.fullmatch(line):
            outer.append("" if match["name"] == "/" else match["name"])
            key = "/".join(outer) or "/"
        elif line.lstrip().startswith("};"):
            outer = outer[:-1]
            continue
        elif match := _PROPERTY.fullmatch(line):
            key = f"{'/'.join(outer) or '/'}:{match['name']}"
        else:
            continue
        found = _POSITION.match((match["rest"] or "").removeprefix(" ").removeprefix("/* "))
        if found:
            yield key, Where(found["path"], int(found["line"]), int(found["column"]))


def write(root: Node) -> str:
    """The source of a tree. Compiled, it gives the same tree again."""
    return "\n".join(["/dts-v1/;", "", *_lines(root, 0)]) + "\n"


def _lines(node: Node, depth: int) -> Iterator[str]:
    tab = "\t" * depth
    yield f"{tab}{node.name or '/'} {{"
    for name, value in node.properties.items():
        comment = f" /* {node.comments[name]} */" if name in node.comments else ""
        yield f"{tab}\t{name}{_value(name, value)};{comment}"
    for index, child in enumerate(node.children):
        if index or node.properties:
            yield ""
        yield from _lines(child, depth + 1)
    yield f"{tab}}};"


def _value(name: str, value: bytes) -> str:
    if not value:
        return ""
    strings = _strings(value)
    if strings is not None:
        return f" = {', '.join(strings)}"
    if len(value) % fdt.CELL or name in BYTES_PROPERTIES:
        return f" = [{value.hex(' ')}]"
    cells = [value[at : at + fdt.CELL] for at in range(0, len(value), fdt.CELL)]
    return f" = <{' '.join(_number(int.from_bytes(cell, 'big')) for cell in cells)}>"


def _number(value: int) -> str:
    return str(value) if value < 10 else f"{value:#x}"


def _strings(value: bytes) -> list[str] | None:
    """The strings that a value is made of, quoted; None if it is something else."""
    if value[-1]:
        return None
    try:
        texts = value[:-1].decode("utf-8").split("\0")
    except UnicodeDecodeError:
        return None
    if any(not text.isprintable() for text in texts) or (len(texts) > 1 and "" in texts):
        return None
    return ['"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts]
