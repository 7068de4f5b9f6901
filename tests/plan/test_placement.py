"""Placement: first fit, clear of all that is there."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootwright.common.errors import PlanError
from bootwright.common.ranges import Range
from bootwright.plan.memory import KEPT_FREE, Memory


def test_the_lowest_room_behind_the_stub() -> None:
    memory = Memory()
    assert memory.place(0x1801, "a", lasting=True) == Range(0x200000, 0x201801)
    assert memory.place(1, "b", lasting=True) == Range(0x202000, 0x202001)
    memory.claim(Range(0x203000, 0x400000), "kernel k")
    assert memory.place(0x1000, "c", lasting=False) == Range(0x400000, 0x401000)
    assert memory.top == 0x401000


def test_what_is_kept_free() -> None:
    assert Memory().place(14 << 20, "a", lasting=True).start == 16 << 20
    memory = Memory()
    assert memory.place(6 << 20, "a", lasting=True) == Range(2 << 20, 8 << 20)
    assert memory.place(1, "b", lasting=True).start == 9 << 20


def test_clashes_name_both_parties() -> None:
    memory = Memory()
    memory.claim(Range(0x400000, 0x500000), "kernel a")
    with pytest.raises(PlanError) as caught:
        memory.claim(Range(0x4FF000, 0x600000), "kernel b")
    assert str(caught.value) == "kernel b [0x4ff000, 0x600000) overlaps kernel a [0x400000, 0x500000)"


def test_no_room_below_4_gib() -> None:
    memory = Memory()
    memory.claim(Range(1 << 31, (1 << 31) + 4096), "kernel k")
    with pytest.raises(PlanError) as caught:
        memory.place(3 << 30, "ramdisk r", lasting=True)
    assert str(caught.value) == (
        "ramdisk r of 3221225472 bytes finds no room below 0xfec00000, where a PC can have RAM, beside "
        "kernel k [0x80000000, 0x80001000)"
    )


def test_nothing_lies_where_no_pc_has_ram() -> None:
    apic = 0xFEC00000  # MultiProcessor Specification 1.4, 3.6.5: the I/O APIC's default address
    memory = Memory()
    memory.claim(Range(apic - 0x1000, apic), "kernel k")
    with pytest.raises(PlanError, match=r"kernel j \[0xfec00000, 0xfec00001\) would lie where no PC has RAM"):
        memory.claim(Range(apic, apic + 1), "kernel j")
    memory = Memory()
    assert memory.place(apic - (16 << 20), "ramdisk r", lasting=True).end == apic
    with pytest.raises(PlanError, match="finds no room"):
        Memory().place(apic - (16 << 20) + 1, "ramdisk r", lasting=True)


sizes = st.integers(0, 64 << 20)


@given(st.lists(st.tuples(st.integers(2 << 20, 1 << 30), sizes), max_size=4), st.lists(sizes, max_size=12))
@settings(deadline=None)
def test_nothing_overlaps(kernels: list[tuple[int, int]], wanted: list[int]) -> None:
    memory = Memory()
    for start, size in kernels:
        try:
            memory.claim(Range.sized(start, size), "kernel")
        except PlanError:
            continue
    placed = [memory.place(size, "module", lasting=True) for size in wanted]
    for one, other in combinations([placement.range for placement in memory.placements], 2):
        assert not one.overlaps(other)
    for found, size in zip(placed, wanted, strict=True):
        assert found.size == size and found.start % 4096 == 0
        assert found.start >= 2 << 20 and found.end <= 1 << 32
        assert not any(found.overlaps(kept) for kept in KEPT_FREE)
