"""Where the resident part of the partition launcher puts the domains' memory, against a twin that tries every place."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import ABI, LOADER, SCRATCH, C, pvh_info
from resident import BASE, MIB, PAGE, Resident

STEP = C["BANK_ALIGNMENT"]
DOMAINS, SHARED, NAME = SCRATCH, SCRATCH + 0x40000, SCRATCH + 0x80000
RESIDENT_END = BASE + PAGE
FOUR_GIB = 1 << 32
BANK = ABI.struct("bank")

Ranges = list[tuple[int, int, int]]


def with_domains(
    ranges: Ranges, sizes: list[tuple[int, int]], shared: list[int], modules: list[tuple[int, int]]
) -> Resident:
    """Domains of these banks, shared ranges of these sizes; the partition takes a page."""
    machine = Resident()
    for number, (low, high) in enumerate(sizes):
        bank = BANK(guest=0, size=low), BANK(guest=C["BANK_HIGH_BASE"], size=high)
        name = machine.text(NAME + 16 * number, f"dom{number}")
        machine.put(DOMAINS + number * C["DOMAIN_SIZEOF"], "domain", name=name, banks=list(bank))
    for number, size in enumerate(shared):
        name = machine.text(NAME + 0x1000 + 16 * number, f"log{number}")
        machine.put(SHARED + number * C["SHARED_RANGE_SIZEOF"], "shared_range", name=name, size=size)
    fields = dict(nr_domains=len(sizes), domains=DOMAINS, nr_shared=len(shared), shared=SHARED)
    machine.put(BASE, "partition", length=PAGE, **fields)
    machine.memory_map(ranges)
    machine.modules(modules)
    machine.write(machine.symbols["clear_shared"], b"\xc3")  # most of what a map may have is not there
    return machine


def places(machine: Resident, domains: int, shared: int) -> tuple[list[tuple[int, int]], list[int]]:
    found = [machine.record("domain", DOMAINS + number * C["DOMAIN_SIZEOF"]) for number in range(domains)]
    ranges = [machine.record("shared_range", SHARED + number * C["SHARED_RANGE_SIZEOF"]) for number in range(shared)]
    return [(one.banks[0].machine, one.banks[1].machine) for one in found], [one.machine for one in ranges]


class NoRoom(Exception):
    """The twin finds no place."""


def twin(
    ranges: Ranges, sizes: list[tuple[int, int]], shared: list[int], modules: list[tuple[int, int]]
) -> tuple[list[tuple[int, int]], list[int]]:
    """The same by trying every multiple of STEP from 0 on."""
    taken = [(0, MIB), (C["IMAGE_LIMIT"], RESIDENT_END), *((start, start + size) for start, size in modules)]
    taken += [(start, start + size) for start, size, kind in ranges if kind != 1]

    def place(size: int, limit: int) -> int:
        top = max((start + size for start, size, kind in ranges if kind == 1), default=0)
        for start in range(0, min(limit, top), STEP):
            end = start + size
            ram = any(kind == 1 and low <= start and end <= low + much for low, much, kind in ranges)
            if ram and end <= limit and not any(max(start, low) < min(end, high) for low, high in taken):
                taken.append((start, end))
                return start
        raise NoRoom

    def group(wanted: list[int], limit: int) -> list[int]:
        answer = [0] * len(wanted)
        for number in sorted(range(len(wanted)), key=lambda number: -wanted[number]):
            if wanted[number]:
                answer[number] = place(wanted[number], limit)
        return answer

    low = group([size for size, _ in sizes], FOUR_GIB)
    common = group(shared, FOUR_GIB)
    high = group([size for _, size in sizes], 1 << 64)
    return list(zip(low, high, strict=True)), common


@st.composite
def maps(draw: st.DrawFn) -> Ranges:
    """Entries that begin and end anywhere, some of RAM, in any order; one may lie in another."""
    found: Ranges = [(0, 0x9FC00, 1), (MIB, draw(st.integers(2 * MIB, 64 * MIB)), 1)]
    start = 80 * MIB
    for _ in range(draw(st.integers(0, 6))):
        start += draw(st.integers(0, 8 * MIB))
        size = draw(st.integers(1, 60 * MIB))
        found.append((start, size, draw(st.sampled_from([1, 1, 1, 2, 3]))))
        if draw(st.booleans()):
            found.append(
                (start + draw(st.integers(0, size)), draw(st.integers(0, 3 * MIB)), draw(st.sampled_from([2, 4, 5])))
            )
        start += size
        if draw(st.integers(0, 5)) == 0:
            start = max(start, FOUR_GIB - draw(st.integers(0, 64 * MIB)))
    return draw(st.permutations(found))


amounts = st.integers(1, 12).map(lambda count: count * STEP)


@settings(max_examples=150, deadline=None)
@given(
    maps(),
    st.lists(st.tuples(amounts, st.one_of(st.just(0), amounts)), min_size=1, max_size=5),
    st.lists(amounts, max_size=3),
    st.lists(st.tuples(st.integers(MIB, 300 * MIB), st.integers(0, 10 * MIB)), max_size=3),
)
@pytest.mark.provokes("E_NO_BANK")
def test_places_are_those_of_a_twin(
    ranges: Ranges, sizes: list[tuple[int, int]], shared: list[int], modules: list[tuple[int, int]]
) -> None:
    machine = with_domains(ranges, sizes, shared, modules)
    machine.call("place_domains")
    try:
        wanted = twin(ranges, sizes, shared, modules)
    except NoRoom:
        assert machine.error().startswith("E0830: ")
        return
    assert not machine.error()
    assert places(machine, len(sizes), len(shared)) == wanted


def test_the_largest_first_as_low_as_possible() -> None:
    ranges = [(0, 0xA0000, 1), (MIB, 39 * MIB, 1), (FOUR_GIB, 64 * MIB, 1)]
    machine = with_domains(ranges, [(8 * MIB, 0), (16 * MIB, 32 * MIB)], [2 * MIB], [(36 * MIB, 0x1000)])
    machine.call("place_domains")
    assert places(machine, 2, 1) == ([(20 * MIB, 0), (4 * MIB, FOUR_GIB)], [28 * MIB])


def test_no_room_is_said_of_whom() -> None:
    machine = with_domains([(0, 16 * MIB, 1), (FOUR_GIB, 64 * MIB, 1)], [(4 * MIB, 0), (16 * MIB, 0)], [], [])
    machine.call("place_domains")
    assert machine.error() == "E0830: domain dom1: no 16 MiB of free RAM in one piece below 0x100000000"


@pytest.mark.provokes("E_PARTITION_MODULE")
@pytest.mark.parametrize("module", [(FOUR_GIB - 1, 2), (FOUR_GIB, 1), (2**64 - 1, 2)])
def test_a_module_that_is_not_mapped(module: tuple[int, int]) -> None:
    machine = with_domains([(0, 32 * MIB, 1)], [(STEP, 0)], [], [(8 * MIB, 1), module])
    machine.call("place_domains")
    assert machine.error().startswith(f"E0805: module 1 at [{module[0]:#x}, ")


def test_a_shared_range_is_cleared() -> None:
    machine = with_domains([(0, 32 * MIB, 1)], [(STEP, 0)], [STEP], [])
    machine.write(machine.symbols["clear_shared"], Resident().read(machine.symbols["clear_shared"], 1))
    machine.write(4 * MIB, b"\xa5" * (6 * MIB))
    machine.call("place_domains")
    assert places(machine, 1, 1) == ([(4 * MIB, 0)], [6 * MIB])
    assert machine.read(4 * MIB, 6 * MIB) == b"\xa5" * STEP + bytes(STEP) + b"\xa5" * STEP


def test_what_the_loader_says_is_kept() -> None:
    machine = Resident()
    ranges = ((0, 0x9FC00, 1), (MIB, 60 * MIB, 1))
    pvh_info(machine, ranges, [(8 * MIB, b"kernel", "one"), (9 * MIB, b"ramdisk", "two")])
    machine.call("keep_start_info", LOADER)
    assert machine.variable("nr_kept_modules", 4) == 2 and machine.variable("kept_rsdp") == 0xE0000
    kept = struct.unpack("<2Q16x2Q", machine.read(machine.symbols["kept_modules"], 48))
    assert kept == (8 * MIB, 6, 9 * MIB, 7)
    memory = machine.read(machine.symbols["memory_map"], 48)
    assert struct.unpack("<" + "QQII" * 2, memory) == (0, 0x9FC00, 1, 0, MIB, 60 * MIB, 1, 0)
    assert machine.variable("memory_map_end") == machine.symbols["memory_map"] + 48


@pytest.mark.provokes("E_LOADER", "E_NO_MEMORY_MAP", "E_TOO_MANY_RANGES", "E_TOO_MANY_MODULES")
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"magic": 7}, "E_LOADER"),
        ({"version": 0}, "E_NO_MEMORY_MAP"),
        ({"memmap_entries": 0}, "E_NO_MEMORY_MAP"),
        ({"memmap_entries": C["MAX_RANGES"] + 1}, "E_TOO_MANY_RANGES"),
        ({"nr_modules": C["MAX_MODULES"] + 1}, "E_TOO_MANY_MODULES"),
    ],
)
def test_start_info_that_cannot_be(fields: dict[str, int], error: str) -> None:
    machine = Resident()
    pvh_info(machine)
    info = machine.record("hvm_start_info", LOADER)
    for name, value in fields.items():
        setattr(info, name, value)
    machine.write(LOADER, info.dumps())
    machine.call("keep_start_info", LOADER)
    assert machine.error().startswith(f"E{C[error]:04x}: ")
