"""Bitmaps: which ports and MSRs a domain's cpus reach by themselves. A bit that is set exits to the resident part.

AMD APM volume 2, 15.10 (ports: a bit for each, in three pages) and 15.11 (MSRs: two bits for each, in two pages).
"""

from __future__ import annotations

from collections.abc import Iterable

from bootwright.common.abi import load as load_abi
from bootwright.common.ranges import Range
from bootwright.partition.msr import Passed
from bootwright.partition.request import DomainRequest

PORTS = 0x10000
# Ports that no domain gets, and what would be lost: with them one reaches past its own memory, stops the machine, or
# takes its interrupts away.
REFUSED_PORTS: tuple[tuple[Range, str], ...] = (
    (Range(0x00, 0x20), "the ISA DMA controller"),
    (Range(0x20, 0x22), "the interrupt controller"),
    (Range(0x40, 0x44), "the interval timer"),
    (Range(0x61, 0x62), "NMI and the timer's gate"),
    (Range(0x64, 0x65), "the keyboard controller, and reset"),
    (Range(0x81, 0x90), "the ISA DMA controller's pages"),
    (Range(0x92, 0x93), "fast reset and A20"),
    (Range(0xA0, 0xA2), "the second interrupt controller"),
    (Range(0xB2, 0xB4), "system management interrupts"),
    (Range(0xC0, 0xE0), "the second ISA DMA controller"),
    (Range(0x4D0, 0x4D2), "the interrupt controllers' trigger modes"),
    (Range(0x510, 0x51C), "QEMU's configuration device, which does DMA"),
    (Range(0xCF8, 0xD00), "PCI configuration, and reset"),
)


def our_ports() -> Range:
    """Ports that the resident part answers in every domain."""
    constants = load_abi().constants
    return Range(constants["PORT_PARTITION"], constants["PORT_PARTITION_END"])


def uart(domain: DomainRequest) -> Range | None:
    """The ports of its console's UART, passed or virtual."""
    return Range.sized(domain.console.port, load_abi().constants["UART_PORTS"]) if domain.console else None


def owned_ports(domain: DomainRequest) -> tuple[Range, ...]:
    """All that a domain reaches: what it owns, and a UART that is passed to it."""
    found = uart(domain)
    passed = found and domain.console and domain.console.kind == load_abi().constants["CONSOLE_PASSED"]
    return (*domain.ports, found) if found and passed else domain.ports


def io_bitmap(ports: Iterable[Range]) -> bytes:
    """The bitmap of a domain that owns these ports."""
    held = bytearray(b"\xff" * load_abi().constants["IOPM_SIZE"])
    for part in ports:
        for port in range(part.start, part.end):
            held[port >> 3] &= ~(1 << (port & 7))
    for part in (our_ports(), *(refused for refused, _ in REFUSED_PORTS)):
        for port in range(part.start, part.end):
            held[port >> 3] |= 1 << (port & 7)
    return bytes(held)


def msr_bitmap(passed: Iterable[Passed]) -> bytes:
    """The bitmap that lets these MSRs through."""
    constants = load_abi().constants
    held = bytearray(b"\xff" * constants["MSRPM_SIZE"])
    for entry in passed:
        for msr in range(entry.first, entry.last + 1):
            at = _bit(msr)
            for bit, wanted in ((at, entry.read), (at + 1, entry.write)):
                if wanted:
                    held[bit >> 3] &= ~(1 << (bit & 7))
    return bytes(held)


def _bit(msr: int) -> int:
    """Number of the bit for reads of an MSR; ValueError for one that has none."""
    constants = load_abi().constants
    for first, start in (
        (0, constants["MSRPM_LOW"]),
        (constants["MSRPM_EXTENDED_FIRST"], constants["MSRPM_EXTENDED"]),
        (constants["MSRPM_AMD_FIRST"], constants["MSRPM_AMD"]),
    ):
        if first <= msr < first + constants["MSRPM_MSRS"]:
            return int(start * 8 + (msr - first) * 2)
    raise ValueError(f"MSR {msr:#x} is not in the bitmap")
