"""Nested page tables as a cpu walks them, and as they are relocated at boot: by the AMD APM and by the words of
stub/abi/partition.h; nothing here shares code with what makes them.

APM volume 2, 5.3 (long mode's four levels), 7.8.3 (what selects the memory type), 15.25 (nested paging: accesses of a
guest are user's).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

PRESENT, WRITE, USER, PWT, PCD, LARGE, NX = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 7, 1 << 63
ADDRESS = 0x000F_FFFF_FFFF_F000
Page = Callable[[int], Sequence[int]]  # machine address of a table to its 512 entries


@dataclass(frozen=True)
class Run:
    """Guest addresses that lead to as many machine addresses, with the same rights all along. uncached: by PCD and PWT;
    page: the size of its pages.
    """

    guest: int
    machine: int
    size: int
    page: int
    writable: bool
    executable: bool
    uncached: bool


def _leaves(page: Page, table: int, level: int, guest: int, rights: int) -> Iterator[tuple[int, int, int, int]]:
    """Guest address, machine address, size, and rights (WRITE, NX, PCD) of all that a table of this level maps."""
    size = 1 << 12 + 9 * (level - 1)
    for index, entry in enumerate(page(table)):
        # Without the user bit every access of the guest faults.
        if entry & (PRESENT | USER) != PRESENT | USER:
            continue
        here, address = guest + index * size, entry & ADDRESS
        reached = rights & entry & WRITE | (rights | entry) & NX
        if level > 1 and not entry & LARGE:
            yield from _leaves(page, address, level - 1, here, reached)
            continue
        assert level < 3, "pages of 1 GiB or more: not every cpu has them"
        assert address % size == 0, f"{entry:#x}: reserved bits of a large page, or another PAT entry"
        assert level > 1 or not entry & LARGE, f"{entry:#x}: another PAT entry"
        assert entry & (PCD | PWT) in (0, PCD | PWT)
        yield here, address, size, reached | entry & PCD


def runs(page: Page, root: int) -> list[Run]:
    """All that a guest reaches by the tables at `root`, by guest address."""
    longer: list[tuple[int, int, int, int, int]] = []
    for guest, machine, size, rights in _leaves(page, root, 4, 0, WRITE):
        if longer:
            first, there, length, *alike = longer[-1]
            if alike == [size, rights] and (first + length, there + length) == (guest, machine):
                longer[-1] = (first, there, length + size, size, rights)
                continue
        longer.append((guest, machine, size, size, rights))
    return [
        Run(guest, machine, length, size, bool(rights & WRITE), not rights & NX, bool(rights & PCD))
        for guest, machine, length, size, rights in longer
    ]


def joined(found: Iterable[Run]) -> list[Run]:
    """Runs with those that follow each other made one."""
    longer: list[Run] = []
    for run in found:
        if longer:
            last = longer[-1]
            if run == replace(last, guest=last.guest + last.size, machine=last.machine + last.size, size=run.size):
                longer[-1] = replace(last, size=last.size + run.size)
                continue
        longer.append(run)
    return longer


def translate(page: Page, root: int, guest: int) -> tuple[int, bool, bool] | None:
    """Where one guest address leads, and whether it may be written and executed, level by level; None for a fault."""
    table, writable, executable = root, True, True
    for shift in (39, 30, 21, 12):
        entry = page(table)[guest >> shift & 0x1FF]
        if not entry & PRESENT or not entry & USER:
            return None
        writable, executable = writable and bool(entry & WRITE), executable and not entry & NX
        table = entry & ADDRESS
        if shift == 12 or entry & LARGE:
            return table + guest % (1 << shift), writable, executable
    raise AssertionError


def relocated(
    tables: bytes, banks: Sequence[int], shared: Mapping[int, int] | Sequence[int], x2apic: bool = False
) -> bytes:
    """Tables as they are once the machine addresses of banks and shared ranges are known."""
    entries = struct.unpack(f"<{len(tables) // 8}Q", tables)
    found = [_relocated(entry, banks, shared, x2apic) if entry >> 52 & 7 else entry for entry in entries]
    return struct.pack(f"<{len(found)}Q", *found)


def _relocated(entry: int, banks: Sequence[int], shared: Mapping[int, int] | Sequence[int], x2apic: bool) -> int:
    kind, number = entry >> 52 & 7, entry >> 55 & 15
    entry &= ~(0x7F << 52)
    match kind:
        case 1:
            return entry + banks[number]
        case 2:
            return entry + shared[number]
        case 3:
            return 0 if x2apic else entry
    raise AssertionError(f"{entry:#x} is of kind {kind}")
