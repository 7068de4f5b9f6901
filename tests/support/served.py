"""`serve`, in a network of namespaces (lab_network): started, and its processes looked at.

with network() as lab, serving(lab, folder, "image.toml") as said:      # said: what it prints, a file
    memory(said)            # the most bytes that its HTTP server has had
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab_network import INTERFACE, Network
from project import ROOT

from bootwright.netboot.journal import READY

RANGE = "10.77.0.50,10.77.0.199"
IMAGE = f"""\
[image]
name = "{{name}}"
pack = "none"
console = ["com1,115200"]
[[domain]]
name = "dom0"
functions = ["initial-domain"]
memory = "64M"
kernel = "{ROOT}/stub/kernels/demo.asm"
ramdisk = "payload"
cmdline = "{{name}}"
[[profile]]
name = "rescue"
cmdline = "{{name}}, rescued"
"""


@contextmanager
def serving(lab: Network, folder: Path, *arguments: str) -> Iterator[Path]:
    """`serve` in the network's namespace; gives the file with what it prints."""
    said = folder / "serve.txt"
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "serve", *arguments]
    more = ["--interface", INTERFACE, "--output", str(folder / "out")]
    with said.open("wb") as output:
        process = lab.start("", *command, *more, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            for _ in range(300):
                if READY in said.read_text() or process.poll() is not None:
                    break
                time.sleep(0.1)
            yield said
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def described(folder: Path, name: str, size: int) -> Path:
    """A description with a ramdisk of so many bytes that nothing packs."""
    place = folder / name
    place.mkdir()
    (place / "payload").write_bytes(os.urandom(size))
    path = place / f"{name}.toml"
    path.write_text(IMAGE.format(name=name))
    return path


def memory(said: Path, program: str = "http_server.py") -> int:
    """The most memory, in bytes, that one of its two servers has had: proc(5), VmHWM."""
    root = next(str(path) for path in (said.parent / "out").glob(".serve.*"))
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            command = (status.parent / "cmdline").read_bytes().decode()
            if root in command and program in command:
                return int(next(line.split()[1] for line in status.read_text().splitlines() if "VmHWM" in line)) << 10
        except OSError:
            continue
    raise AssertionError(f"no {program} runs")
