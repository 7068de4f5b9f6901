"""What things cost, against something simple that is measured in the same run: machines differ and are shared, ratios
hold. `invoke test --benchmark` prints it, with the limits that are kept; of three runs the fastest counts.

`import lief` is the yardstick of a build, since LIEF patches every image; cp with sha256sum is that of a large ramdisk.
Processor time stands beside the seconds: where others use the machine it says more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from project import ROOT

RUNS = 3
SIZE = 512 << 20
LIEF = [sys.executable, "-c", "import lief"]
COPY = ["sh", "-c", "cp payload copy && sha256sum copy"]
# The command line, with its output below the working directory; with a cache that is empty, below it as well.
TOOL = (
    "from pathlib import Path; from bootwright.cli import program; from bootwright.common import paths; "
    "paths.root = Path.cwd; program.main()"
)
EMPTY = f"from bootwright.inputs import resolve; from pathlib import Path; resolve.cache_directory = Path.cwd; {TOOL}"
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
    """Of a process and those that it started: seconds until it ended, of processors, and its most memory in bytes."""

    seconds: float
    processor: float
    memory: int


def main() -> None:
    """Measure, and print the table. Raises CalledProcessError."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=ROOT / "build") as name:
        folder = Path(name)
        (folder / "load.toml").write_text(DESCRIPTION)
        shutil.copytree(ROOT / "images", folder / "images")
        (folder / "stub").symlink_to(ROOT / "stub")
        print(f"{'':44} {'seconds':>7} {'cpu':>6} {'memory':>8}   of the yardstick: seconds, cpu, limit")
        _builds(folder)
        with (folder / "payload").open("wb") as file:  # bytes that LZ4 makes nothing of
            for _ in range(SIZE >> 20):
                file.write(os.urandom(1 << 20))
        _ramdisks(folder)


def _builds(folder: Path) -> None:
    _row("the list of tasks (at most 0.3 s)", _measure(folder, _tool("--list")))
    lief = _measure(folder, LIEF)
    _row("import lief", lief)
    demo = _measure(folder, _tool("image", "demo"))
    _row("demo, built again", demo, lief, 1.5)
    changes = iter(range(RUNS + 1))
    changed = folder / "images" / "debian.toml"
    text = changed.read_text(encoding="utf-8")

    def another_command_line() -> None:
        words = f'cmdline = "benchmark.run={next(changes)} '
        assert 'cmdline = "' in text
        changed.write_text(text.replace('cmdline = "', words), encoding="utf-8")

    another_command_line()
    _once(folder, _tool("image", "debian"))  # what is fetched and packed is there
    debian = _measure(folder, _tool("image", "debian"), another_command_line)
    _row("debian with another command line, of demo's", debian, demo, 1.2)
    cache = folder / "assembly"
    first = _measure(folder, _tool("image", "demo", code=EMPTY), lambda: shutil.rmtree(cache, ignore_errors=True))
    _row("demo, with an empty cache", first, lief, 3.0)


def _ramdisks(folder: Path) -> None:
    copy = _measure(folder, COPY)
    _row(f"cp and sha256sum of {SIZE >> 20} MiB", copy)
    for media in ("elf,efi", "iso", "disk"):
        cost = _measure(folder, _tool("image", "load.toml", "--media", media))
        limit = 1.5 if media == "elf,efi" else None
        _row(f"a ramdisk of {SIZE >> 20} MiB, {media} (150 MiB)", cost, copy, limit)


def _tool(*arguments: str, code: str = TOOL) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def _measure(folder: Path, command: Sequence[str], before: Callable[[], None] = lambda: None) -> Cost:
    costs = []
    for _ in range(RUNS):
        before()
        costs.append(_once(folder, command))
    return Cost(*(min(getattr(cost, name) for cost in costs) for name in ("seconds", "processor", "memory")))


def _once(folder: Path, command: Sequence[str]) -> Cost:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "host")}
    started, quiet = time.monotonic(), subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet, stderr=quiet) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10)


def _row(what: str, cost: Cost, of: Cost | None = None, limit: float | None = None) -> None:
    line = f"{what:44} {cost.seconds:7.2f} {cost.processor:6.2f} {cost.memory >> 20:4} MiB"
    if of is not None:
        line += f"   {cost.seconds / of.seconds:.2f} {cost.processor / of.processor:.2f}"
        line += f" {limit:.1f}" if limit is not None else ""
    print(line, flush=True)
