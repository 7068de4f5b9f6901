"""Modules on their way to their places, under Unicorn: what is missing or damaged, what does not unpack, and machines
that have no room for it. Where the reference finds room, the stub finds the same."""

from __future__ import annotations

from dataclasses import replace

import lz4.block
import pytest
from booting import KERNEL, PACKED, PVH, RAMDISK, TEXT, boot, check, good_tables, machine_with
from machine import RAM, SCRATCH, C, Machine, pvh_info
from worlds import LOW, MIB, booted, fails, plan

from bootwright.common.pieces import Piece
from bootwright.common.ranges import Relocation
from bootwright.plan.records import Plan


@pytest.mark.provokes("E_NO_RAM")
def test_a_memory_map_without_ram() -> None:
    machine = machine_with(good_tables())
    pvh_info(machine, ranges=[(0, RAM, 2), (0, 0x100000, 1)])
    machine.boot(PVH)
    check(machine, "E_NO_RAM", 2)


@pytest.mark.provokes("E_NO_ROOM")
@pytest.mark.parametrize("dest, size", [(RAM - 0x100, len(TEXT)), (0xA0000, len(TEXT)), (2**32, len(TEXT))])
def test_a_kernel_that_does_not_fit_this_machine(dest: int, size: int) -> None:
    tables = good_tables()
    tables.pieces[0]["dest"] = dest
    check(boot(tables), "E_NO_ROOM", "dom0.kernel", dest, dest + size + 99)


@pytest.mark.provokes("E_NO_ROOM")
@pytest.mark.parametrize(
    "ranges",
    [
        [(0x100000, 0xE00000, 1), (0x1000000, RAM - 0x1000000, 1)],  # a hole at 15 MiB, as for ISA cards
        [(0x100000, 0xF00000, 1), (0x1000000, 0x1000000, 2), (0x2000000, 0x1000000, 1)],  # nothing at 16 MiB
        [(0x100000, 0xF80000, 1), (0xF00000, 0x100000, 4), (0x1080000, 0x1000000, 1)],  # firmware in RAM
    ],
)
def test_odd_memory_maps_are_named_and_not_written_to(ranges: list[tuple[int, int, int]]) -> None:
    tables = good_tables()
    tables.pieces[0]["dest"] = dest = 0xFFFFF0
    machine = machine_with(tables)
    machine.write(dest, b"\xee" * len(TEXT))
    pvh_info(machine, ranges=ranges)
    machine.boot(PVH)
    check(machine, "E_NO_ROOM", "dom0.kernel", dest, dest + len(TEXT) + 99)
    assert machine.read(dest, len(TEXT)) == b"\xee" * len(TEXT)


@pytest.mark.provokes("E_NO_FREE_ROOM")
def test_no_room_to_move_a_module_to() -> None:
    tables = good_tables()
    packed = lz4.block.compress(TEXT, store_size=False)
    tables.modules[0] |= dict(flags=0, load_address=0)
    machine = machine_with(tables)
    pvh_info(
        machine,
        ranges=[(0x100000, 0x100000, 1), (KERNEL, 0x1000, 1), (RAMDISK, 0x1000, 1)],
        modules=[(KERNEL, packed, "dom0.kernel")],
    )
    machine.boot(PVH)
    check(machine, "E_NO_FREE_ROOM", len(packed), "dom0.kernel")


@pytest.mark.provokes("E_MODULE_MISSING")
def test_a_module_that_the_loader_did_not_bring() -> None:
    tables = good_tables()
    tables.modules[1] |= dict(flags=0)
    check(boot(tables), "E_MODULE_MISSING", "dom0.ramdisk", 0)


@pytest.mark.provokes("E_MODULE_SIZE")
def test_a_module_of_the_wrong_size() -> None:
    tables = good_tables()
    tables.modules[1] |= dict(flags=0)
    machine = machine_with(tables)
    pvh_info(machine, modules=[(RAMDISK, b"file", "dom0.ramdisk")])
    machine.boot(PVH)
    check(machine, "E_MODULE_SIZE", "dom0.ramdisk", 4, 5)


@pytest.mark.provokes("E_MODULE_HASH")
def test_a_module_that_was_damaged() -> None:
    machine = machine_with(good_tables())
    machine.write(RAMDISK + 2, b"L")
    machine.boot(PVH)
    check(machine, "E_MODULE_HASH", "dom0.ramdisk", RAMDISK, RAMDISK + 5)


