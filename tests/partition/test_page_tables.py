"""Nested tables: walked as a cpu walks them, after relocation, they reach what a description gives, and no more."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

import nested
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nested import Leaf
from partition_data import GIB, STEP, Data, requests

from bootwright.common.ranges import Range
from bootwright.partition.compute import Partition, compute
from bootwright.partition.request import Request

LAPIC = Range.sized(0xFEE00000, 0x1000)


@dataclass
class Machine:
    """A machine with the data in its memory, and places for all banks and shared ranges; tables are relocated."""

    found: Partition
    data: Data
    banks: list[list[Range]]
    shared: list[Range]

    @property
    def read(self) -> Callable[[int], int]:
        return lambda address: int.from_bytes(self.data.read(address, 8), "little")

    def leaves(self, number: int) -> list[list[Leaf]]:
        """Of each vcpu of a domain."""
        return [nested.leaves(self.read, vcpu.root) for vcpu in self.data.vcpus(self.data.domains[number])]


def machine(asked: Request, seed: int = 0, x2apic: bool = False) -> Machine:
    """Banks and shared ranges in any order, with and without room between them, clear of the data and the LAPIC."""
    found = compute(asked)
    data = Data(found)
    chance = random.Random(seed)
    sizes = [(("bank", number, at), bank.size) for number, domain in enumerate(data.domains)
             for at, bank in enumerate(domain.banks) if bank.size]  # fmt: skip
    sizes += [
        (("shared", number, 0), one.size)
        for number, one in enumerate(data.records("shared_range", data.head.shared, data.head.nr_shared))
    ]
    chance.shuffle(sizes)
    places: dict[tuple[str, int, int], Range] = {}
    at = -(-found.range.end // STEP) * STEP
    for name, size in sizes:
        at += chance.choice([0, 0, STEP, 7 * STEP])
        if Range.sized(at, size).overlaps(Range(0xC0000000, 4 * GIB)):
            at = 4 * GIB
        places[name] = Range.sized(at, size)
        at += size
    banks = [[place for (kind, owner, _), place in sorted(places.items()) if (kind, owner) == ("bank", number)]
             for number in range(len(data.domains))]  # fmt: skip
    shared = [place for (kind, _, _), place in sorted(places.items()) if kind == "shared"]
    for number, domain in enumerate(data.domains):
        start = domain.tables - data.base
        end = start + domain.nr_tables * 0x1000
        data.bytes[start:end] = nested.relocated(
            bytes(data.bytes[start:end]), [bank.start for bank in banks[number]], [one.start for one in shared], x2apic
        )
    return Machine(found, data, banks, shared)


def merged(leaves: Iterable[Leaf]) -> list[Range]:
    """Machine memory that they reach, in as few ranges as it takes."""
    ranges: list[Range] = []
    for part in sorted(Range.sized(leaf.machine, leaf.size) for leaf in leaves):
        if ranges and part.start <= ranges[-1].end:
            ranges[-1] = Range(ranges[-1].start, max(part.end, ranges[-1].end))
        else:
            ranges.append(part)
    return ranges


def check_isolation(asked: Request, seed: int) -> None:
    """The whole proof for a request: who reaches what, all pairs, all vcpus."""
    where = machine(asked, seed)
    reached = [where.leaves(number) for number in range(len(asked.domains))]
    numbers = {shared.name: number for number, shared in enumerate(asked.shared)}
    for number, domain in enumerate(asked.domains):
        allowed = [*where.banks[number], *(where.shared[numbers[share.name]] for share in domain.shares)]
        for leaves in reached[number]:
            lapic = [leaf for leaf in leaves if leaf.size == 0x1000]
            assert lapic == [Leaf(LAPIC.start, LAPIC.start, 0x1000, False, False, True)]
            memory = [leaf for leaf in leaves if leaf.size != 0x1000]
            assert sum(leaf.size for leaf in memory) == sum(part.size for part in allowed), "each page once"
            assert merged(memory) == merged(Leaf(0, part.start, part.size, True, True, False) for part in allowed)
            assert not any(part.overlaps(where.found.range) for part in merged(memory))
            assert all(leaf.executable and not leaf.uncached for leaf in memory)
            for share in domain.shares:
                part = where.shared[numbers[share.name]]
                rights = {leaf.writable for leaf in memory if leaf.machine in part}
                assert rights == {share.writable}
            assert all(leaf.writable for leaf in memory if any(leaf.machine in bank for bank in where.banks[number]))
    for (one, first), (other, second) in combinations(enumerate(reached), 2):
        both = {share.name for share in asked.domains[one].shares}
        both &= {share.name for share in asked.domains[other].shares}
        common = [where.shared[numbers[name]] for name in both]
        for mine in merged(leaf for leaves in first for leaf in leaves if leaf.size != 0x1000):
            for theirs in merged(leaf for leaves in second for leaf in leaves if leaf.size != 0x1000):
                met = Range(max(mine.start, theirs.start), min(mine.end, theirs.end))
                inside = sum(max(0, min(part.end, met.end) - max(part.start, met.start)) for part in common)
                assert met.size <= 0 or inside == met.size
    for number in range(len(asked.domains)):
        check_map(where, number)


def check_map(where: Machine, number: int) -> None:
    """All RAM of the map that a domain is told is there, at its bank, and nothing that the map does not name."""
    place = where.found.domains[number]
    told = place.guest.regions.map()
    for leaves in where.leaves(number):
        there = {leaf.guest: leaf for leaf in leaves}
        named = [entry.range for entry in told]
        for leaf in leaves:
            inside = sum(max(0, min(part.end, leaf.guest + leaf.size) - max(part.start, leaf.guest)) for part in named)
            assert inside == leaf.size, f"{leaf} is not in the map"
        for entry in told:
            if entry.range == LAPIC:
                continue
            step = range(entry.range.start // STEP * STEP, entry.range.end, STEP)
            assert all(guest in there for guest in step)
        for bank, machine_range in zip(place.guest.regions.banks, where.banks[number], strict=True):
            for guest in range(bank.guest.start, bank.guest.end, STEP):
                assert there[guest].machine == machine_range.start + guest - bank.guest.start


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests(), st.integers(0, 1000))
def test_domains_reach_their_own_memory_and_what_they_share(asked: Request, seed: int) -> None:
    check_isolation(asked, seed)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests(), st.integers(0, 1 << 32))
def test_thousands_of_descriptions_are_isolated(asked: Request, seed: int) -> None:
    check_isolation(asked, seed)
