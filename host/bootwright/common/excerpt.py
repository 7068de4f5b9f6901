"""The line of a file that an error is about, with a mark under its column."""

from __future__ import annotations

from pathlib import Path

from bootwright.common.errors import BootwrightError, ErrorList, Where

_LONGEST = 160  # characters of a line that are shown
_MOST = 1 << 20  # bytes of a file that is looked at


def marked(error: BootwrightError) -> str:
    """The error's sentences, each with its line behind it where that is known and can be read."""
    errors = error.errors if isinstance(error, ErrorList) else (error,)
    return "\n".join("\n".join([str(one), *_excerpt(one.where)]) for one in errors)


def _excerpt(where: Where | None) -> list[str]:
    if where is None or where.line is None:
        return []
    try:
        with Path(where.path).open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_MOST).split("\n")
        line = lines[where.line - 1]
    except (OSError, IndexError, ValueError):
        return []
    column = where.column or 1
    if not line.strip() or (not line.isprintable() and "\t" not in line) or column > len(line) + 1:
        return []
    start = max(0, column - _LONGEST // 2) if len(line) > _LONGEST else 0
    shown = line[start : start + _LONGEST]
    # Tabs stay tabs, so that the mark stands under its column whatever a terminal makes of them.
    lead = "".join("\t" if character == "\t" else " " for character in line[start : column - 1])
    number = str(where.line)
    return [f"  {number} | {shown}", f"  {' ' * len(number)} | {lead}^"]
