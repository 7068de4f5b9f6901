"""Exits of guests, each as the cpu reports it: what is injected, what is skipped, what ends the domain."""

from __future__ import annotations

import pytest
from run_time import ABI, VMCBS, C, Dom, RunTime

UD = C["EVENT_VALID"] | C["EVENT_TYPE_EXCEPTION"] | 6
DB = C["EVENT_VALID"] | C["EVENT_TYPE_EXCEPTION"] | 1
GP = C["EVENT_VALID"] | C["EVENT_TYPE_EXCEPTION"] | C["EVENT_ERROR_CODE_VALID"] | 13
AC = C["EVENT_VALID"] | C["EVENT_TYPE_EXCEPTION"] | C["EVENT_ERROR_CODE_VALID"] | 17
TF, IF = 1 << 8, 1 << 9

REFUSED = [0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x7A, 0x8A, 0x8B, 0x8C, 0x8E]
SKIPPED = [0x76, 0x89]
HANDLED = {0x41, 0x51, 0x61, 0x72, 0x7B, 0x7C, 0x7F, 0x8D, 0x400, *REFUSED, *SKIPPED}


@pytest.mark.parametrize("code", REFUSED)
def test_svm_and_monitor_instructions_are_undefined(code: int) -> None:
    machine = RunTime()
    machine.exit(code, rip=0x1000)
    assert machine.vmcb("eventinj") == UD and machine.vmcb("rip") == 0x1000
    assert machine.exits("REFUSED") == 1


@pytest.mark.parametrize("code", SKIPPED)
@pytest.mark.parametrize("next_rip", [0, 1])
def test_cache_instructions_are_skipped(code: int, next_rip: int) -> None:
    machine = RunTime()
    machine.set_variable("next_rip_saved", next_rip, 1)
    machine.exit(code, rip=0xFFFFFFFE, nrip=0x2003, interrupt_shadow=3)
    assert machine.vmcb("rip") == (0x2003 if next_rip else 0x100000000)
    assert machine.vmcb("interrupt_shadow") == 2 and machine.vmcb("eventinj") == 0
    assert machine.exits("CACHE") == 1


def test_what_is_skipped_is_stepped_over_by_a_debugger() -> None:
    machine = RunTime()
    machine.exit(0x89, rip=0x1000, rflags=TF, dr6=0xFFFF0FF0)
    assert machine.vmcb("eventinj") == DB and machine.vmcb("dr6") == 0xFFFF0FF0 | 1 << 14


@pytest.mark.parametrize(("code", "event"), [(0x41, DB), (0x51, AC)])
def test_debug_and_alignment_exceptions_come_again(code: int, event: int) -> None:
    machine = RunTime()
    machine.exit(code)
    assert machine.vmcb("eventinj") == event
    assert machine.exits("EXCEPTION") == 1 and machine.exits("STEP") == 0


def test_real_mode_has_no_error_codes() -> None:
    machine = RunTime()
    machine.exit(0x51, cr0=0)
    assert machine.vmcb("eventinj") == AC & ~C["EVENT_ERROR_CODE_VALID"]


def test_every_other_exit_ends_the_domain_with_its_code() -> None:
    codes = [*range(0x100), *range(0x3F0, 0x410), 1 << 16, 1 << 32 | 0x81, 2**64 - 1]
    for code in [code for code in codes if code not in HANDLED]:
        machine = RunTime([Dom((0, 1))])
        machine.exit(code, rip=0x1234)
        assert machine.of_domain("state") == C["DOMAIN_ENDED"]
        assert machine.of_domain("end_reason") == C["END_EXIT"]
        assert machine.of_domain("end_value") == code and machine.of_domain("end_rip") == 0x1234
        assert machine.of_vcpu("state") == C["VCPU_STOPPED"]
        assert machine.of_vcpu("request", 1) == C["REQUEST_STOP"]
        assert machine.ipis == [(1, C["DELIVERY_NMI"] | C["ICR_ASSERT"])]
        assert machine.exits("OTHER") == 1
        if code < 0x10:
            assert machine.transcript == f"bootwright: d0: ended: exit {code:#x}, which nothing handles, at 0x1234\n"


def test_shutdown_is_a_triple_fault() -> None:
    machine = RunTime()
    machine.exit(0x7F, rip=0xFFF0)
    assert machine.transcript == "bootwright: d0: ended: triple fault at 0xfff0\n"


def test_an_event_that_an_exit_cut_short_comes_again() -> None:
    machine = RunTime()
    for kind in (0, 2, 3):
        for vector in (2, 5, 14, 32, 255):
            event = 1 << 31 | kind << 8 | vector | 0x1234 << 32 | 1 << 11
            machine.exit(0x89, exitintinfo=event)
            assert machine.vmcb("eventinj") == event


