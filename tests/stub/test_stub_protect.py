"""What the stub's page tables allow while it runs: code is read and run, everything else read and written, the first
page and those below the stacks are not there. What a fault then looks like is seen in tests/boot/test_faults.py."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import lz4.block
import pytest
import unicorn
from booting import KERNEL, PACKED, RAMDISK, TEXT, good_tables, line
from firmware import SYSTEM, Firmware
from machine import LOADER, RAM, C, Machine
from test_stub_modes import HALTS, by_multiboot2, cpu_with
from unicorn import x86_const as x86

PAGE = 0x1000
CODE, DATA = "rx", "rw"


def allowed(machine: Machine) -> Iterator[tuple[int, int, str]]:
    """What the stub's page tables map: first page, number of pages, and what may be done; all of it where it is. SDM 3,
    4.5.4."""

    def entries(table: int) -> tuple[int, ...]:
        return struct.unpack("<512Q", machine.read(table & 0xFFFFFFFFFF000, PAGE))

    def may(entry: int) -> str:
        return "r" + "w" * (entry >> 1 & 1) + "x" * (not entry >> 63)

    (top,) = (entry for entry in entries(machine.symbols["page_map"]) if entry & 1)
    directories = [entry for entry in entries(top)[:4] if entry & 1]
    assert top & 3 == 3 and len(directories) == 4 and all(entry & 3 == 3 and not entry >> 63 for entry in directories)
    for number, large in enumerate(entry for directory in directories for entry in entries(directory)):
        place = number << 21
        if large & 1 << 7:
            assert large & 0xFFFFFFFE00000 == place
            yield place, 512, may(large)
            continue
        assert large & 3 == 3 and not large >> 63
        for page, entry in enumerate(entries(large)):
            if entry & 1:
                assert entry & 0xFFFFFFFFFF000 == place + page * PAGE
                yield place + page * PAGE, 1, may(entry)


def check(machine: Machine, data: str = DATA, null_page: bool = False) -> None:
    """That every page of the first 4 GiB may be used as it should."""
    symbols = machine.symbols
    code = range(symbols["__image_start"], symbols["__start_data"], PAGE)
    gone = {symbols["stack_end"] - C["STACK_SIZE"], symbols["exception_stack_end"] - C["EXCEPTION_STACK_SIZE"]}
    gone = {below - PAGE for below in gone} | (set() if null_page else {0})
    seen = 0
    for place, pages, may in allowed(machine):
        seen += pages
        if pages > 1:
            assert may == data and not gone & {*range(place, place + pages * PAGE, PAGE)}, hex(place)
        else:
            assert place not in gone and may == (CODE if place in code else data), hex(place)
    assert seen == (1 << 32) // PAGE - len(gone)


@pytest.mark.parametrize("base", [C["IMAGE_BASE"], 0x2000000, 0x21FD000, 0x2FFF000])
def test_what_may_be_done_where(base: int) -> None:
    machine = cpu_with(base=base, entry=KERNEL + 16)
    for place in (PACKED, RAMDISK):  # the image's modules lie behind it there as well
        machine.write(place + base - C["IMAGE_BASE"], machine.read(place, 0x1000))
    machine.enter("start_multiboot2", eax=by_multiboot2(machine), ebx=LOADER)
    assert machine.stopped == KERNEL + 16
    check(machine)


def test_what_may_be_done_once_boot_services_have_ended() -> None:
    machine = Machine(good_tables().encode())
    machine.write(PACKED, lz4.block.compress(TEXT, store_size=False))
    machine.write(RAMDISK, b"files")
    Firmware(machine, graphics=None)
    machine.write(machine.symbols["handover_code.enter"], b"\xf4")
    machine.call("efi_start", rcx=0x77, rdx=SYSTEM)
    assert not machine.failed
    check(machine)


def test_a_cpu_that_cannot_forbid_to_execute() -> None:
    machine = cpu_with(entry=KERNEL + 16)
    leaves = {0x80000000: 0x80000001, 0x80000001: ~(1 << 20) & 0xFFFFFFFF}

    def cpuid(uc: unicorn.Uc, data: object) -> int:
        value = leaves.get(machine.get("eax")[0], 0x20202020)
        machine.put(eax=value, ebx=0, ecx=0, edx=value)
        return 1

    machine.uc.hook_add(unicorn.UC_HOOK_INSN, cpuid, None, 1, 0, x86.UC_X86_INS_CPUID)
    machine.enter("start_pvh", ebx=LOADER)
    assert machine.stopped == KERNEL + 16
    check(machine, data="rwx")


# --- the first page --------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [False, True])
def test_a_loader_may_tell_in_the_first_page(module: bool) -> None:
    """By multiboot1, and a module may lie there too."""
    machine = cpu_with(entry=KERNEL + 16)
    flags = C["MULTIBOOT1_INFO_FLAG_MMAP"] | C["MULTIBOOT1_INFO_FLAG_LOADER_NAME"] | C["MULTIBOOT1_INFO_FLAG_MODS"]
    ranges = [(0, 0x9FC00), (0x100000, RAM - 0x100000)]
    entries = b"".join(struct.pack("<IQQI", 20, *part, 1) for part in ranges)
    info = C["MULTIBOOT1_INFO_SIZEOF"]
    name, modules, places = 0x600 + info, 0x700, 0x800
    machine.write(0x600, struct.pack("<I16xII", flags, int(module), modules).ljust(info, b"\0") + b"some loader\0")
    machine.write(0x600 + C["MULTIBOOT1_INFO_MMAP_LENGTH"], struct.pack("<II", len(entries), places))
    machine.write(0x600 + C["MULTIBOOT1_INFO_BOOT_LOADER_NAME"], struct.pack("<I", name))
    machine.write(modules, struct.pack("<4I", 0xFF0, 0x1010, name, 0))
    machine.write(places, entries)
    machine.enter("start", eax=C["MULTIBOOT1_LOADER_MAGIC"], ebx=0x600)
    assert machine.stopped == KERNEL + 16 and ", entered by multiboot1 from some loader\n" in machine.transcript
    assert (line("M_MODULE_LEFT", 0, "some loader") in machine.transcript) == module
    check(machine, null_page=module)


def test_a_kernel_for_the_first_page_is_moved_there_at_last() -> None:
    machine = cpu_with(HALTS * 100, dest=0x10, entry=0x20)
    machine.enter("start_pvh", ebx=LOADER)
    assert machine.stopped == 0x20 and machine.read(0x10, len(HALTS) * 100) == HALTS * 100
    check(machine)
