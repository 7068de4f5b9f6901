"""CPUID of a guest: every leaf of a sample machine by the rules, and what only the moment knows."""

from __future__ import annotations

import random

import pytest
from run_time import C, RunTime
from run_time_model import CPUID_NAMES, guest_cpuid

LEAVES = [
    *range(0x21),
    *range(0x40000000, 0x40000012),
    0x4FFFFFFF,
    *range(0x80000000, 0x80000023),
    0x8FFFFFFF,
    0xC0000000,
    0xFFFFFFFF,
]
RULES = [
    {
        "leaf": 1,
        "subleaf": C["CPUID_ANY_SUBLEAF"],
        "and_ecx": ~(1 << 5 | 1 << 3),
        "or_ecx": 1 << 31,
        "and_edx": ~(3 << 7),
    },
    {"leaf": 7, "subleaf": 1, "and_eax": 0},
    {"leaf": 7, "subleaf": C["CPUID_ANY_SUBLEAF"], "or_ebx": 1},
    {"leaf": 10, "subleaf": C["CPUID_ANY_SUBLEAF"], "and_eax": 0, "and_ebx": 0, "and_ecx": 0, "and_edx": 0},
    {"leaf": 0x80000001, "subleaf": C["CPUID_ANY_SUBLEAF"], "and_ecx": ~4},
    {"leaf": 0x40000000, "subleaf": C["CPUID_ANY_SUBLEAF"], "or_eax": 0xFFFFFFFF},
]


def rules() -> list[dict[str, int]]:
    """With masks that keep everything where a rule says nothing."""
    keep = {f"and_{name}": 0xFFFFFFFF for name in CPUID_NAMES}
    return [keep | {name: value & 0xFFFFFFFF for name, value in rule.items()} for rule in RULES]


def sample(leaf: int, subleaf: int) -> tuple[int, int, int, int]:
    """A machine of which every bit of every leaf is arbitrary, and the same each time."""
    found = random.Random(leaf << 32 | subleaf)
    return found.getrandbits(32), found.getrandbits(32), found.getrandbits(32), found.getrandbits(32)


@pytest.mark.parametrize("x2apic", [False, True])
@pytest.mark.parametrize("cr4", [0, 1 << 18, 1 << 22, 1 << 18 | 1 << 22])
def test_every_leaf_is_as_the_rules_say(x2apic: bool, cr4: int) -> None:
    machine = RunTime(x2apic=x2apic, cpuid_rules=rules())
    machine.cpuid = sample
    high = 0xABCD << 32
    for leaf in LEAVES:
        for subleaf in (0, 1, 2, 0xFFFFFFFF):
            machine.set_vcpu(rcx=high | subleaf, rbx=high, rdx=high)
            machine.exit(0x72, rax=high | leaf, rip=0x1000, cr4=cr4)
            found = machine.vmcb("rax"), machine.of_vcpu("rbx"), machine.of_vcpu("rcx"), machine.of_vcpu("rdx")
            assert found == guest_cpuid(sample, rules(), leaf, subleaf, cr4, x2apic), f"{leaf:#x}, {subleaf:#x}"
            assert machine.vmcb("rip") == 0x1002
    assert machine.exits("CPUID") == 4 * len(LEAVES)


def test_a_guest_sees_kvm_and_nothing_of_what_is_below() -> None:
    machine = RunTime()
    machine.cpuid = sample
    machine.exit(0x72, rax=0x40000000)
    name = b"".join(machine.of_vcpu(name).to_bytes(4, "little") for name in ("rbx", "rcx", "rdx"))
    assert name == b"KVMKVMKVM\0\0\0" and machine.vmcb("rax") == 0x40000001
    machine.exit(0x72, rax=0x40000001)
    assert machine.vmcb("rax") == 1 << 3 | 1 << 1 | 1 << 24
    machine.exit(0x72, rax=0x40000010)
    assert machine.vmcb("rax") == machine.of_vcpu("rbx") == machine.of_vcpu("rcx") == machine.of_vcpu("rdx") == 0
