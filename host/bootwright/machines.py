"""What `probe` and `plan` show: machines that were reported, and how an image fits on one."""

from __future__ import annotations

import stat
import sys
import tempfile
from pathlib import Path

from bootwright import fitting, image, places, probe, progress, scratch, serial_line
from bootwright.errors import PlanError, SourceError, Where
from bootwright.ranges import Range
from bootwright.transcript import shown_build


def read(source: str, name: str, timeout: float) -> None:
    """Read a report from a file or a serial line, check it, store it, say where. Raises BootwrightError."""
    path = Path(source)
    try:
        line = stat.S_ISCHR(path.stat().st_mode)
        capture = b"" if line else path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", Where(source)) from error
    if line:
        print(f"listening on {source} at 115200 baud; start the machine now", file=sys.stderr)
        capture = serial_line.read(path, probe.is_complete, timeout, _echo)
    report = probe.extract(capture, Where(source))
    stored = probe.store(report, name or probe.suggest_name(report))
    print(f"{places.shown(stored)}: {probe.describe(report)}")


def _echo(data: bytes) -> None:
    sys.stderr.write(data.decode("ascii", "replace").replace("\r", ""))
    sys.stderr.flush()


def list_all() -> None:
    """Every machine that is stored, a line each."""
    for path in probe.stored():
        print(f"{path.stem}: {probe.describe(probe.load(str(path)))}")
    if not probe.stored():
        print("no machine is stored yet: boot one with the image probe, then: invoke probe --read CAPTURE")


def plan(name: str, machine: str) -> None:
    """Show how an image boots on a stored machine. Raises PlanError with the reason where it does not."""
    if not machine:
        known = ", ".join(path.stem for path in probe.stored()) or "none"
        raise PlanError(f"which machine? --machine NAME or a file; there is: {known}")
    report, path = probe.load(machine), places.description(name)
    with progress.stages() as stage:
        found = fitted(path, report, stage)
    print(f"machine {Path(machine).stem}: {probe.describe(report)}\n")
    print("\n".join(fitting.table(found)))
    print(f"\nboot of image {found.image}" if found.lines else "")
    print("\n".join(f"  {said}" for said in found.lines))
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    if found.reason is not None:
        raise PlanError(f"image {found.image} does not fit on machine {Path(machine).stem}: {found.reason}")
    print(f"\nimage {found.image} fits on machine {Path(machine).stem}")


def fitted(path: Path, report: probe.Report, stage: image.Stage) -> fitting.Fit:
    """The image that the description at `path` describes, on a machine. Raises as a build does."""
    described = image.describe(path)
    if described.image.generic:
        message = "what this image boots is known at boot only, so there is nothing to plan"
        raise PlanError(message, described.image.where)
    with scratch.own(Path(tempfile.gettempdir()), "bootwright") as work:
        stage("planning")
        planned = image.plan_image(described, work, stage)
        stage("assembling the stub")
        stubs = image.link_stubs(planned)
        symbols = stubs.elf.symbols
        stub = Range(symbols["__image_start"], symbols["__image_end"])
        build = shown_build(stubs.build_id.hex())
        return fitting.fit(planned, stub, build, len(stubs.tables), report)
