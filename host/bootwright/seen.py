"""The boot transcript, read back: what a stub said of the machine it ran on.

seen = parse_transcript(text)           # everything on the console; log = "debug" for the memory map
seen.lines                              # the stub's own lines
seen.ranges, seen.modules, seen.rsdp    # as the stub found them
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from bootwright.abi import load as load_abi
from bootwright.model import MemoryRange
from bootwright.ranges import Range


@dataclass(frozen=True)
class SeenModule:
    """A boot module where it was found, before anything was moved."""

    number: int
    kind: str
    name: str
    place: Range


@dataclass(frozen=True)
class Seen:
    """What the lines say. loader: None where the protocol names none. information: where what the kernel was
    told lay, None without a launch.
    """

    lines: tuple[str, ...]
    image: str = ""
    entry: str = ""
    loader: str | None = None
    cpu: str = ""
    rsdp: int = 0
    ranges: tuple[MemoryRange, ...] = ()
    modules: tuple[SeenModule, ...] = ()
    information: Range | None = None


def parse_transcript(text: str) -> Seen:
    """Read a console's text; lines that are not the stub's are left out. Pure: raises nothing."""
    prefix = load_abi().strings["M_PREFIX"]
    lines = tuple(line for line in text.splitlines() if line.startswith(prefix))
    image, entry, loader = (_all(lines, "M_ENTRY") or [["", "", "-"]])[0]
    memory = _all(lines, "M_MEMORY")
    launch = _all(lines, "M_LAUNCH")
    return Seen(
        lines,
        image,
        entry,
        None if loader == "-" else loader,
        "".join(value for values in _all(lines, "M_CPU") for value in values),
        int(memory[0][2], 16) if memory else 0,
        tuple(
            MemoryRange(int(start, 16), int(end, 16), int(kind))
            for start, end, kind in _all(lines, "M_RANGE")
        ),
        tuple(
            SeenModule(int(number), kind, name, Range(int(start, 16), int(end, 16)))
            for number, kind, name, start, end in _all(lines, "M_MODULE")
        ),
        Range(int(launch[0][2], 16), int(launch[0][3], 16)) if launch else None,
    )


def _all(lines: tuple[str, ...], name: str) -> list[list[str]]:
    """The values of each line that this message of stub/abi/messages.h made."""
    return [list(match.groups()) for line in lines if (match := _pattern(name).fullmatch(line))]


@cache
def _pattern(name: str) -> re.Pattern[str]:
    strings = load_abi().strings
    values = {"%u": "([0-9]+)", "%x": "(0x[0-9a-f]+)", "%s": "(.*?)"}
    parts = re.split("(%[uxs])", strings["M_PREFIX"] + strings[name])
    return re.compile("".join(values.get(part) or re.escape(part) for part in parts))
