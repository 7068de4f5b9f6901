"""Kernels that may be moved, on machines that have no RAM where they were planned: the stub under Unicorn against
the reference, and both against what the map leaves."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import samples
from booting import failure, line
from machine import RAM, C
from machine import Machine as Stub
from worlds import IMAGE, MIB, World, compare, run

from bootwright.common.pieces import Piece
from bootwright.hyperlaunch.model import BootDomain, MemorySize
from bootwright.kernels import linux, pvh
from bootwright.kernels.kernel import Kernel
from bootwright.plan.records import Plan, PlannedDomain, PlannedModule
from bootwright.reference import boot

CODE = b"kernel text, " * 50
FILE = samples.linux(CODE, init_size=3 * MIB)
START, SIZE = 16 * MIB, len(CODE) + -(-(3 * MIB - len(CODE)) // 0x1000) * 0x1000
END = START + SIZE
LOW = (0, 0x9FC00, 1)
WHOLE = (LOW, (MIB, RAM - MIB, 1))
HOLE = (*WHOLE, (15 * MIB, 2 * MIB, 2))
Ranges = Sequence[tuple[int, int, int]]


def kernel_of(folder: Path, file: bytes) -> Kernel:
    path = folder / "kernel"
    path.write_bytes(file)
    protocol = pvh if file.startswith(b"\x7fELF") else linux
    return protocol.parse(path, folder)


def world(kernel: Kernel, ranges: Ranges, ramdisk: int = 4 * MIB, *, brought: bool = False) -> World:
    """The kernel, embedded at 2 MiB and stored, with a ramdisk that is embedded or that a loader brought."""
    file = kernel.path.read_bytes()
    pieces = [
        Piece(s.p_offset, s.p_filesz, s.p_paddr, s.p_filesz, s.p_memsz - s.p_filesz, C["PACK_STORED"])
        for s in kernel.segments
    ]
    pieces[-1] = replace(pieces[-1], reserve_pages=kernel.reserve_pages)
    embedded, data = C["MODULE_EMBEDDED"], b"a ramdisk"
    modules = (
        PlannedModule(
            "k", C["BOOTMOD_KERNEL"], embedded, "quiet", 2 * MIB, len(file), len(file), 0, bytes(32),
            tuple(pieces), kernel.movable,
        ),
        PlannedModule(
            "disk", C["BOOTMOD_RAMDISK"], 0 if brought else embedded, "", 0 if brought else ramdisk,
            len(data), len(data), 0, bytes(32),
        ),
    )  # fmt: skip
    size = MemorySize(C["MEMORY_PAGES"], 0)
    functions = C["FUNCTION_INITIAL_DOMAIN"]
    domain = BootDomain("dom0", 3, functions, C["MODE_LONG"], 0, size, size, size, kernel=0, ramdisk=1)
    number = C[f"PROTOCOL_{kernel.protocol.upper()}"]
    found = World(0, Plan(IMAGE, (PlannedDomain(domain, number, kernel.entry),), modules), list(ranges))
    found.embedded = [(2 * MIB, file)]
    (found.files if brought else found.embedded).append((ramdisk, data, "disk") if brought else (ramdisk, data))
    found.contents[0] = file
    return found


def booted(found: World) -> tuple[Stub, boot.Boot]:
    stub, expected = run(found)
    compare(stub, expected, found)
    return stub, expected


@pytest.mark.parametrize(
    ("ranges", "place"),
    [
        ((LOW, (MIB, 14 * MIB, 1), (32 * MIB, 16 * MIB, 1)), 44 * MIB),  # nothing at 16 MiB
        ((LOW, (MIB, 15 * MIB, 1), (16 * MIB, 16 * MIB, 2), (32 * MIB, 16 * MIB, 1)), 44 * MIB),
        (HOLE, 60 * MIB),  # from 15 MiB into the kernel
        ((*WHOLE, (18 * MIB, 0x1000, 5)), 60 * MIB),  # a bad page in what it would use behind its code
        ((LOW, (MIB, 15 * MIB, 1), (17 * MIB, 5 * MIB + 0x40000, 1)), 18 * MIB),  # where it was to be, in part
    ],
)
def test_a_bzimage_is_moved_where_its_place_is_not_all_ram(ranges: Ranges, place: int, tmp_path: Path) -> None:
    found = world(kernel_of(tmp_path, FILE), ranges)
    stub, expected = booted(found)
    assert line("M_KERNEL_MOVED", 0, START, END, place, place + SIZE) in stub.transcript
    assert f"entry {place + 0x200:#x}" in stub.transcript
    assert stub.read(place, len(CODE)) == CODE and stub.read(START, len(CODE)) == bytes(len(CODE))
    params = stub.record("boot_params", stub.information[0])
    assert (params.code32_start, params.pref_address, params.init_size) == (place, START, 3 * MIB)
    assert (params.ramdisk_image, params.ramdisk_size) == (4 * MIB, len(b"a ramdisk"))
    assert all(part.start >= place + SIZE or part.end <= place for part in expected.modules)


@pytest.mark.parametrize(
    "ranges",
    [
        (LOW, (MIB, 16 * MIB, 1)),  # all the room there is lies below what the kernel takes
        (LOW, (MIB, 14 * MIB, 1), (32 * MIB, 3 * MIB, 1)),
        (*WHOLE, *((start * MIB, 0x1000, 2) for start in range(14, 64, 3))),
    ],
)
@pytest.mark.provokes("E_NO_ROOM")
def test_a_kernel_for_which_there_is_no_room_anywhere(ranges: Ranges, tmp_path: Path) -> None:
    stub, _ = booted(world(kernel_of(tmp_path, FILE), ranges))
    assert stub.error() == failure("E_NO_ROOM", "k", START, END)
    assert stub.read(START, len(CODE)) == bytes(len(CODE)), "nothing was written"


@pytest.mark.provokes("E_NO_ROOM")
def test_a_kernel_that_may_not_be_moved(tmp_path: Path) -> None:
    kernel = kernel_of(tmp_path, samples.linux(CODE, init_size=3 * MIB, relocatable_kernel=0))
    stub, _ = booted(world(kernel, HOLE))
    assert stub.error() == failure("E_NO_ROOM", "k", START, END)


def test_a_kernel_of_32_bits_stays_where_it_reaches(tmp_path: Path) -> None:
    kernel = kernel_of(tmp_path, samples.linux(CODE, init_size=3 * MIB, xloadflags=0, initrd_addr_max=48 * MIB - 1))
    stub, expected = booted(world(kernel, HOLE))
    assert expected.entry == stub.record("boot_params", stub.information[0]).code32_start == 44 * MIB


def test_a_kernel_makes_way_for_a_module_of_the_loader(tmp_path: Path) -> None:
    """It has to be copied anyway; the module is used where it lies."""
    found = world(kernel_of(tmp_path, FILE), WHOLE, 17 * MIB, brought=True)
    stub, expected = booted(found)
    assert line("M_KERNEL_MOVED", 0, START, END, 60 * MIB, 60 * MIB + SIZE) in stub.transcript
    assert expected.modules[1].start == 17 * MIB


def test_a_module_makes_way_where_the_kernel_cannot(tmp_path: Path) -> None:
    found = world(kernel_of(tmp_path, FILE), (LOW, (MIB, 20 * MIB, 1)), 17 * MIB, brought=True)
    stub, expected = booted(found)
    assert "kernel moved" not in stub.transcript and expected.entry == START + 0x200
    assert expected.modules[1].start != 17 * MIB and "module 1: moved from" in stub.transcript


@pytest.mark.parametrize(("ranges", "place"), [(WHOLE, 60 * MIB), ((LOW, (MIB, 5 * MIB, 1)), MIB)])
def test_a_kernel_where_the_stub_is(ranges: Ranges, place: int, tmp_path: Path) -> None:
    """Moved if there is room; else its place is filled last, as for one that may not be moved."""
    kernel = kernel_of(tmp_path, samples.linux(CODE, init_size=3 * MIB, pref_address=MIB))
    found = world(kernel, ranges, 5 * MIB)
    stub, expected = run(found)
    assert expected.failure is None and expected.entry == place + 0x200
    assert stub.serial.decode().replace("\r\n", "\n").splitlines()[-1] == expected.lines[-1]


@pytest.mark.parametrize(("desc", "place"), [((0x200000, 4 * MIB, 48 * MIB - 1), 44 * MIB), ((0x1000,), 61 * MIB)])
def test_a_pvh_kernel_is_moved_with_all_its_pieces(desc: tuple[int, ...], place: int, tmp_path: Path) -> None:
    loads = [samples.Load(START, CODE, memsz=0x3000), samples.Load(START + MIB, b"data", memsz=2 * MIB - 0x1000)]
    note = samples.note(C["XEN_ELFNOTE_PHYS32_RELOC"], struct.pack(f"<{len(desc)}I", *desc))
    notes = samples.pvh_note(START + 16) + note
    stub, expected = booted(world(kernel_of(tmp_path, samples.elf(loads, notes)), HOLE))
    assert (expected.protocol, expected.entry) == ("pvh", place + 16)
    assert stub.read(place, 0x3000) == CODE.ljust(0x3000, b"\0")
    assert stub.read(place + MIB, 5) == b"data\0"
