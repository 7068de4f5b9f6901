"""Nested tables of a domain, relocated and walked: what one of its cpus reaches, entry by entry.

Specifications: stub/abi/partition.h for what an entry says until it is relocated; AMD64 APM volume 2, 5.3 and 15.25.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from bootwright.common.abi import load as load_abi
from bootwright.common.messages import BootFailure
from bootwright.common.ranges import Range

ROOT_LEVEL = 4
_ENTRIES, _ENTRY_SIZE = 512, 8
_LARGE_LEVEL = 2  # of tables whose entries may be pages of 2 MiB

# A domain's view of a run of memory: guest address, machine addresses, whether it may write there.
View = tuple[int, Range, bool]


class Tables:
    """A domain's nested tables in `data` at machine address `start`, with the addresses of its banks and of all shared
    ranges put in.
    """

    def __init__(self, start: int, data: bytes, banks: Sequence[int], shared: Sequence[int], x2apic: bool) -> None:
        constants = load_abi().constants
        self._places = {constants["NESTED_KIND_BANK"]: banks, constants["NESTED_KIND_SHARED"]: shared}
        self._x2apic = x2apic
        self._range = Range.sized(start, len(data))
        self._entries = [self._relocated(entry) for (entry,) in struct.iter_unpack("<Q", data)]

    def _relocated(self, entry: int) -> int:
        constants = load_abi().constants
        shift, width = constants["NESTED_KIND_SHIFT"], constants["NESTED_NUMBER_SHIFT"] - constants["NESTED_KIND_SHIFT"]
        marks = entry >> shift & constants["NESTED_MARKS"]
        kind, number = marks & (1 << width) - 1, marks >> width
        bare = entry & ~(constants["NESTED_MARKS"] << shift)
        if kind == constants["NESTED_KIND_LAPIC"]:
            return 0 if self._x2apic else bare
        places = self._places.get(kind, ())
        return bare + places[number] if number < len(places) else entry

    def has(self, table: int) -> bool:
        """Whether a table lies at this address."""
        return table in self._range and table % load_abi().constants["PAGE_SIZE"] == 0

    def walk(self, table: int, level: int = ROOT_LEVEL, guest: int = 0) -> Iterator[tuple[int, int, int]]:
        """Of every entry that is there and leads to no other table: its guest address, itself, where it stands."""
        constants = load_abi().constants
        first = (table - self._range.start) // _ENTRY_SIZE
        shift = constants["PAGE_SHIFT"] + 9 * (level - 1)
        for index, entry in enumerate(self._entries[first : first + _ENTRIES]):
            below = entry & -constants["PAGE_SIZE"]
            leaf = level == 1 or (level == _LARGE_LEVEL and entry & constants["PTE_LARGE"])
            here = guest + (index << shift)
            if entry and not leaf and entry - below == _flags("WRITABLE", "USER") and self.has(below):
                yield from self.walk(below, level - 1, here)
            elif entry:
                yield here, entry, table + index * _ENTRY_SIZE


def _flags(*names: str) -> int:
    constants = load_abi().constants
    return constants["PTE_PRESENT"] | sum(constants[f"PTE_{name}"] for name in names)


def _wanted(views: Sequence[View], lapic: bool) -> dict[int, int]:
    """The entry for each guest address that a cpu is to reach."""
    constants = load_abi().constants
    size = constants["BANK_ALIGNMENT"]
    found: dict[int, int] = {}
    for guest, place, writable in views:
        flags = _flags("USER", "LARGE", *["WRITABLE"] * writable)
        found |= {guest + at: place.start + at | flags for at in range(0, place.size, size)}
    if lapic:
        flags = _flags("USER", "WRITE_THROUGH", "CACHE_DISABLE") | 1 << constants["PTE_NO_EXECUTE_BIT"]
        found[constants["LAPIC_ADDRESS"]] = constants["LAPIC_ADDRESS"] | flags
    return found


def check(tables: Tables, name: str, root: int, views: Sequence[View], lapic_entry: int | None) -> int:
    """How many pages a cpu of domain `name` reaches by the tables at `root`: those of `views`, and its LAPIC's.

    lapic_entry: where the entry for that stands; None if the cpu needs none. Raises BootFailure E_NESTED_*.
    """
    if not tables.has(root):
        raise BootFailure("E_NESTED_ROOT", name, root)
    wanted, found = _wanted(views, lapic_entry is not None), 0
    for guest, entry, place in tables.walk(root):
        small = guest == load_abi().constants["LAPIC_ADDRESS"]
        if wanted.get(guest) != entry or (small and place != lapic_entry):
            raise BootFailure("E_NESTED_ENTRY", name, entry, place, guest)
        found += 1
    if found != len(wanted):
        raise BootFailure("E_NESTED_PAGES", name, found, len(wanted))
    return found
