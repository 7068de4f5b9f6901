"""Where a boot has come to: on port 0x80, and in the record from which the next boot says where this one ended."""

from __future__ import annotations

import struct

import pytest
from booting import PVH, failure, good_tables, line, machine_with
from machine import C, Machine

BASE = C["LAST_BOOT_BASE"]
NUMBERS = {name: number for name, number in C.items() if name.startswith("STAGE_") and name != "STAGE_ERROR"}
STAGES = sorted(NUMBERS.values())


def named(number: int) -> str:
    return next(name for name, value in NUMBERS.items() if value == number).removeprefix("STAGE_").lower()


def record(stage: int, error: int = 0, build: int = 0x6D6C4F7B, damage: int = 0) -> bytes:
    """As stub/abi/stages.h has it, made here by its sentence: the two words in front, exclusive or, inverted."""
    words = stage | error << 16, build
    return struct.pack("<4I", C["LAST_BOOT_MAGIC"], *words, (words[0] ^ words[1] ^ 0xFFFFFFFF) ^ damage)


def booted(before: bytes = b"", **domain: int) -> Machine:
    machine = machine_with(good_tables(**domain))
    if before:
        machine.write(BASE, before)
    machine.boot(PVH)
    return machine


def shown(machine: Machine) -> list[int]:
    return [value & 0xFF for port, value in machine.ports if port == C["PORT_POST"]]


def said(machine: Machine) -> list[str]:
    return [text for text in machine.transcript.splitlines() if "last boot" in text]


def test_every_stage_is_shown_once_in_its_order() -> None:
    machine = booted()
    assert list(dict.fromkeys(shown(machine))) == STAGES
    assert said(machine) == [], "there was no boot before"


def test_the_record_has_the_last_stage_and_the_build() -> None:
    machine = booted()
    magic, words, build, check = struct.unpack("<4I", machine.read(BASE, 16))
    assert (magic, words) == (C["LAST_BOOT_MAGIC"], C["STAGE_LAUNCHED"])
    assert check == words ^ build ^ 0xFFFFFFFF
    end = machine.symbols["__end_note_gnu_build_id"]
    assert build.to_bytes(4, "big") == machine.read(end - C["BUILD_ID_SIZE"], 4)


@pytest.mark.parametrize("stage", STAGES)
def test_the_next_boot_says_where_the_last_one_ended(stage: int) -> None:
    machine = booted(record(stage))
    assert said(machine) == [line("M_LAST_BOOT", 0x6D6C4F7B, named(stage))]
    assert machine.transcript.splitlines()[1] == said(machine)[0], "right behind the first line"
    failed = booted(record(stage, 0x0404))
    assert said(failed) == [line("M_LAST_BOOT_FAILED", 0x6D6C4F7B, 0x404, named(stage))]


@pytest.mark.parametrize("before", [record(0xB3, damage=1), record(0xB3)[:12] + bytes(4), bytes(16), b"\xff" * 16])
def test_a_record_that_is_not_whole_is_none(before: bytes) -> None:
    assert said(booted(before)) == []


def test_a_damaged_record_is_left_as_it_is_where_its_page_is_not_free() -> None:
    """What lies there may be anybody's."""
    machine, found = machine_with(good_tables()), record(0xB3, damage=1)
    machine.write(BASE, found)
    machine.write(machine.symbols["keep_stages"], b"\xc3")  # as where the page is not free
    machine.boot(PVH)
    assert machine.read(BASE, 16) == found


def test_an_error_is_on_the_port_and_in_the_record() -> None:
    machine = booted(mem_min=1 << 28)
    assert "E0404" in machine.transcript
    assert shown(machine)[-1] == C["STAGE_ERROR"] | 4
    assert struct.unpack("<I", machine.read(BASE + 4, 4))[0] == C["STAGE_BUILDER"] | 0x0404 << 16
    early = Machine()
    early.boot(0x1234)
    assert early.error() == failure("E_LOADER", 0x1234)
    assert shown(early)[-1] == C["STAGE_ERROR"] | C["E_LOADER"] >> 8
    assert early.read(BASE, 4) == bytes(4), "there was no place for a record yet"
