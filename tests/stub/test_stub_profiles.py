"""Several profiles in one image, under Unicorn: which is taken, by what, and that its settings are in force.

What is said, and which it is, comes from the reference (reference/profiles.py), which knows nothing of the stub.
"""

from __future__ import annotations

from dataclasses import replace

import lz4.block
import pytest
from booting import KERNEL, PACKED, PVH, RAMDISK, TEXT, good_tables, line
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import ABI, C, Machine, pvh_info

from bootwright.plan import tables
from bootwright.plan.records import Plan
from bootwright.reference import profiles

SCAN_CODES = {"\r": C["KEYBOARD_ENTER"]} | {str(n): C["KEYBOARD_1"] + n - 1 for n in range(1, 10)}


def variant(plan: Plan, name: str, title: str = "", **changes: int) -> Plan:
    """The same, with a command line that names it."""
    kernel = replace(plan.modules[0], string=f"of {name}")
    image = replace(plan.image, profile=name, profile_title=title, **changes)
    return replace(plan, image=image, modules=(kernel, *plan.modules[1:]))


def image(*names: str, menu: int = 3, **changes: int) -> Plan:
    """An image with these profiles; what changes does so in all but the first."""
    plan = tables.decode(good_tables().encode())
    first, *others = names
    others_planned = tuple(variant(plan, name, f": title of {name}", **changes) for name in others)
    return replace(variant(plan, first, menu_seconds=menu), profiles=others_planned)


