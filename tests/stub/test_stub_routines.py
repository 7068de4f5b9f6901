"""The stub's routines, each alone under Unicorn, against an independent reference."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib

import lz4.block
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import ABI, SCRATCH, C, Machine

INPUT, OUTPUT = SCRATCH, SCRATCH + 0x200000


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 127, 128, 1000])
def test_sha256_equals_hashlib(size: int) -> None:
    machine, data = Machine(), random.Random(size).randbytes(size)
    machine.write(INPUT, data)
    machine.call("sha256", OUTPUT, INPUT, size)
    assert machine.read(OUTPUT, 32) == hashlib.sha256(data).digest()


def test_crc32_equals_zlib() -> None:
    machine, data = Machine(), random.Random(1).randbytes(999)
    machine.write(INPUT, data)
    assert machine.call(
        "update_crc32", rsi=INPUT, rcx=len(data), rax=0xFFFFFFFF
    ) & 0xFFFFFFFF ^ 0xFFFFFFFF == zlib.crc32(data)


# --- LZ4 -------------------------------------------------------------------------------------------


def unpack(block: bytes, size: int) -> tuple[bool, bytes]:
    """What lz4_unpack makes of a block; every write outside of its output is an error."""
    machine = Machine()
    guard = b"\xa5" * 64
    machine.write(INPUT, block)
    machine.write(OUTPUT - 64, guard + b"\xee" * size + guard)
    machine.call("lz4_unpack", OUTPUT, INPUT, size, len(block))
    assert machine.read(OUTPUT - 64, 64) == guard, "wrote in front of its output"
    assert machine.read(OUTPUT + size, 64) == guard, "wrote behind its output"
    return machine.zero_flag, machine.read(OUTPUT, size)


def compress(data: bytes) -> bytes:
    return bytes(lz4.block.compress(data, store_size=False))


samples = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from([b"a", b"boot", b"\0" * 40, b"wright stub"]), max_size=80).map(b"".join),
    st.builds(
        lambda unit, count, tail: unit * count + tail,
        st.binary(min_size=1, max_size=20),
        st.integers(1, 200),
        st.binary(max_size=20),
    ),
)


@settings(max_examples=150, deadline=None)
@given(samples)
def test_lz4_unpacks_what_lz4_packed(data: bytes) -> None:
    assert unpack(compress(data), len(data)) == (True, data)


@settings(max_examples=150, deadline=None)
@given(samples, st.data())
def test_lz4_never_leaves_its_bounds_on_damaged_input(data: bytes, draw: st.DataObject) -> None:
    block = bytearray(compress(data))
    for _ in range(draw.draw(st.integers(1, 4))):
        block[draw.draw(st.integers(0, len(block) - 1))] = draw.draw(st.integers(0, 255))
    unpack(bytes(block[: draw.draw(st.integers(0, len(block)))]), len(data))


@pytest.mark.parametrize("block", [b"", b"\xf0", b"\xf0\xff", b"\x10", b"\x1fa\1\0", b"\x1fa\1\0\xff"])
def test_lz4_refuses_lengths_and_bytes_that_are_not_there(block: bytes) -> None:
    assert not unpack(block, 100)[0]


@settings(max_examples=60, deadline=None)
@given(samples.filter(lambda data: len(data) > 1), st.data())
def test_lz4_refuses_a_block_that_ends_early_or_is_too_long(data: bytes, draw: st.DataObject) -> None:
    block = compress(data)
    assert not unpack(block[: draw.draw(st.integers(0, len(block) - 1))], len(data))[0]
    assert not unpack(block, len(data) - 1)[0]
    assert not unpack(block, len(data) + 1)[0]


def test_lz4_unpacks_4_mib() -> None:
    data = random.Random(2).randbytes(5000) * 800 + b"\0" * 100000
    machine, block = Machine(), compress(data)
    machine.write(OUTPUT, block)
    machine.call("lz4_unpack", 0x400000, OUTPUT, len(data), len(block))
    assert machine.zero_flag and machine.read(0x400000, len(data)) == data


# --- printing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, values",
    [
        ("M_MEMORY", (3, 2**40, 0xE0000)),
        ("M_MODULE", (62, "kernel", "dom0", 0x1000000, 2**64 - 1)),
        ("E_NO_MEMORY_MAP_TEXT", ("GRUB 2.06",)),
        ("M_RANGE", (0, 0xFFFFFFFF, 10)),
    ],
)
def test_print_fills_a_line_as_the_host_does(name: str, values: tuple[int | str, ...]) -> None:
    machine, numbers = Machine(), []
    for index, value in enumerate(values):
        if isinstance(value, str):
            machine.write(INPUT + 256 * index, value.encode() + b"\0")
            value = INPUT + 256 * index
        numbers.append(value)
    machine.write(OUTPUT, ABI.strings[name].encode() + b"\0")
    machine.call("print_line", OUTPUT, *numbers)
    assert machine.transcript == ABI.strings["M_PREFIX"] + ABI.format(name, *values) + "\n"


def test_console_without_a_uart_prints_on_the_screen_alone_and_never_waits() -> None:
    machine = Machine(uart=False)
    machine.call("console_start", limit=100_000)
    machine.write(INPUT, b"hello\0")
    machine.call("print_line", INPUT, limit=100_000)
    cells = machine.read(C["VGA_TEXT"], 2 * C["VGA_COLUMNS"])
    assert cells[::2].decode().rstrip() == "bootwright: hello" and set(cells[1::2]) == {C["VGA_GREY"]}


def test_screen_scrolls() -> None:
    machine = Machine(uart=False)
    machine.call("console_start")
    for number in range(30):
        machine.write(INPUT, f"line {number}\0".encode())
        machine.call("print", INPUT)
        machine.call("put_char", 10)
    rows = machine.read(C["VGA_TEXT"], 2 * C["VGA_COLUMNS"] * C["VGA_ROWS"])[::2].decode()
    lines = [rows[start : start + 80].rstrip() for start in range(0, len(rows), 80)]
    assert lines == [f"line {number}" for number in range(6, 30)] + [""]


def test_a_uart_that_never_empties_is_given_up() -> None:
    machine = Machine()
    machine.call("console_start")
    machine.uart_ready = False
    machine.write(INPUT, b"hello\0")
    machine.call("print_line", INPUT)
    assert not machine.variable("console_sinks", 1) & C["CONSOLE_SERIAL"]


# --- memory map ------------------------------------------------------------------------------------


def reference_map(ranges: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The map byte by byte: the highest type that claims a byte has it; unknown types are reserved."""
    known = [(start, size, kind if 1 <= kind <= 7 else 2) for start, size, kind in ranges]
    types = [max((k for s, n, k in known if s <= byte < s + n), default=0) for byte in range(400)]
    result: list[tuple[int, int, int]] = []
    for byte, kind in enumerate(types):
        if kind and result and result[-1][2] == kind and sum(result[-1][:2]) == byte:
            result[-1] = (result[-1][0], result[-1][1] + 1, kind)
        elif kind:
            result.append((byte, 1, kind))
    return result


