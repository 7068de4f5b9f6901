"""A guest's writes to its local APIC: let through to a page that stands in for it, filtered, and carried out."""

from __future__ import annotations

import pytest
from run_time import LAPIC_ENTRIES, SCRATCH, C, Dom, RunTime

LAPIC = 0xFEE00000
PRESENT_WRITE = 1 | 1 << 1 | 1 << 2 | 1 << 32
READ_ONLY = LAPIC | 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 63
TF, IF, DB = 1 << 8, 1 << 9, 0x41
EVENT_DB = 1 << 31 | 3 << 8 | 1
WRITABLE = {0x80, 0xB0, 0xD0, 0xE0, 0xF0, 0x280, 0x310, *range(0x320, 0x380, 16), 0x380, 0x3E0}
LVTS = range(0x320, 0x380, 16)
VALUES = [0, 0xFF, 0x100FF, 0x700, 0x400, 0x200, 0x500, 0x10700, 0x20030, 0xFFFFFFFF, 0x12345678]


def machine() -> RunTime:
    found = RunTime([Dom((3, 4))])
    for number in range(2):
        found.set_number(LAPIC_ENTRIES + 8 * number, READ_ONLY)
    return found


def fault(found: RunTime, address: int, info: int = PRESENT_WRITE, **vmcb: int) -> None:
    found.exit(0x400, exitinfo1=info, exitinfo2=address, **vmcb)


def store(found: RunTime, offset: int, value: int, flags: int = 2, **vmcb: int) -> None:
    """A guest's instruction that writes a register, in its two exits."""
    fault(found, LAPIC + offset, rflags=flags)
    found.set_number(SCRATCH + (offset & 0xFF0), value, 4)
    found.exit(DB, rflags=found.vmcb("rflags"), dr6=0xFFFF4FF0, **vmcb)


@pytest.mark.parametrize("flags", [2, 2 | IF, 2 | TF, 2 | TF | IF])
def test_a_write_is_let_through_for_one_instruction(flags: int) -> None:
    found = machine()
    found.set_number(LAPIC + 0x80, 0x55, 4)
    found.lapic.clear()
    fault(found, LAPIC + 0x80, rflags=flags, rip=0x1000)
    assert found.number(LAPIC_ENTRIES) == SCRATCH | 1 | 1 << 1 | 1 << 2
    assert found.number(SCRATCH + 0x80, 4) == 0x55, "what the register holds, for instructions that change it"
    assert found.vmcb("rflags") == 2 | TF and found.vmcb("rip") == 0x1000 and found.vmcb("eventinj") == 0
    assert found.vmcb("tlb_control") == C["TLB_CONTROL_ALL"] and not found.lapic
    found.set_number(SCRATCH + 0x80, 0x30, 4)
    found.exit(DB, rflags=2 | TF, dr6=0xFFFF4FF0, rip=0x1007)
    assert found.number(LAPIC_ENTRIES) == READ_ONLY and found.vmcb("tlb_control") == C["TLB_CONTROL_ALL"]
    assert found.vmcb("rflags") == flags and found.lapic == [(0x80, 0x30)]
    assert found.vmcb("eventinj") == (EVENT_DB if flags & TF else 0), "a debugger's own step comes to it"
    assert found.vmcb("dr6") == (0xFFFF4FF0 if flags & TF else 0xFFFF0FF0)
    assert found.exits("LAPIC") == found.exits("STEP") == 1 and found.exits("EXCEPTION") == 0


def test_a_breakpoint_that_the_write_hits_comes_to_the_guest() -> None:
    found = machine()
    fault(found, LAPIC + 0x80)
    found.exit(DB, rflags=2 | TF, dr6=0xFFFF4FF1, dr7=0x401)
    assert found.vmcb("eventinj") == EVENT_DB and found.vmcb("dr6") == 0xFFFF0FF1
    fault(found, LAPIC + 0x80, dr7=0x400)
    found.exit(DB, rflags=2 | TF, dr6=0xFFFF4FF1)
    assert found.vmcb("eventinj") == 0, "none is enabled"