@pytest.mark.parametrize("event", [1 << 31 | 4 << 8 | 0x80, 1 << 31 | 3 << 8 | 3, 1 << 31 | 3 << 8 | 4, 0, 0x20])
def test_an_instruction_that_raises_its_event_again_does_it_itself(event: int) -> None:
    machine = RunTime()
    machine.exit(0x89, exitintinfo=event, eventinj=1 << 31 | 0x99)
    assert not machine.vmcb("eventinj") >> 31 & 1


def test_the_tlb_is_flushed_once() -> None:
    machine = RunTime()
    machine.exit(0x89, tlb_control=1)
    assert machine.vmcb("tlb_control") == 0


@pytest.mark.parametrize("x2apic", [False, True])
def test_an_nmi_is_taken_and_its_request_served(x2apic: bool) -> None:
    machine = RunTime(x2apic=x2apic)
    machine.exit(0x61)
    assert machine.calls == ["take_nmi"] and machine.of_vcpu("state") == C["VCPU_RUNS"]
    machine.set_vcpu(request=C["REQUEST_STOP"])
    machine.exit(0x61)
    assert machine.of_vcpu("state") == C["VCPU_STOPPED"] and machine.of_vcpu("request") == 0
    assert machine.exits("NMI") == 2


XSAVE = 1 << 18


@pytest.mark.parametrize(
    ("vmcb", "rcx", "value", "event"),
    [
        ({"cr4": XSAVE}, 0, 7, 0),
        ({"cr4": XSAVE, "cpl": 3}, 0, 7, GP),
        ({"cr4": 0}, 0, 7, UD),
        ({"cr4": XSAVE}, 1, 7, GP),
        ({"cr4": XSAVE}, 0, 6, GP),
    ],
)
def test_xsetbv_is_checked_and_carried_out(vmcb: dict[str, int], rcx: int, value: int, event: int) -> None:
    machine = RunTime()
    machine.set_vcpu(rcx=rcx, rdx=0x11)
    machine.exit(0x8D, rip=0x1000, rax=value, **vmcb)
    assert machine.vmcb("eventinj") == event
    assert machine.vmcb("rip") == (0x1000 if event else 0x1003)
    if not event:
        assert machine.calls == [f"write_xcr 0 {0x11 << 32 | value:#x}"]


# --- requests --------------------------------------------------------------------------------------


def test_init_and_sipi_start_a_cpu_at_the_vectors_page() -> None:
    machine = RunTime([Dom((0, 1))])
    machine.set_vcpu(1, request=C["REQUEST_INIT"])
    machine.call("serve_requests", 1)
    assert machine.of_vcpu("state", 1) == C["VCPU_OFF"] and not machine.calls
    machine.set_vcpu(1, request=C["REQUEST_SIPI"], sipi_vector=0x9A)
    machine.call("serve_requests", 1)
    assert machine.of_vcpu("state", 1) == C["VCPU_RUNS"] and machine.calls == ["reset_vcpu"]
    segment = ABI.struct("vmcb_segment")(machine.read(VMCBS + 0x1000 + C["VMCB_CS"], C["VMCB_SEGMENT_SIZEOF"]))
    assert (segment.selector, segment.base) == (0x9A00, 0x9A000)
    machine.set_vcpu(1, request=C["REQUEST_SIPI"], sipi_vector=0x10)
    machine.call("serve_requests", 1)
    assert machine.calls == ["reset_vcpu"], "a cpu that runs takes no SIPI"
    assert machine.of_vcpu("request", 1) == 0


def test_a_stopped_cpu_takes_neither_init_nor_sipi() -> None:
    machine = RunTime()
    machine.set_vcpu(request=C["REQUEST_STOP"] | C["REQUEST_INIT"] | C["REQUEST_SIPI"])
    machine.call("serve_requests")
    assert machine.of_vcpu("state") == C["VCPU_STOPPED"] and machine.of_vcpu("request") == 0
    machine.set_vcpu(request=C["REQUEST_INIT"] | C["REQUEST_SIPI"])
    machine.call("serve_requests")
    assert machine.of_vcpu("state") == C["VCPU_STOPPED"] and not machine.calls


def test_a_request_for_restart_is_kept_for_the_host() -> None:
    machine = RunTime()
    machine.set_vcpu(request=C["REQUEST_STOP"] | C["REQUEST_RESTART"])
    machine.call("serve_requests")
    assert machine.of_vcpu("request") == C["REQUEST_RESTART"]
