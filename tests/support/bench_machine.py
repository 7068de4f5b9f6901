"""A board for a lab of tests: a QEMU with its serial line on a TCP port, switched on and off as a power switch does.

python bench_machine.py on|off FOLDER PORT [MORE QEMU ARGUMENTS]
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def off(folder: Path) -> None:
    """End the machine, if it runs."""
    file = folder / "pid"
    if not file.exists():
        return
    pid = int(file.read_text())
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            break
        for _ in range(50):
            if not Path(f"/proc/{pid}").exists():
                break
            time.sleep(0.05)
    file.unlink(missing_ok=True)


def on(folder: Path, port: str, more: list[str]) -> None:
    """Start it from the disk in its folder; it waits for whoever reads its serial line."""
    command = [
        *("qemu-system-x86_64", "-m", "512", "-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot"),
        *("-drive", f"file={folder}/disk.img,format=raw", "-serial", f"tcp:127.0.0.1:{port},server=on,wait=on"),
        *more,
    ]
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    (folder / "pid").write_text(str(process.pid))
    time.sleep(0.3)  # until its port is there


def switch(what: str, folder: Path, port: int, *more: str) -> None:
    """Switch a machine on or off by a process that ends: the machine is nobody's child then."""
    subprocess.run([sys.executable, __file__, what, str(folder), str(port), *more], check=True)


if __name__ == "__main__":
    what, folder, port, *rest = sys.argv[1:]
    off(Path(folder))
    if what == "on":
        on(Path(folder), port, rest)
