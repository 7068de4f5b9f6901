"""What lies where in a machine's memory at one stage of a boot.

stage = paint("launched", base, claims)         # later claims lie over earlier ones
stage.regions                                   # sorted, sharing no byte
stage.totals                                    # bytes by kind; their sum is that of the regions
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from bootwright.common.ranges import Range

FREE, FIRMWARE = "free", "firmware"
STUB, TABLES, PACKED = "stub", "tables", "packed"
KERNEL, RAMDISK, MODULE, HYPERVISOR, RESIDENT = "kernel", "ramdisk", "module", "hypervisor", "resident"
HANDOVER, DOMAIN, SHARED = "handover", "domain", "shared"
CLASH = "clash"  # what is to lie where no RAM is
# What is there to be had, or not the boot's: all else is in use.
NOT_USED = (FREE, FIRMWARE)


@dataclass(frozen=True)
class Region:
    """A range of physical addresses; owner: whose it is, by name, "" for nobody's; kind: one of the words above; what:
    lies there, as a person calls it.
    """

    range: Range
    owner: str
    kind: str
    what: str


@dataclass(frozen=True)
class Stage:
    """A stage of a boot: what it is called, a sentence about it, its regions, and for whom what is free is."""

    name: str
    says: str
    regions: tuple[Region, ...]
    free_for: str

    @property
    def totals(self) -> dict[str, int]:
        """Bytes by kind, in the order of the first of each."""
        found: dict[str, int] = {}
        for region in self.regions:
            found[region.kind] = found.get(region.kind, 0) + region.range.size
        return found

    @property
    def used(self) -> int:
        """Bytes that the boot uses."""
        return sum(size for kind, size in self.totals.items() if kind not in NOT_USED)

    @property
    def free(self) -> int:
        """Bytes of RAM that nothing lies in."""
        return self.totals.get(FREE, 0)

    @property
    def reserved(self) -> int:
        """Bytes that the firmware's map says are not RAM to be used."""
        return self.totals.get(FIRMWARE, 0)


def paint(name: str, says: str, claims: Iterable[Region], free_for: str) -> Stage:
    """A stage of claims, of which a later one takes the place of an earlier one. Pure; empty claims are left out."""
    order = [claim for claim in claims if claim.range.size > 0]
    borders = sorted({border for claim in order for border in (claim.range.start, claim.range.end)})
    found: list[Region] = []
    for start, end in pairwise(borders):
        top = next((one for one in reversed(order) if one.range.start <= start and end <= one.range.end), None)
        if top is None:
            continue
        last = found[-1] if found else None
        if last is not None and last.range.end == start and _same(last, top):
            found[-1] = replace(last, range=Range(last.range.start, end))
        else:
            found.append(replace(top, range=Range(start, end)))
    return Stage(name, says, tuple(found), free_for)


def _same(one: Region, other: Region) -> bool:
    return (one.owner, one.kind, one.what) == (other.owner, other.kind, other.what)
