"""What a guest's ICR sends, against a model: all delivery modes, shorthands and destinations, in both APIC modes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_time import C, Dom, RunTime
from run_time_model import Cpu, send

KICK = C["DELIVERY_NMI"] | C["ICR_ASSERT"]
FIXED = C["ICR_ASSERT"]
FLAT = [Cpu(2, 1 << 24), Cpu(3, 2 << 24), Cpu(5, 4 << 24), Cpu(9, 8 << 24, runs=False), Cpu(7, 16 << 24, absent=True)]
CLUSTERS = [
    Cpu(cpu.apic_id, ldr << 24, 0x0FFFFFFF, cpu.runs, cpu.absent)
    for cpu, ldr in zip(FLAT, (1, 2, 17, 18, 33), strict=True)
]
WIDE = [Cpu(0x10), Cpu(0x11), Cpu(0x2F), Cpu(0x123, runs=False), Cpu(0x3F, absent=True)]
SENDER = 1


def prepare(cpus: list[Cpu], x2apic: bool) -> RunTime:
    """A machine with the domain of these cpus between two others."""
    ids = [cpu.apic_id for cpu in cpus]
    machine = RunTime([Dom((0xF0,)), Dom(ids), Dom((0xF1,))], x2apic=x2apic)
    reset(machine, cpus)
    return machine


def reset(machine: RunTime, cpus: list[Cpu]) -> None:
    machine.ipis.clear()
    for number, cpu in enumerate(cpus):
        state = "ABSENT" if cpu.absent else "RUNS" if cpu.runs else "OFF"
        machine.set_vcpu(
            1 + number,
            ldr=cpu.ldr,
            dfr=cpu.dfr,
            state=C[f"VCPU_{state}"],
            request=0,
            dropped_ipis=0,
            sipi_vector=0,
        )


def check(machine: RunTime, cpus: list[Cpu], low: int, destination: int, x2apic: bool) -> None:
    """One write of the second cpu; everything that comes of it is what the model says."""
    reset(machine, cpus)
    machine.call("filter_icr", 1 + SENDER, rax=low, rdx=destination)
    expected = send(cpus, SENDER, low, destination, x2apic)
    asked = [*expected.inits, *(number for number, _ in expected.starts)]
    kicks = [(cpus[number].apic_id, KICK) for number in asked if number != SENDER]
    assert machine.ipis == kicks + [(apic_id, vector | FIXED) for apic_id, vector in expected.vectors], hex(low)
    for number in range(len(cpus)):
        request = C["REQUEST_INIT"] * (number in expected.inits)
        vector = dict(expected.starts).get(number)
        if vector is not None:
            request |= C["REQUEST_SIPI"]
        assert machine.of_vcpu("request", 1 + number) == request
        assert vector in (None, machine.of_vcpu("sipi_vector", 1 + number))
    assert machine.of_vcpu("dropped_ipis", 1 + SENDER) == expected.dropped
    assert machine.of_vcpu("request", 0) == machine.of_vcpu("request", 1 + len(cpus)) == 0, "of another domain"


LOW = [
    mode << 8 | logical << 11 | level << 14 | shorthand << 18 | vector
    for mode, logical, level, shorthand, vector in itertools.product(range(8), (0, 1), range(4), range(4), (0, 0xF3))
]


@pytest.mark.parametrize("shorthand", [1, 2, 3])
@pytest.mark.parametrize(("cpus", "x2apic"), [(FLAT, False), (WIDE, True)], ids=["xapic", "x2apic"])
def test_every_command_with_a_shorthand(cpus: list[Cpu], x2apic: bool, shorthand: int) -> None:
    machine = prepare(cpus, x2apic)
    for low in LOW:
        if low >> 18 & 3 == shorthand:
            check(machine, cpus, low, 0xF0, x2apic)


@pytest.mark.parametrize("logical", [0, 1])
@pytest.mark.parametrize("cpus", [FLAT, CLUSTERS], ids=["flat", "clusters"])
def test_every_xapic_destination_in_every_mode(cpus: list[Cpu], logical: int) -> None:
    machine = prepare(cpus, False)
    for mode in (0, 1, 5, 6):
        for destination in range(256):
            check(machine, cpus, mode << 8 | logical << 11 | 1 << 14 | 0x41, destination, False)


def test_every_mode_to_a_destination_sends_nothing_else() -> None:
    for cpus, x2apic in ((FLAT, False), (CLUSTERS, False), (WIDE, True)):
        machine = prepare(cpus, x2apic)
        for low in LOW:
            if not low >> 18 & 3:
                check(machine, cpus, low, 3 if not x2apic else 0x11, x2apic)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(LOW),
    st.one_of(
        st.sampled_from([cpu.apic_id for cpu in WIDE]),
        st.integers(0, 0x200),
        st.builds(
            lambda cluster, bits: cluster << 16 | bits, st.sampled_from([0, 1, 2, 3, 0x12]), st.integers(0, 0xFFFF)
        ),
        st.just(0xFFFFFFFF),
        st.integers(0, 2**32 - 1),
    ),
)
def test_x2apic_destinations(low: int, destination: int) -> None:
    check(WIDE_MACHINE, WIDE, low, destination, True)


WIDE_MACHINE = prepare(WIDE, True)


def test_x2apic_sends_by_its_msr() -> None:
    rule = {"first": 0x800, "last": 0x8FF, "read": C["RULE_HANDLED"], "write": C["RULE_HANDLED"]}
    machine = RunTime([Dom((0x100, 0x101))], x2apic=True, msr_rules=[rule])
    machine.set_vcpu(rcx=0x830, rdx=0x101)
    machine.exit(0x7C, exitinfo1=1, rax=0xFD, rip=0x1000)
    assert machine.ipis == [(0x101, 0xFD | FIXED)] and machine.vmcb("rip") == 0x1002


def test_an_init_to_itself_is_served_at_the_end_of_the_exit() -> None:
    machine = RunTime([Dom((2, 3))])
    machine.set_number(C["LAPIC_ADDRESS"] + 0x310, 2 << 24, 4)
    machine.set_vcpu(stepping=1, step_offset=0x300)
    machine.set_number(machine.of_vcpu("scratch") + 0x300, 0x4500, 4)
    machine.exit(0x41)
    assert machine.of_vcpu("state") == C["VCPU_OFF"] and machine.of_vcpu("request") == 0 and not machine.ipis
