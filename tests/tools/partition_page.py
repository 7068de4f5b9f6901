"""The table of the resident part in docs/partition.md: bytes of each file that stay, and that are for the boot."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from markdown_table import table
from project import ROOT

from bootwright.common.abi import load as load_abi
from bootwright.inputs import resolve
from bootwright.link.linked import Linked
from bootwright.partition import resident

PAGE = ROOT / "docs/partition.md"
BEGIN, END = "<!-- files: made by `invoke docs` -->\n", "<!-- files: end -->\n"
_HEADING = re.compile(r"^; (stub/\S+)$")
_BYTES = re.compile(r"^([0-9a-f]{8})  ((?:[0-9a-f]{2})+)\b")


def render() -> str:
    """The page with today's table."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{_table()}{END}{rest.partition(END)[2]}"


@cache
def _linked() -> Linked:
    return resident.link(resolve.cache_directory())


def _table() -> str:
    linked = _linked()
    places = {section.name: section for section in linked.sections}
    boot = range(places[".boot"].address, places[".boot"].address + places[".boot"].size)
    stays = range(places[".text"].address, places[".boot"].address)
    kept, passing = Counter[str](), Counter[str]()
    path = ""
    for line in linked.listing.splitlines():
        if heading := _HEADING.match(line):
            path = heading[1]
        elif found := _BYTES.match(line):
            address, size = int(found[1], 16), len(found[2]) // 2
            kept[path] += size if address in stays else 0
            passing[path] += size if address in boot else 0
    texts = sum(places[name].size for name in (".text", ".rodata", ".fixups")) - sum(kept.values())
    files = [path for path in dict.fromkeys([*passing, *kept]) if kept[path] or passing[path]]
    rows = [[f"`{path}`", str(kept[path]), str(passing[path]), _says(path)] for path in sorted(files)]
    total = [str(sum(kept.values()) + texts), str(sum(passing.values()))]
    limit = load_abi().constants["RESIDENT_LIMIT"]
    rows += [
        ["texts of stub/abi/messages.h and errors.h, alignment", str(texts), "0", "what it prints"],
        ["all", *total, f"at most {limit} stay (linker/partition.toml)"],
    ]
    return table(["file", "bytes that stay", "for the boot", ""], rows)


def _says(path: str) -> str:
    """The first sentence of a file's first comment."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    comment = []
    for line in lines:
        if not line.startswith(";"):
            break
        comment.append(line.removeprefix(";").strip())
    return re.split(r"(?<=[.:])\s|: |; ", " ".join(comment))[0].rstrip(".:;")
