"""What the resident part of a partition finds on a machine that was probed.

found, notes = platform(report, resident)       # machine.Platform, and what of it is a guess
shared_cores(report, boot.cpus)                 # threads of a core that go to several domains
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bootwright.common.abi import load as load_abi
from bootwright.common.ranges import Range
from bootwright.lab import abilities
from bootwright.lab.abilities import Abilities, Missing, Svm
from bootwright.lab.report import Report
from bootwright.reference.machine import Platform

INTEL = "GenuineIntel"
_NESTED_PAGING = abilities.FEATURES["NP"]


def platform(report: Report, resident: Range) -> tuple[Platform, tuple[str, ...]]:
    """What the report says; what it does not is taken to be as a partition needs it, and noted. resident: where the
    resident part's code lies.
    """
    found = abilities.of(report)
    intel = report.document["cpu"]["vendor"] == INTEL
    svm = isinstance(found.svm, Svm) or (found.svm is Missing.UNKNOWN and not intel)
    x2apic = found.x2apic is True
    made = Platform(
        _cpus(found, report, x2apic),
        resident,
        boot_cpu=_boot_cpu(report, x2apic),
        intel=intel,
        svm=svm,
        nested_paging=not isinstance(found.svm, Svm) or _NESTED_PAGING in found.svm.features,
        svm_off=_svm_off(found),
        x2apic=x2apic,
        tsc_mhz=(found.tsc_hz + 500_000) // 1_000_000 if isinstance(found.tsc_hz, int) else 0,
    )
    return made, tuple(_notes(found)) if svm else ()


def _cpus(found: Abilities, report: Report, x2apic: bool) -> tuple[int, ...]:
    if isinstance(found.processors, Missing):
        return tuple(range(report.document["cpus"]))
    limit = 1 << 32 if x2apic else load_abi().constants["ICR_BROADCAST"]
    return tuple(one.apic_id for one in found.processors if one.usable and one.apic_id < limit)


def _boot_cpu(report: Report, x2apic: bool) -> int:
    constants = load_abi().constants
    topology = report.cpuid.get((constants["CPUID_TOPOLOGY"], 0))
    if x2apic and topology is not None:
        return topology.edx
    features = report.cpuid.get((constants["CPUID_FEATURES"], 0))
    return features.ebx >> constants["LAPIC_ID_SHIFT"] if features else 0


def _svm_off(found: Abilities) -> str:
    control, constants = found.svm_control, load_abi().constants
    if isinstance(control, Missing) or not control & constants["VM_CR_SVMDIS"]:
        return ""
    return "locked" if control & constants["VM_CR_LOCK"] else "not locked"


def _notes(found: Abilities) -> Iterator[str]:
    if isinstance(found.svm, Missing):
        yield "whether the cpu has SVM with nested paging is not known: the report is of an older probe"
    if found.svm_control is Missing.UNKNOWN:
        yield "whether the firmware has switched SVM off is not known"
    if isinstance(found.processors, Missing):
        yield "the cpus' APIC ids are not known: those shown are a guess, and so are the CRC-32s of the domains"
    if not isinstance(found.tsc_hz, int):
        yield "the rate of the time-stamp counter is measured at boot: 0 MHz stands for it"


def shared_cores(report: Report, given: Iterable[tuple[str, tuple[int, ...]]]) -> Iterator[str]:
    """A sentence for each core whose threads are several domains'. given: the APIC ids that each domain gets."""
    owners = {cpu: name for name, cpus in given for cpu in cpus}
    cores = abilities.of(report).cores
    if isinstance(cores, Missing):
        if len(set(owners.values())) > 1:
            yield "which cpus are threads of one core is not known"
        return
    for core in cores:
        names = list(dict.fromkeys(owners[cpu] for cpu in core if cpu in owners))
        if len(names) > 1:
            cpus = " and ".join(str(cpu) for cpu in core if cpu in owners)
            yield f"cpus {cpus} are threads of one core, and go to domains {' and '.join(names)}"
