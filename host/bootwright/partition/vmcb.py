"""VMCBs: the state in which a domain's first cpu starts, and that of a cpu that got INIT.

Without the addresses that differ from cpu to cpu: bitmaps, ASID and nested CR3 are filled in at boot. AMD APM volume 2,
15.5 (what VMRUN wants), 14.1.3 (INIT), appendix B. What is intercepted: docs/partition.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bootwright.common.abi import load as load_abi

_MISC1 = ("NMI", "CPUID", "INVD", "INVLPGA", "IOIO", "MSR", "SHUTDOWN")
_MISC2 = (
    *("VMRUN", "VMMCALL", "VMLOAD", "VMSAVE", "STGI", "CLGI", "SKINIT"),
    *("WBINVD", "MONITOR", "MWAIT", "XSETBV"),
)
# #DB and #AC can be raised again by their own delivery, for ever: no NMI would end that (CVE-2015-8104, -5307).
_EXCEPTIONS = (1, 17)

CODE_SELECTOR = 0x10  # as Linux wants them: __BOOT_CS, __BOOT_DS
DATA_SELECTOR = 0x18
_TSS_LIMIT = 0x67
_REAL_LIMIT = 0xFFFF
_FLAT_LIMIT = 0xFFFFFFFF


def initial(entry: int, gdt: int, gdt_size: int) -> bytes:
    """A first cpu, at its entry: 32 bits, flat, without paging. gdt: guest address of its descriptors."""
    constants = load_abi().constants
    data = _segment(DATA_SELECTOR, "DATA32", _FLAT_LIMIT)
    return _vmcb(
        cs=_segment(CODE_SELECTOR, "CODE32", _FLAT_LIMIT),
        **{name: data for name in ("ds", "es", "fs", "gs", "ss")},
        gdtr=_table(gdt, gdt_size - 1),
        idtr=_table(0, 0),
        ldtr=_segment(0, "LDT", 0),
        tr=_segment(0, "TSS", _TSS_LIMIT),
        cr0=constants["CR0_PE"] | constants["CR0_ET"],
        rip=entry,
    )


def reset() -> bytes:
    """A cpu that got INIT, real mode. The CS that SIPI sets takes the place of this one. Caches are on, as the firmware
    had left them.
    """
    constants = load_abi().constants
    data = _segment(0, "DATA16", _REAL_LIMIT)
    return _vmcb(
        cs=_segment(0xF000, "CODE16", _REAL_LIMIT, 0xFFFF0000),
        **{name: data for name in ("ds", "es", "fs", "gs", "ss")},
        gdtr=_table(0, _REAL_LIMIT),
        idtr=_table(0, _REAL_LIMIT),
        ldtr=_segment(0, "LDT", _REAL_LIMIT),
        tr=_segment(0, "TSS", _REAL_LIMIT),
        cr0=constants["CR0_ET"],
        rip=0xFFF0,
    )


def _vmcb(**state: Any) -> bytes:
    abi = load_abi()
    constants = abi.constants
    return bytes(
        abi.struct("vmcb")(
            intercept_exceptions=sum(1 << vector for vector in _EXCEPTIONS),
            intercept_misc1=_intercepts(_MISC1),
            intercept_misc2=_intercepts(_MISC2),
            tlb_control=constants["TLB_CONTROL_ALL"],
            np_enable=constants["NP_ENABLE"],
            efer=constants["EFER_SVME"],
            dr6=constants["DR6_RESET"],
            dr7=constants["DR7_RESET"],
            rflags=constants["EFLAGS_FIXED"],
            g_pat=constants["PAT_RESET"],
            **state,
        ).dumps()
    )


def _intercepts(names: Iterable[str]) -> int:
    return sum(load_abi().constants[f"INTERCEPT_{name}"] for name in names)


def _segment(selector: int, kind: str, limit: int, base: int = 0) -> Any:
    abi = load_abi()
    attributes = abi.constants[f"VMCB_SEGMENT_{kind}"]
    return abi.struct("vmcb_segment")(selector=selector, attributes=attributes, limit=limit, base=base)


def _table(base: int, limit: int) -> Any:
    return load_abi().struct("vmcb_segment")(limit=limit, base=base)
