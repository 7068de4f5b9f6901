"""Every function, routine and test that docs/domain-builder.md names is there."""

from __future__ import annotations

import ast
import importlib
import re

import pytest
from project import ROOT

PAGE = ROOT / "docs" / "domain-builder.md"


def rows() -> list[tuple[str, list[str], list[str], list[str]]]:
    """The rows of the table of rules: the rule, its functions, routines and tests."""
    table = PAGE.read_text(encoding="utf-8").partition("## Where it is")[2]
    found = []
    for line in table.splitlines():
        # Only the first cell holds text with a meaning of its own.
        rule, _, rest = line.removeprefix("| ").partition(" | ")
        cells = [re.findall(r"`([^`]+)`", cell) for cell in rest.split("|")[:3]]
        if line.startswith("| ") and rule != "step or rule":
            found.append((rule, *cells))
    return found


ROWS = rows()


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_everything_named_is_there(row: tuple[str, list[str], list[str], list[str]]) -> None:
    _, functions, routines, tests = row
    assert functions and tests
    for function in functions:
        package, module, *names = function.split(".")
        found: object = importlib.import_module(f"bootwright.{package}.{module}")
        for name in names:
            found = getattr(found, name)
    for routine in routines:
        file, _, label = routine.partition(": ")
        sources = list((ROOT / "stub").rglob(file))
        text = "".join(source.read_text(encoding="utf-8") for source in sources)
        assert re.search(rf"^{re.escape(label)}:", text, re.MULTILINE), routine
    for test in tests:
        file, _, name = test.partition("::")
        (path,) = (ROOT / "tests").rglob(file)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, test


def test_the_table_is_read() -> None:
    assert len(ROWS) > 40 and sum(len(row[2]) for row in ROWS) > 30
