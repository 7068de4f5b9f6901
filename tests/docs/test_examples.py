"""What docstrings, comments and pages name is there: in examples of modules, and files of the host."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType

import pytest
from project import ROOT

HOST = ROOT / "host"
PATHS = sorted((HOST / "bootwright").rglob("*.py"))
MODULES = [".".join(path.relative_to(HOST).with_suffix("").parts).removesuffix(".__init__") for path in PATHS]
# By their last name: an example calls a module by that.
NAMED = defaultdict(list)
for dotted in MODULES:
    NAMED[dotted.rpartition(".")[2]].append(dotted)


def example(docstring: str) -> Iterator[tuple[ast.AST, str]]:
    """The lines of a docstring that are Python: every node of them, and the comment behind."""
    for line in docstring.splitlines():
        code, _, comment = line.strip().partition("  #")
        with suppress(SyntaxError):
            tree = ast.parse(f"{code} ..." if code.endswith(":") else code)
            yield from ((node, comment) for node in ast.walk(tree))


def has(name: str, attribute: str) -> bool:
    """Whether a module of that last name has it, as a module or in it."""
    return any(
        f"{module}.{attribute}" in MODULES or hasattr(importlib.import_module(module), attribute)
        for module in NAMED[name]
    )


def missing(docstring: str, module: ModuleType) -> Iterator[str]:
    """What the examples in the module's docstring name that is not there. What they assign is theirs."""
    nodes = list(example(docstring))
    own = {node.id for node, _ in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.name for node, _ in nodes if isinstance(node, ast.ClassDef)} | {"self", "path", "Path", *dir(builtins)}
    brought = {alias.name for node, _ in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    for node, comment in nodes:
        match node:
            case ast.ImportFrom(module=source, names=names):
                yield from (f"{source}.{n.name}" for n in names if not has(str(source).rpartition(".")[2], n.name))
            case ast.Call(func=ast.Name(id=name)) if name not in own | brought | set(dir(module)):
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)) if name not in own:
                yield from () if has(name, attr) else (f"{name}.{attr}",)
        yield from (".".join(found) for found in re.findall(r"\b(\w+)\.([A-Z]\w+)", comment) if not has(*found))


@pytest.mark.parametrize("dotted", MODULES)
def test_what_an_example_names_is_there(dotted: str) -> None:
    module = importlib.import_module(dotted)
    assert list(missing(inspect.getdoc(module) or "", module)) == []


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("built = build(Path(name))     # report.Built", ["report.Built"]),
        ("from bootwright import layout", ["bootwright.layout"]),
        ("linked = link.link(objects)", ["link.link"]),
        ("found = nothing(1)", ["nothing"]),
        ("abi = describe(path)\nabi.struct(name)", []),
        ("from bootwright.common import abi\nabi.load()", []),
    ],
)
def test_what_is_not_there_is_found(docstring: str, found: list[str]) -> None:
    assert list(dict.fromkeys(missing(docstring, importlib.import_module("bootwright.image.build")))) == found


def test_files_of_the_host_that_are_named_are_there() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *PATHS]
    for path in (*pages, *(path for path in ROOT.glob("stub/**/*") if path.suffix in (".asm", ".h", ".inc"))):
        for name in re.findall(r"\bhost/bootwright/[\w/]*\w\b(?:\.py)?", path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{path.relative_to(ROOT)}: {name}"
