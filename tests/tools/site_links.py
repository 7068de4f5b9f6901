"""What mkdocs calls for each page: a page or picture that is named by its path in the project becomes a link."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_NAMED = re.compile(r"(?<![\w/(\[`#.])`?(docs/([\w/-]+\.md))`?(?![\w/])")


def on_page_markdown(markdown: str, page: Any, **rest: Any) -> str:
    """The page with links in place of paths, but for what stands in a block of code."""
    here = posixpath.dirname(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        return f"[{match[1]}]({posixpath.relpath(match[2], here or '.')})"

    lines = markdown.split("\n")
    return "\n".join(line if line.startswith("    ") else _NAMED.sub(link, line) for line in lines)
