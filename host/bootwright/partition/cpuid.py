"""CPUID: what a domain is told in place of what the machine says.

For each leaf the machine's answer, with bits taken away and others added. What depends on the moment the resident part
does on top (OSXSAVE, OSPKE, x2APIC), and a hypervisor's leaves, from 0x40000000 on, are its own: those of KVM's clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from bootwright.common.abi import load as load_abi

KEEP = 0xFFFFFFFF  # and-mask of a register that stays as the machine has it
REGISTERS = ("eax", "ebx", "ecx", "edx")


@dataclass(frozen=True)
class CpuidRule:
    """struct cpuid_rule: (and, or) for EAX, EBX, ECX and EDX; subleaf None for all."""

    leaf: int
    eax: tuple[int, int] = (KEEP, 0)
    ebx: tuple[int, int] = (KEEP, 0)
    ecx: tuple[int, int] = (KEEP, 0)
    edx: tuple[int, int] = (KEEP, 0)
    subleaf: int | None = None

    def record(self) -> bytes:
        """As the resident part reads it."""
        abi = load_abi()
        subleaf = abi.constants["CPUID_ANY_SUBLEAF"] if self.subleaf is None else self.subleaf
        values = {"leaf": self.leaf, "subleaf": subleaf}
        for name in REGISTERS:
            values[f"and_{name}"], values[f"or_{name}"] = getattr(self, name)
        return bytes(abi.struct("cpuid_rule")(**values).dumps())


def without(*bits: int) -> tuple[int, int]:
    """Takes these bits away."""
    return KEEP & ~sum(1 << bit for bit in bits), 0


def fixed(value: int) -> tuple[int, int]:
    """Whatever the machine says, this."""
    return 0, value


def _nothing(leaf: int) -> CpuidRule:
    return CpuidRule(leaf, fixed(0), fixed(0), fixed(0), fixed(0))


def rules() -> tuple[CpuidRule, ...]:
    """All of them; a leaf has one at most for each subleaf."""
    constants = load_abi().constants
    kept, _ = without(3, 5, 24)
    return (
        # MONITOR, VMX, the LAPIC's timer by the TSC; a hypervisor is there. Machine checks, of both kinds.
        CpuidRule(1, ecx=(kept, 1 << 31), edx=without(7, 14)),
        _nothing(5),  # MONITOR
        # Power and frequency are the machine's; but the LAPIC's timer runs in every state of sleep.
        CpuidRule(6, fixed(1 << 2), fixed(0), fixed(0), fixed(0)),
        # TSC_ADJUST, and shares of caches and memory (12, 15); shadow stacks and where indirect branches may lead.
        CpuidRule(7, subleaf=0, ebx=without(1, 12, 15), ecx=without(7), edx=without(20)),
        _nothing(0xA),  # performance counters
        # SVM, instruction based sampling, SKINIT, LWP, performance counters (23, 24, 28), data breakpoints of any size,
        # MONITORX; machine checks once more.
        CpuidRule(constants["CPUID_EXTENDED"], ecx=without(2, 10, 12, 15, 23, 24, 26, 28, 29), edx=without(7, 14)),
        # Frequency by hardware and by software; the TSC counts evenly, as the clock says.
        CpuidRule(0x80000007, edx=(without(7, 9)[0], 1 << 8)),
        # INVLPGB, shares of memory, VIRT_SPEC_CTRL, performance by CPPC.
        CpuidRule(0x80000008, ebx=without(3, 6, 25, 27)),
        _nothing(constants["CPUID_SVM"]),
        _nothing(0x8000001B),  # instruction based sampling
        _nothing(0x8000001F),  # memory encryption
        _nothing(0x80000020),  # shares of caches and memory
        _nothing(0x80000021),
        _nothing(0x80000022),  # performance counters
        _nothing(0x80000023),  # memory encryption by many keys
    )
