"""The fixtures for pytest, used as a project would: in a pytest of its own, with an environment of labgrid's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench_lab import Lab, described
from project import ROOT

pytestmark = pytest.mark.slow

CONFTEST = 'pytest_plugins = ["bootwright.labgrid.fixtures"]\n'
TESTS = """\
def test_its_command_line(shell):
    assert "demo: command line: on the bench" in shell.transcript

def test_it_is_not_booted_again(shell):
    assert shell.transcript.count("entered by") == 1

def test_it_said_something_else(launched):
    assert "demo" in launched.transcript and "never" in launched.transcript
"""


def ran(folder: Path, environment: Path, *chosen: str) -> tuple[str, ElementTree.Element]:
    """What pytest says of the tests, and its JUnit report."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_board.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "--lg-env", str(environment), "--junit-xml", "report.xml"]
    command += ["-p", "no:cacheprovider", "-o", "junit_logging=all", "test_board.py", *chosen]
    path = os.environ | {"PYTHONPATH": str(ROOT / "host")}
    done = subprocess.run(command, cwd=folder, env=path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done
    return done.stdout, ElementTree.parse(folder / "report.xml").getroot()


def test_a_board_in_a_state(lab: Lab, tmp_path: Path) -> None:
    """It is booted once for tests in the same state; a test that fails shows its console, and the board is off."""
    environment = lab.environment("one", described(lab, "fixtures"), ready="demo: powering off")
    shown, report = ran(tmp_path, environment)
    assert "2 passed" in shown and "1 failed" in shown, shown
    assert "Captured console of main" in shown and "bootwright: launch by PVH" in shown
    (case,) = (case for case in report.iter("testcase") if case.find("failure") is not None)
    assert case.get("name") == "test_it_said_something_else"
    assert not (lab.folder / "one/pid").exists()


def test_an_error_of_the_stub(lab: Lab, tmp_path: Path) -> None:
    """A test that wants the board has it, with its number, its sentence and what to try."""
    environment = lab.environment("two", described(lab, "large", "4G"), ready="demo: powering off")
    shown, _ = ran(tmp_path, environment, "-k", "command_line")
    assert "1 error" in shown and "BootFailed: E0404: " in shown and "this machine has" in shown, shown
    assert not (lab.folder / "two/pid").exists()
