"""Every try of the hostile kernel (tests/hostile): `invoke test --hostile` boots it beside the watcher and prints what
came of each section. It takes minutes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import hostile
from project import ROOT

from bootwright.emulate.qemu import Outcome

TIMEOUT = 3600.0
COLUMNS = "{:<22}{:>9}{:>9}{:>7}{:>9}"


def main() -> int:
    """Prints the table; the status for the shell: 1 where anything was seen outside of the domain."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hostile-", dir=ROOT / "build") as name:
        folder = Path(name)
        run = hostile.boot("all", short=False, folder=folder, timeout=TIMEOUT)
        storm = hostile.boot("reset-storm", short=False, folder=folder, timeout=TIMEOUT, restarts=10)
    print(COLUMNS.format("section", "tries", "refused", "ended", "effects"))
    for section in run.sections:
        print(COLUMNS.format(section.name, section.tries, section.refused, section.ended, section.effects))
    changed = [
        name for one in (run, storm) for name, checksum in one.before.items() if one.behind.get(name) != checksum
    ]
    held = hostile.GONE.search(storm.transcript)
    print(f"resident part: {', '.join(changed) or 'unchanged'}")
    print(f"reset storm: {'ended after ' + held[3] + ' restarts' if held else 'the limit did not hold'}")
    over = run.outcome is Outcome.AS_EXPECTED
    if not over:
        print(f"not all was tried: {run.transcript[-2000:]}")
    print(f"{run.seconds:.0f} s")
    return int(not over or bool(changed) or not held or any(section.effects for section in run.sections))
