"""How a boot that failed ends, under Unicorn: it waits for as long as was asked for, and resets the machine."""

from __future__ import annotations

import pytest
import unicorn
from booting import failure, good_tables, line
from machine import C, Machine, Tables, pvh_info


def test_a_failure_reboots_after_the_seconds_that_were_asked_for() -> None:
    machine = Machine(good_tables().encode(on_failure=C["ON_FAILURE_REBOOT"], reboot_seconds=3))
    pvh_info(machine)
    machine.write(machine.symbols["reset"], b"\xf4")
    machine.boot(0x1234)
    assert machine.error() == failure("E_LOADER", 0x1234)
    assert line("M_FAILED_REBOOT", 3) in machine.transcript


def test_reset_tries_every_way() -> None:
    machine = Machine()
    with pytest.raises(unicorn.UcError, match="INSN_INVALID"):
        machine.call("reset")
    assert (C["PORT_RESET"], C["RESET_HARD"]) in machine.ports
    assert (C["PORT_KEYBOARD"], C["KEYBOARD_RESET"]) in machine.ports


class StoppedClock(Machine):
    """The clock stands still."""

    reads = 0

    def _on_in(self, uc: unicorn.Uc, port: int, size: int, data: object) -> int:
        if port != C["PORT_CMOS_DATA"]:
            return super()._on_in(uc, port, size, data)
        self.reads += 1
        return 0x59


def test_a_clock_that_stands_still_is_given_up() -> None:
    """After so many ticks of the time-stamp counter, that more reads of the clock than that are not waited for."""
    machine = StoppedClock(Tables().encode(on_failure=C["ON_FAILURE_REBOOT"], reboot_seconds=3))
    machine.tick = (1 << C["STILL_TICKS_SHIFT"]) // 50
    machine.write(machine.symbols["reset"], b"\xf4")
    machine.boot(0x1234)
    assert machine.error() == failure("E_LOADER", 0x1234)
    assert machine.transcript.endswith(line("M_FAILED_REBOOT", 3) + "\n") and machine.reads == 3 * (1 + 51)
    assert C["STILL_TICKS_SHIFT"] >= 33, "no cpu counts so far in a second"


@pytest.mark.parametrize("seconds", [0, 2])
def test_a_reboot_waits_for_so_many_seconds(seconds: int) -> None:
    machine = Machine(Tables().encode(on_failure=C["ON_FAILURE_REBOOT"], reboot_seconds=seconds))
    machine.write(machine.symbols["reset"], b"\xf4")
    machine.boot(0x1234)
    assert [port for port, _ in machine.ports].count(C["PORT_CMOS_INDEX"]) == 2 * seconds
