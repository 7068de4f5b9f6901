"""Where things go in physical memory, before anything runs.

First fit: everything gets the lowest page-aligned address from IMAGE_LIMIT on that is clear of the kernels'
final places and of what was placed before it. Two ranges stay free: [15 MiB, 16 MiB), where old chipsets can
open a hole for ISA cards, and [8 MiB, 9 MiB), parts of which the UEFI firmware of virtual machines (OVMF)
keeps. All is below 4 GiB, which is what the stub reaches, and below what a PC has there in place of RAM: its
interrupt controllers, from the I/O APIC on, and the firmware's flash.
"""

from __future__ import annotations

from dataclasses import dataclass

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import PlanError
from bootwright.common.ranges import Range, first_fit

ISA_HOLE = Range(15 << 20, 16 << 20)
OVMF_HOLE = Range(8 << 20, 9 << 20)
KEPT_FREE = (OVMF_HOLE, ISA_HOLE)
HIGHEST_RAM = 0xFEC00000  # the I/O APIC's address in every PC


@dataclass(frozen=True)
class Placement:
    """A range that is taken. what: as an error names it, such as `kernel of domain "dom0"`; lasting: still
    in use when the kernel runs, where others are only needed until then.
    """

    range: Range
    what: str
    lasting: bool


class Memory:
    """Physical memory as it fills up."""

    def __init__(self) -> None:
        constants = load_abi().constants
        self._page = constants["PAGE_SIZE"]
        self._room = Range(constants["IMAGE_LIMIT"], HIGHEST_RAM)
        stub = Range(constants["IMAGE_BASE"], constants["IMAGE_LIMIT"])
        self._stub = Placement(stub, "bootwright's stub", False)
        firmware = Range(0, constants["IMAGE_BASE"])
        self.placements: list[Placement] = [
            Placement(firmware, "the first MiB, which is the firmware's", True),
            self._stub,
        ]
        self._kept = list(KEPT_FREE)

    def claim(self, taken: Range, what: str, *, lasting: bool = True) -> None:
        """Take a range that is not ours to choose; it may be the stub's, which is gone when it is used.

        Raises PlanError that names both parties of a clash, or that no machine has RAM there.
        """
        if taken.end > HIGHEST_RAM:
            raise PlanError(f"{what} {taken} would lie where no PC has RAM, from {HIGHEST_RAM:#x} on")
        for other in self.placements:
            if other is not self._stub and taken.overlaps(other.range):
                raise PlanError(f"{what} {taken} overlaps {other.what} {other.range}")
        self.placements.append(Placement(taken, what, lasting))

    def place(self, size: int, what: str, *, lasting: bool, lowest: int = 0, alignment: int = 0) -> Range:
        """Choose room for `size` bytes (at least one page), at a multiple of `alignment` from `lowest` up.

        Raises PlanError when there is none.
        """
        taken = [placement.range for placement in self.placements]
        room = Range(max(lowest, self._room.start), self._room.end)
        found = first_fit(max(size, 1), [*taken, *self._kept], room, max(alignment, self._page))
        if found is None:
            where = f"below {self._room.end:#x}, where a PC can have RAM"
            raise PlanError(f"{what} of {size} bytes finds no room {where}, beside {self._lasting()}")
        self.placements.append(Placement(found, what, lasting))
        return Range.sized(found.start, size)

    def keep(self, size: int) -> None:
        """Leave the lowest room for `size` bytes that there is now to somebody else."""
        taken = [placement.range for placement in self.placements]
        found = first_fit(size, [*taken, *self._kept], self._room, self._page)
        self._kept += [found] if found else []

    @property
    def top(self) -> int:
        """The address behind the highest byte taken."""
        return max(placement.range.end for placement in self.placements)

    def _lasting(self) -> str:
        named = [f"{p.what} {p.range}" for p in self.placements[2:]]
        return ", ".join(named) or "nothing"
