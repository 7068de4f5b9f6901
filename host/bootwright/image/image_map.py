"""The map of an image: where everything lies in memory and in the file. NAME.map is its text, for people: aligned
columns and half-open ranges in hex.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bootwright.common import abi
from bootwright.common.columns import aligned
from bootwright.common.errors import format_range
from bootwright.common.ranges import Range
from bootwright.description.records import ImageDescription
from bootwright.devicetree.bindings import HANDED_KIND, KINDS
from bootwright.image.embed import Patched
from bootwright.image.verify import Image
from bootwright.kernels import protocols
from bootwright.link.linked import Linked
from bootwright.plan.records import Generic, Plan, PlannedDomain, PlannedModule

MODULES = "modules"  # the folder of what a loader must bring

# What the stub needs on a machine of which nothing else is known, and what a hypervisor keeps for itself.
LEAST_MEMORY = 64 << 20
HYPERVISOR_MEMORY = 256 << 20
# A second bank lies in one piece above 4 GiB, where QEMU's PC has what exceeds this (seen with a domain of 3584M).
LOW_MEMORY = 3 << 30


@dataclass(frozen=True)
class Place:
    """A half-open range [start, end) of bytes, of physical memory or of the file, and what lies there."""

    start: int
    end: int
    what: str


@dataclass(frozen=True)
class Module:
    """A module as it travels: bytes as packed and as used, its SHA-256 (of the packed bytes) in hex.

    file: where it lies beside the image when the loader brings it, None for one inside the image.
    """

    name: str
    kind: str
    size: int
    unpacked_size: int
    pack: str
    sha256: str
    file: str | None = None


@dataclass(frozen=True)
class Partition:
    """What a domain of a partition has. cpus: APIC ids, None for any; regions: what there is at which of its own
    addresses; restarts: within a minute, None where its end is one.
    """

    cpus: tuple[int | None, ...]
    regions: tuple[Place, ...]
    console: str
    restarts: int | None


@dataclass(frozen=True)
class Domain:
    """A domain: whether it is built at boot, memory in bytes, names of its modules (None for none), command line, and
    by which protocol and at which address it is entered ("" and 0 where a hypervisor does that). modules: those that
    are handed over behind the ramdisk. partition: None where it is none's.
    """

    name: str
    built: bool
    memory: int
    kernel: str | None
    ramdisk: str | None
    cmdline: str
    protocol: str
    entry: int
    modules: tuple[str, ...] = ()
    partition: Partition | None = None


@dataclass(frozen=True)
class Hypervisor:
    """What is started in a domain's place: name of its module, command line, protocol, entry address."""

    kernel: str
    cmdline: str
    protocol: str
    entry: int


@dataclass(frozen=True)
class Map:
    """All that is known of an image. Addresses are physical, sizes in bytes.

    machine_memory, machine_cpus: what a machine needs to boot it; svm: it needs AMD's virtualisation;
    serial_port: I/O port that the stub prints on, None for none;
    stub_size: code and read-only data of the stub;
    partition: parts of the data of a partition's resident part, in memory;
    notes: sentences that a user may want to know; profiles: their names, none where there is one way to start.
    """

    name: str
    build_id: str
    entry: int
    pvh_entry: int
    stub_size: int
    machine_memory: int
    machine_cpus: int
    svm: bool
    serial_port: int | None
    memory: tuple[Place, ...]
    file: tuple[Place, ...]
    modules: tuple[Module, ...]
    domains: tuple[Domain, ...]
    hypervisor: Hypervisor | None
    notes: tuple[str, ...]
    partition: tuple[Place, ...] = ()
    profiles: tuple[str, ...] = ()


def module_file(name: str) -> str:
    """Where a module that a loader brings lies, relative to the image's directory."""
    return f"{MODULES}/{name}"