@pytest.mark.provokes("E_MODULE_PIECE")
@pytest.mark.parametrize("change", [dict(source=9), dict(source=2**64 - 1), dict(method=0, dest_size=2**20)])
def test_a_piece_outside_of_its_module(change: dict[str, int]) -> None:
    tables = good_tables()
    tables.pieces[0] |= change
    piece, size = tables.pieces[0], tables.modules[0]["size"]
    end = (piece["source"] + piece["source_size"]) % 2**64
    check(boot(tables), "E_MODULE_PIECE", "dom0.kernel", piece["source"], end, size)


@pytest.mark.provokes("E_MODULE_UNPACK")
def test_a_piece_that_does_not_unpack() -> None:
    tables = good_tables()
    tables.pieces[0]["dest_size"] += 1
    check(boot(tables), "E_MODULE_UNPACK", "dom0.kernel", PACKED, len(TEXT) + 1)


@pytest.mark.parametrize(
    "block",
    [
        b"\x10a\x00\x00\x00",  # from where it is itself
        b"\x10a\x02\x00\x00",  # from in front of all
        b"\x1fa\x01\x00\xff\xff\x00\x00",  # longer than what is left
        b"\x40abcd" + b"\x01\x00" + bytes(20),
    ],
)
def test_damaged_lz4(block: bytes) -> None:
    machine = Machine()
    machine.write(SCRATCH, block)
    machine.write(SCRATCH + 0x1000, b"\xee" * 64)
    with pytest.raises(lz4.block.LZ4BlockError):
        lz4.block.decompress(block, uncompressed_size=16)
    machine.call("lz4_unpack", SCRATCH + 0x1000, SCRATCH, 16, len(block))
    assert not machine.zero_flag and machine.read(SCRATCH + 0x1010, 48) == b"\xee" * 48


# --- room, as the reference finds it ---------------------------------------------------------------


def test_room_is_clear_of_modules_that_nobody_wants() -> None:
    found = plan("pvh", b"\xf4" * 64)
    found.files = [(RAM - 0x1000, b"left over", "x"), (RAM - 0x50000, b"y" * 0x2000, "y")]
    booted(found)


def test_room_for_what_goes_to_the_stubs_place_is_clear_of_more_of_it() -> None:
    found = plan("pvh", b"\xf4" * 0x3000, dest=MIB)
    assert isinstance(found.plan, Plan)
    sizes = (0x1000, 0x1800, 0x800)
    starts = (0, 0x1000, 0x2800)
    pieces = [
        Piece(start, size, MIB + start, size, 0, C["PACK_STORED"]) for start, size in zip(starts, sizes, strict=True)
    ]
    module = replace(found.plan.modules[0], pieces=tuple(pieces))
    found.plan = replace(found.plan, modules=(module,))
    booted(found)


def test_room_above_what_waits_for_the_stubs_place() -> None:
    found = plan("pvh", b"\xf4" * 0x3000, dest=MIB)
    assert isinstance(found.plan, Plan)
    pieces = (Piece(0, 0x2000, MIB, 0x2000, 0, 0), Piece(0x2000, 0x1000, MIB + 0x2000, 0x1000, 0, 0))
    found.plan = replace(found.plan, modules=(replace(found.plan.modules[0], pieces=pieces),))
    found.ranges = [LOW, (MIB, 20 * MIB, 1), (RAM - 0x1000, 0x1000, 1)]  # the smaller one fits there
    booted(found)


def test_a_kernel_that_may_be_moved_and_has_nothing_to_move() -> None:
    found = plan("pvh", b"\xf4" * 64)
    assert isinstance(found.plan, Plan)
    module = replace(found.plan.modules[0], pieces=(), movable=Relocation(0x1000, 0, 0xFFFFFFFF))
    found.plan = replace(found.plan, modules=(module,))
    fails(found, "E_ENTRY")


def test_no_room_for_what_goes_to_the_stubs_place() -> None:
    found = plan("pvh", b"\xf4" * 0x1000, dest=MIB, at=2 * MIB)
    found.ranges = [LOW, (MIB, MIB + 0x1000, 1)]  # all of it taken
    fails(found, "E_NO_FREE_ROOM")
