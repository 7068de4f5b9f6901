"""What a machine that was probed can do for the partition launcher.

    found = of(report)
    found.svm.asids             # 16
    found.cores                 # ((0, 1), (2, 3)): APIC ids of the cpus that share a core
    lines(found)                # for people

A report of format 1 has little of it: what nobody asked the machine is Missing.UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from bootwright.common.abi import load as load_abi
from bootwright.lab.report import Registers, Report

_FEATURE = "CPUID_SVM_EDX_"
# Bits of CPUID_SVM's EDX in words, by their names in stub/abi/svm.h.
FEATURES = {
    "NP": "nested paging",
    "LBR": "LBR",
    "LOCK": "SVM lock",
    "NRIP": "next RIP",
    "TSC_RATIO": "TSC ratio",
    "CLEAN_BITS": "clean bits",
    "FLUSH_ASID": "flush by ASID",
    "DECODE": "decode assists",
    "PAUSE": "pause filter",
    "THRESHOLD": "pause filter threshold",
    "AVIC": "AVIC",
    "VMLOAD": "virtual VMLOAD and VMSAVE",
    "VGIF": "virtual GIF",
    "GMET": "GMET",
    "X2AVIC": "x2AVIC",
    "SPEC_CTRL": "virtual SPEC_CTRL",
    "VNMI": "virtual NMI",
    "BUS_LOCK": "bus lock threshold",
}


class Missing(Enum):
    """Why there is no value."""

    ABSENT = "none"
    REFUSED = "not readable"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Svm:
    """AMD's virtualisation. asids: number of address spaces that a TLB tells apart, with the host's; features: those
    of FEATURES that there are.
    """

    revision: int
    asids: int
    features: tuple[str, ...]


@dataclass(frozen=True)
class Processor:
    """A cpu of the MADT. usable: it is enabled; capable: it is not, but can be brought online."""

    apic_id: int
    usable: bool
    capable: bool


@dataclass(frozen=True)
class Abilities:
    """svm_control: VM_CR; vmx: the cpu has it; vmx_control: IA32_FEATURE_CONTROL; x2apic: the cpu has it; x2apic_on:
    and the firmware left it on; processors: each APIC id once, in the MADT's order; thread_bits: how many bits of an
    APIC id, the lowest, tell the threads of a core apart; iommu: addresses of ACPI's IVRS and DMAR; tsc_hz:
    as CPUID says.
    """

    svm: Svm | Missing
    svm_control: int | Missing
    vmx: bool | Missing
    vmx_control: int | Missing
    x2apic: bool | Missing
    x2apic_on: bool | Missing
    processors: tuple[Processor, ...] | Missing
    thread_bits: int | Missing
    iommu: dict[str, int] | Missing
    tsc_invariant: bool | Missing
    tsc_hz: int | Missing

    @property
    def cores(self) -> tuple[tuple[int, ...], ...] | Missing:
        """APIC ids of the enabled cpus, those of a core together."""
        if isinstance(self.processors, Missing) or isinstance(self.thread_bits, Missing):
            return Missing.UNKNOWN
        found: dict[int, list[int]] = {}
        for processor in self.processors:
            if processor.usable:
                found.setdefault(processor.apic_id >> self.thread_bits, []).append(processor.apic_id)
        return tuple(map(tuple, found.values()))


def of(report: Report) -> Abilities:
    """What a report says."""
    constants = load_abi().constants
    base = _msr(report, "MSR_APIC_BASE")
    x2apic = _bit(report, "CPUID_FEATURES", "ecx", "CPUID_FEATURES_ECX_X2APIC")
    return Abilities(
        _svm(report),
        _msr(report, "MSR_VM_CR"),
        _bit(report, "CPUID_FEATURES", "ecx", "CPUID_FEATURES_ECX_VMX"),
        _msr(report, "MSR_FEATURE_CONTROL"),
        x2apic,
        base if isinstance(base, Missing) else x2apic is True and bool(base & constants["APIC_BASE_X2APIC"]),
        _processors(report),
        _thread_bits(report),
        _iommu(report),
        _bit(report, "CPUID_POWER", "edx", "CPUID_POWER_EDX_INVARIANT"),
        _tsc_hz(report),
    )


def _registers(report: Report, leaf: str, subleaf: int = 0) -> Registers | Missing:
    """What CPUID answered; ABSENT where the cpu has no such leaf."""
    found = report.cpuid.get((load_abi().constants[leaf], subleaf))
    if found is not None:
        return found
    return Missing.ABSENT if report.asks_all else Missing.UNKNOWN


def _bit(report: Report, leaf: str, register: str, mask: str) -> bool | Missing:
    found = _registers(report, leaf)
    if isinstance(found, Missing):
        return False if found is Missing.ABSENT else found
    return bool(getattr(found, register) & load_abi().constants[mask])


def _msr(report: Report, name: str) -> int | Missing:
    number = load_abi().constants[name]
    if number not in report.msrs:
        return Missing.UNKNOWN
    value = report.msrs[number]
    return Missing.REFUSED if value is None else value


def _svm(report: Report) -> Svm | Missing:
    there = _bit(report, "CPUID_EXTENDED", "ecx", "CPUID_EXTENDED_ECX_SVM")
    if isinstance(there, Missing):
        return there
    found = _registers(report, "CPUID_SVM")
    if not there or isinstance(found, Missing):
        return Missing.UNKNOWN if there else Missing.ABSENT
    constants = load_abi().constants
    features = tuple(word for name, word in FEATURES.items() if found.edx & constants[_FEATURE + name])
    return Svm(found.eax & 0xFF, found.ebx, features)


def _processors(report: Report) -> tuple[Processor, ...] | Missing:
    constants, found = load_abi().constants, dict[int, Processor]()
    if "processors" not in report.document:
        return Missing.UNKNOWN
    for entry in report.document["processors"]:
        flags, number = int(entry["flags"], 16), entry["apic_id"]
        usable = bool(flags & constants["MADT_ENABLED"])
        capable = not usable and bool(flags & constants["MADT_ONLINE_CAPABLE"])
        if number not in found or usable:  # firmware may list a cpu by both kinds of entries
            found[number] = Processor(number, usable, capable)
    return tuple(found.values())


def _thread_bits(report: Report) -> int | Missing:
    """By CPUID's topology, else by AMD's own leaf, else by there being no threads at all. SDM 3, 9.9; APM 3, E.4.15."""
    topology, cores = _registers(report, "CPUID_TOPOLOGY"), _registers(report, "CPUID_CORES")
    if (
        isinstance(topology, Registers)
        and topology.ebx
        and topology.ecx >> 8 & 0xFF == load_abi().constants["TOPOLOGY_THREADS"]
    ):
        return topology.eax & 31
    has_cores = _bit(report, "CPUID_EXTENDED", "ecx", "CPUID_EXTENDED_ECX_TOPOLOGY")
    if has_cores is True and isinstance(cores, Registers):
        return (cores.ebx >> 8 & 0xFF).bit_length()
    threads = _bit(report, "CPUID_FEATURES", "edx", "CPUID_FEATURES_EDX_HTT")
    return 0 if threads is False else Missing.UNKNOWN


def _iommu(report: Report) -> dict[str, int] | Missing:
    tables = (report.document["acpi"] or {"tables": []})["tables"]
    found = {t["signature"]: int(t["address"], 16) for t in tables if t["signature"] in ("IVRS", "DMAR")}
    if not found and any(table["signature"] is None for table in tables):
        return Missing.UNKNOWN  # a table that could not be looked into
    return found


def _tsc_hz(report: Report) -> int | Missing:
    crystal = _registers(report, "CPUID_TSC")
    if isinstance(crystal, Registers) and crystal.eax and crystal.ebx and crystal.ecx:
        return crystal.ecx * crystal.ebx // crystal.eax
    base, hypervisor = _registers(report, "CPUID_FREQUENCIES"), _registers(report, "CPUID_HYPERVISOR_TSC")
    if isinstance(base, Registers) and base.eax & 0xFFFF:
        return (base.eax & 0xFFFF) * 1_000_000
    if isinstance(hypervisor, Registers) and hypervisor.eax:
        return hypervisor.eax * 1000
    return Missing.ABSENT if report.asks_all else Missing.UNKNOWN


# --- for people ---


def lines(found: Abilities) -> Iterator[str]:
    """A line for each thing that counts."""
    yield f"SVM: {_svm_words(found)}"
    yield f"VMX: {_vmx_words(found)}"
    yield f"x2APIC: {_x2apic_words(found)}"
    yield f"cpus: {_cpu_words(found)}"
    tables = found.iommu
    if isinstance(tables, Missing):
        yield f"IOMMU: {tables.value}"
    else:
        yield f"IOMMU: {', '.join(f'{name} at {place:#x}' for name, place in tables.items()) or Missing.ABSENT.value}"
    yield f"TSC: {_tsc_words(found)}"


def _svm_words(found: Abilities) -> str:
    svm, control, constants = found.svm, found.svm_control, load_abi().constants
    if isinstance(svm, Missing):
        return svm.value
    features = ", ".join(svm.features) or "no features"
    if isinstance(control, Missing):
        state = f"VM_CR {control.value}"
    else:
        off, locked = control & constants["VM_CR_SVMDIS"], control & constants["VM_CR_LOCK"]
        state = (
            f"{'switched off by the firmware' if off else 'not switched off'}, {'locked' if locked else 'not locked'}"
        )
    return f"revision {svm.revision}, {svm.asids} ASIDs, {features}; {state}"


def _vmx_words(found: Abilities) -> str:
    control, constants = found.vmx_control, load_abi().constants
    if found.vmx is not True:
        return found.vmx.value if isinstance(found.vmx, Missing) else Missing.ABSENT.value
    if isinstance(control, Missing):
        return f"IA32_FEATURE_CONTROL {control.value}"
    on, locked = control & constants["FEATURE_CONTROL_VMX"], control & constants["FEATURE_CONTROL_LOCK"]
    return f"{'switched on' if on else 'not switched on'}, {'locked' if locked else 'not locked'}"


def _x2apic_words(found: Abilities) -> str:
    if found.x2apic is not True:
        return found.x2apic.value if isinstance(found.x2apic, Missing) else Missing.ABSENT.value
    if isinstance(found.x2apic_on, Missing):
        return f"there; whether it is on, {found.x2apic_on.value}"
    return "on" if found.x2apic_on else "there, off"


def _cpu_words(found: Abilities) -> str:
    processors, cores = found.processors, found.cores
    if isinstance(processors, Missing):
        return processors.value
    usable = [processor for processor in processors if processor.usable]
    capable = sum(processor.capable for processor in processors)
    more = f", {capable} more can be brought online" if capable else ""
    if isinstance(cores, Missing):
        ids = " ".join(str(processor.apic_id) for processor in usable)
        return f"{len(usable)} enabled{more}, APIC ids {ids}; which share a core: {cores.value}"
    ids = ", ".join(" ".join(map(str, core)) for core in cores)
    return f"{len(usable)} enabled{more}, APIC ids by core: {ids}"


def _tsc_words(found: Abilities) -> str:
    rate = f"{found.tsc_hz / 1e6:.0f} MHz" if isinstance(found.tsc_hz, int) else f"frequency {found.tsc_hz.value}"
    if isinstance(found.tsc_invariant, Missing):
        return f"invariant: {found.tsc_invariant.value}, {rate}"
    return f"{'invariant' if found.tsc_invariant else 'not invariant'}, {rate}"
