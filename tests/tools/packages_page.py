"""The packages of host/bootwright in docs/design.md: what each is, and the floors that their imports make."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from markdown_table import table
from project import ROOT

PAGE = ROOT / "docs/design.md"
PACKAGE = ROOT / "host/bootwright"
BEGIN, END = "<!-- packages: made by `invoke docs` -->\n", "<!-- packages: end -->\n"
# In the order of the flow; a new package has its place here.
ORDER = (
    *("common", "asm", "link", "description", "kernels", "devicetree", "hyperlaunch", "inputs", "partition", "plan"),
    *(
        "reference",
        "image",
        "media",
        "netboot",
        "artifact",
        "flash",
        "lab",
        "chart",
        "emulate",
        "library",
        "labgrid",
        "cli",
    ),
)


def render() -> str:
    """The page, with the part between the marks made anew."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + _table() + "\n" + _picture() + END + rest.partition(END)[2]


def imported(tree: ast.AST) -> Iterator[str]:
    """The packages that a module imports from, wherever the statement stands in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("bootwright."))
        elif isinstance(node, ast.ImportFrom) and node.module == "bootwright":
            yield from (alias.name for alias in node.names if alias.name in ORDER)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bootwright."):
            yield (node.module or "").split(".")[1]


@cache
def modules(package: str) -> dict[str, ast.Module]:
    """The modules of a package by name, parsed; "" for the package itself."""
    paths = sorted((PACKAGE / package).glob("*.py"))
    return {"" if path.stem == "__init__" else path.stem: _parsed(path) for path in paths}


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def said(package: str) -> str:
    """The docstring of a package."""
    return ast.get_docstring(modules(package)[""]) or ""


@cache
def arrows(package: str) -> list[str]:
    """The packages that one imports from, in the order of the flow."""
    found = {name for tree in modules(package).values() for name in imported(tree)} - {package}
    return sorted(found, key=ORDER.index)


@cache
def floor(package: str) -> int:
    """How high a package stands: above all that it imports from."""
    return 1 + max((floor(name) for name in arrows(package)), default=0)


def _table() -> str:
    rows = []
    for package in ORDER:
        first = said(package).splitlines()[0]
        allowed = re.search(r"^May import: (.*?)\.$", said(package), re.MULTILINE | re.DOTALL)
        rows.append((package, first, " ".join((allowed[1] if allowed else "").split())))
    return table(("package", "what it is", "may import"), rows)


def _picture() -> str:
    """The floors of the house, the ground at the bottom; behind each package what it stands on directly."""
    lines = ["```"]
    for level in range(max(map(floor, ORDER)), 0, -1):
        for package in (name for name in ORDER if floor(name) == level):
            below = arrows(package)
            # What is reached through another is left out: the picture shows what carries, not all that is touched.
            reached = {far for near in below for far in _all_below(near)}
            carried = [name for name in below if name not in reached]
            lines.append(f"{level:2}  {package:<12} {'on ' + ', '.join(carried) if carried else ''}".rstrip())
    return "\n".join([*lines, "```"]) + "\n"


@cache
def _all_below(package: str) -> frozenset[str]:
    return frozenset(arrows(package)).union(*map(_all_below, arrows(package)))
