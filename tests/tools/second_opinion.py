"""The partition launcher on another emulation of SVM than QEMU's: Bochs, with next RIP and flush by ASID. `invoke test
--matrix` runs it behind the matrix; -k "bochs" runs it alone.

Bochs ends when a guest shuts down, and what waits for the time-stamp counter takes long: so not all that a hostile
domain tries is tried there, and no Debian is booted.
"""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

import bochs
import hostile
from project import ROOT
from unpacked import Unavailable

from bootwright.common import paths
from bootwright.common.errors import BootwrightError
from bootwright.emulate.qemu import Outcome
from bootwright.image import build
from bootwright.media import iso
from bootwright.media.medium import Settings

PATIENCE = 400.0
ALONE = f"""
[image]
name = "demo"
launcher = "partition"
console = ["com1,115200"]

[[domain]]
name = "demo"
permissions = ["control", "hardware"]
functions = ["console", "xenstore", "initial-domain"]
memory = "32M"
kernel = "{ROOT}/stub/kernels/demo.asm"
"""
DEMO, HOSTILE = "demo", "hostile"
CPUS = {DEMO: 1, HOSTILE: 3}
TRIED = "msrs,lvt,kernel-instructions"  # by the hostile kernel; icr takes it six minutes


def main(only: str = "") -> bool:
    """Run and print each that `only` matches as "bochs, NAME". Whether none failed."""
    failed = 0
    for name in CPUS:
        if not re.search(only, f"bochs, {name}"):
            continue
        started = time.monotonic()
        try:
            why = _try(name)
        except Unavailable as reason:
            print(f"bochs: not run: {reason}")
            return True
        except BootwrightError as error:
            why = str(error)
        failed += bool(why)
        print(f"bochs, {name}: {f'FAILS: {why}' if why else f'{time.monotonic() - started:.1f} s'}", flush=True)
    return not failed


def _try(name: str) -> str:
    """What is wrong with it, "" for nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.toml"
        path.write_text(ALONE if name == DEMO else hostile.DESCRIPTION % (f"try={TRIED} short", 1000))
        output, paths.output = paths.output, lambda image: Path(folder) / image
        try:
            built = build.build(path, lambda stage: None)
            made = iso.MEDIUM.make(built, Settings()).path
        finally:
            paths.output = output
        last = "bootwright: d0: ended: powered off" if name == DEMO else hostile.LAST[0]
        said = bochs.boot(made, cpus=CPUS[name], last=last, timeout=PATIENCE)
    if last not in said:
        return f"no {last!r}; last: {said.strip()[-160:]!r}"
    if name == DEMO:
        return ""
    sections = hostile.Run(Outcome.AS_EXPECTED, said, 0.0).sections
    wrong = [str(section) for section in sections if section.effects or not section.tries]
    if len(sections) != len(TRIED.split(",")):
        wrong.append(f"{len(sections)} sections")
    return ", ".join(wrong)
