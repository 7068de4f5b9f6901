"""Every try of the hostile kernel (tests/hostile): `invoke test --hostile` boots it beside the watcher and prints what
came of each section, in both modes of the local APIC. It takes minutes.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import hostile
from project import ROOT
from unpacked import Unavailable, newer_qemu

from bootwright.emulate.qemu import SVM_CPU, Outcome

TIMEOUT = 3600.0
RESTARTS = 10
COLUMNS = "{:<22}{:>9}{:>9}{:>7}{:>9}"


def main() -> int:
    """Prints the table; the status for the shell: 1 where anything was seen outside of the domain."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hostile-", dir=ROOT / "build") as name:
        good = [_all_sections(Path(name)), _reset_storm(Path(name)), _with_x2apic(Path(name))]
    return int(not all(good))


def _with_x2apic(folder: Path) -> bool:
    try:
        newer = newer_qemu()
    except Unavailable as reason:
        print(f"x2APIC: not tried: {reason}")
        return True
    os.environ["PATH"] = f"{newer}{os.pathsep}{os.environ['PATH']}"
    print("x2APIC:")
    return _all_sections(folder, f"{SVM_CPU},+x2apic")


def _all_sections(folder: Path, cpu: str = "") -> bool:
    run = hostile.boot("all", short=False, folder=folder, timeout=TIMEOUT, cpu=cpu)
    print(COLUMNS.format("section", "tries", "refused", "ended", "effects"))
    for section in run.sections:
        print(COLUMNS.format(section.name, section.tries, section.refused, section.ended, section.effects))
    over = run.outcome is Outcome.AS_EXPECTED
    if not over:
        print(f"not all was tried: {run.transcript[-2000:]}")
    print(f"{run.seconds:.0f} s", flush=True)
    return over and _unchanged(run) and not any(section.effects for section in run.sections)


def _reset_storm(folder: Path) -> bool:
    run = hostile.boot("reset-storm", short=False, folder=folder, timeout=TIMEOUT, restarts=RESTARTS)
    match = hostile.GONE.search(run.transcript)
    held = match is not None and int(match[3]) == RESTARTS
    print(f"reset storm: {f'ended after {RESTARTS} restarts' if held else 'the limit did not hold'}")
    return held and _unchanged(run)


def _unchanged(run: hostile.Run) -> bool:
    names = run.before.keys() | run.behind.keys()
    changed = sorted(name for name in names if run.before.get(name) != run.behind.get(name))
    print(f"read from outside: {', '.join(changed) + ' changed' if changed else f'{len(names)} parts, unchanged'}")
    return bool(names) and not changed
