"""An image planned for a machine, as `plan` and `map` show it: one that was probed, or a plain PC."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bootwright.chart import boots, document, words
from bootwright.chart.boots import Chart
from bootwright.common import scratch
from bootwright.common.errors import PlanError
from bootwright.common.messages import shown_build
from bootwright.common.ranges import MIB, Range
from bootwright.image import build as image_build
from bootwright.image import image_map
from bootwright.image.stub import link_stubs
from bootwright.inputs import resolve
from bootwright.lab import compare, fit, plain_pc
from bootwright.lab import report as lab_report
from bootwright.partition import resident
from bootwright.plan.records import Generic, Plan


@dataclass(frozen=True)
class Planned:
    """An image on a machine. plan: at its link addresses; build: what the first line of a boot shows; parts: of the
    stub; subject: on which machine, in words; needs: bytes of memory that a machine must have.
    """

    fit: fit.Fit
    plan: Plan
    build: str
    parts: Sequence[boots.Part]
    subject: str
    needs: int

    @property
    def chart(self) -> Chart:
        """The memory at each stage of its boot."""
        return boots.of_fit(self.fit, self.parts, self.subject)


@dataclass(frozen=True)
class Prepared:
    """An image that can be planned for machines. plan: at its link addresses; program: what boots it; sections: of the
    stub; needs: bytes of memory that a machine must have.
    """

    plan: Plan
    program: fit.Program
    sections: Sequence[tuple[str, Range]]
    needs: int

    def fit(self, report: lab_report.Report) -> fit.Fit:
        """How it boots on a machine."""
        return fit.fit(self.plan, self.program, report)

    def differences(self, report: lab_report.Report, transcript: str) -> list[str]:
        """Where a machine's console differs from what this image says there."""
        return compare.differences(self.plan, self.program, report, transcript)


@contextmanager
def prepared(path: Path, stage: image_build.Stage) -> Iterator[Prepared]:
    """The image that the description at `path` describes, as long as the block runs. Raises as a build does."""
    described = image_build.describe(image_build.read(path))
    with scratch.own(Path(tempfile.gettempdir()), "bootwright") as work:
        stage("planning")
        plan = image_build.plan_image(described, work, stage)
        if isinstance(plan, Generic):
            message = "what this image boots is known at boot only, so there is nothing to plan"
            raise PlanError(message, described.image.where)
        stage("assembling the stub")
        stubs = link_stubs(plan)
        stub, application = (
            Range(one.symbols["__image_start"], one.symbols["__image_end"])
            for one in (stubs.elf, stubs.efi or stubs.elf)
        )
        code = resident.code(resolve.cache_directory()) if plan.partition else None
        top = max([stub.end, *(placement.range.end for placement in plan.placements)])
        yield Prepared(
            plan,
            fit.Program(stub, application, shown_build(stubs.build_id.hex()), len(stubs.tables), code),
            [(one.name, Range.sized(one.address, one.size)) for one in stubs.elf.sections if one.size],
            image_map.machine_memory(plan, top),
        )


def planned(path: Path, report: lab_report.Report | None, machine: str, stage: image_build.Stage) -> Planned:
    """The image that the description at `path` describes, on a machine by name; None: on a plain PC with what memory it
    needs. Raises as a build does.
    """
    with prepared(path, stage) as image:
        plan, needs = image.plan, image.needs
        plain = plain_pc.report(needs, image_map.machine_cpus(plan), plan.partition)
        found = image.fit(report or plain)
    subject = f"on machine {machine}" if report else f"on {plain_pc.NAME} with {-(-plain.ram // MIB)} MiB of RAM"
    if report is None:
        found = plain_pc.without_notes(found)
    parts = boots.stub_parts(image.sections, image.program.stub)
    return Planned(found, plan, image.program.build, parts, subject, needs)


def totals(chart: Chart) -> list[str]:
    """What the stages come to, a line for each."""
    lines = [f"{stage.name}: {words.sums(stage)}" for stage in chart.stages]
    free = chart.stages[-1].free_for if len(chart.stages) > 1 else ""
    return [*lines, *([f"free is for {free}"] if free else [])]


def as_json(found: Planned, machine: str) -> dict[str, Any]:
    """The whole plan. Modules, domains and the hypervisor are as in NAME.json."""
    chart = found.chart
    modules, domains, hypervisor = image_map.contents(found.plan)
    return {
        "image": found.fit.image,
        "build": found.build,
        "machine": machine or None,
        "subject": found.subject,
        "fits": found.fit.reason is None,
        "reason": found.fit.reason,
        "modules": [asdict(module) | _places(found, number) for number, module in enumerate(modules)],
        "domains": [asdict(domain) for domain in domains],
        "hypervisor": asdict(hypervisor) if hypervisor else None,
        "machine_memory": [{"start": r.start, "end": r.end, "kind": fit.KINDS[r.type]} for r in found.fit.ranges],
        "stages": document.memory(chart)["stages"],
        "lines": list(found.fit.lines),
        "notes": list(chart.notes),
    }


def _places(found: Planned, number: int) -> dict[str, Any]:
    """Where a module is loaded, and where its pieces go; as planned, where there is no boot."""
    module, boot = found.plan.modules[number], found.fit.boot
    loaded = fit.loaded_places(found.fit.plan, found.fit.stub, found.fit.modules)
    pieces = boot.pieces[number] if boot and boot.pieces else [piece.range for piece in module.pieces]
    where = loaded[number] if number < len(loaded) else Range(0, 0)
    return {"loaded": asdict(where), "pieces": [asdict(piece) for piece in pieces]}
