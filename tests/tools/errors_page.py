"""docs/errors.md, made from stub/abi/errors.h and from the tests that say which error they provoke."""

from __future__ import annotations

import ast

from project import TESTS

from bootwright.lab.explain import Explanation, all_explanations

PAGE = TESTS.parent / "docs" / "errors.md"

HEAD = """\
# What can go wrong at boot

The stub prints `bootwright: E0404: ...` and ends as the description's `on-failure` says; but E0101, which is found
before long mode and without the tables, goes to COM1 and the VGA screen and halts. `invoke explain E0404` shows what
stands here, `invoke explain --log capture.txt` puts in the values of a captured console. Each sentence is shown with
values as an example. This page is made by `invoke docs` from stub/abi/errors.h and from the tests, which mark the error
that they provoke; `invoke test` fails when it is out of date.
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
    return HEAD + "".join(_section(one, tests[one.error.name]) for one in all_explanations())


def _section(one: Explanation, tests: list[str]) -> str:
    items = {"Usual causes": one.causes, "Try": one.tries}
    lists = "".join(f"\n{title}:\n\n" + "".join(f"- {item}\n" for item in found) for title, found in items.items())
    provoked_by = ", ".join(f"`{test}`" for test in tests)
    return f"\n## {one.number}\n\n    {one.sentence}\n\n{one.means}\n{lists}\nProvoked by {provoked_by}.\n"
