"""A machine's console against the reference of the boot: where they differ, what was expected and what came.

differences(plan, program, report, transcript)     # [] where all is as it was planned

What the loader decides is taken from the console: by which protocol the stub was entered, and where it and modules lie.
All else is the image's, and the machine's as its stored report has it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import replace

from bootwright.common.messages import BootFailure
from bootwright.common.ranges import Range
from bootwright.lab import fit, platform
from bootwright.lab.fit import Program
from bootwright.lab.report import Report
from bootwright.plan.records import Plan
from bootwright.reference import boot
from bootwright.reference.machine import LoaderModule
from bootwright.reference.transcript import Seen, parse_transcript

NO_LINES = "the console has no line of the stub"


def differences(plan: Plan, program: Program, report: Report, transcript: str) -> list[str]:
    """A sentence for each run of lines that differ."""
    seen = parse_transcript(transcript)
    if seen.stub is None:
        return [NO_LINES]
    # NAME.elf lies as it is linked, NAME.efi as a whole wherever there is room, and GRUB may load either.
    as_elf = plan, Range.sized(seen.stub.start, program.stub.size)
    ways = [as_elf, fit.as_application(plan, program, seen.stub.start)]
    return min((list(_compared(*way, program, report, seen)) for way in ways), key=len)


def _compared(plan: Plan, stub: Range, program: Program, report: Report, seen: Seen) -> Iterator[str]:
    loader = "-" if seen.loader is None else seen.loader
    entered = {"protocol": seen.entry, "loader": loader, "rsdp": (report.entered or {}).get("rsdp", f"{seen.rsdp:#x}")}
    known = replace(report, entered=entered)
    brought = tuple(
        LoaderModule(module.place.start, module.place.size, module.name)
        for module, planned in zip(seen.modules, plan.modules, strict=False)
        if not planned.embedded
    )
    try:
        described = fit.machine_of(plan, stub, program.build, brought, known)
        if program.resident is not None:
            described = replace(described, platform=platform.platform(known, program.resident)[0])
        expected = boot.boot(described, plan, program.tables_size).shown(plan.image.log)
    except BootFailure as failure:
        expected = (failure.line,)
    yield from _lines(expected, seen.lines)


def _lines(expected: tuple[str, ...], seen: tuple[str, ...]) -> Iterator[str]:
    matcher = difflib.SequenceMatcher(None, expected, seen, autojunk=False)
    for kind, first, last, start, end in matcher.get_opcodes():
        if kind != "equal":
            planned, said = " / ".join(expected[first:last]), " / ".join(seen[start:end])
            yield (
                f"expected {planned!r}, and {f'it said {said!r}' if said else 'it did not come'}"
                if planned
                else (f"not expected: {said!r}")
            )
