"""VMCBs: what VMRUN wants of them (APM 2, 15.5.1), what is intercepted, and the states. By appendix B's offsets."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from partition_data import KERNEL, MIB, Data, domain, guest_bytes, linux_kernel, request

from bootwright.partition.compute import compute


def states() -> Iterator[tuple[str, bytes]]:
    found = compute(request(domain(), domain("d1", kernel=linux_kernel())))
    data = Data(found)
    yield "reset", data.read(data.head.reset_vmcb, 0x1000)
    for one in data.domains:
        yield data.string(one.name), data.read(one.vmcb, 0x1000)


STATES = dict(states())


def u16(vmcb: bytes, at: int) -> int:
    return int.from_bytes(vmcb[at : at + 2], "little")


def u32(vmcb: bytes, at: int) -> int:
    return int.from_bytes(vmcb[at : at + 4], "little")


def u64(vmcb: bytes, at: int) -> int:
    return int.from_bytes(vmcb[at : at + 8], "little")


def segment(vmcb: bytes, at: int) -> tuple[int, int, int, int]:
    """Selector, attributes, limit, base."""
    found = struct.unpack_from("<HHIQ", vmcb, at)
    return found[0], found[1], found[2], found[3]


@pytest.mark.parametrize("vmcb", STATES.values(), ids=list(STATES))
def test_vmrun_takes_it(vmcb: bytes) -> None:
    efer, cr0, cr3, cr4, dr6, dr7 = (u64(vmcb, at) for at in (0x4D0, 0x558, 0x550, 0x548, 0x568, 0x560))
    assert efer == 1 << 12, "SVME alone: VMRUN refuses a guest without it, and long mode without its parts"
    assert cr0 >> 32 == dr6 >> 32 == dr7 >> 32 == 0
    assert cr0 & 1 << 30 or not cr0 & 1 << 29, "NW without CD"
    assert not cr0 & 1 << 31 and cr3 == cr4 == 0
    assert u32(vmcb, 0x10) & 1, "VMRUN is intercepted"
    assert u64(vmcb, 0x90) == 1, "nested paging, and neither SEV nor another"
    assert u64(vmcb, 0xA8) == 0, "no event"
    assert u64(vmcb, 0x570) == 2, "RFLAGS"
    assert vmcb[0x4CB] == 0, "CPL"
    pat = vmcb[0x668:0x670]
    assert pat == bytes.fromhex("0604070006040700") and set(pat) <= {0, 1, 4, 5, 6, 7}
    assert (dr6, dr7) == (0xFFFF0FF0, 0x400)


@pytest.mark.parametrize("vmcb", STATES.values(), ids=list(STATES))
def test_what_is_intercepted(vmcb: bytes) -> None:
    assert u32(vmcb, 0) == u32(vmcb, 4) == 0, "no control or debug register"
    assert u32(vmcb, 8) == 1 << 1 | 1 << 17, "#DB and #AC, by which a cpu could be kept busy for ever"
    held = {bit for bit in range(32) if u32(vmcb, 0xC) >> bit & 1}
    assert held == {1, 18, 22, 26, 27, 28, 31}, "NMI, CPUID, INVD, INVLPGA, IOIO, MSR, shutdown; not INTR, nor HLT"
    held = {bit for bit in range(32) if u32(vmcb, 0x10) >> bit & 1}
    assert held == {0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 13}, "SVM's instructions, WBINVD, MONITOR, MWAIT, XSETBV"
    assert u32(vmcb, 0x14) == 0


@pytest.mark.parametrize("vmcb", STATES.values(), ids=list(STATES))
def test_interrupts_are_the_machines_and_nothing_is_virtual(vmcb: bytes) -> None:
    assert u64(vmcb, 0x60) == 0, "neither V_INTR_MASKING nor a virtual interrupt, GIF, NMI or AVIC"
    assert u64(vmcb, 0x68) == 0, "no interrupt shadow"
    assert u64(vmcb, 0x50) == 0, "the TSC is the machine's"
    assert vmcb[0x5C] == 1, "the first VMRUN flushes all"
    assert u32(vmcb, 0xC0) == 0, "no clean bits"


@pytest.mark.parametrize("vmcb", STATES.values(), ids=list(STATES))
def test_what_differs_from_cpu_to_cpu_is_left_to_the_boot(vmcb: bytes) -> None:
    assert u32(vmcb, 0x58) == 0, "ASID"
    assert all(u64(vmcb, at) == 0 for at in (0x40, 0x48, 0xB0)), "bitmaps, nested CR3"


@pytest.mark.parametrize("name", ["d0", "d1"])
def test_a_kernel_is_entered_in_32_bits_flat_without_paging(name: str) -> None:
    """PVH, and Linux' boot.rst, "32-bit Boot Protocol": a GDT with descriptors at 0x10 and 0x18, which are loaded."""
    vmcb = STATES[name]
    assert u64(vmcb, 0x558) == 0x11, "PE and ET"
    assert u64(vmcb, 0x578) == (KERNEL.entry if name == "d0" else 16 * MIB)
    assert segment(vmcb, 0x410) == (0x10, 0xC9B, 0xFFFFFFFF, 0)
    for at in (0x400, 0x420, 0x430, 0x440, 0x450):
        assert segment(vmcb, at) == (0x18, 0xC93, 0xFFFFFFFF, 0)
    assert segment(vmcb, 0x490)[1:] == (0x8B, 0x67, 0), "a busy TSS"
    assert u32(vmcb, 0x484) == 0, "no IDT"


@pytest.mark.parametrize("number", [0, 1])
def test_its_descriptors_are_in_its_memory(number: int) -> None:
    data = Data(compute(request(domain(), domain("d1", kernel=linux_kernel()))))
    one = data.domains[number]
    _, _, limit, base = segment(data.read(one.vmcb, 0x1000), 0x460)
    ((start, held),) = [(at, block) for at, block in guest_bytes(data, one).items() if at <= base < at + len(block)]
    table = held[base - start :][: limit + 1]
    assert limit == 0x1F and len(table) == 0x20
    for selector, kind in ((0x10, 0x9B), (0x18, 0x93)):
        low, high = struct.unpack_from("<II", table, selector)
        assert low == 0xFFFF and high == 0x00CF0000 | kind << 8, "base 0, 4 GiB, 32 bits"


def test_the_reset_is_the_one_of_the_manual() -> None:
    """APM 2, 14.1.3, table 14-1, INIT: as a reset, but that CD and NW stay as they were: clear."""
    vmcb = STATES["reset"]
    assert u64(vmcb, 0x558) == 0x10
    assert u64(vmcb, 0x578) == 0xFFF0
    assert segment(vmcb, 0x410) == (0xF000, 0x9B, 0xFFFF, 0xFFFF0000)
    for at in (0x400, 0x420, 0x430, 0x440, 0x450):
        assert segment(vmcb, at) == (0, 0x93, 0xFFFF, 0)
    assert segment(vmcb, 0x470) == (0, 0x82, 0xFFFF, 0) and segment(vmcb, 0x490) == (0, 0x8B, 0xFFFF, 0)
    assert u32(vmcb, 0x464) == u32(vmcb, 0x484) == 0xFFFF
