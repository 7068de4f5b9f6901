"""The table of modules in docs/design.md: all of them, and none imports what stands behind it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootwright.common.abi import stub_directory

ROOT = stub_directory().parent
PACKAGE = ROOT / "host" / "bootwright"


def in_the_table() -> list[str]:
    """The modules as the page has them, in its order: "abi", "media/gpt"; a package has its own name, "media"."""
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    _, table = page.split("| group | modules | what it makes |\n|---|---|---|\n")
    rows = [line.split("|") for line in table.split("\n\n")[0].splitlines()]
    return [name for row in rows for name in re.findall(r"[\w/]+", row[2])]


def name_of(path: Path) -> str:
    """The module of a file as the page writes it; "" for bootwright itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "/".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules of bootwright that a module imports, wherever the statement stands in it."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            while first == "bootwright" and "/".join(rest) not in MODULES:
                rest.pop()  # the name is not a module, but in one
            if first == "bootwright":
                yield "/".join(rest)


def behind(name: str, tree: ast.AST, order: list[str]) -> list[str]:
    """What a module imports although it does not stand before it."""
    before = {"", *order[: order.index(name)]}
    return sorted({found for found in imported(tree) if found not in before})


def test_every_module_is_in_the_table_once() -> None:
    assert sorted(in_the_table()) == sorted(name for name in MODULES if name)


def test_the_package_itself_imports_nothing() -> None:
    assert not list(imported(ast.parse(MODULES[""].read_text(encoding="utf-8"))))


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_a_module_imports_only_what_stands_before_it(name: str) -> None:
    assert not behind(name, ast.parse(MODULES[name].read_text(encoding="utf-8")), in_the_table())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from bootwright import errors, fdt", ["fdt"]),
        ("from bootwright.fdt import Blob", ["fdt"]),
        ("import bootwright.media.gpt", ["media/gpt"]),
        ("from bootwright.media import gpt, MEDIA", ["media", "media/gpt"]),
        ("def later():\n    from bootwright.tasks import build", ["tasks"]),
        ("if TYPE_CHECKING:\n    from bootwright.description import Description", ["description"]),
        ("from bootwright import rules", ["rules"]),
        ("import ast\nfrom bootwright import __version__\nfrom bootwright.errors import Where", []),
    ],
)
def test_what_stands_behind_is_found_in_every_form(text: str, found: list[str]) -> None:
    assert behind("rules", ast.parse(text), in_the_table()) == found
