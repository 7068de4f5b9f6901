"""Tables in Markdown, as the pages have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]], figures: bool = False) -> str:
    """The table, a line for each row; figures: all columns but the first are aligned to the right."""
    marks = ["---", *["---:" if figures else "---"] * (len(head) - 1)]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], f"|{'|'.join(marks)}|", *lines[1:]]) + "\n"
