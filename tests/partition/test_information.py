"""What a kernel is told at its entry: read from the bytes that are copied into its memory."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from partition_data import (
    ABI,
    GIB,
    KERNEL,
    MIB,
    STEP,
    Data,
    domain,
    guest_bytes,
    linux_kernel,
    pair,
    request,
    requests,
)

from bootwright.common.ranges import Range
from bootwright.partition.compute import compute
from bootwright.partition.request import Ramdisk, Request, Share, SharedRange

RAM, RESERVED, PRAM = 1, 2, 12
LAPIC = (0xFEE00000, 0x1000, RESERVED)


class Memory:
    """The host's bytes in a domain's memory."""

    def __init__(self, asked: Request, number: int = 0) -> None:
        data = Data(compute(asked))
        self.domain = data.domains[number]
        self.blocks = guest_bytes(data, self.domain)

    def read(self, at: int, size: int) -> bytes:
        for start, held in self.blocks.items():
            if start <= at and at + size <= start + len(held):
                return held[at - start : at - start + size]
        raise AssertionError(f"nothing is told at {at:#x}")

    def string(self, at: int) -> str:
        size = 0
        while self.read(at + size, 1) != b"\0":
            size += 1
        return self.read(at, size).decode()


def start_info(memory: Memory) -> tuple[Any, list[tuple[int, int, int]]]:
    """Xen's start_info.h, by its offsets: the head, and the map's entries."""
    names = ("magic", "version", "flags", "nr_modules", "modlist", "cmdline", "rsdp", "memmap", "entries", "reserved")
    head = dict(zip(names, struct.unpack("<4I4Q2I", memory.read(memory.domain.entry_rbx, 56)), strict=True))
    table = memory.read(head["memmap"], 24 * head["entries"])
    return head, [(addr, size, kind) for addr, size, kind, _ in struct.iter_unpack("<QQII", table)]


def test_pvh_is_told_of_its_command_line_ramdisk_tables_and_map() -> None:
    memory = Memory(pair())
    head, entries = start_info(memory)
    assert (head["magic"], head["version"]) == (0x336EC578, 1)
    assert memory.string(head["cmdline"]) == "quiet"
    assert memory.read(head["rsdp"], 8) == b"RSD PTR "
    assert head["nr_modules"] == 1
    place, size, text, _ = struct.unpack("<4Q", memory.read(head["modlist"], 32))
    assert (size, text) == (5000, 0) and place == 64 * MIB - 0x2000
    assert head["flags"] == 3, "the initial domain"
    assert entries == [
        (0, 0xA0000, RAM),
        (0xA0000, 0x60000, RESERVED),
        (MIB, 63 * MIB, RAM),
        (3 * GIB, STEP, RESERVED),
        LAPIC,
    ]


def test_what_lies_above_four_gib_is_told_and_a_domain_without_ramdisk_has_no_module() -> None:
    head, entries = start_info(Memory(pair(), 1))
    assert (head["nr_modules"], head["modlist"], head["flags"]) == (0, 0, 0)
    assert entries == [
        (0, 0xA0000, RAM),
        (0xA0000, 0x60000, RESERVED),
        (MIB, GIB - MIB, RAM),
        (3 * GIB, STEP, RESERVED),
        LAPIC,
        (4 * GIB, 4 * GIB, RAM),
    ]


def test_persistent_memory_is_called_so() -> None:
    shares = (Share("log", pmem=True, guest=5 * GIB),)
    asked = request(domain(shares=shares), domain("d1", shares=(Share("log"),)), shared=(SharedRange("log", STEP),))
    _, entries = start_info(Memory(asked))
    assert entries[-1] == (5 * GIB, STEP, PRAM)


def linux(memory: Memory) -> Any:
    """boot_params, where the entry's ESI points to."""
    return ABI.struct("boot_params")(memory.read(memory.domain.entry_rsi, 0x1000))


