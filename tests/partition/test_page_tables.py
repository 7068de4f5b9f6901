"""Nested tables: walked as a cpu walks them, after relocation, they reach what a description gives, and no more."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations

import nested
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nested import Run
from partition_data import GIB, MIB, STEP, Data, domain, pair, request, requests

from bootwright.common.ranges import Range
from bootwright.partition.compute import Partition, compute
from bootwright.partition.request import Request, Share, SharedRange

LAPIC = Range.sized(0xFEE00000, 0x1000)


@dataclass
class Machine:
    """A machine with the data in its memory, and places for all banks and shared ranges; tables are relocated."""

    found: Partition
    data: Data
    banks: list[list[Range]]
    shared: list[Range]

    @cached_property
    def page(self) -> Callable[[int], Sequence[int]]:
        return cache(lambda address: struct.unpack("<512Q", self.data.read(address, 0x1000)))

    def runs(self, number: int) -> list[list[Run]]:
        """Of each vcpu of a domain."""
        return [nested.runs(self.page, vcpu.root) for vcpu in self.data.vcpus(self.data.domains[number])]


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
    for number, record in enumerate(data.domains):
        start = record.tables - data.base
        end = start + record.nr_tables * 0x1000
        data.bytes[start:end] = nested.relocated(
            bytes(data.bytes[start:end]), [bank.start for bank in banks[number]], [one.start for one in shared], x2apic
        )
    return Machine(found, data, banks, shared)


def check_isolation(asked: Request, seed: int) -> None:
    """The whole proof for a request: who reaches what, all pairs, all vcpus."""
    where = machine(asked, seed)
    reached = [where.runs(number) for number in range(len(asked.domains))]
    for number in range(len(asked.domains)):
        for found in reached[number]:
            check_domain(where, asked, number, found)
    for (one, first), (other, second) in combinations(enumerate(reached), 2):
        both = {share.name for share in asked.domains[one].shares} & {
            share.name for share in asked.domains[other].shares
        }
        common = [where.shared[at] for at, shared in enumerate(asked.shared) if shared.name in both]
        for mine in memory(run for found in first for run in found):
            for theirs in memory(run for found in second for run in found):
                met = Range(max(mine.start, theirs.start), min(mine.end, theirs.end))
                inside = sum(max(0, min(part.end, met.end) - max(part.start, met.start)) for part in common)
                assert met.size <= 0 or inside == met.size


def memory(found: Iterable[Run]) -> set[Range]:
    """Machine memory that runs reach, but for the LAPIC's page."""
    return {Range.sized(run.machine, run.size) for run in found if run.machine != LAPIC.start}


def check_domain(where: Machine, asked: Request, number: int, found: list[Run]) -> None:
    """What a vcpu reaches is its domain's banks and shared ranges, as its record says, and the LAPIC's page."""
    domain, record = asked.domains[number], where.data.domains[number]
    numbers = {shared.name: at for at, shared in enumerate(asked.shared)}
    expected = [Run(LAPIC.start, LAPIC.start, 0x1000, 0x1000, False, False, True)]
    for bank, place in zip(record.banks, where.banks[number], strict=False):
        expected.append(Run(bank.guest, place.start, place.size, STEP, True, True, False))
    for view in record.shares[: record.nr_shares]:
        place = where.shared[view.number]
        expected.append(Run(view.guest, place.start, place.size, STEP, bool(view.writable), True, False))
    assert found == nested.joined(sorted(expected, key=lambda run: run.guest))
    assert {(view.number, view.writable) for view in record.shares[: record.nr_shares]} == {
        (numbers[share.name], int(share.writable)) for share in domain.shares
    }
    assert not any(part.overlaps(where.found.range) for part in memory(found)), "the resident part's data"
    told = where.found.domains[number].guest.regions.map()
    assert sum(entry.range.size for entry in told) == sum(run.size for run in found), "the map, and nothing else"
    for entry in told:
        assert any(run.guest <= entry.range.start and entry.range.end <= run.guest + run.size for run in found)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests(), st.integers(0, 1000))
