"""What `probe` and `plan` show: machines that were reported, and how an image fits on one."""

from __future__ import annotations

import stat
import sys
import tempfile
from pathlib import Path

from bootwright.cli import build as cli_build
from bootwright.common import paths, scratch
from bootwright.common.errors import PlanError, SourceError, Where, why
from bootwright.common.messages import shown_build
from bootwright.common.ranges import Range
from bootwright.image import build as image_build
from bootwright.image.stub import link_stubs
from bootwright.inputs import resolve
from bootwright.lab import abilities, fit, serial
from bootwright.lab import report as lab_report
from bootwright.partition import resident
from bootwright.plan.records import Generic


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


def plan(name: str, machine: str) -> None:
    """Show how an image boots on a stored machine. Raises PlanError with the reason where it does not."""
    if not machine:
        known = ", ".join(path.stem for path in lab_report.stored()) or "none"
        raise PlanError(f"which machine? --machine NAME or a file; there is: {known}")
    report, path = lab_report.load(machine), paths.description(name)
    with cli_build.stages() as stage:
        found = fitted(path, report, stage)
    print(f"machine {Path(machine).stem}: {lab_report.describe(report)}\n")
    print("\n".join(fit.table(found)))
    print(f"\nboot of image {found.image}" if found.lines else "")
    print("\n".join(f"  {said}" for said in found.lines))
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    if found.reason is not None:
        raise PlanError(f"image {found.image} does not fit on machine {Path(machine).stem}: {found.reason}")
    print(f"\nimage {found.image} fits on machine {Path(machine).stem}")


def fitted(path: Path, report: lab_report.Report, stage: image_build.Stage) -> fit.Fit:
    """The image that the description at `path` describes, on a machine. Raises as a build does."""
    described = image_build.describe(image_build.read(path))
    with scratch.own(Path(tempfile.gettempdir()), "bootwright") as work:
        stage("planning")
        planned = image_build.plan_image(described, work, stage)
        if isinstance(planned, Generic):
            message = "what this image boots is known at boot only, so there is nothing to plan"
            raise PlanError(message, described.image.where)
        stage("assembling the stub")
        stubs = link_stubs(planned)
        symbols = stubs.elf.symbols
        stub = Range(symbols["__image_start"], symbols["__image_end"])
        build = shown_build(stubs.build_id.hex())
        code = resident.code(resolve.cache_directory()) if planned.partition else None
        return fit.fit(planned, stub, build, len(stubs.tables), report, code)
