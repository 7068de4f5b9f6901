"""The plan: everything that can be fixed before boot, fixed.

    plan = make(description, info, workdir)      # Plan
    for module in plan.modules:                  # the bytes of module.payload go to module.load_address
        ...

make looks into the kernels of the domains that the launcher builds and into the hypervisor, packs the modules
into files in the work folder, gives them addresses, and refuses what does not fit. Modules of domains that
this launcher does not build are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import PlanError, about
from bootwright.common.ranges import Range
from bootwright.description.load import Description, ImageDescription
from bootwright.hyperlaunch import builder
from bootwright.hyperlaunch.model import BootInfo
from bootwright.kernels import protocols
from bootwright.plan import lcm, notes, partitions, xen
from bootwright.plan.modules import Job, Jobs, Progress
from bootwright.plan.place import Placing
from bootwright.plan.records import Plan, PlannedDomain, PlannedHypervisor, PlannedImage, PlannedModule

MAX_ROOM = 0xFFFFFFFF  # what struct boot_domain can say

__all__ = [
    "Plan",
    "PlannedDomain",
    "PlannedHypervisor",
    "PlannedImage",
    "PlannedModule",
    "Progress",
    "make",
    "settings",
]


def make(
    description: Description,
    info: BootInfo,
    workdir: Path,
    progress: Progress | None = None,
    carried: Mapping[bytes, Range] = MappingProxyType({}),
) -> Plan:
    """Plan the image of `description`, whose model is `info`. Packed files go to workdir, which must be
    there. carried: as for Placing, for a further profile of the same image.

    Raises PlanError, KernelError or SourceError, with the place in the description.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    launcher = builder.LAUNCHERS[description.image.launcher]
    said: list[str] = []
    if description.hypervisor is not None and description.hypervisor.lcm:
        launcher, info = builder.HYPERLAUNCH, lcm.add(description, info, workdir)
        said += lcm.notes(description)
    # A hypervisor adds to its initial domain's command line what its own asks for.
    told = info if info.hypervisor is None else replace(info, cmdline=info.hypervisor_cmdline)
    lines, outcome = builder.transcript(told, launcher, builder.Hypervisor.of_cmdline(told.cmdline))
    if isinstance(outcome, builder.BootFailure):
        raise _refused(description, outcome)
    built = [one.index for one in outcome.built]
    jobs = Jobs(description, info, workdir, progress)
    for index in built:
        jobs.add_domain(index)
    image, done, partitioned = settings(description.image), jobs.done, None
    if description.image.launcher == partitions.LAUNCHER:
        info, done = partitions.joined(info, done)
        info, done, partitioned = partitions.add(description, image, info, outcome.built, done, workdir)
        lines = xen.lines(info, built, partition=True)
    elif info.hypervisor is not None:
        jobs.add_hypervisor()
        lines, done = xen.lines(info, built), jobs.done
    placing = Placing(description, info, done, carried)
    placing.place()
    modules = tuple(_module(job, description, info) for job in placing.jobs)
    limit = load_abi().constants["MAX_MODULES"]
    if len(modules) > limit:
        message = f"{len(modules)} modules are needed, but at most {limit} are possible"
        raise PlanError(message, description.image.where)
    return Plan(
        image,
        tuple(_domains(info, placing.jobs, built)),
        modules,
        _hypervisor(description, info, placing.jobs),
        placing.placed,
        tuple(lines),
        (
            *notes.of_description(description, info, built),
            *notes.of_memory(description, built, placing.below),
            *said,
            *jobs.notes,
        ),
        partitioned,
        description.image.slack,
    )


def _refused(description: Description, failure: builder.BootFailure) -> PlanError:
    """What the domain builder will not do, where it is written."""
    if failure.name == "E_CMDLINE_TOO_LONG":
        name, limit, reader = failure.values
        domain = next(domain for domain in description.domains if domain.name == name)
        message = f"{domain.subject}: cmdline: {reader} takes at most {limit} bytes, with what is added to it"
        return PlanError(message, domain.place("cmdline"))
    return PlanError(f"this description would fail at boot with {failure}", description.image.where)


