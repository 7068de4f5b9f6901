"""Nested page tables as a cpu walks them, and as they are relocated at boot: by the AMD APM and by the words of
stub/abi/partition.h; nothing here shares code with what makes them.

APM volume 2, 5.3 (long mode's four levels), 7.8.3 (what selects the memory type), 15.25 (nested paging: accesses of a
guest are user's).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

PRESENT, WRITE, USER, PWT, PCD, LARGE, NX = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 7, 1 << 63
Read = Callable[[int], int]  # machine address to the 8 bytes there


@dataclass(frozen=True)
class Leaf:
    """What a guest address leads to. uncached: by PCD and PWT; size: of the page."""

    guest: int
    machine: int
    size: int
    writable: bool
    executable: bool
    uncached: bool


def _walk(read: Read, table: int, level: int, guest: int, rights: int) -> Iterator[Leaf]:
    """All that a table of this level maps, for addresses from `guest` on; level 4 is the root."""
    size = 1 << 12 + 9 * (level - 1)
    for index in range(512):
        entry = read(table + 8 * index)
        if not entry & PRESENT or not entry & USER:  # without the user bit every access of the guest faults
            continue
        here = guest + index * size
        address = entry & 0x000F_FFFF_FFFF_F000
        writable, no_execute = bool(rights & entry & WRITE), (rights | entry) & NX
        if level > 1 and not entry & LARGE:
            yield from _walk(read, address, level - 1, here, (WRITE if writable else 0) | no_execute)
            continue
        assert level < 3, "pages of 1 GiB or more: not every cpu has them"
        assert address % size == 0, f"{entry:#x}: reserved bits of a large page"
        assert level == 1 or not entry & 1 << 12, f"{entry:#x}: another PAT entry"
        assert level > 1 or not entry & LARGE, f"{entry:#x}: another PAT entry"
        cached = entry & (PCD | PWT)
        assert cached in (0, PCD | PWT)
        yield Leaf(here, address, size, writable, not no_execute, bool(cached))


def leaves(read: Read, root: int) -> list[Leaf]:
    """Every page that a guest reaches by the tables at `root`, by guest address."""
    return list(_walk(read, root, 4, 0, WRITE))


def translate(read: Read, root: int, guest: int) -> tuple[int, Leaf] | None:
    """Where one guest address leads, level by level; None for a fault."""
    table, writable, no_execute = root, WRITE, 0
    for shift in (39, 30, 21, 12):
        entry = read(table + 8 * (guest >> shift & 0x1FF))
        if not entry & PRESENT or not entry & USER:
            return None
        writable, no_execute = writable & entry, no_execute | entry & NX
        table = entry & 0x000F_FFFF_FFFF_F000
        if shift == 12 or entry & LARGE:
            size = 1 << shift
            leaf = Leaf(
                guest // size * size, table, size, bool(writable), not no_execute, entry & (PCD | PWT) == PCD | PWT
            )
            return table + guest % size, leaf
    raise AssertionError


def relocated(
    tables: bytes, banks: Sequence[int], shared: Mapping[int, int] | Sequence[int], x2apic: bool = False
) -> bytes:
    """Tables as they are once the machine addresses of banks and shared ranges are known."""
    return b"".join(
        struct.pack("<Q", _relocated(entry, banks, shared, x2apic)) for (entry,) in struct.iter_unpack("<Q", tables)
    )


def _relocated(entry: int, banks: Sequence[int], shared: Mapping[int, int] | Sequence[int], x2apic: bool) -> int:
    kind, number = entry >> 52 & 7, entry >> 55 & 15
    entry &= ~(0x7F << 52)
    match kind:
        case 0:
            return entry
        case 1:
            return entry + banks[number]
        case 2:
            return entry + shared[number]
        case 3:
            return 0 if x2apic else entry
    raise AssertionError(f"{entry:#x} is of kind {kind}")
