"""Half-open ranges of physical addresses, and finding room between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bootwright.common.errors import format_range


@dataclass(frozen=True, order=True)
class Range:
    """[start, end), in bytes; shown as "[0x100000, 0x200000)"."""

    start: int
    end: int

    @staticmethod
    def sized(start: int, size: int) -> Range:
        """The `size` bytes from `start`."""
        return Range(start, start + size)

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self.end - self.start

    def overlaps(self, other: Range) -> bool:
        """Whether they share a byte; an empty range shares none."""
        return max(self.start, other.start) < min(self.end, other.end)

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.end

    def __str__(self) -> str:
        return format_range(self.start, self.end)


@dataclass(frozen=True)
class Relocation:
    """Where a kernel may lie that can be moved: at any multiple of `alignment` from `lowest` up, with its last byte at
    `highest` at most.
    """

    alignment: int
    lowest: int
    highest: int


def span(parts: Iterable[Range]) -> Range:
    """From the lowest to the highest byte of some ranges."""
    starts, ends = zip(*((part.start, part.end) for part in parts), strict=True)
    return Range(min(starts), max(ends))


MIB = 1 << 20
FOUR_GIB = 1 << 32  # behind the last address that 32 bits reach


def align_up(value: int, alignment: int) -> int:
    """The least multiple of `alignment` that is not below `value`."""
    return -(-value // alignment) * alignment


def first_fit(size: int, obstacles: Iterable[Range], within: Range, alignment: int) -> Range | None:
    """The lowest aligned place for `size` bytes in `within` that no obstacle overlaps; None if there is
    none.
    """
    start = align_up(within.start, alignment)
    for obstacle in sorted(obstacles):
        if Range.sized(start, size).overlaps(obstacle):
            start = align_up(obstacle.end, alignment)
    found = Range.sized(start, size)
    return found if found.end <= within.end else None
