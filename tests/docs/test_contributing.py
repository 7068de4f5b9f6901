"""CONTRIBUTING.md: each walk is made on a copy of the tree, as it stands there, and what it says to run is run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT

PAGE = ROOT / "CONTRIBUTING.md"
WALKS = dict(re.findall(r"^## (To .+)\n((?:(?!## ).*\n)+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
WANTED = (
    "To add an error of the stub",
    "To add a message of the stub",
    "To add a launch protocol",
    "To add a medium",
    "To add an instruction to the dialect",
    "To add a key of the description",
    "To use another program",
    "To add a reader of a file",
)
BLOCK = re.compile(r"^```diff\n--- (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^    \./bootstrap (.+)$", re.MULTILINE)
COPIED = ("host", "stub", "linker", "images", "docs", "tests", "packages.txt", "pyproject.toml", "CONTRIBUTING.md")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources, with the assembled files that there are already."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


def apply(tree: Path, name: str, body: str) -> None:
    """Make a block's change: its lines without `+` stand in the file once, and become those without `-`."""
    lines = [(line[:1] or " ", line[1:]) for line in body.splitlines()]
    assert {sign for sign, _ in lines} <= {"+", "-", " "}, body
    old, new = ("".join(f"{text}\n" for sign, text in lines if sign in (" ", kept)) for kept in "-+")
    path = tree / name
    if not old:
        assert not path.exists(), f"{name} is there already"
        path.write_text(new, encoding="utf-8")
        return
    text = path.read_text(encoding="utf-8")
    assert f"\n{text}".count(f"\n{old}") == 1, f"{name} does not have once:\n{old}"
    path.write_text(f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:], encoding="utf-8")


def in_tree(tree: Path, *command: str) -> None:
    """Run Python there; it has to succeed."""
    folders = [str(tree / name) for name in ("host", "tests/support", "tests/tools")]
    settings = os.environ | {"PYTHONPATH": os.pathsep.join(folders), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=tree, env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"


def test_there_is_a_walk_for_each() -> None:
    assert tuple(WALKS) == WANTED
    for walk in WALKS.values():
        assert BLOCK.search(walk) and COMMAND.search(walk)
        assert walk.count("```diff") == len(BLOCK.findall(walk))


@pytest.mark.slow
@pytest.mark.parametrize("name", WANTED)
def test_a_walk_does_what_it_says(name: str, tree: Path) -> None:
    for file, body in BLOCK.findall(WALKS[name]):
        apply(tree, file, body)
    in_tree(tree, "-m", "ruff", "check", ".")
    for command in COMMAND.findall(WALKS[name]):
        task, *arguments = shlex.split(command)
        if task == "docs":
            in_tree(tree, "-c", "import pages; pages.write()")
        else:
            assert task == "test"
            in_tree(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)


def test_all_blocks_fit_the_sources(tree: Path) -> None:
    for walk in WALKS.values():
        for file, body in BLOCK.findall(walk):
            apply(tree, file, body)
