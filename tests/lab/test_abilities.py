"""What a report says that the partition launcher needs to know: each fact by what the manuals say of its bits."""

from __future__ import annotations

from typing import Any

import pytest
from lab_report import OLD, changed

from bootwright.common.abi import load as load_abi
from bootwright.lab import abilities
from bootwright.lab.abilities import Abilities, Missing, Processor, Svm
from bootwright.lab.report import Report

HTT = 1 << 28
Leaves = dict[tuple[int, int], tuple[int, int, int, int]]


def machine(
    leaves: Leaves | None = None,
    msrs: dict[int, int | None] | None = None,
    processors: tuple[tuple[int, int], ...] = (),
    tables: tuple[tuple[str | None, int], ...] = (),
) -> Abilities:
    """A machine with these: CPUID's EAX, EBX, ECX, EDX, MSRs, (APIC id, flags), (signature, address)."""
    names = ("eax", "ebx", "ecx", "edx")

    def change(document: dict[str, Any]) -> None:
        document["cpuid"] = [
            {"leaf": hex(leaf), "subleaf": sub} | dict(zip(names, map(hex, values), strict=True))
            for (leaf, sub), values in (leaves or {}).items()
        ]
        document["msrs"] = [
            {"msr": hex(number), "value": None if value is None else hex(value)}
            for number, value in (msrs or {}).items()
        ]
        document["processors"] = [{"apic_id": n, "uid": 0, "flags": hex(flags)} for n, flags in processors]
        document["acpi"]["tables"] = [{"signature": name, "address": hex(place)} for name, place in tables]

    return abilities.of(Report(changed(change)))


def said(found: Abilities, lead: str) -> str:
    (line,) = (line for line in abilities.lines(found) if line.startswith(lead))
    return line.removeprefix(lead)


SVM = (0, 0, 1 << 2, 0)


def test_every_feature_of_svm_that_the_headers_name_has_a_word() -> None:
    named = {name for name in load_abi().constants if name.startswith("CPUID_SVM_EDX_")}
    assert named == {f"CPUID_SVM_EDX_{name}" for name in abilities.FEATURES}


@pytest.mark.parametrize(
    ("leaves", "expected"),
    [
        ({}, Missing.ABSENT),
        ({(0x80000001, 0): (~0 & 0xFFFFFFFF, 0, ~4 & 0xFFFFFFFF, 0), (0x8000000A, 0): (1, 16, 0, 1)}, Missing.ABSENT),
        ({(0x80000001, 0): SVM, (0x8000000A, 0): (1, 16, 0, 1)}, Svm(1, 16, ("nested paging",))),
        (
            {(0x80000001, 0): SVM, (0x8000000A, 0): (1, 0x8000, 0, 0x44F)},
            Svm(1, 0x8000, ("nested paging", "LBR", "SVM lock", "next RIP", "flush by ASID", "pause filter")),
        ),
        ({(0x80000001, 0): SVM}, Missing.UNKNOWN),
    ],
)
def test_svm(leaves: Leaves, expected: Svm | Missing) -> None:
    assert machine(leaves).svm == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "not switched off, not locked"),
        (8, "not switched off, locked"),
        (0x10, "switched off by the firmware, not locked"),
        (0x18, "switched off by the firmware, locked"),
        (None, "VM_CR not readable"),
    ],
)
def test_the_lock_of_svm(value: int | None, words: str) -> None:
    found = machine({(0x80000001, 0): SVM, (0x8000000A, 0): (1, 16, 0, 1)}, {0xC0010114: value})
    assert found.svm_control == (Missing.REFUSED if value is None else value)
    assert said(found, "SVM: ") == f"revision 1, 16 ASIDs, nested paging; {words}"


@pytest.mark.parametrize(
    ("ecx", "value", "words"),
    [
        (0, 5, "none"),
        (1 << 5, 5, "switched on, locked"),
        (1 << 5, 0, "not switched on, not locked"),
        (1 << 5, 3, "not switched on, locked"),  # within SMX operation only
        (1 << 5, None, "IA32_FEATURE_CONTROL not readable"),
    ],
)
def test_vmx(ecx: int, value: int | None, words: str) -> None:
    found = machine({(1, 0): (0, 0, ecx, 0)}, {0x3A: value})
    assert found.vmx == bool(ecx)
    assert said(found, "VMX: ") == words


@pytest.mark.parametrize(
    ("ecx", "msrs", "on", "words"),
    [
        (0, {0x1B: 0xFEE00900}, False, "none"),
        (1 << 21, {0x1B: 0xFEE00900}, False, "there, off"),
        (1 << 21, {0x1B: 0xFEE00D00}, True, "on"),
        (1 << 21, {0x1B: None}, Missing.REFUSED, "there; whether it is on, not readable"),
        (1 << 21, {}, Missing.UNKNOWN, "there; whether it is on, not known"),
    ],
)
def test_x2apic(ecx: int, msrs: dict[int, int | None], on: bool | Missing, words: str) -> None:
    found = machine({(1, 0): (0, 0, ecx, 0)}, msrs)
    assert (found.x2apic, found.x2apic_on) == (bool(ecx), on)
    assert said(found, "x2APIC: ") == words


def topology(bits: int, kind: int = 1) -> tuple[int, int, int, int]:
    return bits, 2, kind << 8, 7


