"""The reference of a partition's boot: what it refuses, and that it sees whatever is wrong with nested tables."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from partition_data import KERNEL, STEP, domain, pair, request, requests
from resident import BASE, Resident

from bootwright.common import abi
from bootwright.common.messages import BootFailure
from bootwright.common.ranges import MIB, Range
from bootwright.hyperlaunch.model import MemoryRange
from bootwright.partition.compute import compute
from bootwright.partition.request import DomainRequest, Request, Share, SharedRange
from bootwright.reference import resident
from bootwright.reference.machine import Platform
from bootwright.reference.partition import Partition, Told

C = abi.load().constants
CODE = Range(0x200000, 0x203000)
RAM = (MemoryRange(0, 0x9F000, 1), MemoryRange(MIB, 3 << 30, 1), MemoryRange(4 << 30, 64 << 30, 1))
SMALL = replace(KERNEL, pieces=())


def partition(
    asked: Request,
    changes: dict[int, bytes] | None = None,
    ranges: tuple[MemoryRange, ...] = RAM,
    modules: tuple[Range, ...] = (Range(2 * MIB, 2 * MIB + 0x4000),),
    **how: Any,
) -> Partition:
    """A boot on a large machine. changes: other bytes in the data, by machine address, with a checksum that fits."""
    found = compute(asked)
    held = bytearray(found.data.ljust(found.length, b"\0"))
    for at, data in (changes or {}).items():
        held[at - found.base : at - found.base + len(data)] = data
    at = C["PARTITION_CHECKSUM"]
    held[at : at + 4] = bytes(4)
    held[at : at + 4] = zlib.crc32(held).to_bytes(4, "little")
    told = Told(ranges, modules, tuple(bytes(one.size) for one in modules), 0xF5000)
    platform = Platform(**{"cpus": tuple(range(16)), "resident": CODE, **how})
    return Partition(resident.Data(found.base, bytes(held)), platform, told)


def failure(found: Partition) -> str:
    with pytest.raises(BootFailure) as raised:
        list(found.lines())
    return raised.value.message


def of(**changes: Any) -> Request:
    return request(domain(initial=True, kernel=SMALL, **changes))


@pytest.mark.parametrize(
    ("asked", "how", "message"),
    [
        (of(), {"svm_off": "locked"}, "E0812: the firmware has switched SVM off (VM_CR locked): switch it on there"),
        (of(), {"boot_cpu": 99}, "E0824: ACPI's MADT does not have the cpu that boots, APIC id 99"),
        (request(domain(kernel=SMALL)), {}, "E0601: none of the 1 domains is the initial domain"),
        (
            request(domain(initial=True)),
            {},
            "E0831: domain d0 cannot be loaded: a piece does not unpack; pieces behind it: 0",
        ),
    ],
)
def test_what_is_refused(asked: Request, how: dict[str, Any], message: str) -> None:
    assert failure(partition(asked, **how)) == message


def test_data_that_are_not_a_partitions() -> None:
    found = compute(of())
    damaged = bytes(found.length)
    told = Told(RAM, (), (), 0xF5000)
    message = failure(Partition(resident.Data(found.base, damaged), Platform((0,), CODE), told))
    assert message == "E0801: the data at 0x280000 start with 0x0, not with the magic of a partition"
    damaged = found.data[:-1] + bytes([found.data[-1] ^ 1])
    found_now = Partition(resident.Data(found.base, damaged.ljust(found.length, b"\0")), Platform((0,), CODE), told)
    assert failure(found_now).startswith("E0803: ")


def test_a_cpu_that_two_want() -> None:
    asked = of(vcpus=(3, 4))
    second = compute(asked).domains[0].vcpus[1].record + C["VCPU_WANTED_ID"]
    message = "E0826: domain d0: the cpu with APIC id 3 that its cpu-ids name has been given away already"
    assert failure(partition(asked, {second: b"\3"})) == message


def test_any_bit_of_a_nested_table_that_is_another() -> None:
    """Of all entries that are there, and of some that are not."""
    asked = replace(pair(), domains=tuple(replace(one, memory=32 * MIB, ramdisk=None) for one in pair().domains))
    asked = replace(asked, domains=tuple(replace(one, kernel=SMALL) for one in asked.domains))
    assert list(partition(asked).lines())
    found, choice = compute(asked), random.Random(7)
    tables = found.domains[0].tables
    entries = [found.data[at - found.base :][:8] for at in range(tables.start, tables.end, 8)]
    there = [number for number, entry in enumerate(entries) if any(entry)]
    for number in choice.sample(there, 20) + choice.sample(range(len(entries)), 20):
        bit = choice.randrange(64)
        entry = int.from_bytes(entries[number].ljust(8, b"\0"), "little") ^ 1 << bit
        changed = partition(asked, {tables.start + 8 * number: entry.to_bytes(8, "little")})
        assert failure(changed).startswith(("E0840: domain d0: ", "E0841: domain d0: ")), (number, bit)


# --- against the resident part itself, under Unicorn ---------------------------------------------------

SMALL_RAM = (MemoryRange(0, 0xA0000, 1), MemoryRange(MIB, 128 * MIB, 1))


def run(asked: Request, ids: Sequence[int], boot_cpu: int, x2apic: bool, modules: Sequence[Range]) -> list[str]:
    """The lines from the builder's on, but for the last two, or the failure."""
    machine = Resident()
    found = compute(asked)
    machine.write(BASE, found.data.ljust(found.length, b"\0"))
    machine.memory_map([(part.start, part.end - part.start, part.type) for part in SMALL_RAM])
    machine.modules([(one.start, one.size) for one in modules])
    machine.write(machine.symbols["machine_cpus"], struct.pack(f"<{len(ids)}I", *ids))
    machine.set_variable("nr_machine_cpus", len(ids), 4)
    machine.set_variable("boot_apic_id", boot_cpu, 4)
    machine.set_variable("x2apic", int(x2apic), 4)
    for routine in ("assign_cpus", "place_domains", "build_domains", "check_isolation"):
        machine.call(routine, limit=500_000_000)
        if machine.error():
            return [machine.error()]
    return machine.transcript.splitlines()


