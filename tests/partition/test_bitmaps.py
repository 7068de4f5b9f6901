"""Ports and MSRs: the sets that a cpu reaches, read bit by bit from the bitmaps' bytes as AMD's manual says."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from partition_data import PASSED, VIRTUAL, Data, domain, pair, request, requests

from bootwright.common.ranges import Range
from bootwright.partition.compute import compute
from bootwright.partition.request import DomainConsole, Request

# Ports with which one reaches past what one has, on every PC: DMA, PIC, PIT, NMI, keyboard controller, A20, SMI, PCI
# configuration and reset; QEMU's fw_cfg.
NOBODYS = {
    *(0x00, 0x0F, 0x20, 0x21, 0x40, 0x43, 0x61, 0x64, 0x81, 0x8F, 0x92, 0xA0, 0xA1, 0xB2, 0xC0, 0xDF),
    *(0x4D0, 0x4D1, 0x514, 0xCF8, 0xCF9, 0xCFC, 0xCFF),
}
OURS = set(range(0x5600, 0x5610))


def reached_ports(bitmap: bytes) -> set[int]:
    """APM 2, 15.10.1: bit n is port n; an access exits if a bit of any of its bytes is set."""
    return {port for port in range(0x10000) if not bitmap[port // 8] >> port % 8 & 1}


def reached_msrs(bitmap: bytes, write: bool) -> set[int]:
    """APM 2, 15.11: two bits for each MSR of three ranges, reads and writes. All others exit."""
    found = set()
    for start, first in ((0, 0), (0x800, 0xC0000000), (0x1000, 0xC0010000)):
        for number in range(0x2000):
            bit = start * 8 + number * 2 + write
            if not bitmap[bit // 8] >> bit % 8 & 1:
                found.add(first + number)
    return found


def ports_of(asked: Request) -> list[set[int]]:
    data = Data(compute(asked))
    return [reached_ports(data.read(one.io_bitmap, 0x3000)) for one in data.domains]


def test_a_domain_reaches_its_ports_and_its_uart() -> None:
    first, second = ports_of(pair())
    assert first == {0x60, *range(0x2F8, 0x300)}
    assert second == set(), "its UART is one of ours"


def test_an_access_that_runs_past_the_last_port_exits() -> None:
    data = Data(compute(request(domain(ports=(Range(0xFFF0, 0x10000),)))))
    (one,) = data.domains
    bitmap = data.read(one.io_bitmap, 0x3000)
    assert max(reached_ports(bitmap)) == 0xFFFF
    assert bitmap[0x2000:] == b"\xff" * 0x1000


def test_domains_that_own_nothing_have_one_bitmap() -> None:
    data = Data(compute(request(domain(), domain("d1"), domain("d2", ports=(Range(0x70, 0x72),)))))
    first, second, third = (one.io_bitmap for one in data.domains)
    assert first == second != third


@settings(max_examples=40, deadline=None)
@given(requests())
def test_ports_are_those_of_the_request_and_no_two_domains_reach_one(asked: Request) -> None:
    found = ports_of(asked)
    for one, reached in zip(asked.domains, found, strict=True):
        assert reached == {port for part in one.ports for port in range(part.start, part.end)}
        assert not reached & (NOBODYS | OURS)
    assert all(not first & second for first, second in combinations(found, 2))


@pytest.mark.parametrize("kind", [PASSED, VIRTUAL])
def test_a_virtual_uart_is_never_reached(kind: int) -> None:
    (reached,) = ports_of(request(domain(console=DomainConsole(kind, 0x3F8))))
    assert reached == (set(range(0x3F8, 0x400)) if kind == PASSED else set())


# What belongs to one cpu alone (APM 2, appendix A): written and read.
OF_A_CPU = {
    *(0x48, 0x174, 0x175, 0x176, 0x277, 0xDA0),  # SPEC_CTRL, SYSENTER_*, PAT, XSS
    *(0xC0000081, 0xC0000082, 0xC0000083, 0xC0000084),  # STAR, LSTAR, CSTAR, SFMASK
    *(0xC0000100, 0xC0000101, 0xC0000102, 0xC0000103),  # FS, GS, KERNEL_GS_BASE, TSC_AUX
}
READ_TOO = {0x10}  # TSC
WRITTEN_TOO = {0x49}  # PRED_CMD
# x2APIC (APM 2, table 16-6): TPR, SVR, ESR, initial count, divide; what is read besides; EOI and self IPI.
X2APIC = {0x808, 0x80F, 0x828, 0x838, 0x83E}
X2APIC_READ = {0x802, 0x803, 0x80A, 0x80D, *range(0x810, 0x828), 0x830, *range(0x832, 0x838), 0x839}
X2APIC_WRITTEN = {0x80B, 0x83F}


def test_msrs_that_pass_belong_to_a_cpu_alone() -> None:
    found = compute(pair())
    data = Data(found)
    xapic, x2apic = (data.read(at, 0x2000) for at in (found.msr_bitmap_xapic, found.msr_bitmap_x2apic))
    assert reached_msrs(xapic, write=False) == OF_A_CPU | READ_TOO
    assert reached_msrs(xapic, write=True) == OF_A_CPU | WRITTEN_TOO
    assert reached_msrs(x2apic, write=False) == OF_A_CPU | READ_TOO | X2APIC | X2APIC_READ
    assert reached_msrs(x2apic, write=True) == OF_A_CPU | WRITTEN_TOO | X2APIC | X2APIC_WRITTEN
    assert xapic[0x1800:] == x2apic[0x1800:] == b"\xff" * 0x800
