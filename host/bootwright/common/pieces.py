"""Pieces: runs of a packed module's bytes, and where each goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from bootwright.common.abi import load as load_abi
from bootwright.common.ranges import Range


@dataclass(frozen=True)
class Piece:
    """struct piece: source_size bytes at source of the packed module become dest_size bytes at dest, then
    zeros, then pages that the kernel uses on its own. dest: an address as what is entered sees it.
    """

    source: int
    source_size: int
    dest: int
    dest_size: int
    zero_size: int
    method: int
    reserve_pages: int = 0

    @property
    def range(self) -> Range:
        """The physical addresses that it takes."""
        reserved = self.reserve_pages * load_abi().constants["PAGE_SIZE"]
        return Range.sized(self.dest, self.dest_size + self.zero_size + reserved)

    def moved(self, distance: int) -> Piece:
        """The same with its destination `distance` bytes further."""
        return replace(self, dest=self.dest + distance)

    def record(self) -> bytes:
        """As the stub reads it."""
        return bytes(load_abi().struct("piece")(**asdict(self)).dumps())