def test_domains_reach_their_own_memory_and_what_they_share(asked: Request, seed: int) -> None:
    check_isolation(asked, seed)


# More of them, which takes minutes: BOOTWRIGHT_DESCRIPTIONS=3000 ./bootstrap test tests/partition -k hundreds
DESCRIPTIONS = int(os.environ.get("BOOTWRIGHT_DESCRIPTIONS", "150"))


@pytest.mark.slow
@settings(max_examples=DESCRIPTIONS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests(), st.integers(0, 1 << 32))
def test_hundreds_of_descriptions_are_isolated(asked: Request, seed: int) -> None:
    check_isolation(asked, seed)


def test_the_tables_are_as_few_as_they_can_be() -> None:
    """Four for each vcpu, on the way to the LAPIC's page, and one for each other GiB that the domain has memory in."""
    first, second = Data(compute(pair())).domains
    assert first.nr_tables == 2 * 4 + 1
    assert second.nr_tables == 4 + 1 + 4


@pytest.mark.parametrize("x2apic", [False, True])
def test_the_lapics_page_is_read_only_and_there_in_xapic_mode_alone(x2apic: bool) -> None:
    where = machine(pair(), x2apic=x2apic)
    for number in range(2):
        for vcpu, found in zip(where.data.vcpus(where.data.domains[number]), where.runs(number), strict=True):
            there = nested.translate(where.page, vcpu.root, LAPIC.start + 0x300)
            assert there == (None if x2apic else (LAPIC.start + 0x300, False, False))
            assert len([run for run in found if run.uncached]) == (not x2apic)
            entry = struct.unpack("<Q", where.data.read(vcpu.lapic_entry, 8))[0]
            assert entry & nested.ADDRESS == (0 if x2apic else LAPIC.start)


def test_what_a_vcpu_does_to_its_lapics_entry_no_other_one_sees() -> None:
    where = machine(pair())
    first, second = where.data.vcpus(where.data.domains[0])
    at = first.lapic_entry - where.data.base
    where.data.bytes[at : at + 8] = struct.pack("<Q", first.scratch | 0x1F)
    assert nested.translate(where.page, first.root, LAPIC.start) == (first.scratch, True, True)
    assert nested.translate(where.page, second.root, LAPIC.start) == (LAPIC.start, False, False)


@pytest.mark.parametrize(
    ("guest", "there"),
    [
        (0, True),
        (64 * MIB - 1, True),
        (64 * MIB, False),
        (3 * GIB - 1, False),
        (3 * GIB, True),
        (3 * GIB + STEP, False),
        (LAPIC.start - 1, False),
        (LAPIC.end, False),
        (4 * GIB, False),
        (1 << 39, False),
        ((1 << 48) - 1, False),
    ],
)
def test_borders_of_a_domains_memory(guest: int, there: bool) -> None:
    where = machine(pair())
    for vcpu in where.data.vcpus(where.data.domains[0]):
        assert (nested.translate(where.page, vcpu.root, guest) is not None) == there


def test_a_range_far_up_gets_tables_of_its_own() -> None:
    far = (1 << 39) - STEP
    log = SharedRange("log", 2 * STEP)
    asked = request(
        domain(vcpus=(None, None), shares=(Share("log", guest=far),)),
        domain("d1", shares=(Share("log"),)),
        shared=(log,),
    )
    check_isolation(asked, 0)
    where = machine(asked)
    assert {run.guest for run in where.runs(0)[1]} == {0, LAPIC.start, far}


def test_rights_that_a_link_takes_away_count() -> None:
    """The walker is not fooled by leaves: without them this file would show nothing."""
    where = machine(pair())
    (vcpu,) = where.data.vcpus(where.data.domains[1])
    for cleared, expected in ((nested.WRITE, False), (nested.USER, None)):
        changed = machine(pair())
        at = vcpu.root - changed.data.base
        changed.data.bytes[at : at + 8] = struct.pack("<Q", where.page(vcpu.root)[0] & ~cleared)
        found = nested.translate(changed.page, vcpu.root, 0x1000)
        assert (found and found[1]) == expected
