"""docs/errors.md, made from stub/abi/errors.h and from the tests that say which error they provoke."""

from __future__ import annotations

import ast

from markdown_table import table
from project import TESTS

from bootwright.common import abi

PAGE = TESTS.parent / "docs" / "errors.md"

HEAD = """\
# What can go wrong at boot

The stub prints `bootwright: E0404: ...` and ends as the description's `on-failure` says; but E0101, which is found
before long mode and without the tables, goes to COM1 and the VGA screen and halts. %x stands for a hex number, %u for
a decimal one, %s for a name. This page is made by `invoke docs` from stub/abi/errors.h and from the tests, which mark
the error that they provoke; `invoke test` fails when it is out of date.

"""


def provoked() -> dict[str, list[str]]:
    """The tests of each error, as `file::test`, found by their mark `provokes`."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for mark in node.decorator_list if isinstance(node, ast.FunctionDef) else []:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.provokes":
                    for name in mark.args:
                        label = f"{path.relative_to(TESTS)}::{node.name}"
                        found.setdefault(ast.literal_eval(name), []).append(label)
    return found


def render() -> str:
    """The page. Raises KeyError for an error that no test provokes."""
    tests = provoked()
    rows = [
        (f"E{error.number:04x}", error.text, ", ".join(f"`{test}`" for test in tests[error.name]))
        for error in abi.load().errors
    ]
    return HEAD + table(("number", "sentence", "provoked by"), rows)
