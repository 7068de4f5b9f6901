"""Partitions planned for a machine that the probe has seen: who gets what of it, or what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab_report import OLD, changed
from project import ROOT

from bootwright.cli import lab
from bootwright.common import abi
from bootwright.common.errors import PlanError
from bootwright.lab import report

C = abi.load().constants
MIB = 1 << 20
TWO = f"""
[image]
name = "two"
launcher = "partition"

[[domain]]
name = "first"
permissions = ["control", "hardware"]
functions = ["console", "xenstore", "initial-domain"]
memory = "32M"
kernel = "{ROOT}/stub/kernels/demo.asm"
ramdisk = "{ROOT}/images/demo.txt"

[[domain]]
name = "second"
cpus = 2
memory = "48M"
kernel = "{ROOT}/stub/kernels/ticks.asm"

[[shared]]
name = "count"
size = "2M"
between = ["second", "first"]
"""
Document = dict[str, Any]


@pytest.fixture
def two(project: Path) -> str:
    path = project / "two.toml"
    path.write_text(TWO)
    return str(path)


def leaf(number: int, **registers: int) -> Document:
    named = {name: f"{registers.get(name, 0):#x}" for name in ("eax", "ebx", "ecx", "edx")}
    return {"leaf": f"{number:#x}", "subleaf": 0, **named}


def amd(document: Document) -> None:
    """Four cpus of two threads a core, with all that a partition needs; cpu 2 boots."""
    document["cpu"] |= {"vendor": "AuthenticAMD"}
    document["cpuid"] = [
        leaf(C["CPUID_FEATURES"], ebx=2 << 24, edx=C["CPUID_FEATURES_EDX_HTT"]),
        leaf(C["CPUID_TSC"], eax=2, ebx=50, ecx=100_000_000),
        leaf(C["CPUID_EXTENDED"], ecx=C["CPUID_EXTENDED_ECX_SVM"] | C["CPUID_EXTENDED_ECX_TOPOLOGY"]),
        leaf(C["CPUID_SVM"], eax=1, ebx=16, edx=C["CPUID_SVM_EDX_NP"]),
        leaf(C["CPUID_CORES"], ebx=1 << 8),
    ]


def planned(
    two: str,
    capsys: pytest.CaptureFixture[str],
    *changes: Callable[[Document], object],
    document: Document | None = None,
) -> tuple[str, str]:
    """What is planned for an AMD machine with changes."""

    def change(document: Document) -> None:
        for one in (amd, *changes):
            one(document)

    entered = {"protocol": "multiboot1", "loader": "-", "rsdp": "0x7fe2000"}
    report.store(report.Report(document or changed(change), entered), "lab")
    lab.plan(two, "lab")
    said = capsys.readouterr()
    return said.out, said.err


def test_who_gets_what(two: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = planned(two, capsys)
    for part in (
        "  bootwright: partition: AMD SVM, nested paging, xAPIC, TSC 2500 MHz\n",
        "  bootwright: cpus: 4 found, 3 answered\n",
        "  bootwright: d0: cpus 2, nested tables of ",
        "  bootwright: d1: cpus 0 1, nested tables of ",
        "  bootwright: d1: memory [0x400000, 0x3400000) from its address 0x0 on\n",
        "  bootwright: d0: shared range count [0x5400000, 0x5600000) from its address 0xc0000000 on, read-only\n",
        "  bootwright: launch: 2 domains on 3 cpus\n",
        "  [0x400000, 0x3400000)    50,331,648    memory of domain second\n",
        "  [0x3400000, 0x5400000)   33,554,432    memory of domain first\n",
        "  [0x5400000, 0x5600000)    2,097,152    memory of shared range count\n",
    ):
        assert part in out
    assert out.endswith("\nimage two fits on machine lab\n")
    assert err == ""


def set_register(number: int, register: str, bits: int) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        next(one for one in document["cpuid"] if int(one["leaf"], 16) == number)[register] = f"{bits:#x}"

    return change


def control(value: int) -> Callable[[Document], None]:
    return lambda document: document.update(msrs=[{"msr": f"{C['MSR_VM_CR']:#x}", "value": f"{value:#x}"}])


def processors(*flags: int) -> Callable[[Document], None]:
    entries = [{"apic_id": number, "uid": number, "flags": f"{value:#x}"} for number, value in enumerate(flags)]
    return lambda document: document.update(processors=entries)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda document: (
                document["cpu"].update(vendor="GenuineIntel") or set_register(C["CPUID_EXTENDED"], "ecx", 0)(document)
            ),
            "E0810: launcher = partition needs AMD's SVM; this is an Intel cpu",
        ),
        (
            set_register(C["CPUID_EXTENDED"], "ecx", 0),
            "E0811: launcher = partition needs AMD's SVM, which this cpu does not have",
        ),
        (
            set_register(C["CPUID_SVM"], "edx", 0),
            "E0813: launcher = partition needs nested paging, which this cpu's SVM does not have",
        ),
        (
            control(C["VM_CR_SVMDIS"] | C["VM_CR_LOCK"]),
            "E0812: the firmware has switched SVM off (VM_CR locked): switch it on there",
        ),
        (
            processors(1, 0, 1),
            "E0827: domain second: there is no cpu left for its cpu 1: all domains need 3, this machine has 2",
        ),
        (
            lambda document: document.update(
                memory=[
                    {"start": "0x0", "size": "0x9fc00", "type": 1},
                    {"start": "0x100000", "size": "0x4f00000", "type": 1},
                ]
            ),
            "E0830: domain first: no 32 MiB of free RAM in one piece below 0x100000000",
        ),
    ],
)
def test_a_machine_that_lacks_something(
    change: Callable[[Document], object], reason: str, two: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PlanError) as caught:
        planned(two, capsys, change)
    assert str(caught.value) == f"image two does not fit on machine lab: {reason}"
    assert "fits on" not in capsys.readouterr().out


def test_threads_of_a_core_that_two_domains_get(two: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The first gets the cpu that boots, the second one of the same core."""
    err = planned(two, capsys, set_register(C["CPUID_FEATURES"], "ebx", 0))[1]
    assert err == "note: cpus 0 and 1 are threads of one core, and go to domains first and second\n"


def test_what_an_older_probe_did_not_report(two: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is taken to be there, and said to be a guess; that it is Intel's is known."""
    old = OLD | {"cpu": OLD["cpu"] | {"vendor": "AuthenticAMD"}}
    out, err = planned(two, capsys, document=old)
    assert out.endswith("\nimage two fits on machine lab\n") and "TSC 0 MHz" in out
    assert err.splitlines() == [
        "note: whether the cpu has SVM with nested paging is not known: the report is of an older probe",
        "note: whether the firmware has switched SVM off is not known",
        "note: the cpus' APIC ids are not known: those shown are a guess, and so are the CRC-32s of the domains",
        "note: the rate of the time-stamp counter is measured at boot: 0 MHz stands for it",
        "note: which cpus are threads of one core is not known",
    ]
    with pytest.raises(PlanError, match=r"E0810: .* this is an Intel cpu"):
        planned(two, capsys, document=OLD)
