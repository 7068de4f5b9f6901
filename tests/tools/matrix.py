"""The matrix of `invoke test --matrix`: every way to boot, on both firmwares, with every kind of image.

Each cell is a boot under QEMU, judged by the serial console; its seconds run from QEMU's start to the image's
last words. It is printed, and kept in docs/media.md. Behind it Bochs is asked what it thinks of partitions.
"""

from __future__ import annotations

import platform
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import markdown_table
import second_opinion
from project import ROOT

from bootwright.common import paths
from bootwright.common.errors import BootwrightError
from bootwright.emulate import run
from bootwright.emulate.qemu import FIRMWARE, QEMU, Outcome
from bootwright.image import build as image_build
from bootwright.image import built as image_built
from bootwright.media import BOOT_METHODS, MEDIA, Settings

OUTPUT = ROOT / "build" / "matrix"
PAGE = ROOT / "docs" / "media.md"
BEGIN, END = "<!-- matrix -->\n", "<!-- end of the matrix -->\n"

# Rows whose names are not those of `run --via`.
ROWS = {"elf-kernel": "kernel", "elf-grub": "grub"}


@dataclass(frozen=True)
class Case:
    """An image: the description's name, changes to it, and what it prints last (None: it powers off)."""

    description: str
    expect: str | None
    timeout: float
    changes: tuple[tuple[str, str], ...] = ()


CASES = {
    "demo": Case("demo", None, 60),
    "debian, pvh": Case("debian", "INIT-OK", 90),
    "debian, linux": Case(
        "debian",
        "INIT-OK",
        90,
        (
            ('protocol = "pvh"', 'protocol = "linux"'),
            ('name = "debian"', 'name = "debian-linux"'),
            ('"debian.init"', f'"{ROOT}/images/debian.init"'),
        ),
    ),
    "xen": Case("xen", "INIT-OK", 180),
}


@dataclass(frozen=True)
class Cell:
    """What came out: seconds, or a reason why there is nothing to run, or what went wrong."""

    seconds: float | None = None
    reason: str = ""
    failure: str = ""

    def __str__(self) -> str:
        if self.failure:
            return "**fails**"
        return "none" if self.seconds is None else f"{self.seconds:.1f}"


Cells = Mapping[tuple[str, str, str], Cell]  # by row, case, firmware


def rows() -> dict[str, str]:
    """The ways to boot by row, in the order of the table."""
    return ROWS | {way: way for way in BOOT_METHODS if way not in ROWS.values()}


def build(case: Case) -> image_built.Built:
    """The case's image and all its media, made anew."""
    path = ROOT / f"images/{case.description}.toml"
    if case.changes:
        text = path.read_text(encoding="utf-8")
        for old, new in case.changes:
            assert old in text, f"{path} has no {old}"
            text = text.replace(old, new)
        OUTPUT.mkdir(parents=True, exist_ok=True)
        path = OUTPUT / f"{case.description}-changed.toml"
        path.write_text(text, encoding="utf-8")
    built = image_build.build(path, lambda stage: None)
    for medium in MEDIA.values():
        # What cannot be made shows in the cells that need it.
        try:
            medium.make(built, Settings())
        except BootwrightError as error:
            print(f"{built.name}: {medium.name}: {error}", file=sys.stderr)
    return built


def boot(built: image_built.Built, case: Case, way: str, firmware: str) -> Cell:
    """One cell."""
    if firmware not in BOOT_METHODS[way].firmware:
        return Cell(reason=BOOT_METHODS[way].reason)
    options = run.Options(via=way, firmware=firmware, expect=case.expect, timeout=case.timeout)
    try:
        result = run.boot(built, options, lambda text: None)
    except BootwrightError as error:
        return Cell(failure=str(error))
    if result.outcome is not Outcome.AS_EXPECTED:
        return Cell(failure=f"{result.reason}; last: {result.transcript.strip()[-160:]!r}")
    return Cell(seconds=result.seconds)


def run_all(only: str = "") -> Cells:
    """Every cell, each reported as it comes; only: a pattern that "row, case, firmware" has to match."""
    paths.output = lambda name: OUTPUT / name  # beside what the user has built
    cells: dict[tuple[str, str, str], Cell] = {}
    for name, case in CASES.items():
        wanted = [
            (row, way, firmware)
            for row, way in rows().items()
            for firmware in FIRMWARE
            if re.search(only, f"{row}, {name}, {firmware}")
        ]
        try:
            built = build(case) if wanted else None
        except BootwrightError as error:
            cells |= {(row, name, firmware): Cell(failure=str(error)) for row, _, firmware in wanted}
            print(f"{name}: {error}")
            continue
        for row, way, firmware in wanted:
            assert built is not None
            cell = cells[row, name, firmware] = boot(built, case, way, firmware)
            said = cell.failure or cell.reason or f"{cell.seconds:.1f} s"
            print(f"{name}, {row}, {firmware}: {'FAILS: ' * bool(cell.failure)}{said}", flush=True)
    return cells


def table(cells: Cells) -> str:
    """The cells as a table in Markdown, and why some are empty."""
    columns = [(name, firmware) for name in CASES for firmware in FIRMWARE]
    head = ["", *(f"{name} {firmware.upper()}" for name, firmware in columns)]
    found = [[row, *(str(cells.get((row, *column), Cell(failure="not run"))) for column in columns)] for row in rows()]
    reasons = {f"- {row}, {f.upper()}: {cell.reason}" for (row, _, f), cell in cells.items() if cell.reason}
    failures = [f"- {', '.join(key)}: {cell.failure}" for key, cell in cells.items() if cell.failure]
    text = markdown_table.table(head, found, figures=True)
    if reasons:
        text += "\nNone, because there is no such way:\n\n" + "\n".join(sorted(reasons)) + "\n"
    if failures:
        text += "\nWhat fails:\n\n" + "\n".join(failures) + "\n"
    return text


def measured_with() -> str:
    """A sentence about what the figures were measured with."""
    return f"Seconds from QEMU's start; QEMU {QEMU.version()} without acceleration, {platform.machine()}.\n"


def write(cells: Cells) -> None:
    """Put the table into docs/media.md."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{measured_with()}\n{table(cells)}\n{END}{after}", encoding="utf-8")


def main(only: str = "") -> bool:
    """Run and print the matrix; a whole one is kept. Whether no cell failed."""
    started = time.monotonic()
    cells = run_all(only)
    if not only:
        write(cells)
        print(f"\n{table(cells)}")
    failed: Sequence[Cell] = [cell for cell in cells.values() if cell.failure]
    booted = sum(cell.seconds is not None for cell in cells.values())
    print(f"{booted} boots, {len(failed)} failed, in {time.monotonic() - started:.0f} s")
    return second_opinion.main(only) and not failed
