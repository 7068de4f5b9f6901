"""Where a boot takes long it shows that it lives; what else is said does not depend on how fast a machine is."""

from __future__ import annotations

import hashlib

import lz4.block
import pytest
from booting import KERNEL, PACKED, PVH, good_tables, line, machine_with
from machine import SCRATCH, C, Machine

from bootwright.reference import transcript

LIFE = C["LIFE_TICKS"]
KIB = 1024


def signs(machine: Machine) -> list[str]:
    return [said for said in machine.transcript.splitlines() if said.startswith("bootwright: still ")]


@pytest.mark.parametrize("size", [0, 4 * KIB - 1, 64 * KIB, 64 * KIB + 77])
@pytest.mark.parametrize("steps", [1, 4, 5, 100])
def test_a_long_check_shows_that_it_lives(size: int, steps: int) -> None:
    """steps: of 4 KiB, in which as much time passes as there may be without a line."""
    machine, message = Machine(), bytes(range(251)) * (size // 251 + 1)
    machine.write(SCRATCH, message[:size])
    machine.tick = -(-LIFE // steps)
    machine.call("console_start")
    machine.call("start_watch")
    machine.call("sha256", SCRATCH + 0x100000, SCRATCH, size)
    assert machine.read(SCRATCH + 0x100000, 32) == hashlib.sha256(message[:size]).digest()
    looks = [done for done in range(1, size // 64 + 1) if (size - done * 64) & 4095 < 64]  # in blocks
    shown = looks[steps - 1 :: steps]
    assert signs(machine) == [line("M_CHECKING", done * 64 // KIB, size // KIB) for done in shown]


def slow_boot(tick: int, log: int = C["LOG_DEBUG"]) -> Machine:
    """A kernel of five pieces."""
    data = bytes(64 * KIB)
    packed = lz4.block.compress(data, store_size=False)
    tables = good_tables()
    tables.modules[0] |= dict(flags=C["MODULE_EMBEDDED"], size=len(packed), unpacked_size=5 * len(data), nr_pieces=5)
    piece = dict(source_size=len(packed), dest_size=len(data), method=C["PACK_LZ4"])
    tables.pieces = [piece | dict(dest=KERNEL + number * len(data)) for number in range(5)]
    tables.modules[1] |= dict(load_address=0x500000)
    machine = machine_with(tables, log=log)
    machine.tick = tick
    machine.write(0x500000, b"files")
    machine.write(PACKED, packed)
    machine.boot(PVH)
    return machine


def test_a_long_unpacking_shows_that_it_lives() -> None:
    machine = slow_boot(LIFE)
    assert signs(machine) == [line("M_LOADING", done, 5) for done in range(5)]
    assert signs(slow_boot(LIFE // 3 + 1)) == [line("M_LOADING", 2, 5)]


def test_a_slow_boot_says_what_a_fast_one_says() -> None:
    fast = slow_boot(0)
    assert not fast.failed and not signs(fast)
    read = transcript.parse_transcript(slow_boot(LIFE).transcript)
    assert read == transcript.parse_transcript(fast.transcript) and "still" not in "".join(read.lines)


def test_a_quiet_boot_shows_nothing() -> None:
    assert slow_boot(LIFE, C["LOG_QUIET"]).transcript == ""
