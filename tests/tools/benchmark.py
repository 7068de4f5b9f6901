"""What things cost, against something simple that is measured in the same run: machines differ and are shared, ratios
hold. `invoke test --benchmark` prints it; of three runs the fastest counts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from project import ROOT

RUNS = 3
SIZE = 256 << 20
COPY = "import hashlib, shutil; shutil.copyfile('payload', 'copy'); hashlib.file_digest(open('copy', 'rb'), 'sha256')"
# The command line, with its output below the working directory.
TOOL = (
    "from pathlib import Path; from bootwright.cli import program; from bootwright.common import paths; "
    "paths.root = Path.cwd; program.main()"
)
DESCRIPTION = f"""
[image]
pack = "none"
[[domain]]
name = "dom0"
functions = ["initial-domain"]
memory = "1G"
kernel = "{ROOT}/stub/kernels/demo.asm"
ramdisk = "payload"
"""


@dataclass(frozen=True)
class Cost:
    """Of a process: seconds until it ended, and the most memory that it had, in bytes."""

    seconds: float
    memory: int


def main() -> None:
    """Measure, and print the table. Raises CalledProcessError."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=ROOT / "build") as name:
        folder = Path(name)
        (folder / "load.toml").write_text(DESCRIPTION)
        shutil.copytree(ROOT / "images", folder / "images")
        (folder / "stub").symlink_to(ROOT / "stub")
        with (folder / "payload").open("wb") as file:  # bytes that LZ4 makes nothing of
            for _ in range(SIZE >> 20):
                file.write(os.urandom(1 << 20))
        print(f"{'':46} {'seconds':>8} {'ratio':>6} {'memory':>8}")
        nothing = _measure(folder, ["-c", "pass"])
        _row("Python that does nothing", nothing, nothing)
        _row("the list of tasks", _measure(folder, ["-c", TOOL, "--list"]), nothing)
        _row("image demo", _measure(folder, ["-c", TOOL, "image", "demo", "--media", "elf"]), nothing)
        copy = _measure(folder, ["-c", COPY])
        _row(f"a copy of {SIZE >> 20} MiB, and its SHA-256", copy, copy)
        for media in ("elf", "efi", "iso", "disk"):
            cost = _measure(folder, ["-c", TOOL, "image", "load.toml", "--media", media])
            _row(f"image of a ramdisk of {SIZE >> 20} MiB, --media {media}", cost, copy)


def _measure(folder: Path, arguments: Sequence[str]) -> Cost:
    return min((_once(folder, arguments) for _ in range(RUNS)), key=lambda cost: cost.seconds)


def _once(folder: Path, arguments: Sequence[str]) -> Cost:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "host")}
    command = [sys.executable, *arguments]
    started, quiet = time.monotonic(), subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet, stderr=quiet) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(time.monotonic() - started, usage.ru_maxrss << 10)


def _row(what: str, cost: Cost, of: Cost) -> None:
    ratio = cost.seconds / of.seconds
    print(f"{what:46} {cost.seconds:8.2f} {ratio:6.1f} {cost.memory >> 20:4} MiB", flush=True)
