"""Whether an image boots on a machine that was probed, and where everything lies on it then.

    found = fit(plan, program, report)
    found.reason        # None, or why it does not
    found.lines         # what the boot will print

The boot itself is boot.boot's; here is what it is to be told of the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from bootwright.common.abi import load as load_abi
from bootwright.common.columns import aligned
from bootwright.common.messages import BootFailure
from bootwright.common.ranges import Range, span
from bootwright.hyperlaunch.model import MemoryRange
from bootwright.image import efi_image
from bootwright.lab import platform
from bootwright.lab.report import Report
from bootwright.plan.records import Plan, PlannedModule
from bootwright.reference import boot, machine
from bootwright.reference.loading import embedded_place
from bootwright.reference.machine import Efi, LoaderModule, Machine

EFI, MULTIBOOT2 = "EFI", "multiboot2"
UNKNOWN = "?"
KINDS = ("", "RAM", "reserved", "ACPI tables", "ACPI NVS", "unusable", "disabled", "persistent memory")
_HEADER = 4096  # bytes of a kernel that its protocol may look at


@dataclass(frozen=True)
class Program:
    """What boots an image. stub: link addresses of stub and tables in NAME.elf; application: of those in NAME.efi,
    which are linked by themselves; build: what the first line of a boot shows; tables_size: in bytes; resident: where
    the code of a partition's resident part lies.
    """

    stub: Range
    application: Range
    build: str
    tables_size: int
    resident: Range | None = None


@dataclass(frozen=True)
class Claim:
    """A range that something lies in, at some time of the boot."""

    range: Range
    what: str


@dataclass(frozen=True)
class Fit:
    """How an image (by name) boots on a machine. reason: why it does not, None if it does; lines: its
    transcript; ranges: the machine's memory map, normalised; claims: what lies where; notes: what is not
    certain. plan, stub: as they lie there; modules: that a loader brings; boot: None where it does not come to one.
    """

    image: str
    reason: str | None
    lines: tuple[str, ...]
    ranges: tuple[MemoryRange, ...]
    claims: tuple[Claim, ...]
    notes: tuple[str, ...]
    plan: Plan
    stub: Range
    modules: tuple[LoaderModule, ...] = ()
    boot: boot.Boot | None = None


def fit(plan: Plan, program: Program, report: Report) -> Fit:
    """Boot the image of `plan` on the machine of `report`."""
    stub = program.stub
    name, notes = plan.image.name, tuple(_notes(plan, report))
    try:
        ranges = machine.normalise(report.ranges)
        if _entered(report)["protocol"] == EFI:
            plan, stub = _as_application(plan, program, ranges)
        modules = tuple(_brought(plan, stub, ranges))
    except BootFailure as failure:
        return Fit(name, failure.message, (failure.line,), (), (), notes, plan, stub)
    loaded = _loaded(plan, stub, modules)
    outside = [claim for claim in loaded if not machine.all_ram(ranges, claim.range)]
    if outside:
        reason = f"{outside[0].what} {outside[0].range} would not lie in RAM"
        return Fit(name, reason, (), ranges, tuple(loaded), notes, plan, stub, modules)
    described = machine_of(plan, stub, program.build, modules, report)
    if program.resident is not None:
        known, guesses = platform.platform(report, program.resident)
        described, notes = replace(described, platform=known), (*notes, *guesses)
    found = boot.boot(described, plan, program.tables_size)
    claims = [*loaded, *_launched(plan, stub, found)]
    notes = (*notes, *_moved(plan, found), *platform.shared_cores(report, found.cpus))
    failed = found.failure.message if found.failure else None
    shown = found.shown(plan.image.log)
    return Fit(name, failed, shown, ranges, tuple(claims), notes, plan, stub, modules, found)


def _entered(report: Report) -> dict[str, str]:
    return report.entered or {"protocol": UNKNOWN, "loader": "-", "rsdp": "0x0"}


def _efi_system(report: Report) -> int:
    """Address of the EFI system table, 0 for none."""
    return int(report.document["booted"]["efi"], 16)


def _notes(plan: Plan, report: Report) -> Iterator[str]:
    cpus = report.document["cpus"]
    for planned in plan.domains:
        if planned.protocol and cpus and planned.domain.ncpus > cpus and not plan.partition:
            yield f"domain {planned.domain.name} asks for {planned.domain.ncpus} cpus; the machine has {cpus}"
    if report.entered is None:
        yield "the capture had no lines of the stub: how it was entered, and its RSDP, are not known"
    elif report.entered["protocol"] == EFI:
        yield "the firmware decides where an EFI application lies; shown is one place that it may choose"
        if plan.hypervisor is not None and plan.hypervisor.efi_entry:
            yield "by EFI the hypervisor is entered with boot services running: the last line differs"
    elif report.entered["protocol"] != MULTIBOOT2:
        pass
    elif (plan.hypervisor is None or plan.partition) and all(module.embedded for module in plan.modules):
        yield "shown is NAME.elf; on an ISO or a disk GRUB loads NAME.efi, and decides where it lies"
    elif plan.hypervisor is not None and plan.hypervisor.efi_entry:
        yield "GRUB decides where the image lies; shown is its link address"
        yield "by GRUB on UEFI the hypervisor is entered with boot services running: the last line differs"
    told = {load_abi().constants[f"PROTOCOL_{name}"] for name in ("LINUX", "MULTIBOOT2")}
    if _efi_system(report) and told.intersection(planned.protocol for planned in plan.domains):
        yield "EFI's memory map is not in the capture: what the stub says of it, and tells Linux, differs"
    if not all(module.embedded for module in plan.modules):
        yield "the loader decides where the modules that it brings lie; shown are places that it may choose"


def _as_application(plan: Plan, program: Program, ranges: tuple[MemoryRange, ...]) -> tuple[Plan, Range]:
    """The image as NAME.efi: the stub with its modules behind it, high in memory. Raises BootFailure."""
    end = max([program.application.end, *(place.end for place in _behind(plan, program))])
    size = end - program.application.start
    base = machine.find_room(ranges, size, ())
    if base is None:
        raise BootFailure("E_NO_FREE_ROOM", size, f"{plan.image.name}.efi")
    return as_application(plan, program, base)


def _behind(plan: Plan, program: Program) -> list[Range]:
    """The embedded modules behind the stub of NAME.efi, at its link addresses."""
    sizes = [module.size for module in plan.modules if module.embedded]
    places = efi_image.place(program.application.end, sizes)
    return [Range.sized(place, size) for place, size in zip(places, sizes, strict=True)]


def as_application(plan: Plan, program: Program, base: int) -> tuple[Plan, Range]:
    """The image as NAME.efi at an address: the stub with its modules behind it."""
    behind = iter(_behind(plan, program))
    modules = tuple(replace(m, load_address=next(behind).start) if m.embedded else m for m in plan.modules)
    return replace(plan, modules=modules), Range.sized(base, program.application.size)


def _brought(plan: Plan, stub: Range, ranges: tuple[MemoryRange, ...]) -> Iterator[LoaderModule]:
    """Modules of the loader, as low as a loader puts them: from the top of RAM downwards here.

    Raises BootFailure.
    """
    taken = [stub, *(piece.range for module in plan.modules for piece in module.pieces)]
    for module in plan.modules:
        if not module.embedded:
            start = machine.find_room(ranges, module.size, taken)
            if start is None:
                raise BootFailure("E_NO_FREE_ROOM", module.size, module.name)
            taken.append(Range.sized(start, module.size))
            yield LoaderModule(start, module.size, module.name)


def machine_of(plan: Plan, stub: Range, build: str, modules: tuple[LoaderModule, ...], report: Report) -> Machine:
    """The machine, as the reference of a boot takes it."""
    entered, system = _entered(report), _efi_system(report)
    return Machine(
        entry=entered["protocol"],
        ranges=report.ranges,
        stub=stub,
        build=build,
        loader=None if entered["loader"] in ("", "-") else entered["loader"],
        modules=modules,
        rsdp=int(entered["rsdp"], 16),
        rsdp_bytes=report.rsdp_bytes,
        framebuffer=report.framebuffer,
        efi=Efi(system) if system and plan.hypervisor is None else None,
        cpu=report.cpu,
        contents={number: _head(module, plan.partition) for number, module in enumerate(plan.modules)},
    )


def _head(module: PlannedModule, whole: bool) -> bytes:
    if module.payload is None:
        return b""
    with module.payload.open("rb") as stream:
        return stream.read(-1 if whole else _HEADER)


# --- what lies where ---


def loaded_places(plan: Plan, stub: Range, modules: tuple[LoaderModule, ...]) -> list[Range]:
    """Where the loader puts each module."""
    brought = (Range.sized(module.start, module.size) for module in modules)
    return [embedded_place(module, stub) if module.embedded else next(brought) for module in plan.modules]


def _loaded(plan: Plan, stub: Range, modules: tuple[LoaderModule, ...]) -> list[Claim]:
    """What the loader puts into memory."""
    places = zip(plan.modules, loaded_places(plan, stub, modules), strict=True)
    return [Claim(stub, "stub and tables"), *(Claim(place, f"module {m.name}, as loaded") for m, place in places)]


def _launched(plan: Plan, stub: Range, found: boot.Boot) -> Iterator[Claim]:
    """What lies there when the kernel starts."""
    for number, module in enumerate(plan.modules):
        pieces = found.pieces[number] if found.pieces else [piece.range for piece in module.pieces]
        for part in _joined(pieces):
            yield Claim(part, f"module {module.name}, in its place")
        loaded = embedded_place(module, stub).start
        if found.modules and not module.pieces and found.modules[number].start != loaded:
            yield Claim(found.modules[number], f"module {module.name}, moved")
    if found.handover is not None:
        yield Claim(found.handover, "hand-over area")
    for whose, part in found.memory:
        yield Claim(part, f"memory of {whose}")


def _moved(plan: Plan, found: boot.Boot) -> Iterator[str]:
    """A sentence for each kernel that does not go where it was planned."""
    for module, pieces in zip(plan.modules, found.pieces, strict=False):
        planned = tuple(piece.range for piece in module.pieces)
        if pieces != planned:
            yield f"kernel {module.name} is moved to {span(pieces)}, for {span(planned)} is not all free RAM"


def _joined(ranges: Iterable[Range]) -> list[Range]:
    joined: list[Range] = []
    for part in sorted(ranges):
        if joined and part.start <= joined[-1].end:
            joined[-1] = Range(joined[-1].start, max(joined[-1].end, part.end))
        else:
            joined.append(part)
    return joined


def table(found: Fit) -> list[str]:
    """The machine's memory map as lines, and below each range what lies in it."""
    rows = [("range", "bytes", "what")]
    left = sorted(found.claims, key=lambda claim: claim.range)
    for part in found.ranges:
        here = Range(part.start, part.end)
        rows.append((str(here), f"{here.size:,}", KINDS[part.type]))
        rows += [_row(claim) for claim in left if claim.range.start in here]
        left = [claim for claim in left if claim.range.start not in here]
    if left:
        rows.append(("elsewhere", "", "nothing is there"))
        rows += [_row(claim) for claim in left]
    return aligned(rows, right=(1,))


def _row(claim: Claim) -> tuple[str, str, str]:
    return f"  {claim.range}", f"{claim.range.size:,}", f"  {claim.what}"
