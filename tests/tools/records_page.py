"""docs/records.md, made from stub/abi: the records that host and stub share, byte by byte."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_table import table
from project import ROOT

from bootwright.common.abi import load, stub_directory

PAGE = ROOT / "docs" / "records.md"
# Of ours; the other headers declare what specifications do.
HEADERS = ("tables.h", "builder.h", "boot_info.h", "handover.h", "framebuffer.h", "partition.h", "stages.h")

HEAD = """\
# The records

What the host writes and the stub reads, and what the stub hands on between its files: declared once, in stub/abi.
Numbers are little-endian; offsets and sizes are bytes. Constants, and the records of loaders, firmware and kernels,
stand in the headers beside these, with the specification that they follow. This page is made by `invoke docs`.
"""


def render() -> str:
    """The page, header by header."""
    return HEAD + "".join(part for name in HEADERS for part in _header(name))


def _header(name: str) -> Iterator[str]:
    text = (stub_directory() / "abi" / name).read_text(encoding="utf-8")
    for comment, record, body in re.findall(
        r"(?:/\*((?:(?!\*/).)*)\*/\n)?struct (\w+) \{\n(.*?)\n\};", text, re.DOTALL
    ):
        said = " ".join(line.strip().removeprefix("*").strip() for line in comment.split("\n")).strip()
        yield f"\n## {record}\n\nstub/abi/{name}{f': {said}' if said else ''}\n\n" + table(
            ("offset", "bytes", "field", ""), list(_fields(record, body))
        )


def _fields(record: str, body: str) -> Iterator[tuple[str, str, str, str]]:
    struct = load().struct(record)
    notes = dict(re.findall(r"^ +\w+ +(\w+)(?:\[\w+\])?;(?: */\* (.*?) \*/)?", body, re.MULTILINE))
    for field in struct.fields.values():
        note = notes.get(field.name, "").replace("|", "\\|")
        yield f"{field.offset:#x}", str(len(field.type)), f"`{field.name}`", note
