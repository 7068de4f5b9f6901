"""MSRs: which a domain's cpus reach by themselves, and what the resident part answers for all others.

What is passed belongs to one cpu alone, and is kept from no other: the state of a domain's own code, and with x2APIC
the registers of its LAPIC that send nothing and ask for no delivery but by a vector.
"""

from __future__ import annotations

from dataclasses import dataclass

from bootwright.common.abi import load as load_abi


@dataclass(frozen=True)
class Passed:
    """MSRs from first to last that do not exit."""

    first: int
    last: int
    read: bool = True
    write: bool = True


@dataclass(frozen=True)
class MsrRule:
    """struct msr_rule. read, write: RULE_*, by name."""

    first: int
    last: int
    read: str
    write: str
    value: int = 0

    def record(self) -> bytes:
        """As the resident part reads it."""
        abi = load_abi()
        read, write = (abi.constants[f"RULE_{name}"] for name in (self.read, self.write))
        values = {"first": self.first, "last": self.last, "read": read, "write": write, "value": self.value}
        return bytes(abi.struct("msr_rule")(**values).dumps())


_PASSED = (
    Passed(0x10, 0x10, write=False),  # TSC
    Passed(0x48, 0x48),  # SPEC_CTRL
    Passed(0x49, 0x49, read=False),  # PRED_CMD
    Passed(0x174, 0x176),  # SYSENTER
    Passed(0x277, 0x277),  # PAT: with nested paging the guest's own
    Passed(0xDA0, 0xDA0),  # XSS
    Passed(0xC0000081, 0xC0000084),  # STAR, LSTAR, CSTAR, SFMASK
    Passed(0xC0000100, 0xC0000103),  # FS, GS, KERNEL_GS_BASE; TSC_AUX
)
# The LAPIC's: not those that send to others (ICR) or whose delivery may be other than fixed (LVT).
_PASSED_X2APIC = (
    Passed(0x802, 0x803, write=False),  # id, version
    Passed(0x808, 0x808),  # TPR
    Passed(0x80A, 0x80A, write=False),  # PPR
    Passed(0x80B, 0x80B, read=False),  # EOI
    Passed(0x80D, 0x80D, write=False),  # LDR
    Passed(0x80F, 0x80F),  # SVR
    Passed(0x810, 0x827, write=False),  # ISR, TMR, IRR
    Passed(0x828, 0x828),  # ESR
    Passed(0x830, 0x830, write=False),  # ICR
    Passed(0x832, 0x837, write=False),  # LVT
    Passed(0x838, 0x838),  # initial count
    Passed(0x839, 0x839, write=False),  # current count
    Passed(0x83E, 0x83E),  # divide
    Passed(0x83F, 0x83F, read=False),  # self IPI
)


def passed(x2apic: bool) -> tuple[Passed, ...]:
    """What does not exit, in the mode that the machine's LAPICs are in."""
    return _PASSED + _PASSED_X2APIC if x2apic else _PASSED


def rules() -> tuple[MsrRule, ...]:
    """What is answered for an MSR that exits: the first rule that holds it counts, and the last one holds all."""
    constants = load_abi().constants
    known = {
        name: constants[f"MSR_{name}"] for name in ("EFER", "APIC_BASE", "MTRR_CAP", "MTRR_DEF_TYPE", "X2APIC_ICR")
    }
    mtrr_on = constants["MTRR_DEF_TYPE_ENABLED"] | constants["MEMORY_WRITE_BACK"]
    svm_first, svm_last = constants["MSR_VM_CR"], constants["MSR_SVM_KEY"]
    return (
        MsrRule(known["EFER"], known["EFER"], "HANDLED", "HANDLED"),
        MsrRule(known["APIC_BASE"], known["APIC_BASE"], "HANDLED", "HANDLED"),
        MsrRule(known["X2APIC_ICR"], known["X2APIC_ICR"], "HANDLED", "HANDLED"),
        MsrRule(constants["MSR_X2APIC_LVT_TIMER"], constants["MSR_X2APIC_LVT_ERROR"], "HANDLED", "HANDLED"),
        MsrRule(constants["MSR_X2APIC_LVT_CMCI"], constants["MSR_X2APIC_LVT_CMCI"], "HANDLED", "HANDLED"),
        MsrRule(constants["MSR_X2APIC"], constants["MSR_X2APIC_LAST"], "REFUSED", "REFUSED"),
        MsrRule(constants["MSR_KVM_WALL_CLOCK_NEW"], constants["MSR_KVM_SYSTEM_TIME_NEW"], "HANDLED", "HANDLED"),
        # The machine's say nothing of guest addresses: there are no ranges, and all is write-back.
        MsrRule(known["MTRR_CAP"], known["MTRR_CAP"], "FIXED", "REFUSED", 0),
        MsrRule(known["MTRR_DEF_TYPE"], known["MTRR_DEF_TYPE"], "FIXED", "IGNORED", mtrr_on),
        MsrRule(constants["MSR_MTRR_FIRST_BASE"], 0x26F, "IGNORED", "IGNORED"),
        # HWCR: the TSC counts at one rate, as CPUID says.
        MsrRule(0xC0010015, 0xC0010015, "FIXED", "IGNORED", 1 << 24),
        # Machine checks are the machine's: CPUID says that there are none.
        MsrRule(0x179, 0x17B, "IGNORED", "IGNORED"),
        MsrRule(0x400, 0x47F, "IGNORED", "IGNORED"),
        MsrRule(0xC0002000, 0xC0002FFF, "IGNORED", "IGNORED"),
        # Virtual machines, here and Intel's; microcode; what shifts time or makes the cpu wait for another's.
        MsrRule(svm_first, svm_last, "REFUSED", "REFUSED"),
        MsrRule(0x3A, 0x3A, "REFUSED", "REFUSED"),
        MsrRule(0x480, 0x4FF, "REFUSED", "REFUSED"),
        MsrRule(0x3B, 0x3B, "IGNORED", "IGNORED"),  # TSC_ADJUST
        MsrRule(0x79, 0x79, "REFUSED", "IGNORED"),  # microcode
        MsrRule(0xC0010020, 0xC0010020, "REFUSED", "IGNORED"),
        MsrRule(0x6E0, 0x6E0, "REFUSED", "REFUSED"),  # the LAPIC's timer by the TSC
        MsrRule(0xC0000104, 0xC0000104, "REFUSED", "REFUSED"),  # TSC ratio
        MsrRule(0xC0010130, 0xC001013F, "REFUSED", "REFUSED"),  # SEV
        MsrRule(0, 0xFFFFFFFF, "MACHINE", "IGNORED"),
    )
