"""A scale of addresses that several stages share, so that what lies at one address stands at one height in all.

    found = scale(stages, PIXELS)
    found.at(0x100000)              # where that address is
    found.segments                  # what is drawn between two borders, and whether it is shortened

4 GiB and 40 KiB are not seen on one linear scale. So there is a segment between each two borders of regions, of
whatever stage; its length grows with the logarithm of its size. Where no stage has anything it is shortened, and is to
be drawn as broken; what is less than a page and free in all of them is a hair.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bootwright.chart.regions import FREE, Region, Stage
from bootwright.common.ranges import MIB, Range

_PAGE = 4096


@dataclass(frozen=True)
class Units:
    """Lengths of a drawing. least: of a segment that is to be seen; doubling: what each doubling adds beyond a page;
    broken: of a shortened one at most; hair: of one that is not to be seen.
    """

    least: float
    doubling: float
    broken: float
    hair: float


@dataclass(frozen=True)
class Segment:
    """A stretch between two borders: where it begins on the drawing, how long it is, whether it is shortened."""

    range: Range
    start: float
    length: float
    broken: bool

    @property
    def end(self) -> float:
        """Where it ends on the drawing."""
        return self.start + self.length


@dataclass(frozen=True)
class Scale:
    """Segments, the lowest first."""

    segments: tuple[Segment, ...]

    @property
    def length(self) -> float:
        """Of the whole drawing."""
        return self.segments[-1].end if self.segments else 0.0

    def at(self, address: int) -> float:
        """Where a border is; within a segment in proportion."""
        index = bisect_right([one.range.start for one in self.segments], address) - 1
        if index < 0:
            return 0.0
        one = self.segments[index]
        return one.start + one.length * min(1.0, (address - one.range.start) / one.range.size)


def scale(stages: Sequence[Stage], units: Units) -> Scale:
    """The scale of some stages; without regions it is empty."""
    drawn = [region.range for stage in stages for region in stage.regions]
    borders = sorted({border for one in drawn for border in (one.start, one.end)})
    taken = [region.range for stage in stages for region in stage.regions if region.kind != FREE]
    found: list[Segment] = []
    for start, end in pairwise(borders):
        here = Range(start, end)
        empty = not any(one.overlaps(here) for one in taken)
        length = units.least + units.doubling * max(0.0, math.log2(here.size / _PAGE))
        if empty and here.size < _PAGE:
            length = units.hair
        broken = empty and here.size >= MIB
        length = min(length, units.broken) if broken else length
        found.append(Segment(here, found[-1].end if found else 0.0, length, broken))
    return Scale(tuple(found))


def gaps(regions: Iterable[Region], whole: Range) -> list[Range]:
    """What no region of a stage covers within some range: there is no memory, as far as is known."""
    found, at = [], whole.start
    for region in regions:
        if region.range.start > at:
            found.append(Range(at, region.range.start))
        at = max(at, region.range.end)
    return [*found, Range(at, whole.end)] if at < whole.end else found
