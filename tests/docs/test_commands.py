"""Every command in the pages of docs/ is run, in its order, or marked with what it needs.
Each page begins in a fresh copy of the checkout, with what was fetched and assembled before.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from page_commands import MARK, blocks, commands
from project import ROOT

PAGES = sorted(
    path for path in (ROOT / "docs").rglob("*.md") if any(commands(text) for _, _, text in blocks(path.read_text()))
)
COPIED = ("host", "stub", "linker", "images", "bootstrap", "tasks.py", "LICENSE", "NOTICE", "README.md", "docs")


def checkout(folder: Path) -> Path:
    """A copy of the checkout, with its environment and its cache."""
    root = folder / "checkout"
    root.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        source = ROOT / name
        shutil.copytree(source, root / name, ignore=ignored) if source.is_dir() else shutil.copy2(source, root / name)
    (root / ".cache").symlink_to(ROOT / ".cache")
    # The environment is there already: what `bootstrap` does before a task is for its own tests.
    (root / "bootstrap").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m invoke --search-root "{root}" "$@"\n')
    return root


def end_what_runs(root: Path) -> None:
    """The servers that a page starts."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == root:
                os.kill(int(process.name), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_commands_work(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    root = checkout(tmp_path)
    request.addfinalizer(lambda: end_what_runs(root))
    for kind, word, text in blocks(page.read_text(encoding="utf-8")):
        if kind == "file":
            (root / word).write_text(text)
        elif kind != "needs" and (script := commands(text)):
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-ec", script],
                cwd=root,
                env=os.environ | {"TERM": "dumb", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=240,
            )
            assert done.returncode == 0, f"{script}{done.stdout[-3000:]}{done.stderr[-3000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_marks_are_understood(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    said = [line for line in text.split("\n") if line.startswith(("<!-- needs:", "<!-- file:"))]
    assert all(MARK.fullmatch(line) for line in said)
    marked = [kind for kind, _, _ in blocks(text) if kind]
    assert len(marked) == len(said), "each mark stands right before a block"


def test_blocks_and_marks_are_found() -> None:
    page = "text\n\n    ./bootstrap a \\\n        b\n    shown\n\n<!-- needs: x y -->\n\n    ./bootstrap c\n\n"
    page += "more\n    cp d e\n"
    found = list(blocks(page))
    assert [(kind, word) for kind, word, _ in found] == [("", ""), ("needs", "x y"), ("", "")]
    assert commands(found[0][2]) == "./bootstrap a      b\n"
    assert commands(found[2][2]) == "cp d e\n"