@st.composite
def small_requests(draw: st.DrawFn) -> Request:
    """Domains that 128 MiB may hold, or not."""
    shared = [
        SharedRange(f"s{number}", draw(st.integers(1, 2)) * STEP, True) for number in range(draw(st.integers(0, 2)))
    ]
    domains: list[DomainRequest] = []
    wanted = draw(st.permutations(range(8)))
    for number in range(draw(st.integers(2 if shared else 1, 3))):
        vcpus = tuple(wanted.pop() if draw(st.integers(0, 4)) == 0 else None for _ in range(draw(st.integers(1, 3))))
        views = tuple(Share(one.name, draw(st.booleans())) for one in shared)
        memory = draw(st.integers(16, 24)) * STEP
        one = domain(f"d{number}", domid=number, memory=memory, vcpus=vcpus, shares=views, kernel=SMALL, initial=True)
        domains.append(one)
    return request(*domains, shared=tuple(shared))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    small_requests(),
    st.permutations(range(8)),
    st.integers(4, 8),
    st.booleans(),
    st.lists(st.tuples(st.integers(4, 120), st.integers(0, 3)), max_size=2),
)
def test_the_lines_are_those_of_the_resident_part(
    asked: Request, ids: list[int], count: int, x2apic: bool, holes: list[tuple[int, int]]
) -> None:
    modules = (Range(0, 0), *(Range.sized(at * MIB + 5, size * MIB) for at, size in holes))
    given_ids, boot_cpu = tuple(ids[:count]), ids[count // 2]
    found = partition(asked, ranges=SMALL_RAM, modules=modules, cpus=given_ids, boot_cpu=boot_cpu, x2apic=x2apic)
    try:
        expected = list(found.lines())[2:-2]
    except BootFailure as failed:
        expected = [failed.message]
    assert run(asked, given_ids, boot_cpu, x2apic, modules) == expected


# --- descriptions ---------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests(), st.booleans())
def test_nobody_has_what_another_has(asked: Request, x2apic: bool) -> None:
    """Every description boots where there is room, and all memory is somebody's alone and RAM."""
    first, *others = (replace(one, kernel=SMALL, ramdisk=None) for one in asked.domains)
    asked = replace(asked, domains=(replace(first, initial=True), *others))
    found = partition(asked, x2apic=x2apic)
    lines = list(found.lines())
    assert lines[-1].startswith(f"bootwright: launch: {len(asked.domains)} domains on ")
    places = sorted(place for _, place in found.memory)
    assert all(one.end <= other.start for one, other in pairwise(places))
    assert all(any(part.start <= place.start and place.end <= part.end for part in RAM) for place in places)
    wanted = sum(one.memory for one in asked.domains) + sum(shared.size for shared in asked.shared)
    assert sum(place.size for place in places) == wanted
