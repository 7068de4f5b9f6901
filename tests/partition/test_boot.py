"""What a boot of the resident part prints, as the host computes it, against stub/partition itself under Unicorn."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from partition_data import KERNEL, MIB, STEP, domain, pair, request
from resident import BASE, Resident

from bootwright.common.messages import BootFailure
from bootwright.common.ranges import Range
from bootwright.partition.boot import Booted, Machine, boot
from bootwright.partition.compute import compute
from bootwright.partition.regions import MapEntry
from bootwright.partition.request import DomainRequest, Request, Share, SharedRange

CODE = Range(0x200000, 0x203000)
RAM = (MapEntry(Range(0, 0xA0000), 1), MapEntry(Range(MIB, 128 * MIB), 1))


def without_pieces(asked: Request) -> Request:
    """What is packed stays away."""
    domains = [replace(one, kernel=replace(KERNEL, pieces=()), ramdisk=None, initial=True) for one in asked.domains]
    return replace(asked, domains=tuple(domains))


def run(asked: Request, machine: Machine, modules: list[Range]) -> list[str]:
    """The lines from the builder's on, but for the last two, or the failure."""
    resident = Resident()
    found = compute(asked)
    resident.write(BASE, found.data.ljust(found.length, b"\0"))
    resident.memory_map([(entry.range.start, entry.range.size, entry.type) for entry in machine.memory])
    resident.modules([(one.start, one.size) for one in modules])
    resident.write(resident.symbols["machine_cpus"], struct.pack(f"<{len(machine.apic_ids)}I", *machine.apic_ids))
    resident.set_variable("nr_machine_cpus", len(machine.apic_ids), 4)
    resident.set_variable("boot_apic_id", machine.boot_id, 4)
    resident.set_variable("x2apic", int(machine.x2apic), 4)
    for routine in ("assign_cpus", "place_domains", "build_domains", "check_isolation"):
        resident.call(routine, limit=500_000_000)
        if resident.error():
            return [resident.error()]
    return resident.transcript.splitlines()


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
        domains.append(domain(f"d{number}", domid=number, memory=memory, vcpus=vcpus, shares=views))
    return without_pieces(request(*domains, shared=tuple(shared)))


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
    modules = [Range(0, 0), *(Range.sized(at * MIB + 5, size * MIB) for at, size in holes)]
    machine = Machine(RAM, tuple(ids[:count]), ids[count // 2], 2445, x2apic)
    try:
        computed: Booted = boot(asked, compute(asked), machine, modules, CODE)
    except BootFailure as failure:
        assert run(asked, machine, modules) == [failure.message]
        return
    assert run(asked, machine, modules) == list(computed.lines[2:-2])


def test_all_lines() -> None:
    asked = without_pieces(pair())
    asked = replace(asked, domains=tuple(replace(one, memory=32 * MIB) for one in asked.domains))
    machine = Machine(RAM, (0, 1, 2, 3), 0, 2445)
    lines = boot(asked, compute(asked), machine, [], CODE).lines
    assert lines[:3] == (
        "bootwright: partition: AMD SVM, nested paging, xAPIC, TSC 2445 MHz",
        "bootwright: cpus: 4 found, 3 answered",
        "bootwright: builder: 2 domains",
    )
    assert lines[-3:] == (
        "bootwright: isolation: 2 domains, 54 leaves, 1 shared ranges, all else disjoint",
        "bootwright: resident: 12288 bytes of code at [0x200000, 0x203000)",
        "bootwright: launch: 2 domains on 3 cpus",
    )


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (
            Machine(RAM, (0, 1), 0, 1),
            "E0827: domain d1: there is no cpu left for its cpu 0: all domains need 3, this machine has 2",
        ),
        (Machine(RAM[:1], (0, 1, 2), 0, 1), "E0830: domain d1: no 1024 MiB of free RAM in one piece below 0x100000000"),
    ],
)  # fmt: skip
def test_what_ends_it(machine: Machine, message: str) -> None:
    with pytest.raises(BootFailure) as caught:
        boot(pair(), compute(pair()), machine, [], CODE)
    assert caught.value.message == message
