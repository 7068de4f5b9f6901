"""The stub under Unicorn with every access outside of its own memory noted, and each case begun anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import unicorn
from machine import RAM, C, Machine

PAGE = C["PAGE_SIZE"]
FOUR_GIB = 1 << 32
Span = tuple[int, int]  # start, end
# What every machine has: a vector of the BIOS's, its word for the EBDA, where ACPI's root pointer is searched for, and
# the screen.
BIOS: list[Span] = [
    (C["BIOS_SYSTEM_VECTOR"], C["BIOS_SYSTEM_VECTOR"] + 4),
    (C["BDA_EBDA_SEGMENT"], C["BDA_EBDA_SEGMENT"] + 2),
    (C["EBDA_LOWEST"], C["EBDA_END"]),
    (C["BIOS_ROM_START"], C["BIOS_ROM_END"]),
    (C["VGA_TEXT"], C["VGA_TEXT"] + 2 * C["VGA_ROWS"] * C["VGA_COLUMNS"]),
]


class Watch:
    """A machine that is begun anew for each case, what it read and wrote outside of the stub and of BIOS, and what of
    the stub's code and tables it wrote. Memory that is not there reads as 0 below `reach`, what is mapped; beyond is a
    fault.
    """

    def __init__(self, machine: Machine, reach: int = FOUR_GIB) -> None:
        self.machine, self.reach = machine, reach
        self.reads: list[list[int]] = []
        self.writes: list[list[int]] = []
        self._pages: set[int] = set()
        self._put: list[Span] = []
        self._stops: list[int] = []
        start, end = machine.symbols["__image_start"], machine.symbols["__image_end"]
        self._stub = (start, end)
        self._memory, self._registers = machine.read(0, RAM), machine.uc.context_save()
        # All that the stub may write lies behind its code and read-only data; its tables behind that.
        data, tables = machine.symbols["__start_data"], machine.symbols["__start_tables"]
        accesses = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        for first, last in without([(0, (1 << 64) - 1)], [*BIOS, self._stub]):
            machine.uc.hook_add(accesses, self._on_access, None, first, last - 1)
        for first, last in ((start, data - 1), (tables, end - 1), *((one, end - 1) for one, end in BIOS[:-1])):
            machine.uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._on_access, None, first, last)
        unmapped = unicorn.UC_HOOK_MEM_READ_UNMAPPED | unicorn.UC_HOOK_MEM_WRITE_UNMAPPED
        machine.uc.hook_add(unmapped, self._on_unmapped)

    def _on_access(self, uc: unicorn.Uc, access: int, address: int, size: int, value: int, data: object) -> None:
        found = self.writes if access == unicorn.UC_MEM_WRITE else self.reads
        if found and found[-1][1] == address:
            found[-1][1] = address + size
        else:
            found.append([address, address + size])

    def _on_unmapped(self, uc: unicorn.Uc, access: int, address: int, size: int, value: int, data: object) -> bool:
        if address + size > self.reach:
            return False
        for page in range(address // PAGE, (address + size - 1) // PAGE + 1):
            if page * PAGE >= RAM and page not in self._pages:
                self._pages.add(page)
                uc.mem_map(page * PAGE, PAGE)
        return True

    def put(self, address: int, data: bytes) -> None:
        """Writes memory for this case alone."""
        self._put.append((address, address + len(data)))
        self.machine.write(address, data)

    def begin(self) -> None:
        """All memory and registers as they were at first."""
        self.machine.uc.context_restore(self._registers)
        for start, end in [self._stub, *self._put, *self.writes]:
            if end <= RAM:
                self.machine.write(start, self._memory[start:end])
        for address in self._stops:  # translated code does not see what is written from outside
            self.machine.uc.ctl_remove_cache(address, address + 1)
        for page in self._pages:
            self.machine.uc.mem_unmap(page * PAGE, PAGE)
        self._pages.clear()
        self.reads, self.writes, self._put, self._stops = [], [], [], []
        self.machine.serial.clear()
        self.machine.ports.clear()

    def stop_at(self, routine: str) -> None:
        """Ends each run of this case there."""
        address = self.machine.symbols[routine]
        self._stops.append(address)
        self.machine.write(address, b"\xf4")
        self.machine.uc.ctl_remove_cache(address, address + 1)

    def run(self, routine: str, limit: int, **registers: int) -> None:
        """Calls a routine. A fault, or more than `limit` instructions, are a failure."""
        try:
            self.machine.call(routine, limit=limit, **registers)
        except unicorn.UcError as fault:
            touched = [f"{start:#x}" for start, _ in (*self.reads[-1:], *self.writes[-1:])]
            raise AssertionError(f"{routine}: {fault} behind {touched}; {self.machine.transcript}") from None


def merged(spans: Iterable[Sequence[int]]) -> list[Span]:
    """Spans in order, those that touch as one."""
    found: list[Span] = []
    for start, end in sorted((span[0], span[1]) for span in spans if span[1] > span[0]):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def without(spans: Iterable[Sequence[int]], holes: Iterable[Sequence[int]]) -> list[Span]:
    """What of the spans lies in none of the holes."""
    found = merged(spans)
    for start, end in merged(holes):
        parts = [part for one in found for part in ((one[0], min(one[1], start)), (max(one[0], end), one[1]))]
        found = [part for part in parts if part[0] < part[1]]
    return found


def outside(accesses: Iterable[Sequence[int]], allowed: Iterable[Sequence[int]]) -> list[str]:
    """What was touched that was not allowed."""
    return [f"[{start:#x}, {end:#x})" for start, end in without(accesses, allowed)]