def _module(job: Job, description: Description, info: BootInfo) -> PlannedModule:
    constants = load_abi().constants
    module = info.mods[job.mod]
    flags = constants["MODULE_EMBEDDED"] if description.image.modules == "embedded" else 0
    flags |= constants["MODULE_VERIFY"] if description.image.verify else 0
    place = job.place.start if job.place else 0
    assert job.place or not job.packed.pieces, "what has pieces has a place"
    pieces = tuple(piece.at(place) for piece in job.packed.pieces)
    return PlannedModule(
        name=module.name,
        kind=module.kind,
        flags=flags,
        string=xen.module_string(info, module),
        load_address=job.load_address,
        size=job.packed.size,
        unpacked_size=job.unpacked_size(module.size),
        start=place if job.kernel is None and pieces else 0,  # a kernel's pieces say all
        sha256=job.packed.sha256,
        pieces=pieces,
        movable=job.kernel.movable if job.kernel else None,
        sections=job.kernel.sections if job.kernel else None,
        payload=job.packed.path,
    )


def _domains(info: BootInfo, jobs: Iterable[Job], built: Iterable[int]) -> Iterable[PlannedDomain]:
    """All domains; those that are not built refer to no module, those of a hypervisor have no protocol."""
    constants = load_abi().constants
    position = {job.mod: number for number, job in enumerate(jobs)}
    kernels = {job.mod: job.kernel for job in jobs}
    for index, domain in enumerate(info.domains):
        entered = kernels.get(domain.kernel) if domain.kernel is not None and index in built else None
        yield PlannedDomain(
            domain.renumbered(position.get) if index in built else domain.with_modules({}),
            constants[f"PROTOCOL_{entered.protocol.upper() if entered else 'NONE'}"],
            entered.entry if entered else 0,
            min(entered.max_cmdline + 1, MAX_ROOM) if entered and entered.max_cmdline is not None else 0,
        )


def _hypervisor(description: Description, info: BootInfo, jobs: Sequence[Job]) -> PlannedHypervisor | None:
    ucode = load_abi().constants["BOOTMOD_UCODE"]
    # Xen's own module is the last, so it counts the others as we do.
    microcode = next((number for number, job in enumerate(jobs) if info.mods[job.mod].kind == ucode), None)
    for number, job in enumerate(jobs):
        if job.mod == info.hypervisor and job.kernel is not None:
            kernel = job.kernel
            name = kernel.protocol if kernel.efi_entry is None else protocols.HYPERVISOR
            protocol = load_abi().constants[f"PROTOCOL_{name.upper()}"]
            cmdline = info.mods[job.mod].name
            if description.image.launcher != partitions.LAUNCHER:
                with about("", description.table(job.owner).place("cmdline")):
                    cmdline = xen.cmdline(info, microcode)
            return PlannedHypervisor(number, protocol, cmdline, kernel.entry, kernel.efi_entry or 0)
    return None


def settings(image: ImageDescription) -> PlannedImage:
    """What [image] says, in numbers."""
    constants = load_abi().constants
    serial = constants["CONSOLE_SERIAL"] if image.console.serial_port is not None else 0
    vga = constants["CONSOLE_VGA"] if image.console.vga else 0
    reboot = image.on_failure is not None
    return PlannedImage(
        name=image.name,
        console=serial | vga,
        serial_port=image.console.serial_port or 0,
        serial_divisor=image.console.serial_divisor,
        log=constants[f"LOG_{image.log.upper()}"],
        on_failure=constants["ON_FAILURE_REBOOT" if reboot else "ON_FAILURE_HALT"],
        reboot_seconds=image.on_failure or 0,
    )
