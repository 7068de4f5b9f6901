"""A boot of the resident part, computed: which cpus and what memory each domain gets, and every line that is printed.

    found = boot(request, partition, machine, modules, code)    # raises BootFailure
    found.lines, found.domains[0].banks

It is the reference for stub/partition, and shares no code with it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bootwright.common.abi import load as load_abi
from bootwright.common.messages import BootFailure, line
from bootwright.common.ranges import FOUR_GIB, MIB, Range, first_fit
from bootwright.partition.compute import DomainPlaces, Partition
from bootwright.partition.regions import MapEntry
from bootwright.partition.request import DomainRequest, Request


@dataclass(frozen=True)
class Machine:
    """What the resident part finds. memory: as the loader says it; apic_ids: of the enabled cpus in the MADT's order;
    boot_id: of the cpu that boots; tsc: MHz.
    """

    memory: tuple[MapEntry, ...]
    apic_ids: tuple[int, ...]
    boot_id: int
    tsc: int
    x2apic: bool = False


@dataclass(frozen=True)
class BootedDomain:
    """Where a domain is: machine addresses of its banks, APIC ids of its cpus; crc: of the blocks in its memory."""

    banks: tuple[Range, ...]
    apic_ids: tuple[int, ...]
    crc: int


@dataclass(frozen=True)
class Booted:
    """shared: machine addresses of the shared ranges. lines: all that is printed before the launch."""

    domains: tuple[BootedDomain, ...]
    shared: tuple[Range, ...]
    lines: tuple[str, ...]


def boot(request: Request, found: Partition, machine: Machine, modules: Sequence[Range], code: Range) -> Booted:
    """The boot of a request's data on a machine; code: the resident part's, with its constants.

    Raises BootFailure.
    """
    given = _cpus(request, machine)
    memory = _Memory(request, found, machine, modules)
    domains = tuple(
        BootedDomain(banks, ids, _crc(places, ids))
        for banks, ids, places in zip(memory.banks, given, found.domains, strict=True)
    )
    lines = (
        *_machine_lines(machine, given),
        line("M_BUILDER", len(domains)),
        *(text for number in range(len(domains)) for text in _domain_lines(request, found, domains, memory, number)),
        *_last_lines(request, found, machine, code),
    )
    return Booted(domains, memory.shared, lines)


def _cpus(request: Request, machine: Machine) -> tuple[tuple[int, ...], ...]:
    """The APIC ids of each domain's cpus: wanted ones first, then the boot cpu, then the others in the MADT's order."""
    wanted = [identity for domain in request.domains for identity in domain.vcpus if identity is not None]
    for domain in request.domains:
        for identity in domain.vcpus:
            if identity is not None and identity not in machine.apic_ids:
                raise BootFailure("E_CPU_MISSING", domain.name, identity)
    free = [identity for identity in machine.apic_ids if identity not in wanted]
    if machine.boot_id in free:
        free.remove(machine.boot_id)
        free.insert(0, machine.boot_id)
    count = sum(len(domain.vcpus) for domain in request.domains)
    given = []
    for domain in request.domains:
        ids = []
        for number, identity in enumerate(domain.vcpus):
            if identity is None and not free:
                raise BootFailure("E_TOO_FEW_CPUS", domain.name, number, count, len(machine.apic_ids))
            ids.append(free.pop(0) if identity is None else identity)
        given.append(tuple(ids))
    return tuple(given)


class _Memory:
    """Places: first banks, below 4 GiB; shared ranges, there too; second banks. Of each kind the largest first, as low
    as it fits.
    """

    def __init__(self, request: Request, found: Partition, machine: Machine, modules: Sequence[Range]) -> None:
        constants = load_abi().constants
        self._ram = [entry.range for entry in machine.memory if entry.type == constants["XEN_HVM_MEMMAP_TYPE_RAM"]]
        self._taken = [entry.range for entry in machine.memory if entry.range not in self._ram]
        self._taken += [Range(0, constants["FIRST_MIB"]), Range(constants["IMAGE_LIMIT"], found.range.end), *modules]
        sizes = [[bank.guest.size for bank in places.guest.regions.banks] for places in found.domains]
        names = [domain.name for domain in request.domains]
        low = self._place("domain", names, [own[0] for own in sizes], FOUR_GIB)
        shared = self._place(
            "shared range", [s.name for s in request.shared], [s.size for s in request.shared], FOUR_GIB
        )
        high = self._place("domain", names, [sum(own[1:]) for own in sizes], 1 << 64)
        self.banks = [(first, second) if second.size else (first,) for first, second in zip(low, high, strict=True)]
        self.shared = tuple(shared)

    def _place(self, what: str, names: Sequence[str], sizes: Sequence[int], limit: int) -> list[Range]:
        places = [Range(0, 0)] * len(sizes)
        for number in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
            if sizes[number]:
                places[number] = self._find(sizes[number], limit)
                if not places[number].size:
                    reach = limit if limit < 1 << 64 else limit - 1
                    raise BootFailure("E_NO_BANK", what, names[number], sizes[number] // MIB, reach)
                self._taken.append(places[number])
        return places

    def _find(self, size: int, limit: int) -> Range:
        step = load_abi().constants["BANK_ALIGNMENT"]
        found = [first_fit(size, self._taken, Range(ram.start, min(ram.end, limit)), step) for ram in self._ram]
        return min((place for place in found if place), default=Range(0, 0))


def _crc(places: DomainPlaces, ids: Sequence[int]) -> int:
    """CRC-32 of what the host has made for a domain's memory, in its order, with what only the machine can say."""
    acpi = places.guest.acpi
    tables = bytearray(acpi.data)
    for patch in acpi.patches:
        at = patch.at - acpi.base
        if patch.kind == "CHECKSUM":
            tables[at + patch.number] = 0
            tables[at + patch.number] = -sum(tables[at : at + patch.size]) & 0xFF
        else:
            size = 1 if patch.kind == "APIC_ID" else 4
            tables[at : at + size] = ids[patch.number].to_bytes(4, "little")[:size]
    return zlib.crc32(tables, zlib.crc32(places.guest.information.data))


