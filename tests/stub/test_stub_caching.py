"""RAM is cached where the PAT and the MTRRs let it be; where the MTRRs do not the stub warns."""

from __future__ import annotations

import pytest
from booting import PVH, good_tables, line, machine_with
from machine import Machine

UC, WC, WT, WP, WB = 0, 1, 4, 5, 6  # SDM 3, table 12-2
PAT, CAP, DEF_TYPE, FIRST = 0x277, 0xFE, 0x2FF, 0x200  # SDM 4, table 2-2
RESET = 0x0007040600070406  # SDM 3, table 12-12
ENABLED = VALID = 1 << 11
FULL = (1 << 40) - 1  # of 40 bits of physical addresses
Ranges = list[tuple[int, int, int]]  # base, size, type


@pytest.mark.parametrize("first", [UC, WC, WT, WP, WB, 7])
def test_the_first_entry_of_the_pat_is_write_back(first: int) -> None:
    machine = Machine()
    machine.uc.msr_write(PAT, 0x0102030405060700 | first)
    machine.call("use_write_back")
    assert machine.uc.msr_read(PAT) == 0x0102030405060700 | WB
    machine.uc.msr_write(PAT, RESET)
    machine.call("use_write_back")
    assert machine.uc.msr_read(PAT) == RESET


@pytest.mark.parametrize(
    ("default", "ranges", "kind"),
    [
        (ENABLED | WB, [], WB),
        (ENABLED | UC, [], UC),
        (WB, [], UC),  # not enabled
        (WB, [(0, 1 << 30, WB)], UC),
        (ENABLED | UC, [(0, 1 << 30, WB)], WB),
        (ENABLED | UC, [(0, 1 << 20, WB)], UC),  # below the stub
        (ENABLED | UC, [(0x100000, 1 << 12, WB)], WB),
        (ENABLED | UC, [(0x101000, 1 << 12, WB)], UC),
        (ENABLED | UC, [(1 << 32, 1 << 30, WB)], UC),
        (ENABLED | UC, [(0xFFF00000, 1 << 20, WB)], UC),  # as U-Boot leaves them
        (ENABLED | WB, [(0x80000000, 1 << 31, UC)], WB),  # as SeaBIOS does
        (ENABLED | UC, [(0, 1 << 31, WB), (0, 1 << 30, WT)], WT),
        (ENABLED | WB, [(0, 1 << 31, WB), (0, 1 << 30, UC)], UC),
        (ENABLED | WB, [(0, 1 << 30, UC), (0, 1 << 31, WB)], UC),
        (ENABLED | WB, [(0, 1 << 30, WP)], WP),
    ],
)
def test_memory_that_is_not_cached_is_warned_of(default: int, ranges: Ranges, kind: int) -> None:
    machine = machine_with(good_tables())
    assert machine.uc.msr_read(CAP) & 0xFF >= len(ranges) + 1
    machine.uc.msr_write(DEF_TYPE, default)
    machine.uc.msr_write(FIRST, 0x100000 | WC)  # a range that is not valid
    machine.uc.msr_write(FIRST + 1, FULL & -0x100000)
    for number, (base, size, what) in enumerate(ranges, 1):
        machine.uc.msr_write(FIRST + 2 * number, base | what)
        machine.uc.msr_write(FIRST + 2 * number + 1, FULL & -size | VALID)
    transcript = machine.boot(PVH)
    assert not machine.failed
    warning = line("M_UNCACHED", 0x100000, kind)
    assert (warning in transcript.splitlines()) == (kind != WB), transcript
    assert transcript.count("MTRR") == (kind != WB)
