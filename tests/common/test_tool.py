"""How a program of another package is called, with scripts that stand in for one; and that nothing else calls any."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project import ROOT

from bootwright.common import tool
from bootwright.common.errors import ToolError
from bootwright.common.tool import PIPE, Tool

HOST = ROOT / "host/bootwright"


class Lab(Tool):
    name = "lab-tool"
    package = "lab-tools"
    does = "measures the lab"
    timeout = 10.0


LAB = Lab()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where lab-tool is to be, a folder in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder / LAB.name


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def ends(pid: str) -> bool:
    """Whether a process has ended, or does in a moment: a signal takes its time."""
    deadline = time.monotonic() + 5
    while running := is_running(pid):
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return not running


def is_running(pid: str) -> bool:
    stat = Path(f"/proc/{pid.strip()}/stat")  # proc(5); Z: it has ended, and nobody has asked for its status yet
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


# --- what it is given ---


def test_it_gets_arguments_and_gives_its_output(program: Path, tmp_path: Path) -> None:
    write(program, 'pwd; printf "%s\\n" "$@"')
    folder = tmp_path / "é"
    folder.mkdir()
    assert LAB.run("-o", Path("a b"), "ä", folder=folder).decode() == f"{folder}\n-o\na b\nä\n"


def test_it_has_no_input_and_speaks_english(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    write(program, 'cat; echo "$LC_ALL"')
    reading, writing = os.pipe()  # what the test itself reads never ends
    kept = os.dup(0)
    try:
        os.dup2(reading, 0)
        assert LAB.run() == b"C\n"
    finally:
        os.dup2(kept, 0)
        for descriptor in (kept, reading, writing):
            os.close(descriptor)


def test_its_own_files_of_the_moment_have_a_place(program: Path, tmp_path: Path) -> None:
    write(program, 'echo "$TMPDIR"')
    assert LAB.run(temporary=tmp_path) == f"{tmp_path}\n".encode()
    assert LAB.run() == f"{os.environ.get('TMPDIR', '')}\n".encode()


def test_a_relative_path_leads_from_here(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(program, "echo found")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "bin")
    assert LAB.run(folder=Path("/")) == b"found\n"


def test_it_may_be_elsewhere(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(program, "")
    monkeypatch.setenv("PATH", "/nowhere")
    assert not LAB.is_installed()
    monkeypatch.setattr(Lab, "more_folders", f"/none:{program.parent}")
    assert LAB.is_installed() and LAB.path() == str(program)


# --- how it may fail ---


def test_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError) as caught:
        LAB.run("x")
    said = "lab-tool, which measures the lab, is not installed; it is in the package lab-tools"
    assert str(caught.value) == said == LAB.missing()
    with pytest.raises(ToolError, match=f"^{said}$"):
        LAB.version()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo first >&2; echo last one >&2; echo >&2; exit 3", "lab-tool failed with status 3: last one"),
        ("echo on the way; exit 1", "lab-tool failed with status 1: and said nothing"),
        ("echo 'caf\\351' >&2; exit 1", "lab-tool failed with status 1: caf\N{REPLACEMENT CHARACTER}"),
        ("kill -9 $$", "lab-tool was ended by signal 9: and said nothing"),
    ],
)
def test_it_fails(script: str, message: str, program: Path) -> None:
    write(program, script)
    with pytest.raises(ToolError) as caught:
        LAB.run()
    assert str(caught.value) == message
    done = LAB.attempt()
    assert done.status and LAB.failure(done) == message


def test_it_cannot_be_started(program: Path) -> None:
    program.write_bytes(b"\0no program")
    program.chmod(0o755)
    with pytest.raises(ToolError, match=r"/lab-tool: cannot be started: Exec format error$"):
        LAB.run()


def test_it_says_its_version(program: Path) -> None:
    write(program, '[ "$*" = --version ] && echo "lab tool, version 3.11-rc2 (2020)"')
    assert LAB.version() == "3.11-rc2"
    write(program, 'echo "lab 4.0" >&2; exit 1')
    assert LAB.version() == "4.0"
    write(program, "echo what?")
    with pytest.raises(ToolError, match=r"^lab-tool --version: says no version$"):
        LAB.version()


# --- when it ends ---


def test_what_takes_too_long_ends_with_all_that_it_started(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lab, "timeout", 0.5)
    write(program, f"sleep 60 & echo $! >{tmp_path}/child; wait")
    with pytest.raises(ToolError, match=r"^lab-tool did not end within 0\.5 s$"):
        LAB.run()
    assert ends((tmp_path / "child").read_text())


def test_what_a_program_leaves_behind_does_not_hold_us_up(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child has the pipe, so the output has no end."""
    monkeypatch.setattr(Lab, "timeout", 0.5)
    write(program, f"sleep 60 & echo $! >{tmp_path}/child")
    with pytest.raises(ToolError, match="did not end within"):
        LAB.run()
    assert ends((tmp_path / "child").read_text())


