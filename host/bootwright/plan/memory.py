"""Address spaces, and where things go in them before anything runs.

There is one Memory for the machine as the loader leaves it: stub and packed modules lie there. What a kernel sees is
the same space where it is entered on the bare machine, as a native image's and a hypervisor are. A domain with memory
of its own has a Memory of its own, so that two may want the same address; its Region says where that lies in the
machine.

First fit: everything gets the lowest page-aligned address from where the room begins that is clear of the kernels'
final places and of what was placed before it. In the machine that is from IMAGE_LIMIT on, and two ranges stay free:
[15 MiB, 16 MiB), where old chipsets can open a hole for ISA cards, and [8 MiB, 9 MiB), parts of which the UEFI firmware
of virtual machines (OVMF) keeps. All is below 4 GiB, which is what the stub reaches, and below what a PC has there in
place of RAM: its interrupt controllers, from the I/O APIC on, and the firmware's flash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import PlanError
from bootwright.common.ranges import MIB, Range, first_fit

ISA_HOLE = Range(15 << 20, 16 << 20)
OVMF_HOLE = Range(8 << 20, 9 << 20)
KEPT_FREE = (OVMF_HOLE, ISA_HOLE)
HIGHEST_RAM = 0xFEC00000  # the I/O APIC's address in every PC


@dataclass(frozen=True)
class Region:
    """`size` bytes of memory: `guest` is the address where what is entered sees them, `host` where they lie in the
    machine. On the bare machine both are the same.
    """

    guest: int
    host: int
    size: int

    def lies(self, seen: Range) -> Range:
        """Where a range that is seen in it lies in the machine."""
        return Range.sized(self.host + seen.start - self.guest, seen.size)


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
    """An address space as it fills up; Memory.machine and Memory.of_domain give one."""

    def __init__(self, end: int, who: str, first: Sequence[Placement], kept: Sequence[Range] = ()) -> None:
        """The space up to `end`, as far as `who` has memory, behind what is there at `first`, and with `kept` free."""
        self._page = load_abi().constants["PAGE_SIZE"]
        self._room = Range(max(placement.range.end for placement in first), end)
        self._who = who
        self._first = tuple(first)
        self._kept = list(kept)
        self.placements: list[Placement] = list(first)

    @staticmethod
    def machine() -> Memory:
        """The machine's, with the stub in it."""
        stub = stub_range()
        first = (
            Placement(Range(0, stub.start), "the first MiB, which is the firmware's", True),
            Placement(stub, "bootwright's stub", False),
        )
        return Memory(HIGHEST_RAM, "PC", first, KEPT_FREE)

    @staticmethod
    def of_domain(seen: Range) -> Memory:
        """That of a domain with memory of its own, which sees it at `seen`."""
        told = Range.sized(seen.start, MIB)
        return Memory(seen.end, "domain", (Placement(told, "the first MiB, where it is told what it has", True),))

    @property
    def placed(self) -> tuple[Placement, ...]:
        """What was claimed and placed, without what was there at first."""
        return tuple(self.placements[len(self._first) :])

    def claim(self, taken: Range, what: str, *, lasting: bool = True) -> None:
        """Take a range that is not ours to choose; it may be the stub's, which is gone when it is used.

        Raises PlanError that names both parties of a clash, or that there is no memory.
        """
        if taken.end > self._room.end:
            raise PlanError(f"{what} {taken} would lie where no {self._who} has RAM, from {self._room.end:#x} on")
        gone = [placement for placement in self._first if not placement.lasting]
        for other in self.placements:
            if other not in gone and taken.overlaps(other.range):
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
            where = f"below {self._room.end:#x}, where a {self._who} can have RAM"
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