AMD_CORES = (0, 0, 1 << 22, 0)


@pytest.mark.parametrize(
    ("leaves", "bits"),
    [
        ({(1, 0): (0, 0, 0, 0)}, 0),
        ({(1, 0): (0, 0, 0, HTT)}, Missing.UNKNOWN),
        ({(1, 0): (0, 0, 0, HTT), (0xB, 0): topology(0)}, 0),
        ({(1, 0): (0, 0, 0, HTT), (0xB, 0): topology(1)}, 1),
        ({(1, 0): (0, 0, 0, HTT), (0xB, 0): topology(2)}, 2),
        ({(1, 0): (0, 0, 0, HTT), (0xB, 0): (0, 0, 0, 0)}, Missing.UNKNOWN),
        ({(1, 0): (0, 0, 0, HTT), (0xB, 0): topology(4, kind=2)}, Missing.UNKNOWN),  # of cores, not of threads
        ({(1, 0): (0, 0, 0, HTT), (0x80000001, 0): AMD_CORES, (0x8000001E, 0): (0, 0x100, 0, 0)}, 1),
        ({(1, 0): (0, 0, 0, HTT), (0x80000001, 0): AMD_CORES, (0x8000001E, 0): (0, 0x005, 0, 0)}, 0),
        ({(1, 0): (0, 0, 0, HTT), (0x8000001E, 0): (0, 0x100, 0, 0)}, Missing.UNKNOWN),  # of no meaning there
    ],
)
def test_which_bits_of_an_apic_id_tell_threads_apart(leaves: Leaves, bits: int | Missing) -> None:
    assert machine(leaves).thread_bits == bits


def test_cpus_by_core() -> None:
    ids = ((0, 1), (2, 1), (1, 1), (0x102, 1), (0x103, 1), (9, 0), (10, 2), (11, 2), (2, 0))
    found = machine({(1, 0): (0, 0, 0, HTT), (0xB, 0): topology(1)}, processors=ids)
    assert isinstance(found.processors, tuple) and len(found.processors) == 8
    assert found.processors[1] == Processor(2, True, False), "a further entry of the same cpu takes nothing back"
    assert found.processors[6] == Processor(10, False, True)
    assert found.cores == ((0, 1), (2,), (0x102, 0x103))
    assert said(found, "cpus: ") == "5 enabled, 2 more can be brought online, APIC ids by core: 0 1, 2, 258 259"
    found = machine({(1, 0): (0, 0, 0, HTT)}, processors=((0, 0), (0, 1), (1, 1)))
    assert said(found, "cpus: ") == "2 enabled, APIC ids 0 1; which share a core: not known"


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ((), "none"),
        ((("FACP", 0x1000),), "none"),
        ((("FACP", 0x1000), ("IVRS", 0x2000)), "IVRS at 0x2000"),
        ((("DMAR", 0x3000), (None, 1 << 32)), "DMAR at 0x3000"),
        ((("FACP", 0x1000), (None, 1 << 32)), "not known"),
    ],
)
def test_the_iommu(tables: tuple[tuple[str | None, int], ...], words: str) -> None:
    assert said(machine(tables=tables), "IOMMU: ") == words


@pytest.mark.parametrize(
    ("leaves", "hz", "words"),
    [
        ({}, Missing.ABSENT, "not invariant, frequency none"),
        ({(0x80000007, 0): (0, 0, 0, 1 << 8)}, Missing.ABSENT, "invariant, frequency none"),
        (
            {(0x80000007, 0): (0, 0, 0, 0xFF), (0x15, 0): (2, 200, 24_000_000, 0)},
            2_400_000_000,
            "not invariant, 2400 MHz",
        ),
        ({(0x15, 0): (2, 200, 0, 0), (0x16, 0): (2300, 4000, 100, 0)}, 2_300_000_000, "not invariant, 2300 MHz"),
        ({(0x15, 0): (0, 0, 0, 0), (0x40000010, 0): (2_499_998, 0, 0, 0)}, 2_499_998_000, "not invariant, 2500 MHz"),
    ],
)
def test_the_time_stamp_counter(leaves: Leaves, hz: int | Missing, words: str) -> None:
    found = machine(leaves)
    assert found.tsc_hz == hz
    assert said(found, "TSC: ") == words


def test_what_a_report_of_format_1_does_not_say() -> None:
    leaf = {"leaf": "0x80000001", "eax": "0x0", "ebx": "0x0", "ecx": "0x4", "edx": "0x0"}
    found = abilities.of(Report(OLD | {"cpuid": [*OLD["cpuid"], leaf]}))
    assert found.svm is Missing.UNKNOWN and found.svm_control is Missing.UNKNOWN
    assert found.x2apic is False and found.vmx is False, "by leaf 1, which it has"
    assert found.x2apic_on is Missing.UNKNOWN and found.vmx_control is Missing.UNKNOWN
    assert found.processors is Missing.UNKNOWN and found.cores is Missing.UNKNOWN
    assert found.tsc_invariant is Missing.UNKNOWN and found.tsc_hz is Missing.UNKNOWN
    assert abilities.of(Report(OLD | {"cpuid": [leaf | {"ecx": "0x0"}]})).svm is Missing.ABSENT