def _machine_lines(machine: Machine, given: Sequence[Sequence[int]]) -> Iterator[str]:
    yield line("M_PARTITION", "AMD SVM", "x2APIC" if machine.x2apic else "xAPIC", machine.tsc)
    used = {machine.boot_id, *(identity for ids in given for identity in ids)}
    yield line("M_PARTITION_CPUS", len(machine.apic_ids), len(used))


def _domain_lines(
    request: Request, found: Partition, domains: Sequence[BootedDomain], memory: _Memory, number: int
) -> Iterator[str]:
    domain, places, booted = request.domains[number], found.domains[number], domains[number]
    yield _introduction(domain)
    yield line("M_CMDLINE", domain.domid, domain.cmdline or "-")
    ids = " ".join(str(identity) for identity in booted.apic_ids)
    pages = places.tables.size // load_abi().constants["PAGE_SIZE"]
    yield line("M_PARTITION_TABLES", domain.domid, ids, pages, places.tables.start)
    regions = places.guest.regions
    for place, bank in zip(booted.banks, regions.banks, strict=True):
        yield line("M_PARTITION_BANK", domain.domid, place.start, place.end, bank.guest.start)
    for view in regions.views:
        where = memory.shared[view.number]
        rights = "writable" if view.share.writable else "read-only"
        yield line("M_PARTITION_SHARE", domain.domid, view.share.name, where.start, where.end, view.guest.start, rights)
    yield line("M_BUILT", domain.domid, number + 1, len(domains))
    yield line("M_PARTITION_ENTRY", domain.domid, domain.kernel.protocol, places.guest.entry, booted.crc)


def _introduction(domain: DomainRequest) -> str:
    ramdisk = domain.ramdisk.name if domain.ramdisk else "-"
    return line("M_DOMAIN", domain.domid, domain.name, domain.kernel.name, ramdisk, domain.memory // MIB)


def _last_lines(request: Request, found: Partition, machine: Machine, code: Range) -> Iterator[str]:
    step = load_abi().constants["BANK_ALIGNMENT"]
    leaves = 0
    for places in found.domains:
        regions = places.guest.regions
        reached = [*(bank.guest for bank in regions.banks), *(view.guest for view in regions.views)]
        pages = sum(part.size for part in reached) // step
        leaves += len(places.vcpus) * (pages + (0 if machine.x2apic else 1))
    vcpus = sum(len(places.vcpus) for places in found.domains)
    yield line("M_PARTITION_ISOLATION", len(found.domains), leaves, len(request.shared))
    yield line("M_PARTITION_RESIDENT", code.size, code.start, code.end)
    yield line("M_PARTITION_LAUNCH", len(found.domains), vcpus)
