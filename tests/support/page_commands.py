"""The blocks of a page of docs/, and the commands in them.

A block behind `<!-- needs: WHAT -->` is for a machine that tests do not have; one behind `<!-- file: PATH -->` is
that file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

COMMANDS = ("./bootstrap ", "openssl ", "cp ", "mkdir ", "source ", "sleep ", "for name in ", "labgrid-", "PYTHONPATH=")
MARK = re.compile(r"<!-- (needs|file): (.+?) -->")


def blocks(page: str) -> Iterator[tuple[str, str, str]]:
    """Of each block of a page: the kind and the word of its mark, and its text."""
    mark, lines = ("", ""), list[str]()
    for line in [*page.split("\n"), "end"]:
        if line.startswith("    ") or (not line and lines):
            lines.append(line[4:])
            continue
        if any(lines):
            yield *mark, "\n".join(lines).rstrip() + "\n"
        if lines:
            mark = ("", "")
        lines = []
        if found := MARK.fullmatch(line):
            mark = found[1], found[2]
        elif line:
            mark = ("", "")


def commands(text: str) -> str:
    """The commands of a block, without what they show."""
    joined = text.replace("\\\n", " ")
    found = [line for line in joined.split("\n") if line.startswith(COMMANDS)]
    # The status of `diff` is 1 where something differs, as it does where a page compares.
    return "".join(f"{line} || [ $? -eq 1 ]\n" if " diff " in line else f"{line}\n" for line in found)
