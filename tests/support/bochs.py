"""Bochs, another emulation of SVM than QEMU's, unpacked into the cache: what a machine that boots an ISO prints.

    said = boot(iso, cpus=1, last="ended: powered off", timeout=60)     # raises unpacked.Unavailable

It wants a terminal, and its debugger waits for a command before it starts.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import tempfile
import time
from pathlib import Path

from unpacked import missing, unpacked

PACKAGES = ("bochs", "bochs-term", "bochsbios", "vgabios")
# A cpu with SVM, next RIP and flush by ASID; the clock counts its instructions.
SETTINGS = """
plugin_ctrl: unmapped=1, biosdev=1, serial=1
display_library: term
memory: guest={memory}, host={memory}
romimage: file={share}/bochs/BIOS-bochs-latest
vgaromimage: file={share}/vgabios/vgabios.bin
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
cpu: count={cpus}, model=ryzen, ips=100000000, reset_on_triple_fault=0
com1: enabled=1, mode=file, dev={serial}
log: {log}
panic: action=report
error: action=report
clock: sync=none
"""


def boot(iso: Path, *, cpus: int, last: str, timeout: float, memory: int = 512) -> str:
    """What the first serial port shows until it shows `last` or so many seconds are over. memory: MiB. Raises
    Unavailable.
    """
    usr = unpacked("bochs", missing(PACKAGES)) / "usr"
    libraries = next(usr.glob("lib/*/bochs")).parent
    environment = os.environ | {
        "LD_LIBRARY_PATH": str(libraries),
        "LTDL_LIBRARY_PATH": str(libraries / "bochs/plugins"),
        "BXSHARE": str(usr / "share/bochs"),
        "TERM": "xterm",
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        serial, settings, commands = (folder / name for name in ("serial", "settings", "commands"))
        commands.write_text("c\n")
        settings.write_text(
            SETTINGS.format(memory=memory, share=usr / "share", iso=iso, cpus=cpus, serial=serial, log=folder / "log")
        )
        command = [usr / "bin/bochs-bin", "-q", "-f", settings, "-rc", commands]
        ours, theirs = os.openpty()
        try:
            process = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
            try:
                deadline = time.monotonic() + timeout
                while last not in _shown(serial) and process.poll() is None and time.monotonic() < deadline:
                    if select.select([ours], [], [], 0.2)[0]:
                        os.read(ours, 1 << 16)  # what it draws, which nobody looks at
            finally:
                process.kill()
                process.wait()
        finally:
            os.close(ours)
            os.close(theirs)
        return _shown(serial)


def _shown(serial: Path) -> str:
    """Its text, without what moves a terminal's cursor."""
    text = serial.read_text(errors="replace") if serial.exists() else ""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).replace("\r", "")
