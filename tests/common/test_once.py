"""A constant is said once: no two modules of host/bootwright give one name the same value."""

from __future__ import annotations

import ast
from collections import defaultdict

from project import ROOT

HOST = ROOT / "host/bootwright"
# One name and one value, of different things: how much each of several copies reads at a time, and the sectors and
# pages of what each format or device has, which may change alone.
ALIKE = {"BUFFER", "CHUNK", "COPY_BUFFER", "SECTOR", "PAGE"}


def constants() -> dict[tuple[str, str], list[str]]:
    """The modules of each constant, by its name without an underscore in front, and its value as it is written."""
    found = defaultdict(list)
    for path in sorted(HOST.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id.lstrip("_")
                if name.isupper() and not ast.unparse(node.value).startswith("TypeVar("):
                    found[name, ast.unparse(node.value)].append(str(path.relative_to(HOST)))
    return found


def test_no_constant_is_said_twice() -> None:
    twice = {name: modules for (name, _), modules in constants().items() if len(modules) > 1}
    assert {name: modules for name, modules in twice.items() if name not in ALIKE} == {}
    assert set(twice) == ALIKE
