"""What `docs` shows: the pages of docs/, which come with bootwright, in the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bootwright.common.abi import stub_directory
from bootwright.common.columns import aligned
from bootwright.common.errors import SourceError
from bootwright.common.words import none_of

_FIRST = "tutorial"


def folder() -> Path:
    """Where the pages lie: in a checkout, or in the installed package."""
    return stub_directory().parent / "docs"


def show(name: str) -> None:
    """Show a page; without a name list them. Raises SourceError for one that there is not."""
    known = {path.stem: path for path in sorted(folder().rglob("*.md"))}
    if not name:
        print(f"the pages are in {folder()}; docs {_FIRST} shows the first\n")
        print("\n".join(aligned([(stem, _title(path)) for stem, path in known.items()])))
        return
    if name.removesuffix(".md").rpartition("/")[2] not in known:
        raise SourceError(f"page: {none_of(name, list(known))}")
    text = known[name.removesuffix(".md").rpartition("/")[2]].read_text(encoding="utf-8")
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    with console.pager(styles="less" not in os.environ.get("PAGER", "less") or "R" in os.environ.get("LESS", "")):
        console.print(Markdown(text))


def _title(path: Path) -> str:
    """The page's first line, without its mark."""
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").rstrip()
