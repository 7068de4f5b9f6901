"""The partition launcher's image: modules as its resident part wants them, and that itself in place of a hypervisor.

    info, jobs, planned = add(description, image, info, outcome.built, jobs, workdir)

The stub hands the resident part the packed kernels and ramdisks as they lie; how they are unpacked into the domains'
memory stands in the data that `partition` computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError, ErrorList, PlanError, Where
from bootwright.common.ranges import Range
from bootwright.description.load import Description, DomainDescription
from bootwright.description.partitions import LAUNCHER as LAUNCHER
from bootwright.description.records import OfHypervisor
from bootwright.hyperlaunch.builder import BuiltDomain
from bootwright.hyperlaunch.model import BootInfo, BootModule
from bootwright.inputs import resolve
from bootwright.kernels import pvh
from bootwright.partition import compute, resident
from bootwright.partition.guest import Guest
from bootwright.partition.request import (
    DomainConsole,
    DomainRequest,
    ImageSettings,
    Ramdisk,
    Request,
    Share,
    SharedRange,
    guest_kernel,
)
from bootwright.plan.modules import Job
from bootwright.plan.pack import pack_kernel
from bootwright.plan.records import PartitionedDomain, PlannedImage, PlannedPartition

NAME = "partition"  # of the resident part, among the modules
STRING = "string "  # how the names of strings begin, among the parts of its data
CONSOLES = {"virtual": "CONSOLE_VIRTUAL", "ring": "CONSOLE_RING", "passed": "CONSOLE_PASSED"}


def joined(info: BootInfo, jobs: Sequence[Job]) -> tuple[BootInfo, tuple[Job, ...]]:
    """The same with files that were packed to the same bytes once: a command line is no part of a module here."""
    first: dict[tuple[bytes, object], int] = {}
    same = {job.mod: first.setdefault((job.packed.sha256, job.packed.pieces), job.mod) for job in jobs}
    for index, domain in enumerate(info.domains):
        info = info.with_domain(index, domain.renumbered(lambda mod: same.get(mod, mod)))
    return info, tuple(job for job in jobs if same[job.mod] == job.mod)


def add(
    description: Description,
    image: PlannedImage,
    info: BootInfo,
    built: Sequence[BuiltDomain],
    jobs: Sequence[Job],
    workdir: Path,
) -> tuple[BootInfo, tuple[Job, ...], PlannedPartition]:
    """The model with the resident part as its hypervisor, and all jobs: those of the domains as files that are used as
    they lie, and the resident part's own. built: the domains in their order. Raises PlanError.
    """
    request = _request(description, image, info, built, jobs)
    try:
        found = compute.compute(request)
    except BootwrightError as error:
        errors = error.errors if isinstance(error, ErrorList) else (error,)
        raise ErrorList(PlanError(one.message, _place(description, one.message)) for one in errors) from error
    path = workdir / f"{NAME}.elf"
    path.write_bytes(resident.with_data(resident.link(resolve.cache_directory()).image, found))
    kernel = pvh.parse(path, workdir)
    packed = pack_kernel(kernel.path, kernel.segments, workdir / f"{NAME}.packed", description.image.pack)
    number = len(info.mods)
    module = BootModule(load_abi().constants["BOOTMOD_XEN"], kernel.size, name=NAME, path=path)
    info = replace(info, mods=(*info.mods, module), hypervisor=number)
    files = (replace(job, kernel=None, packed=replace(job.packed, pieces=())) for job in jobs)
    return info, (*files, Job(number, OfHypervisor(), "kernel", packed, kernel)), _planned(request, found)


def _planned(request: Request, found: compute.Partition) -> PlannedPartition:
    pairs = zip(request.domains, found.domains, strict=True)
    parts = ((place.range, place.name) for place in found.places if not place.name.startswith(STRING))
    return PlannedPartition(tuple(_planned_domain(domain, places.guest) for domain, places in pairs), tuple(parts))


def _planned_domain(domain: DomainRequest, guest: Guest) -> PartitionedDomain:
    constants = load_abi().constants
    regions = [(bank.guest, "memory") for bank in guest.regions.banks]
    for view in guest.regions.views:
        rights = "writable" if view.share.writable else "read-only"
        regions.append((view.guest, f"shared range {view.share.name}, {rights}"))
    regions.append((Range.sized(constants["LAPIC_ADDRESS"], constants["PAGE_SIZE"]), "local APIC"))
    words = {constants[name]: word for word, name in CONSOLES.items()}
    console = f"{words[domain.console.kind]}, port {domain.console.port:#x}" if domain.console else "none"
    return PartitionedDomain(
        domain.name,
        domain.vcpus,
        tuple(sorted(regions)),
        console,
        domain.restarts,
        domain.kernel.protocol,
        guest.entry,
        domain.cmdline,
    )


def _request(
    description: Description,
    image: PlannedImage,
    info: BootInfo,
    built: Sequence[BuiltDomain],
    jobs: Sequence[Job],
) -> Request:
    numbers = {job.mod: number for number, job in enumerate(jobs)}
    by_mod = {job.mod: job for job in jobs}
    domains = []
    for one in built:
        described, model = description.domains[one.index], info.domains[one.index]
        assert model.kernel is not None
        job = by_mod[model.kernel]
        assert job.kernel is not None
        pieces = tuple(piece.at(job.kernel.span.start) for piece in job.packed.pieces)
        kernel = guest_kernel(info.mods[model.kernel].name, job.kernel, numbers[model.kernel], pieces)
        ramdisk = None
        if model.ramdisk is not None:
            module, packed = info.mods[model.ramdisk], by_mod[model.ramdisk].packed
            pieces = tuple(piece.at(0) for piece in packed.pieces)
            ramdisk = Ramdisk(module.name, numbers[model.ramdisk], module.size, pieces)
        domains.append(
            DomainRequest(
                described.name,
                one.domid,
                described.memory,
                described.cpu_ids or (None,) * described.cpus,
                kernel,
                one.cmdline,
                ramdisk,
                described.ports,
                _console(described),
                _shares(description, described),
                described.restarts if described.on_end == "restart" else None,
                control=model.is_control_domain,
                initial=model.is_initial_domain,
            )
        )
    settings = ImageSettings(
        image.name,
        image.console,
        image.serial_port,
        image.serial_divisor,
        image.log,
        image.on_failure,
        image.reboot_seconds,
    )
    shared = tuple(SharedRange(one.name, one.size, one.mode == "both") for one in description.shared)
    return Request(settings, tuple(domains), shared)


def _place(description: Description, message: str) -> Where | None:
    """Where what an error is about is written: it begins with a subject and, where there is one, a key, as a word."""
    for table in (*description.domains, *description.shared):
        lead, _, sentence = message.partition(": ")
        if lead == table.subject:
            return table.place(sentence.split(" ")[0].rstrip(":"))
    return description.image.where


def _console(described: DomainDescription) -> DomainConsole | None:
    kind, constants = described.console.kind, load_abi().constants
    if kind not in CONSOLES:
        return None
    return DomainConsole(constants[CONSOLES[kind]], described.console.port or constants["UART_COM1"])


def _shares(description: Description, described: DomainDescription) -> tuple[Share, ...]:
    return tuple(
        Share(one.name, one.mode == "both" or one.between[0] == described.name, pmem=one.kind == "pmem")
        for one in description.shared
        if described.name in one.between
    )