def normalise(ranges: list[tuple[int, int, int]], scale: int = 0x1000) -> tuple[Machine, list[tuple[int, int, int]]]:
    machine = Machine()
    for start, size, kind in ranges:
        machine.call("add_range", start * scale, size * scale, kind)
    machine.call("normalise_memory")
    if machine.error():
        return machine, []
    found = []
    for index in range(machine.variable("memory_range_count", 4)):
        entry = machine.record("memory_range", machine.symbols["memory_ranges"] + index * C["MEMORY_RANGE_SIZEOF"])
        found.append((entry.start // scale, entry.size // scale, entry.type))
    return machine, found


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 90), st.integers(0, 9)), min_size=1, max_size=12))
def test_memory_map_is_sorted_and_the_highest_type_wins(ranges: list[tuple[int, int, int]]) -> None:
    ranges = [*ranges, (390, 10, 1)]  # some RAM, or it is an error
    machine, found = normalise(ranges)
    expected = reference_map(ranges)
    assert found == expected
    assert machine.variable("memory_kib") == 4 * sum(size for _, size, kind in expected if kind == 1)


def test_memory_map_survives_firmware_that_lies() -> None:
    machine = Machine()
    for entry in [(0x100000, 0x1000000, 1), (0x500000, 2**64 - 1, 2), (0, 0, 1), (0x100000, 0x1000000, 1)]:
        machine.call("add_range", *entry)
    machine.call("normalise_memory")
    assert machine.variable("memory_range_count", 4) == 2
    ranges = machine.read(machine.symbols["memory_ranges"], 48)
    top = 2**64 - 1  # a size that goes round ends at the end of the address space
    assert struct.unpack("<QQIIQQII", ranges) == (0x100000, 0x400000, 1, 0, 0x500000, top - 0x500000, 2, 0)