def map_image(
    described: ImageDescription, planned: Plan | Generic, linked: Linked, patched: Patched, image: Image
) -> Map:
    """The map of an image that was planned, linked, patched, and read back as `image`."""
    stub = [section for section in linked.sections if section.size]
    memory = tuple(Place(s.address, s.address + s.size, f"stub {s.name}") for s in stub)
    found = Map(
        name=described.name,
        build_id=patched.build_id.hex(),
        entry=image.entry,
        pvh_entry=image.pvh_entry,
        stub_size=image.code_and_rodata,
        machine_memory=max(LEAST_MEMORY, *(place.end for place in memory)),
        machine_cpus=1,
        svm=False,
        serial_port=described.console.serial_port,
        memory=memory,
        file=tuple(Place(s.offset, s.offset + s.size, f"stub {s.name}") for s in stub if s.name != ".bss"),
        modules=(),
        domains=(),
        hypervisor=None,
        notes=(),
    )
    return found if isinstance(planned, Generic) else _with_plan(found, planned, patched.offsets)


def _with_plan(found: Map, plan: Plan, offsets: Sequence[int]) -> Map:
    """The same with all that was planned. offsets: of the modules in the file."""
    embedded = [module for module in plan.carried if module.embedded]
    placements = dict.fromkeys(p for one in (plan, *plan.profiles) for p in one.placements)
    placed = tuple(Place(p.range.start, p.range.end, p.what) for p in placements)
    in_file = (
        Place(offset, offset + module.size, f"module {module.name}")
        for module, offset in zip(embedded, offsets, strict=True)
    )
    memory = (*found.memory, *placed)
    modules, domains, hypervisor = contents(plan)
    return dataclasses.replace(
        found,
        machine_cpus=machine_cpus(plan),
        svm=plan.partition,
        machine_memory=machine_memory(plan, max(place.end for place in memory)),
        memory=memory,
        file=(*found.file, *in_file),
        modules=modules,
        domains=domains,
        hypervisor=hypervisor,
        notes=plan.notes,
        partition=_places(plan.partitioned.parts) if plan.partitioned else (),
        profiles=tuple(one.image.profile for one in (plan, *plan.profiles)) if plan.profiles else (),
    )


def kind_of(module: PlannedModule) -> str:
    """What a module is, in a word."""
    constants = abi.load().constants
    words = {**KINDS, "xen": "BOOTMOD_XEN", "module": HANDED_KIND}
    return {constants[kind]: word for word, kind in words.items()}.get(module.kind, "other")


def _module(module: PlannedModule) -> Module:
    constants = abi.load().constants
    lz4 = any(piece.method == constants["PACK_LZ4"] for piece in module.pieces)
    return Module(
        name=module.name,
        kind=kind_of(module),
        size=module.size,
        unpacked_size=module.unpacked_size,
        pack="lz4" if lz4 else "stored",
        sha256=module.sha256.hex(),
        file=None if module.embedded else module_file(module.name),
    )


def _memory(planned: PlannedDomain) -> int:
    return planned.domain.mem_size.pages(0) * abi.load().constants["PAGE_SIZE"]


def contents(plan: Plan) -> tuple[tuple[Module, ...], tuple[Domain, ...], Hypervisor | None]:
    """What an image is made of, as its map says it."""
    modules = tuple(_module(module) for module in plan.carried)
    return modules, tuple(_domain(domain, plan) for domain in plan.domains), _hypervisor(plan)


def machine_cpus(plan: Plan) -> int:
    """Cpus that a machine needs."""
    if not plan.partition:
        return 1
    return sum(planned.domain.ncpus for planned in plan.domains if planned.domain.kernel is not None)


def machine_memory(plan: Plan, top: int) -> int:
    """Bytes of memory that a machine needs; top: behind all that was placed."""
    domains = [_memory(planned) for planned in plan.domains if planned.domain.kernel is not None]
    if plan.hypervisor is not None:
        owned = plan.partitioned.domains if plan.partitioned else ()
        seen = [range for own in owned for range, _ in own.regions]
        high = sum(range.size for range in seen if range.start >= abi.load().constants["BANK_HIGH_BASE"])
        return max(top + sum(domains) + HYPERVISOR_MEMORY, LOW_MEMORY + high if high else 0)
    return max([top, *domains, LEAST_MEMORY])


def _hypervisor(plan: Plan) -> Hypervisor | None:
    found = plan.hypervisor
    if found is None:
        return None
    name = plan.modules[found.module].name
    return Hypervisor(name, found.cmdline, protocols.name(found.protocol), found.entry)


