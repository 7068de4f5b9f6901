"""The numbers of stages in docs/how-to/dark-machine.md, made from stub/abi/stages.h."""

from __future__ import annotations

import re

from markdown_table import table
from project import ROOT

from bootwright.common.abi import load, stub_directory

PAGE = ROOT / "docs" / "how-to" / "dark-machine.md"
BEGIN, END = "<!-- stages: made by `invoke docs` from stub/abi/stages.h -->\n", "<!-- end of stages -->\n"


def render() -> str:
    """The page, with the part between the marks made anew."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + _table() + END + rest.partition(END)[2]


def _table() -> str:
    text = (stub_directory() / "abi" / "stages.h").read_text(encoding="utf-8")
    strings = load().strings
    rows = [
        (f"`{number[2:]}`", strings[f"L_{name}"], says)
        for name, number, says in re.findall(r"^#define (STAGE_\w+) +(0x\w+) +/\* (.*) \*/$", text, re.MULTILINE)
    ]
    error = load().constants["STAGE_ERROR"]
    rows.append((f"`{error | 1:x}` to `{error | 8:x}`", "error", f"E01xx to E08xx: `{error | 4:x}` is E04xx"))
    return table(["port 0x80", "stage", "what goes on"], rows)
