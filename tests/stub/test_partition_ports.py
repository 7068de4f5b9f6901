"""IN and OUT of a guest: every port in every size and direction, and what ends a domain."""

from __future__ import annotations

import struct

import pytest
from run_time import RESULTS, C, Dom, RunTime

IN, STRING, REP = 1, 1 << 2, 1 << 3
SIZES = {1: 1 << 4, 2: 1 << 5, 4: 1 << 6}
ZERO = {0x71, 0x42, 0x61, 0x64, 0x5600, 0x5601, 0x5602}
COM1 = 0x3F8
UART_RESET = [0, 0, 1, 0, 0, 0x60, 0xB0, 0]  # what its registers read at first


def port_value(port: int, virtual: bool) -> int:
    """What a byte of a port reads."""
    if virtual and COM1 <= port < COM1 + 8:
        return UART_RESET[port - COM1]
    return 0 if port in ZERO else 0xFF


def machine(virtual: bool) -> RunTime:
    fields = {"console_kind": C["CONSOLE_VIRTUAL"], "console_port": COM1} if virtual else {}
    return RunTime([Dom((0,), fields)])


@pytest.mark.parametrize("virtual", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_every_port_reads_as_if_nothing_were_there(size: int, virtual: bool) -> None:
    found = machine(virtual)
    before = 0x1122334455667788
    found.call("sweep_ports", rdi=IN | SIZES[size], rsi=before, rdx=RESULTS, limit=0)
    results = struct.unpack("<65536Q", found.read(RESULTS, 8 * 65536))
    for port, result in enumerate(results):
        value = sum(port_value(port + count, virtual) << 8 * count for count in range(size))
        kept = 0 if size == 4 else before & ~((1 << 8 * size) - 1)
        assert result == kept | value, hex(port)
    assert found.of_domain("state") == C["DOMAIN_RUNS"]


def ends(port: int, byte: int, size: int) -> tuple[str, int] | None:
    """What a byte written to a port does to its domain, as part of an access of that size. The chipset's reset register
    takes bytes alone: it lies within that of PCI configuration addresses."""
    if port == 0x5600:
        return ("END_SLEEP", 0) if byte & 0x20 else None
    resets = {0x5602: byte == 6, 0xCF9: byte & 4 != 0 and size == 1, 0x64: byte == 0xFE}
    return ("END_RESET", port) if resets.get(port) else None


@pytest.mark.parametrize("size", SIZES)
def test_no_port_is_written_and_few_end_the_domain(size: int) -> None:
    found = machine(False)
    found.set_domain(state=C["DOMAIN_ENDED"])  # so that the first end does not keep others from being seen
    found.call("sweep_ports", rdi=SIZES[size], rsi=2**64 - 1, rdx=RESULTS, limit=0)
    assert found.read(RESULTS, 8 * 65536) == b"\xff" * 8 * 65536, "OUT changes no register"
    for port in [0, 0x21, 0x40, 0x43, 0x64, 0x70, 0x92, 0xB2, 0xCF8, 0xCF9, 0xCFC, 0x5600, 0x5602, 0x5608, 0xFFFF]:
        for byte in range(256):
            found.set_domain(state=C["DOMAIN_RUNS"])
            found.set_vcpu(state=C["VCPU_RUNS"], request=0)
            value = byte * 0x01010101
            found.exit(0x7B, exitinfo1=SIZES[size] | port << 16, exitinfo2=0x1003, rip=0x1000, rax=value)
            expected = next((end for count in range(size) if (end := ends(port + count, byte, size))), None)
            if expected is None:
                assert found.of_domain("state") == C["DOMAIN_RUNS"] and found.vmcb("rip") == 0x1003
            else:
                assert found.of_domain("state") == C["DOMAIN_ENDED"], hex(port)
                assert (found.of_domain("end_reason"), found.of_domain("end_value")) == (C[expected[0]], expected[1])
                assert found.of_domain("end_rip") == 0x1000


@pytest.mark.parametrize("direction", [0, IN])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rep", [0, REP])
def test_string_forms_are_skipped_and_touch_no_memory(direction: int, size: int, rep: int) -> None:
    found = machine(True)
    before = found.read(0x1000000, 0x400000)
    for port in (0x80, COM1, 0x5600, 0x5602, 0xCF9):
        found.set_vcpu(rcx=77, rsi=0x1000, rdi=0x2000)
        found.exit(0x7B, exitinfo1=direction | STRING | rep | SIZES[size] | port << 16, exitinfo2=0x1003, rax=0xFFFF)
        assert found.vmcb("rip") == 0x1003 and found.vmcb("rax") == 0xFFFF
        assert found.of_vcpu("rcx") == (0 if rep else 77)
        assert (found.of_vcpu("rsi"), found.of_vcpu("rdi")) == (0x1000, 0x2000)
    assert found.of_domain("state") == C["DOMAIN_RUNS"] and found.of_domain("line_length") == 0
    assert found.read(0x1000000, 0x400000) == before


def test_an_access_is_behind_the_interrupt_shadow() -> None:
    found = machine(False)
    found.exit(0x7B, exitinfo1=IN | SIZES[1] | 0x80 << 16, exitinfo2=0x1003, interrupt_shadow=1)
    assert found.vmcb("interrupt_shadow") == 0 and found.exits("IO") == 1