def test_find_room_takes_the_highest_free_page_below_4_gib() -> None:
    machine, _ = normalise([(0x100, 0x3F00, 1), (0x3000, 0x10, 2), (0x100000, 0x1000, 1)])
    assert machine.call("find_room", 0x2345) == (0x4000000 - 0x2345) & -0x1000
    assert machine.call("find_room", 0x1000000 - 0x10000 + 1) == (0x3000000 - 0xFF0001) & -0x1000, "below the hole"
    assert machine.call("find_room", 0x40000000) == 0


@pytest.mark.parametrize(
    "start, end, ram",
    [
        (0x100, 0x200, True),
        (0x100, 0x4000, True),
        (0xFF, 0x101, False),
        (0x3FFF, 0x4001, False),
        (0x5000, 0x5001, False),
    ],
)
def test_ram_is_what_the_map_says(start: int, end: int, ram: bool) -> None:
    machine, _ = normalise([(0x100, 0x2F00, 1), (0x3000, 0x1000, 1), (0x4000, 0x10, 2)])
    machine.call("test_ram", start * 0x1000, end * 0x1000)
    assert machine.zero_flag is ram


# --- modules and command lines ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "string, name, same",
    [
        ("dom0.kernel", "dom0.kernel", True),
        ("/boot/dom0.kernel", "dom0.kernel", True),
        ("build/lab/modules/x dom0.kernel", "dom0.kernel", True),
        ("dom0.kernel2", "dom0.kernel", False),
        ("dom0", "dom0.kernel", False),
        ("", "dom0", False),
        ("dom0/", "dom0", False),
        ("a  b c", "c", True),
    ],
)
def test_a_loaders_module_is_matched_by_a_word_without_its_folders(string: str, name: str, same: bool) -> None:
    machine = Machine()
    machine.write(INPUT, string.encode() + b"\0")
    machine.write(OUTPUT, name.encode() + b"\0")
    machine.call("match_name", INPUT, OUTPUT)
    assert machine.zero_flag is same


def test_rsdp_is_found_in_the_bios_area_by_its_checksum() -> None:
    machine = Machine()
    body = b"RSD PTR " + b"\0" + b"BOCHS " + b"\0" + (0x1234).to_bytes(4, "little")
    good = body[:8] + bytes([-sum(body) & 0xFF]) + body[9:]
    machine.write(0xE0100, body)  # looks like one, adds up to something else
    machine.write(0xF5A30, good)
    machine.call("find_rsdp")
    assert machine.record("boot_info", machine.symbols["boot_info"]).rsdp == 0xF5A30
    machine.write(C["BDA_EBDA_SEGMENT"], (0x9FC0).to_bytes(2, "little"))
    machine.write(0x9FC20, good)
    machine.call("find_rsdp")
    assert machine.record("boot_info", machine.symbols["boot_info"]).rsdp == 0x9FC20
