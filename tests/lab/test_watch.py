"""A machine watched on its serial line: here a pseudo-terminal, on which a power switch of the test has it speak."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bench_machine
import pytest
from tasks_run import invoke

import bootwright.lab.watch
from bootwright.common.errors import DeviceError
from bootwright.common.messages import BootFailure, line
from bootwright.lab.watch import Power, watch

ENTRY = line("M_ENTRY", "lab", "6d6c4f7b", 0x100000, 0x185000, "EFI", "-") + "\r\n"
LAUNCH = line("M_LAUNCH", "PVH", 1, 2, 3, 4) + "\r\n"
FAILURE = f"bootwright: {BootFailure('E_TOO_LITTLE_MEMORY', 'dom0', 2, 1)}\r\nbootwright: halted\r\n"


@dataclass
class Line:
    """A pseudo-terminal: what the machine says goes in at one end."""

    master: int
    path: Path
    shown: list[str] = field(default_factory=list)

    def says(self, *pieces: str, pause: float = 0.02) -> None:
        def speak() -> None:
            for piece in pieces:
                time.sleep(pause)
                os.write(self.master, piece.encode())

        threading.Thread(target=speak, daemon=True).start()


@pytest.fixture
def bench() -> Iterator[Line]:
    master, both = pty.openpty()
    path = Path(os.ttyname(both))
    slave = os.open(path, os.O_WRONLY | os.O_NOCTTY)  # who reads it is another
    os.close(both)
    try:
        yield Line(master, path)
    finally:
        os.close(slave)
        os.close(master)


@pytest.mark.parametrize(
    ("pieces", "expect", "outcome", "reason"),
    [
        ((ENTRY, LAUNCH), (), "as_expected", "the stub launched"),
        ((ENTRY, LAUNCH, "INIT", "-OK\r\n"), ("INIT-OK",), "as_expected", "the line showed 'INIT-OK'"),
        ((ENTRY[:9], ENTRY[9:], FAILURE), (), "stub_failure", "bootwright: E0404: domain dom0 needs 2 KiB"),
        ((ENTRY, "Kernel panic"), ("INIT-OK",), "failed", "the line showed 'Kernel panic'"),
        ((ENTRY,), ("INIT-OK",), "time_out", "time-out after 1 s without 'INIT-OK'"),
        (("\x1b[2J" + ENTRY, "\x1b[1;1H" + LAUNCH), (), "as_expected", "the stub launched"),
    ],
)
def test_a_verdict(pieces: tuple[str, ...], expect: tuple[str, ...], outcome: str, reason: str, bench: Line) -> None:
    timeout = 1 if outcome == "time_out" else 20
    found = watch(bench.path, expect, ("Kernel panic",), timeout, bench.shown.append, lambda: bench.says(*pieces))
    assert found.outcome == outcome
    assert found.reason.startswith(reason)
    assert "".join(bench.shown) == found.transcript and "\x1b" not in found.transcript
    if outcome == "stub_failure":
        assert "halted" in found.transcript, "what comes behind an error is read, too"


def switch(folder: Path, body: str) -> str:
    """A power switch: a script that is given what to do."""
    path = folder / "switch"
    path.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    path.chmod(0o755)
    return f"'{path}'"


def test_the_power_is_switched_when_somebody_listens(bench: Line, tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = switch(tmp_path, f"open({str(said)!r}, 'a').write(sys.argv[-1] + ' ')")
    bench.says(ENTRY, LAUNCH, pause=0.5)
    done = invoke("watch", str(bench.path), "--power", command, "--off", "--timeout", "30", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["outcome"], found["stage"]) == (0, "as_expected", "launch"), done.stderr
    assert said.read_text() == "cycle off "


def test_a_machine_whose_line_cannot_be_had_is_not_switched(tmp_path: Path) -> None:
    """It may be somebody else's."""
    said = tmp_path / "said"
    command = switch(tmp_path, f"open({str(said)!r}, 'a').write(sys.argv[-1] + ' ')")
    done = invoke("watch", str(tmp_path / "none"), "--power", command, "--off")
    assert done.returncode == 1 and "none" in done.stderr and not said.exists(), done


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "1e12"])
def test_a_time_that_is_none_is_said_before_anything_is_switched(timeout: str, bench: Line, tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = switch(tmp_path, f"open({str(said)!r}, 'w')")
    done = invoke("watch", str(bench.path), "--power", command, f"--timeout={timeout}")
    assert done.returncode == 1 and "timeout: " in done.stderr and not said.exists(), done


def test_a_verdict_is_said_beside_a_switch_that_fails(bench: Line, tmp_path: Path) -> None:
    command = switch(tmp_path, "sys.exit('no such outlet' if sys.argv[-1] == 'off' else 0)")
    bench.says(ENTRY, LAUNCH, pause=0.5)
    done = invoke("watch", str(bench.path), "--power", command, "--off", "--timeout", "30", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["outcome"] == "as_expected"
    assert "power off: " in done.stderr and "no such outlet" in done.stderr


def test_what_a_switch_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leaves running is its own affair; where it does not end, none of it switches later."""
    begin = "import subprocess, time; sys.stdout.buffer.write(b'\\xff'); child = subprocess.Popen(['sleep', '30'])"
    said = tmp_path / "said"
    keep = f"; open({str(said)!r}, 'w').write(str(child.pid))"
    Power(switch(tmp_path, begin + keep)).switch("on")
    left = int(said.read_text())
    os.kill(left, signal.SIGKILL)  # it was there
    monkeypatch.setattr(bootwright.lab.watch, "_SWITCHING", 2)
    with pytest.raises(DeviceError, match="has not ended after 2 s"):
        Power(switch(tmp_path, f"{begin}{keep}; time.sleep(30)")).switch("on")
    child, deadline = int(said.read_text()), time.monotonic() + 10  # it sleeps longer, left alone
    while bench_machine.runs(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_key_does_not_end_a_switch_halfway(tmp_path: Path) -> None:
    """What the terminal sends goes to a process group; the command has one of its own."""
    said = tmp_path / "said"
    Power(switch(tmp_path, f"import os; open({str(said)!r}, 'w').write(str(os.getpgrp()))")).switch("cycle")
    assert int(said.read_text()) != os.getpgrp()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.exit('no such outlet')", "ended with status 1: no such outlet"),
        ("sys.exit(7)", "ended with status 7: it said nothing"),
    ],
)
def test_a_switch_that_fails_is_a_sentence(body: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=message):
        Power(switch(tmp_path, body)).switch("on")
    for command in ("/none/there", "'half"):
        with pytest.raises(DeviceError, match="power"):
            Power(command).switch("on")


READER = "import os, sys; os.open(sys.argv[1], os.{mode} | os.O_NOCTTY); print(flush=True); sys.stdin.read()"


@contextmanager
def held(path: Path, mode: str) -> Iterator[int]:
    """Another process has the line open; gives its number."""
    command = [sys.executable, "-c", READER.format(mode=mode), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.stdin.close()


def test_a_line_that_somebody_else_reads(bench: Line) -> None:
    """Each would get a part of it, so the other is named; one who only writes is in nobody's way."""
    with held(bench.path, "O_RDWR") as number, pytest.raises(DeviceError) as raised:
        watch(bench.path, (), (), 5, bench.shown.append)
    name = Path(sys.executable).name[:15]  # proc(5), comm
    assert str(raised.value) == f"{bench.path} is read by {name} (process {number}): a line has one reader"
    with held(bench.path, "O_WRONLY"):
        assert watch(bench.path, (), (), 5, bench.shown.append, lambda: bench.says(ENTRY, LAUNCH)).outcome


def test_a_line_that_is_locked(bench: Line) -> None:
    """As two that watch it at once."""
    line = os.open(bench.path, os.O_WRONLY | os.O_NOCTTY)
    fcntl.flock(line, fcntl.LOCK_EX)
    with pytest.raises(DeviceError, match="is read by another program: a line has one reader"):
        watch(bench.path, (), (), 5, bench.shown.append)
    os.close(line)


def test_lines_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path, message in ((tmp_path / "none", "cannot be opened"), (tmp_path / "file", "is no serial line")):
        with pytest.raises(DeviceError, match=message):
            watch(path, (), (), 1, print)
