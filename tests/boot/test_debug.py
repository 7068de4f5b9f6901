"""`run --gdb`, driven by gdb in batch mode through a boot, with the commands of docs/debugging.md."""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import ROOT

from bootwright.common import abi, paths
from bootwright.emulate import debug, qemu, run
from bootwright.image import build
from bootwright.image.built import Built
from bootwright.image.stub import link_stub

pytestmark = pytest.mark.slow
PAGE = ROOT / "docs/debugging.md"


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Iterator[Built]:
    """The demo in a folder with a short path, which a socket needs."""
    with tempfile.TemporaryDirectory(prefix="bw-", dir="/tmp") as folder:
        monkeypatch.setattr(paths, "root", lambda: Path(folder))
        yield build.build(ROOT / "images/demo.toml", lambda stage: None)


def test_a_debugger_follows_a_boot(built: Built, tmp_path: Path) -> None:
    script = debug.write_script(built)
    session = tmp_path / "session"
    commands = re.findall(r"^    \(gdb\) (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    session.write_text("\n".join(commands[: commands.index("kill") + 1]))
    options = run.Options(expect="no such text", gdb=True)
    outcome: list[qemu.Result] = []
    boot = threading.Thread(target=lambda: outcome.append(run.boot(built, options, lambda text: None)))
    boot.start()
    socket = debug.socket_of(built)
    until = time.monotonic() + 30
    while not socket.exists() and time.monotonic() < until:
        time.sleep(0.1)
    command = ["gdb", "-nx", "-batch", "-x", str(script), "-x", str(session)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    boot.join(30)
    assert not boot.is_alive()
    said = done.stdout
    assert "Breakpoint 1, start () at stub/boot/entry.asm:" in said
    assert "32-bit protected mode at " in said
    assert "Breakpoint 2, main () at stub/boot/main.asm:" in said
    assert "64-bit mode at " in said
    assert "$1 = {entry_name = " in said
    assert "$2 = 0" in said, "the demo's modules are in the image"
    for field in abi.load().struct("boot_info").fields:
        assert f" {field}" in said
    assert "find_tables () at stub/boot/tables.asm:" in said
    assert "launch () at stub/boot/main.asm:" in said
    ranges = next(line for line in said.splitlines() if line.startswith("$3 = "))
    assert 0 < int(ranges.split()[-1]) < 100
    # QEMU is gone with its answer to `kill`: gdb, which acknowledges that answer, may find nobody there.
    last = f"{session}:{len(session.read_text().splitlines())}: Error in sourced command file:"
    before, _, after = done.stderr.partition(last)
    assert "error" not in before.lower()
    assert not after or "Broken pipe" in after or "reset by peer" in after, after


def test_every_stage_is_a_routine_of_the_stub() -> None:
    assert set(debug.STAGES) <= set(link_stub(4096, 0).symbols)
