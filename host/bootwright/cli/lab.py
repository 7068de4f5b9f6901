"""What `probe` and `plan` show: machines that were reported, and how an image fits on one."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

from bootwright.cli import build as cli_build
from bootwright.cli import planning
from bootwright.common import paths
from bootwright.common.errors import PlanError, SourceError, Where, why
from bootwright.image import build as image_build
from bootwright.lab import abilities, fit, serial
from bootwright.lab import report as lab_report


def read(source: str, name: str, timeout: float) -> None:
    """Read a report from a file or a serial line, check it, store it, say where. Raises BootwrightError."""
    path = Path(source)
    try:
        line = stat.S_ISCHR(path.stat().st_mode)
        capture = b"" if line else path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(source)) from error
    if line:
        print(f"listening on {source} at 115200 baud; start the machine now", file=sys.stderr)
        capture = serial.read(path, lab_report.is_complete, timeout, _echo)
    report = lab_report.extract(capture, Where(source))
    stored = lab_report.store(report, name or lab_report.suggest_name(report))
    _show(paths.shown(stored), report)


def _echo(data: bytes) -> None:
    sys.stderr.write(data.decode("ascii", "replace").replace("\r", ""))
    sys.stderr.flush()


def _show(name: str, report: lab_report.Report) -> None:
    print(f"{name}: {lab_report.describe(report)}")
    for line in abilities.lines(abilities.of(report)):
        print(f"    {line}")


def list_all() -> None:
    """Every machine that is stored."""
    for path in lab_report.stored():
        _show(path.stem, lab_report.load(str(path)))
    if not lab_report.stored():
        print("no machine is stored yet: boot one with the image probe, then: invoke probe --read CAPTURE")


def plan(name: str, machine: str, as_json: bool = False) -> None:
    """Show how an image boots on a stored machine, or on a plain PC, as text or as one JSON document. Raises PlanError
    with the reason where it does not.
    """
    report = lab_report.load(machine) if machine else None
    with cli_build.stages() as stage:
        found = planning.planned(paths.description(name), report, Path(machine).stem, stage)
    if as_json:
        print(json.dumps(planning.as_json(found, Path(machine).stem), indent=2, ensure_ascii=False))
    else:
        _say(found, report, machine)
    if found.fit.reason is not None:
        raise PlanError(f"image {found.fit.image} does not fit {found.subject}: {found.fit.reason}")
    if not as_json:
        verdict = "fits" if report else "boots"
        print(f"\nimage {found.fit.image} {verdict} {found.subject}")


def _say(found: planning.Planned, report: lab_report.Report | None, machine: str) -> None:
    if report is None:
        known = ", ".join(path.stem for path in lab_report.stored()) or "none"
        print(f"{found.subject}; --machine NAME takes one that was probed (there is: {known})\n")
    else:
        print(f"machine {Path(machine).stem}: {lab_report.describe(report)}\n")
    print("\n".join(fit.table(found.fit)))
    print(f"\nboot of image {found.fit.image}" if found.fit.lines else "")
    print("\n".join(f"  {said}" for said in found.fit.lines))
    print("\nmemory\n" + "\n".join(f"  {said}" for said in planning.totals(found.chart)))
    for note in found.fit.notes:
        print(f"note: {note}", file=sys.stderr)


def fitted(path: Path, report: lab_report.Report, stage: image_build.Stage) -> fit.Fit:
    """The image that the description at `path` describes, on a machine. Raises as a build does."""
    return planning.planned(path, report, "", stage).fit
