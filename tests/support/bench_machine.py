"""A board for a lab of tests: a QEMU with its serial line on a TCP port, switched on and off as a power switch does.

python bench_machine.py on|off FOLDER PORT [MORE QEMU ARGUMENTS]

A file `arguments` in the folder has more for QEMU, one a line. Of a file `bad`, a copy of some bytes of an image, one
is changed on the disk before it is switched on: a stick that does not keep what it was given.
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
        for _ in range(100):
            if not runs(pid):
                break
            time.sleep(0.02)
    file.unlink(missing_ok=True)


def runs(pid: int) -> bool:
    """One that has ended, and that init has not noticed yet, does not: proc_pid_stat(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def on(folder: Path, port: str, more: list[str]) -> None:
    """Start it from the disk in its folder; it waits for whoever reads its serial line."""
    if (folder / "bad").exists():
        _damage(folder / "disk.img", (folder / "bad").read_bytes())
    if (folder / "arguments").exists():
        more = [*(folder / "arguments").read_text().split("\n"), *more]
    command = [
        *("qemu-system-x86_64", "-m", "512", "-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot"),
        *("-drive", f"file={folder}/disk.img,format=raw", "-serial", f"tcp:127.0.0.1:{port},server=on,wait=on"),
        *more,
    ]
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    (folder / "pid").write_text(str(process.pid))
    time.sleep(0.3)  # until its port is there


def _damage(disk: Path, written: bytes) -> None:
    data = disk.read_bytes()
    place = data.find(written)
    if place >= 0:
        with disk.open("r+b") as file:
            file.seek(place)
            file.write(bytes([data[place] ^ 1]))


def switch(what: str, folder: Path, port: int, *more: str) -> None:
    """Switch a machine on or off by a process that ends: the machine is nobody's child then."""
    subprocess.run([sys.executable, __file__, what, str(folder), str(port), *more], check=True)


if __name__ == "__main__":
    what, folder, port, *rest = sys.argv[1:]
    off(Path(folder))
    if what == "on":
        on(Path(folder), port, rest)
