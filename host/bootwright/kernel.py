"""A kernel as the plan needs it: its segments, its entry, and the protocol by which it is entered.

Each launch protocol is a module of its own that offers one Protocol; protocols.py lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bootwright.elf import Segment
from bootwright.ranges import Range


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be launched.

    path: the file that holds the segments (an unpacked one lies in the work folder). size: bytes of that
    file. protocol: PROTOCOL_*, by name. entry: physical address where the protocol enters.
    """

    path: Path
    size: int
    protocol: str
    entry: int
    segments: tuple[Segment, ...]

    @property
    def ranges(self) -> tuple[Range, ...]:
        """The physical addresses that it takes, by address."""
        return tuple(segment.range for segment in self.segments)

    @property
    def span(self) -> Range:
        """From its lowest to its highest byte."""
        return Range(self.segments[0].range.start, self.segments[-1].range.end)


@dataclass(frozen=True)
class Protocol:
    """A way to enter a kernel. look(file, folder for what is unpacked) gives the Kernel; raises KernelError
    that says, without the file's name in front, why it cannot be entered this way.
    """

    name: str
    look: Callable[[Path, Path], Kernel]