def test_the_end_of_interrupt_is_not_read() -> None:
    found = machine()
    found.set_number(LAPIC + 0xB0, 0x77, 4)
    found.lapic.clear()
    store(found, 0xB0, 0)
    assert found.lapic == [(0xB0, 0)]
    fault(found, LAPIC + 0xB0)
    assert found.number(SCRATCH + 0xB0, 4) == 0


def test_registers_that_may_be_written_are_and_no_others() -> None:
    found = machine()
    for offset in range(0, 0x1000, 16):
        if offset == 0x300:
            continue
        for value in VALUES:
            found.lapic.clear()
            store(found, offset, value)
            if offset in LVTS and value >> 8 & 7:
                value |= 1 << 16
            assert found.lapic == ([(offset, value)] if offset in WRITABLE else []), hex(offset)
            assert not found.ipis and found.of_domain("state") == C["DOMAIN_RUNS"]
            if offset == 0xD0:
                assert found.of_vcpu("ldr") == value
            if offset == 0xE0:
                assert found.of_vcpu("dfr") == value


def test_an_unaligned_write_is_of_the_register_that_it_is_in() -> None:
    found = machine()
    found.set_number(LAPIC + 0x380, 0x1111, 4)
    found.lapic.clear()
    store(found, 0x387, 0x1111)
    assert found.lapic == [(0x380, 0x1111)]


def test_the_icr_is_filtered() -> None:
    found = machine()
    found.set_number(LAPIC + 0x310, 4 << 24, 4)
    store(found, 0x300, 0x40F3)
    assert found.ipis == [(4, 0x40F3)]
    store(found, 0x300, 0x4400)
    assert len(found.ipis) == 1 and found.of_vcpu("dropped_ipis") == 1


OUTSIDE = [
    (0x40000000, PRESENT_WRITE),
    (LAPIC - 1, PRESENT_WRITE),
    (LAPIC + 0x1000, PRESENT_WRITE),
    (1 << 32 | LAPIC, PRESENT_WRITE),
    (LAPIC + 0x80, PRESENT_WRITE & ~(1 << 1)),  # a read, which does not fault, or a fetch
    (LAPIC + 0x80, PRESENT_WRITE & ~(1 << 32) | 1 << 33),  # the guest's own tables lie there
    (2**52 - 1, 1 << 2),
]


@pytest.mark.parametrize(("address", "info"), OUTSIDE)
def test_memory_that_is_not_its_own_ends_the_domain(address: int, info: int) -> None:
    found = machine()
    fault(found, address, info, rip=0xFFFFFFFF81000000)
    assert (found.of_domain("end_reason"), found.of_domain("end_value")) == (C["END_ACCESS"], address)
    line = f"bootwright: d0: ended: access to {address:#x}, which is not its own, at 0xffffffff81000000\n"
    assert found.transcript == line and found.of_vcpu("stepping") == 0


def test_an_event_whose_frame_would_lie_there_ends_the_domain() -> None:
    found = machine()
    fault(found, LAPIC + 0x80, exitintinfo=1 << 31 | 0x20)
    assert found.of_domain("end_reason") == C["END_ACCESS"]


def test_a_fault_within_a_step_ends_the_domain() -> None:
    found = machine()
    fault(found, LAPIC + 0x80)
    fault(found, LAPIC + 0x80)
    assert found.of_domain("end_reason") == C["END_ACCESS"]


def test_in_x2apic_mode_there_is_no_page() -> None:
    found = RunTime(x2apic=True)
    fault(found, LAPIC + 0x80)
    assert found.of_domain("end_reason") == C["END_ACCESS"]


def test_an_nmi_does_not_end_a_step() -> None:
    found = machine()
    fault(found, LAPIC + 0x80, rflags=2 | IF)
    found.set_number(SCRATCH + 0x80, 0x20, 4)
    found.exit(0x61)
    assert found.of_vcpu("stepping") == 1 and found.vmcb("rflags") == 2 | TF
    found.exit(DB, dr6=0xFFFF4FF0)
    assert found.lapic == [(0x80, 0x20)] and found.vmcb("rflags") == 2 | IF
