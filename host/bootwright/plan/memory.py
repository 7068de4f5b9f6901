"""Physical memory as the loader leaves it, and where things go in it before anything runs.

What is entered on the bare machine, a native image's kernel or a hypervisor, sees the same addresses. Domains with
memory of their own have address spaces of their own: partition/regions.py.

First fit: everything gets the lowest page-aligned address from where the room begins that is clear of the kernels'
final places and of what was placed before it. In the machine that is from IMAGE_LIMIT on, and two ranges stay free:
[15 MiB, 16 MiB), where old chipsets can open a hole for ISA cards, and [8 MiB, 9 MiB), parts of which the UEFI firmware
of virtual machines (OVMF) keeps. All is below 4 GiB, which is what the stub reaches, and below what a PC has there in
place of RAM: its interrupt controllers, from the I/O APIC on, and the firmware's flash.
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


def stub_range() -> Range:
    """Where the stub lies, until it is gone."""
    constants = load_abi().constants
    return Range(constants["IMAGE_BASE"], constants["IMAGE_LIMIT"])


class Memory:
    """Physical memory as it fills up."""

    def __init__(self) -> None:
        self._page = load_abi().constants["PAGE_SIZE"]
        stub = stub_range()
        self._stub = Placement(stub, "bootwright's stub", False)
        self._room = Range(stub.end, HIGHEST_RAM)
        self._kept = list(KEPT_FREE)
        self.placements: list[Placement] = [
            Placement(Range(0, stub.start), "the first MiB, which is the firmware's", True),
            self._stub,
        ]

    @property
    def placed(self) -> tuple[Placement, ...]:
        """What was claimed and placed, without what was there at first."""
        return tuple(self.placements[2:])

    def claim(self, taken: Range, what: str, *, lasting: bool = True) -> None:
        """Take a range that is not ours to choose; it may be the stub's, which is gone when it is used.

        Raises PlanError that names both parties of a clash, or that no machine has RAM there.
        """
        if taken.end > self._room.end:
            raise PlanError(f"{what} {taken} would lie where no PC has RAM, from {self._room.end:#x} on")
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
            beside = ", ".join(f"{p.what} {p.range}" for p in self.placed) or "nothing"
            where = f"below {self._room.end:#x}, where a PC can have RAM"
            raise PlanError(f"{what} of {size} bytes finds no room {where}, beside {beside}")
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