def _domain(planned: PlannedDomain, plan: Plan) -> Domain:
    def module(index: int | None) -> PlannedModule | None:
        return None if index is None else plan.modules[index]

    kernel, ramdisk = module(planned.domain.kernel), module(planned.domain.ramdisk)
    found = Domain(
        name=planned.domain.name,
        built=planned.domain.kernel is not None,
        memory=_memory(planned),
        kernel=kernel.name if kernel else None,
        ramdisk=ramdisk.name if ramdisk else None,
        cmdline=kernel.string if kernel else "",
        protocol=protocols.name(planned.protocol),
        entry=planned.entry,
        modules=tuple(plan.modules[number].name for number in planned.domain.handed),
    )
    for own in plan.partitioned.domains if plan.partitioned else ():
        if own.name == found.name:
            partition = Partition(own.cpus, _places(own.regions), own.console, own.restarts)
            return dataclasses.replace(
                found, cmdline=own.cmdline, protocol=own.protocol, entry=own.entry, partition=partition
            )
    return found


def _places(parts: Iterable[tuple[Range, str]]) -> tuple[Place, ...]:
    return tuple(Place(part.start, part.end, what) for part, what in parts)


def text(found: Map) -> str:
    """NAME.map."""
    lines = [
        f"image {found.name}",
        "",
        f"build id   {found.build_id}",
        f"entry      {found.entry:#x} (multiboot), {found.pvh_entry:#x} (PVH)",
        f"stub       {found.stub_size} bytes of code and read-only data",
        f"machine    {found.machine_memory >> 20} MiB of memory or more",
        f"serial     {'none' if found.serial_port is None else f'port {found.serial_port:#x}'}",
        "",
        "memory",
        *_ranges(found.memory),
        "",
        "file",
        *_ranges(found.file),
    ]
    if found.modules:
        columns = [
            (m.name, m.kind, m.pack, f"{m.size}", f"{m.unpacked_size}", m.file or "in the image", m.sha256)
            for m in found.modules
        ]
        head = ("name", "kind", "packed as", "bytes", "unpacked", "where", "SHA-256 (as packed)")
        lines += ["", "modules", *_indented([head, *columns], right=(3, 4))]
    if found.hypervisor is not None:
        lines += ["", "resident part" if found.partition else "hypervisor", *_launched(found.hypervisor, None)]
    for domain in found.domains:
        lines += ["", f"domain {domain.name}{'' if domain.built else ', not built'}"]
        lines += [f"  memory   {domain.memory >> 20} MiB"]
        lines += _launched(domain, domain.ramdisk, domain.modules)
        lines += _partition(domain.partition) if domain.partition else []
    if found.partition:
        lines += ["", "data of the resident part", *_ranges(found.partition)]
    if found.profiles:
        lines += ["", f"profiles  {', '.join(found.profiles)}"]
    if found.notes:
        lines += ["", "notes", *(f"  {note}" for note in found.notes)]
    return "\n".join(lines) + "\n"


def _launched(what: Domain | Hypervisor, ramdisk: str | None, modules: Sequence[str] = ()) -> list[str]:
    entered = f", entered by {what.protocol} at {what.entry:#x}" if what.protocol else ""
    shown = [f"  kernel   {what.kernel}{entered}"] if what.kernel is not None else []
    shown += [f"  ramdisk  {ramdisk}"] if ramdisk is not None else []
    shown += [f"  modules  {', '.join(modules)}"] if modules else []
    return shown + ([f"  cmdline  {what.cmdline}"] if what.cmdline else [])


def _partition(found: Partition) -> list[str]:
    ids = [str(cpu) for cpu in found.cpus if cpu is not None]
    restarts = "stop" if found.restarts is None else f"restart, {found.restarts} times a minute"
    return [
        f"  cpus     {', '.join([str(len(found.cpus)), *(['APIC ids ' + ' '.join(ids)] if ids else [])])}",
        f"  console  {found.console}",
        f"  on-end   {restarts}",
        *(f"  {line}" for line in _ranges(found.regions)),
    ]


def _ranges(places: Sequence[Place]) -> list[str]:
    rows = [(format_range(p.start, p.end), f"{p.end - p.start}", p.what) for p in sorted(places, key=_order)]
    return _indented([("range", "bytes", "what"), *rows], right=(1,))


def _indented(rows: Sequence[Sequence[str]], right: Sequence[int]) -> list[str]:
    return [f"  {line}" for line in aligned(rows, right)]


def _order(place: Place) -> tuple[int, int]:
    return place.start, place.end