def test_what_does_not_want_to_end_is_killed(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "_GRACE", 0.2)
    write(program, "trap '' TERM; echo $$; while :; do sleep 1; done")
    with LAB.start([LAB.path()], stdout=PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"%d\n" % process.pid
    assert process.returncode == -signal.SIGKILL and process.stdout.closed


def test_a_status_of_its_own_is_kept(program: Path) -> None:
    write(program, "exit 7")
    with LAB.start([LAB.path()]) as process:
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            time.sleep(0.01)
    assert process.returncode == 7


PROGRAM = """
import sys
from bootwright.common.tool import Tool
class Lab(Tool):
    name, package, does = "lab-tool", "lab-tools", "measures the lab"
Lab().run()
"""


def test_an_interruption_ends_it_with_all_that_it_started(program: Path, tmp_path: Path) -> None:
    child = tmp_path / "child"
    write(program, f"trap '' INT; sleep 60 & echo $! >{child}.new; mv {child}.new {child}; wait")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "host")}
    quiet = subprocess.DEVNULL
    with subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stderr=quiet) as process:
        try:
            deadline = time.monotonic() + 20
            while not child.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(0.2)  # until the parent, too, is behind the start of its child
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == -signal.SIGINT
            assert ends(child.read_text())
        finally:
            process.kill()


# --- nobody else starts any ---

# What they start is this project's own Python.
OWN = {
    "cli/bench.py": ["subprocess"],  # ourselves, a process for each board
    "image/patcher.py": ["subprocess"],
    "lab/places.py": ["subprocess"],  # labgrid, whose threads are to stay in another process
    "lab/watch.py": ["subprocess"],  # a command of the user's that switches a machine
    "link/program.py": ["os.fork"],
    "netboot/http_server.py": ["asyncio"],  # which starts none here
}
STARTERS = {"subprocess", "pty", "multiprocessing", "asyncio", "commands"}
OF_OS = ("system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "exec", "spawn")


def starters(tree: ast.AST) -> list[str]:
    """What in a module can start a program."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in STARTERS]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module] * (node.module.partition(".")[0] in STARTERS)
            found += [f"os.{alias.name}" for alias in node.names if node.module == "os" and of_os(alias.name)]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and of_os(node.attr):
            found.append(f"os.{node.attr}")
        elif isinstance(node, ast.Name) and node.id == "ProcessPoolExecutor":
            found.append(node.id)
    return found


def of_os(name: str) -> bool:
    return name in OF_OS[:6] or name.startswith(OF_OS[6:])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import subprocess", ["subprocess"]),
        ("def later():\n    from subprocess import run", ["subprocess"]),
        ("import os\nos.system('x')", ["os.system"]),
        ("from os import execv, path", ["os.execv"]),
        ("import os\nos.open('x', 0); os.execute", ["os.execute"]),
        ("import shutil\nshutil.which('x')", []),
    ],
)
def test_starters_are_found_in_every_form(text: str, found: list[str]) -> None:
    assert starters(ast.parse(text)) == found


def test_only_the_tool_starts_programs() -> None:
    found = {
        str(path.relative_to(HOST)): names
        for path in sorted(HOST.rglob("*.py"))
        if (names := starters(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == {"common/tool.py": ["subprocess"]} | OWN
