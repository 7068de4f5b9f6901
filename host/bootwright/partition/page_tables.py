"""Nested page tables: what of a domain's guest addresses leads where, not relocated yet.

Four levels, as the cpu walks them (AMD APM volume 2, 5.3 and 15.25): every entry has the user bit, since all accesses
of a guest count as user's. An entry of the last level carries in bits 52 to 58 what its address counts from
(stub/abi/partition.h). The tables that lead to the LAPIC's page are each vcpu's own, as what stands there changes while
it writes to it; all others are the domain's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from bootwright.common.abi import load as load_abi
from bootwright.partition.regions import Regions

LEVELS = 4  # of the root; 1: tables of pages


@dataclass(frozen=True)
class Tables:
    """Pages of a domain's tables, to lie from `base` on. roots: machine address of each vcpu's PML4; lapic_entries: of
    the entry that maps the LAPIC's page for it.
    """

    base: int
    data: bytes
    roots: tuple[int, ...]
    lapic_entries: tuple[int, ...]


def tables(found: Regions, vcpus: int, base: int) -> Tables:
    """The tables of a domain with so many vcpus, whose first page is at machine address `base`."""
    builder = _Builder(base)
    lapic = load_abi().constants["LAPIC_ADDRESS"]
    roots, entries = [], []
    for vcpu in range(vcpus):
        roots.append(base + builder.table(LEVELS, lapic, vcpu) * builder.page)
        entries.append(builder.entry_address(lapic, 1, vcpu))
        builder.set(lapic, 1, vcpu, _lapic_entry())
    for start, entry in _large_leaves(found):
        builder.set(start, 2, 0, entry)
    for vcpu in range(1, vcpus):
        builder.share(vcpu)
    return Tables(base, builder.data(), tuple(roots), tuple(entries))


def _lapic_entry() -> int:
    constants = load_abi().constants
    flags = sum(constants[f"PTE_{name}"] for name in ("PRESENT", "USER", "WRITE_THROUGH", "CACHE_DISABLE"))
    return _marked(constants["LAPIC_ADDRESS"] | flags | 1 << constants["PTE_NO_EXECUTE_BIT"], "LAPIC", 0)


def _large_leaves(found: Regions) -> Iterator[tuple[int, int]]:
    """Guest address and entry of each 2 MiB of banks and shared ranges."""
    constants = load_abi().constants
    rights = constants["PTE_PRESENT"] | constants["PTE_USER"] | constants["PTE_LARGE"]
    step, write = constants["PAGE_SIZE_2M"], constants["PTE_WRITABLE"]
    for bank in found.banks:
        for offset in range(0, bank.guest.size, step):
            yield bank.guest.start + offset, _marked(offset | rights | write, "BANK", bank.number)
    for view in found.views:
        allowed = rights | write if view.share.writable else rights
        for offset in range(0, view.guest.size, step):
            yield view.guest.start + offset, _marked(offset | allowed, "SHARED", view.number)


def _marked(entry: int, kind: str, number: int) -> int:
    constants = load_abi().constants
    mark = constants[f"NESTED_KIND_{kind}"] << constants["NESTED_KIND_SHIFT"]
    return int(entry | mark | number << constants["NESTED_NUMBER_SHIFT"])


class _Builder:
    """Tables as they grow. Each is found by its level, by the part of the address that leads to it, and, if it leads to
    the LAPIC's page, by its vcpu.
    """

    def __init__(self, base: int) -> None:
        constants = load_abi().constants
        self.page: int = constants["PAGE_SIZE"]
        self._base = base
        self._entries: int = constants["PAGE_ENTRIES"]
        self._bits = self._entries.bit_length() - 1
        self._shift: int = constants["PAGE_SHIFT"]
        self._lapic: int = constants["LAPIC_ADDRESS"]
        self._link = constants["PTE_PRESENT"] | constants["PTE_WRITABLE"] | constants["PTE_USER"]
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._pages: list[list[int]] = []

    def table(self, level: int, address: int, vcpu: int) -> int:
        """Number of the page with the table of that level for an address; it is made if there is none."""
        key = self._key(level, address, vcpu)
        if key not in self._numbers:
            self._numbers[key] = len(self._pages)
            self._pages.append([0] * self._entries)
            if level < LEVELS:
                self.set(address, level + 1, vcpu, self._base + self._numbers[key] * self.page | self._link)
        return self._numbers[key]

    def set(self, address: int, level: int, vcpu: int, entry: int) -> None:
        """Write the entry of that level for an address."""
        self._pages[self.table(level, address, vcpu)][self._index(address, level)] = entry

    def entry_address(self, address: int, level: int, vcpu: int) -> int:
        """Where that entry is."""
        number = self.table(level, address, vcpu)
        return self._base + number * self.page + self._index(address, level) * (self.page // self._entries)

    def share(self, vcpu: int) -> None:
        """Give a vcpu what stands in the first one's tables, but for what leads to the LAPIC's page."""
        for level in range(1, LEVELS + 1):
            first, own = (self._pages[self.table(level, self._lapic, one)] for one in (0, vcpu))
            kept = self._index(self._lapic, level)
            own[:] = [own[at] if at == kept else entry for at, entry in enumerate(first)]

    def data(self) -> bytes:
        return b"".join(struct.pack(f"<{self._entries}Q", *page) for page in self._pages)

    def _key(self, level: int, address: int, vcpu: int) -> tuple[int, int, int]:
        part = address >> self._shift + level * self._bits
        own = part == self._lapic >> self._shift + level * self._bits
        return level, part, vcpu if own else -1

    def _index(self, address: int, level: int) -> int:
        return address >> self._shift + (level - 1) * self._bits & self._entries - 1
