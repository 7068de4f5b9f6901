"""A domain's memory as it sees it: banks, shared ranges, and the map that it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import PlanError
from bootwright.common.ranges import MIB, Range, align_up, first_fit
from bootwright.partition.request import DomainRequest, Request, Share

# What a PC with much memory has below 4 GiB for sure (QEMU's q35 has 2 GiB), less the stub and what is loaded.
_LOW_MEMORY = 1536 * MIB
_LOW_LIMITS = (1024 * MIB, 512 * MIB, 256 * MIB)
_LOOSE = 64 * MIB


@dataclass(frozen=True)
class Bank:
    """A run of memory: number among the domain's, and its guest addresses."""

    number: int
    guest: Range


@dataclass(frozen=True)
class View:
    """A share in its place: number of the shared range in the request, and its guest addresses."""

    share: Share
    number: int
    guest: Range


@dataclass(frozen=True)
class MapEntry:
    """A line of the map that a domain is told: XEN_HVM_MEMMAP_TYPE_*, or LINUX_E820_PRAM."""

    range: Range
    type: int


@dataclass(frozen=True)
class Regions:
    """What a domain reaches: banks, views of shared ranges, and the LAPIC's 2 MiB, of which one page is there."""

    banks: tuple[Bank, ...]
    views: tuple[View, ...]

    @property
    def first(self) -> Range:
        """The first bank, which holds all that is loaded."""
        return self.banks[0].guest

    def map(self) -> tuple[MapEntry, ...]:
        """What the domain is told, by address."""
        constants = load_abi().constants
        ram, reserved = (constants[f"XEN_HVM_MEMMAP_TYPE_{name}"] for name in ("RAM", "RESERVED"))
        low, high = constants["EBDA_END"], constants["IMAGE_BASE"]
        found = [
            MapEntry(Range(0, low), ram),
            MapEntry(Range(low, high), reserved),
            MapEntry(Range(high, self.first.end), ram),
            *(MapEntry(bank.guest, ram) for bank in self.banks[1:]),
            *(
                MapEntry(view.guest, constants["LINUX_E820_PRAM"] if view.share.pmem else reserved)
                for view in self.views
            ),
            MapEntry(Range.sized(constants["LAPIC_ADDRESS"], constants["PAGE_SIZE"]), reserved),
        ]
        return tuple(sorted(found, key=lambda entry: entry.range))


def lapic_range() -> Range:
    """The guest addresses that are mapped page by page, for the LAPIC's sake."""
    constants = load_abi().constants
    return Range.sized(constants["LAPIC_ADDRESS"], constants["BANK_ALIGNMENT"])


def regions(request: Request, domain: DomainRequest) -> Regions:
    """The memory of a domain of a request, whose sizes were checked. Raises PlanError for shares that do not fit in."""
    banks = tuple(_banks(domain, low_limit(request)))
    return Regions(banks, tuple(_views(request, domain, [bank.guest for bank in banks])))


def low_limit(request: Request) -> int:
    """How much of a domain's memory is to lie below 4 GiB of the machine, for all that is loaded: so little that all
    domains find room there.
    """
    memory = [domain.memory for domain in request.domains]
    return next((cap for cap in _LOW_LIMITS if sum(min(size, cap) for size in memory) <= _LOW_MEMORY), _LOW_LIMITS[-1])


def _banks(domain: DomainRequest, limit: int) -> Iterator[Bank]:
    """The first holds what is loaded, whatever the limit, with room for the kernel's first steps."""
    constants = load_abi().constants
    loaded = max((part.end for part in domain.kernel.ranges), default=0)
    loaded += _LOOSE + (domain.ramdisk.size if domain.ramdisk else 0)
    least = align_up(loaded, constants["BANK_ALIGNMENT"])
    first = min(domain.memory, max(limit, least), constants["BANK_LOW_LIMIT"])
    yield Bank(0, Range(0, first))
    if domain.memory > first:
        yield Bank(1, Range.sized(constants["BANK_HIGH_BASE"], domain.memory - first))


def _views(request: Request, domain: DomainRequest, banks: list[Range]) -> Iterator[View]:
    """Those with a place of their own first: what is left is for the others."""
    constants = load_abi().constants
    numbers = {shared.name: number for number, shared in enumerate(request.shared)}
    taken = [(bank, f"memory {bank}") for bank in banks] + [(lapic_range(), f"the LAPIC's {lapic_range()}")]
    free = Range(constants["BANK_LOW_LIMIT"], lapic_range().start)
    found: dict[Share, Range] = {}
    for share in sorted(domain.shares, key=lambda share: share.guest is None):
        size = request.shared[numbers[share.name]].size
        subject = f'domain "{domain.name}": shared range "{share.name}"'
        if share.guest is None:
            place = first_fit(size, [part for part, _ in taken], free, constants["BANK_ALIGNMENT"])
            if place is None:
                raise PlanError(f"{subject}: no room for its {size:#x} bytes is left in {free}")
        else:
            place = Range.sized(share.guest, size)
            _check_place(subject, place, taken)
        taken.append((place, f'shared range "{share.name}" {place}'))
        found[share] = place
    for share in domain.shares:
        yield View(share, numbers[share.name], found[share])


def _check_place(subject: str, place: Range, taken: list[tuple[Range, str]]) -> None:
    constants = load_abi().constants
    alignment, limit = constants["BANK_ALIGNMENT"], constants["GUEST_LIMIT"]
    if place.start % alignment:
        raise PlanError(f"{subject}: {place.start:#x} is not a multiple of {alignment:#x}")
    if place.end > limit:
        raise PlanError(f"{subject}: {place} ends beyond {limit:#x}, the last address that every cpu reaches")
    for other, name in taken:
        if place.overlaps(other):
            raise PlanError(f"{subject}: {place} overlaps {name}")
