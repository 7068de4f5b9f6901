"""Sizes and texts as pictures write them."""

from __future__ import annotations

from bootwright.chart.regions import Region, Stage

_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def size(number: int) -> str:
    """Bytes for people: "12.5 MiB", "512 KiB", "24 bytes"."""
    for unit, name in _UNITS:
        if number >= unit:
            shown = f"{number / unit:.1f}"
            return f"{shown.removesuffix('.0')} {name}"
    return f"{number} byte{'' if number == 1 else 's'}"


def cut(text: str, room: int) -> str:
    """No more than `room` characters of it: of what is too long, its middle is left out."""
    if len(text) <= room:
        return text
    if room < 2:
        return "\u2026"[:room]
    tail = min(8, (room - 1) // 3)
    return text[: room - 1 - tail] + "\u2026" + (text[-tail:] if tail else "")


def sums(stage: Stage) -> str:
    """What a stage comes to."""
    known = stage.free or stage.reserved
    parts = [f"{size(stage.used)} used", *([f"{size(stage.free)} free"] if known else [])]
    return ", ".join([*parts, *([f"{size(stage.reserved)} reserved"] if stage.reserved else [])])


def whole(region: Region) -> str:
    """All that is known of a region, in a line."""
    owner = f", of {region.owner}" if region.owner and region.owner not in region.what else ""
    return f"{region.what}{owner}: {region.range}, {size(region.range.size)}"