def test_linux_is_told_the_same_in_boot_params() -> None:
    kernel = linux_kernel(kernel_alignment=0x200000, init_size=0x12345)
    memory = Memory(request(domain(kernel=kernel, ramdisk=Ramdisk("initrd", 1, 5000), memory=128 * MIB)))
    params = linux(memory)
    assert memory.domain.entry_rbx == 0 and memory.domain.entry == 16 * MIB
    assert (params.boot_flag, params.header, params.type_of_loader) == (0xAA55, 0x53726448, 0xFF)
    assert (params.kernel_alignment, params.init_size) == (0x200000, 0x12345), "the kernel's own header"
    assert memory.string(params.cmd_line_ptr) == "quiet"
    assert memory.read(params.acpi_rsdp_addr, 8) == b"RSD PTR "
    assert (params.ramdisk_image, params.ramdisk_size) == (128 * MIB - 0x2000, 5000)
    table = bytes(params.e820_table)[: 20 * params.e820_entries]
    assert [entry for entry in struct.iter_unpack("<QQI", table)] == [
        (0, 0xA0000, RAM),
        (0xA0000, 0x60000, RESERVED),
        (MIB, 127 * MIB, RAM),
        LAPIC,
    ]


def test_of_a_bzimage_only_the_header_is_copied() -> None:
    kernel = linux_kernel(orig_x=7, jump_offset=0x2E, kernel_alignment=0x200000)
    params = linux(Memory(request(domain(kernel=kernel))))
    assert params.orig_x == 0
    assert params.initrd_addr_max == 0x7FFFFFFF, "up to 0x202 + 0x2e"
    assert params.kernel_alignment == 0, "and what is behind is no header"


@pytest.mark.parametrize(
    ("memory", "kernel", "limit", "place"),
    [
        (64 * MIB, Range(16 * MIB, 18 * MIB), None, 64 * MIB - 0x1000),
        (2 * GIB, Range(16 * MIB, 18 * MIB), None, GIB - 0x1000),
        (64 * MIB, Range(16 * MIB, 18 * MIB), 0x2000000, 0x2000000 - 0x1000),
        (64 * MIB, Range(60 * MIB, 64 * MIB), None, 60 * MIB - 0x1000),
        (2 * GIB, Range(MIB, GIB), None, (1024 + 64 + 2) * MIB - 0x1000),
    ],
    ids=["at the top", "below 1 GiB", "below the kernel's limit", "below the kernel", "above 1 GiB if need be"],
)
def test_a_ramdisk_lies_as_high_as_makes_sense(memory: int, kernel: Range, limit: int | None, place: int) -> None:
    own = replace(KERNEL, pieces=(), ranges=(kernel,), entry=kernel.start, ramdisk_end=limit)
    told = Memory(request(domain(memory=memory, kernel=own, ramdisk=Ramdisk("initrd", 1, 0x1000))))
    head, _ = start_info(told)
    assert struct.unpack("<Q", told.read(head["modlist"], 8)) == (place,)


@settings(max_examples=25, deadline=None)
@given(requests())
def test_what_is_told_lies_in_memory_that_the_map_says_and_nothing_overlaps(asked: Request) -> None:
    for number, one in enumerate(asked.domains):
        memory = Memory(asked, number)
        _, entries = start_info(memory)
        ram = [Range.sized(start, size) for start, size, kind in entries if kind == RAM]
        assert sum(part.size for part in ram) == one.memory - 0x60000, "all of it but the hole below 1 MiB"
        ranges = sorted(Range.sized(start, size) for start, size, _ in entries)
        assert all(low.end <= high.start for low, high in pairwise(ranges))
        blocks = sorted(Range.sized(at, len(held)) for at, held in memory.blocks.items())
        assert blocks[0].start >= 0x10000 and blocks[0].end <= 0x80000 and blocks[1].start >= 0xE0000
        assert blocks[1].end <= MIB, "ACPI's: where a BIOS has it, reserved"
