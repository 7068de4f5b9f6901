"""What several domains print on one console, told apart: each domain's lines in a colour of its own."""

from __future__ import annotations

import re
from collections.abc import Callable

# ECMA-48 SGR: foreground colours that are read on light and dark screens alike; green is the first domain's.
COLOURS = (32, 36, 35, 33, 34, 31)
_LEAD = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._+-]*): ")
OURS = "bootwright"


class Colours:
    """Gets text as it comes, gives whole lines to `show`; those that begin with a name and a colon in that name's
    colour, but for our own.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._rest = ""
        self._names: dict[str, int] = {}

    def add(self, text: str) -> None:
        """Show what makes whole lines with what came before."""
        *lines, self._rest = (self._rest + text).split("\n")
        if lines:
            self._show("".join(f"{self._coloured(line)}\n" for line in lines))

    def end(self) -> None:
        """Show what is left without the end of its line."""
        self._show(self._coloured(self._rest))
        self._rest = ""

    def _coloured(self, line: str) -> str:
        lead = _LEAD.match(line)
        if lead is None or lead[1] == OURS:
            return line
        number = self._names.setdefault(lead[1], len(self._names))
        return f"\x1b[{COLOURS[number % len(COLOURS)]}m{line}\x1b[0m"
