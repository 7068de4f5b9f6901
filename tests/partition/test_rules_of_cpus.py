"""What CPUID and MSRs that exit are answered: the rules in the data, applied as their records say."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from partition_data import C, Data, pair

from bootwright.partition.compute import compute

ALL = (0xFFFFFFFF,) * 4
MACHINE, FIXED, REFUSED, IGNORED, HANDLED = range(5)  # as stub/abi/partition.h counts them


@cache
def data() -> Data:
    return Data(compute(pair()))


def told(leaf: int, subleaf: int = 0, machine: tuple[int, ...] = ALL) -> tuple[int, ...]:
    """EAX, EBX, ECX, EDX that a domain sees where the machine says `machine`."""
    found = data()
    for rule in found.records("cpuid_rule", found.head.cpuid_rules, found.head.nr_cpuid_rules):
        if rule.leaf == leaf and rule.subleaf in (subleaf, C["CPUID_ANY_SUBLEAF"]):
            masks = [
                (getattr(rule, f"and_{name}"), getattr(rule, f"or_{name}")) for name in ("eax", "ebx", "ecx", "edx")
            ]
            return tuple(value & kept | added for value, (kept, added) in zip(machine, masks, strict=True))
    return machine


@pytest.mark.parametrize(
    ("leaf", "register", "bits", "what"),
    [
        (1, 2, {3, 5, 24}, "MONITOR, VMX, TSC deadline"),
        (1, 3, {7, 14}, "MCE, MCA"),
        (7, 1, {1, 12, 15}, "TSC_ADJUST, RDT-M, RDT-A"),
        (7, 2, {7}, "CET_SS"),
        (7, 3, {20}, "CET_IBT"),
        (0x80000001, 2, {2, 10, 12, 15, 23, 24, 26, 28, 29}, "SVM, IBS, SKINIT, LWP, PMCs, DBX, MONITORX"),
        (0x80000001, 3, {7, 14}, "MCE, MCA once more"),
        (0x80000007, 3, {7, 9}, "HwPstate, CPB"),
        (0x80000008, 1, {3, 6, 25, 27}, "INVLPGB, MBE, VIRT_SSBD, CPPC"),
    ],
)
def test_what_a_domain_does_not_have_is_hidden(leaf: int, register: int, bits: set[int], what: str) -> None:
    seen = told(leaf)[register]
    assert {bit for bit in range(32) if not seen >> bit & 1} == bits, what


@pytest.mark.parametrize("leaf", [5, 0xA, 0x8000000A, 0x8000001B, *range(0x8000001F, 0x80000024)])
def test_leaves_of_what_a_domain_does_not_have_are_empty(leaf: int) -> None:
    assert told(leaf) == (0, 0, 0, 0)


def test_what_is_added_is_there_whatever_the_machine_says() -> None:
    none = (0, 0, 0, 0)
    assert told(1, machine=none) == (0, 0, 1 << 31, 0), "a hypervisor is there"
    assert told(6, machine=none) == told(6) == (1 << 2, 0, 0, 0), "ARAT, and nothing of power and frequency"
    assert told(0x80000007, machine=none) == (0, 0, 0, 1 << 8), "an invariant TSC"


@pytest.mark.parametrize("leaf", [0, 2, 4, 0xB, 0xD, 0x80000000, 0x80000002, 0x8000001D, 0x8000001E])
def test_ids_caches_and_topology_are_the_machines(leaf: int) -> None:
    assert told(leaf, 1) == ALL


def rule(msr: int) -> Any:
    found = data()
    rules = found.records("msr_rule", found.head.msr_rules, found.head.nr_msr_rules)
    return next(one for one in rules if one.first <= msr <= one.last)


@pytest.mark.parametrize(
    ("msrs", "read", "write"),
    [
        ((0xC0000080, 0x1B, 0x4B564D00, 0x4B564D01, 0x830, 0x832, 0x835, 0x837, 0x82F), HANDLED, HANDLED),
        ((0x800, 0x802, 0x80B, 0x83F, 0x8FF), REFUSED, REFUSED),  # x2APIC's, in xAPIC mode
        ((0xC0010114, 0xC0010115, 0xC0010117, 0xC0010118, 0x3A, 0x480, 0x48F), REFUSED, REFUSED),  # SVM, VMX
        ((0x6E0, 0xC0000104, 0xC0010131), REFUSED, REFUSED),  # TSC deadline, TSC ratio, SEV
        ((0x200, 0x20F, 0x250, 0x258, 0x268, 0x26F, 0x3B, 0x179, 0x17B, 0x400, 0xC0002000), IGNORED, IGNORED),
        ((0x79, 0xC0010020), REFUSED, IGNORED),  # microcode
        ((0x8B, 0x1A0, 0xC0010010, 0xC0011029, 0x12345678, 0xFFFFFFFF), MACHINE, IGNORED),
    ],
)
def test_msrs_that_exit_have_a_rule(msrs: tuple[int, ...], read: int, write: int) -> None:
    assert {(one.read, one.write) for one in map(rule, msrs)} == {(read, write)}


def test_memory_is_write_back_without_ranges() -> None:
    count, default = rule(0xFE), rule(0x2FF)
    assert (count.read, count.value) == (FIXED, 0)
    assert (default.read, default.value) == (FIXED, 0x806)


def test_the_tsc_counts_at_the_rate_of_the_state_p0() -> None:
    """HWCR.TscFreqSel (AMD's PPR, MSRC001_0015): without it Linux calls the firmware broken."""
    assert (rule(0xC0010015).read, rule(0xC0010015).value) == (FIXED, 1 << 24)


def test_nothing_of_the_machine_is_written() -> None:
    found = data()
    for one in found.records("msr_rule", found.head.msr_rules, found.head.nr_msr_rules):
        assert one.write != MACHINE
    assert (one.first, one.last) == (0, 0xFFFFFFFF), "the last rule holds every MSR"