class Keyed(Machine):
    """Somebody presses keys: on the serial line, or on a keyboard; after so many looks at it."""

    def __init__(self, plan: Plan, cmdline: str, keys: str = "", scans: tuple[int, ...] = (), looks: int = 3) -> None:
        super().__init__(tables.encode(plan))
        self.keys, self.scans, self.looks = list(keys), list(scans), looks
        self.write(PACKED, lz4.block.compress(TEXT, store_size=False))
        self.write(RAMDISK, b"files")
        self.write(KERNEL, b"\xff" * 0x1000)
        pvh_info(self, cmdline=cmdline)

    def _on_in(self, uc: object, port: int, size: int, data: object) -> int:
        if port == C["UART_COM1"] + C["UART_LSR"]:
            self.looks -= 1
            return C["UART_LSR_THRE"] | (C["UART_LSR_DATA"] if self.keys and self.looks < 0 else 0)
        if port == C["UART_COM1"] + C["UART_DATA"] and self.keys:
            return ord(self.keys.pop(0))
        if port == C["PORT_KEYBOARD"]:
            return C["KEYBOARD_FULL"] if self.scans else 0
        if port == C["PORT_KEYBOARD_DATA"]:
            return self.scans.pop(0)
        if port == C["PORT_CMOS_DATA"]:
            self._seconds += 1
            return (self._seconds // 8) & 0xFF  # several looks in a second
        return super()._on_in(uc, port, size, data)  # type: ignore[arg-type]


def taken(machine: Machine) -> str:
    machine.boot(PVH)
    return next(text for text in machine.transcript.splitlines() if "command line" in text).rpartition(" ")[2]


def said(machine: Machine) -> list[str]:
    return [text for text in machine.transcript.splitlines() if "profile" in text]


NAMES = st.lists(st.from_regex(r"\A[a-z][a-z0-9._+-]{0,10}\Z"), min_size=2, max_size=9, unique=True)


@settings(max_examples=60, deadline=None)
@given(NAMES, st.data())
def test_it_takes_what_the_reference_takes(names: list[str], data: st.DataObject) -> None:
    word = data.draw(st.sampled_from([*names, "nothing", "", "x" * 80]))
    before = data.draw(st.sampled_from(["", "image ", "noapic ", "noprofile=x  "]))
    behind = data.draw(st.sampled_from(["", " noapic", " -- profile=zzz", "-"]))
    cmdline = data.draw(st.sampled_from([f"{before}profile={word}{behind}", f"{before}-- profile={word}", before]))
    key = data.draw(st.integers(0, len(names)))
    keys, scans = data.draw(st.sampled_from([("", ()), (str(key), ()), ("", (SCAN_CODES.get(str(key), 0x9C),))]))
    if not keys and not scans:
        key = 0
    plan = image(*names, menu=data.draw(st.integers(0, 2)))
    machine = Keyed(plan, cmdline, keys, scans, looks=200)
    machine.boot(PVH)
    lines, wanted = profiles.chosen(plan, cmdline, key)
    assert said(machine)[: len(lines)] == list(lines)
    # What the loader adds comes behind; the profile's own line is in front.
    assert f"command line: of {wanted.image.profile}" in machine.transcript


@pytest.mark.parametrize("key", ["1", "2", "3", "\r"])
@pytest.mark.parametrize("by", ["serial", "keyboard"])
def test_a_key_chooses(key: str, by: str) -> None:
    keys, scans = (key, ()) if by == "serial" else ("", (0x9C, SCAN_CODES[key] | 0x80, SCAN_CODES[key]))
    machine = Keyed(image("usual", "rescue", "third"), "", keys, scans)
    wanted = {"2": "rescue", "3": "third"}.get(key, "usual")
    assert taken(machine) == wanted
    why = "L_BY_DEFAULT" if key == "\r" else "L_BY_KEY"
    assert said(machine)[-1] == line("M_PROFILE", wanted, ABI.strings[why])


@pytest.mark.parametrize("keys", ["", "x", "0", "4", "\x1b[A"])
def test_any_other_key_does_not(keys: str) -> None:
    """And the menu ends with its time all the same."""
    assert taken(Keyed(image("usual", "rescue", "third"), "", keys)) == "usual"


def test_without_a_uart_and_a_keyboard_the_menu_ends() -> None:
    """What is not there reads as ones; a clock that stands still is given up by the time-stamp counter."""

    class Nothing(Machine):
        def _on_in(self, uc: object, port: int, size: int, data: object) -> int:
            return 0xFF

    plan = image("usual", "rescue")
    machine = Nothing(tables.encode(plan), uart=False)
    machine.tick = 1 << (C["STILL_TICKS_SHIFT"] - 3)
    machine.write(PACKED, lz4.block.compress(TEXT, store_size=False))
    machine.write(RAMDISK, b"files")
    pvh_info(machine)
    machine.boot(PVH)
    assert machine.symbols["profiles"] and machine.read(machine.symbols["profile_count"], 1) == b"\x02"
    assert machine.read(machine.symbols["tables"], 8) == machine.symbols["__start_tables"].to_bytes(8, "little")


def test_the_settings_of_the_profile_are_in_force() -> None:
    """From the choice on: what only log = "debug" prints comes, or does not; without a serial port nothing does."""
    loud, quiet = C["LOG_DEBUG"], C["LOG_QUIET"]
    for log in (loud, quiet):
        machine = Keyed(image("usual", "rescue", log=log), "profile=rescue")
        machine.boot(PVH)
        assert ("memory: [" in machine.transcript) == (log == loud)
        assert (line("M_LAUNCH", "PVH", 0, 0, 0, 0).split(":")[1] in machine.transcript) == (log == loud)
    silent = Keyed(image("usual", "rescue", console=C["CONSOLE_VGA"]), "profile=rescue")
    silent.boot(PVH)
    assert "cpu: " in silent.transcript and "tables: " not in silent.transcript


@pytest.mark.parametrize("place", [0, 1, 2])
def test_damaged_tables_of_any_profile_are_refused(place: int) -> None:
    plan = image("usual", "rescue", "third")
    data = bytearray(tables.encode(plan))
    magic = C["TABLES_MAGIC_VALUE"].to_bytes(8, "little")
    start = [at for at in range(0, len(data), 8) if data.startswith(magic, at)][place]
    data[start + C["TABLES_SIZEOF"] + 40] ^= 1
    machine = Keyed(plan, "")
    machine.write(machine.symbols["__start_tables"], bytes(data))
    machine.boot(PVH)
    assert f"E{C['E_TABLES_CHECKSUM']:04x}" in machine.transcript
