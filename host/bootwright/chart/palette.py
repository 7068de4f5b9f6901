"""How each kind of region looks, in print and on screens, light and dark.

The colours are those of Okabe and Ito, which people tell apart whose eyes see red or green less; no two kinds of one
colour have the same pattern, and every region has its name beside.
"""

from __future__ import annotations

from dataclasses import dataclass

from bootwright.chart import regions

PLAIN, RISING, FALLING, DOTS, GRID, EMPTY = "plain", "rising", "falling", "dots", "grid", "empty"


@dataclass(frozen=True)
class Look:
    """Of a kind: what it is in the legend, its colour in RGB, its pattern, and what a row of text is filled with."""

    legend: str
    colour: str
    pattern: str
    letter: str


LOOKS = {
    regions.STUB: Look("stub", "#e69f00", PLAIN, "s"),
    regions.TABLES: Look("tables, manifest", "#e69f00", DOTS, "t"),
    regions.PACKED: Look("module as it travels, packed", "#cc79a7", RISING, "p"),
    regions.KERNEL: Look("kernel", "#0072b2", PLAIN, "k"),
    regions.RAMDISK: Look("ramdisk", "#009e73", PLAIN, "r"),
    regions.MODULE: Look("other module", "#56b4e9", FALLING, "m"),
    regions.HYPERVISOR: Look("hypervisor", "#d55e00", PLAIN, "x"),
    regions.RESIDENT: Look("resident part", "#d55e00", RISING, "R"),
    regions.HANDOVER: Look("hand-over area", "#f0e442", FALLING, "h"),
    regions.DOMAIN: Look("memory of a domain", "#56b4e9", DOTS, "d"),
    regions.SHARED: Look("shared range", "#f0e442", DOTS, "="),
    regions.CLASH: Look("in no RAM: does not boot", "#d55e00", FALLING, "!"),
    regions.FIRMWARE: Look("reserved by firmware", "#7f7f7f", GRID, "#"),
    regions.FREE: Look("free", "#bdbdbd", EMPTY, "."),
}
