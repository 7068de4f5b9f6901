"""A domain as its kernel finds it: everything in its memory, by guest address."""

from __future__ import annotations

from dataclasses import dataclass

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import PlanError
from bootwright.common.pieces import Piece
from bootwright.common.ranges import Range
from bootwright.partition import acpi, bitmaps, information
from bootwright.partition.regions import Regions, regions
from bootwright.partition.request import DomainRequest, Request


@dataclass(frozen=True)
class Load:
    """A module on its way: its number, and its pieces with guest addresses."""

    module: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Guest:
    """What is in a domain's memory at the entry. ramdisk: where it is put. rbx, rsi: the entry's registers."""

    regions: Regions
    information: information.Information
    acpi: acpi.Acpi
    ramdisk: Range | None
    loads: tuple[Load, ...]
    entry: int
    rbx: int = 0
    rsi: int = 0


def guest(request: Request, domain: DomainRequest) -> Guest:
    """A domain of a request that was checked. Raises PlanError for what does not fit into its memory."""
    found = regions(request, domain)
    kernel, uart = domain.kernel, bitmaps.uart(domain)
    tables = acpi.acpi(len(domain.vcpus), uart.start if uart else None)
    ramdisk = _place_ramdisk(domain, found)
    told = information.Told(
        domain.cmdline, found.map(), tables.base, kernel.entry, ramdisk, kernel.setup, domain.initial
    )
    written = information.information(kernel.protocol, told)
    register = {"rbx" if kernel.protocol == "pvh" else "rsi": written.start}
    return Guest(found, written, tables, ramdisk, _loads(domain, ramdisk), kernel.entry, **register)


def _loads(domain: DomainRequest, ramdisk: Range | None) -> tuple[Load, ...]:
    kernel = Load(domain.kernel.module, domain.kernel.pieces)
    if domain.ramdisk is None or ramdisk is None:
        return (kernel,)
    size, stored = domain.ramdisk.size, load_abi().constants["PACK_STORED"]
    pieces = domain.ramdisk.pieces or (Piece(0, size, 0, size, 0, stored),)
    return kernel, Load(domain.ramdisk.module, tuple(piece.moved(ramdisk.start) for piece in pieces))


def _place_ramdisk(domain: DomainRequest, found: Regions) -> Range | None:
    """As high as it goes: below 1 GiB, which every kernel maps first, or else anywhere in the first bank."""
    if domain.ramdisk is None:
        return None
    constants = load_abi().constants
    size, page = domain.ramdisk.size, constants["PAGE_SIZE"]
    end = min(found.first.end, domain.kernel.ramdisk_end or found.first.end)
    for limit in (min(end, constants["HANDOVER_LIMIT"]), end):
        start = (limit - size) // page * page
        for part in sorted(domain.kernel.ranges, reverse=True):
            if Range.sized(start, size).overlaps(part):
                start = (part.start - size) // page * page
        if start >= constants["IMAGE_BASE"]:
            return Range.sized(start, size)
    raise PlanError(
        f'domain "{domain.name}": ramdisk {domain.ramdisk.name} of {size:#x} bytes does not fit beside '
        f"kernel {domain.kernel.name} into {Range(constants['IMAGE_BASE'], end)}"
    )
