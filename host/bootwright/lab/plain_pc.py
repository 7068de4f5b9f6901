"""A machine that nobody probed: a PC with a BIOS and as much memory as an image needs, for pictures and plans that are
not about one machine.

    report(memory, cpus, svm)          # report.Report, for fit.fit

Its map is that of an old PC: RAM from 0 to 639 KiB and from 1 MiB on, what exceeds 3 GiB above 4 GiB.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bootwright.common.ranges import FOUR_GIB, MIB, align_up
from bootwright.lab.fit import Fit
from bootwright.lab.report import Report

NAME = "a plain PC"
_RAM, _RESERVED = 1, 2
_LOW_END, _BIOS, _HOLE = 0x9FC00, 0xF0000, 3 << 30


def report(memory: int, cpus: int, svm: bool) -> Report:
    """A PC with so many bytes of RAM and so many cpus; svm: one that may have AMD's virtualisation."""
    memory = align_up(memory, MIB)
    ranges = [(0, _LOW_END, _RAM), (_LOW_END, MIB, _RESERVED), (MIB, min(memory, _HOLE), _RAM)]
    if memory > _HOLE:
        ranges.append((FOUR_GIB, FOUR_GIB + memory - _HOLE, _RAM))
    document: dict[str, Any] = {
        "format": 1,  # of which nobody expects that it says what the cpu can do
        "memory": [{"start": f"{a:#x}", "size": f"{b - a:#x}", "type": kind} for a, b, kind in ranges],
        "acpi": None,
        "cpus": cpus,
        "cpuid": [],
        "cpu": {"vendor": "AuthenticAMD" if svm else "", "brand": "any"},
        "smbios": None,
        "framebuffer": None,
        "booted": {"protocol": "multiboot1", "loader": "", "cmdline": "", "efi": "0x0"},
    }
    return Report(document, {"protocol": "multiboot1", "loader": "", "rsdp": f"{_BIOS:#x}"})


def without_notes(found: Fit) -> Fit:
    """A boot on it without what is not known of it: that goes without saying."""
    return replace(found, notes=())
