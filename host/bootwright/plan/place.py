"""Addresses for the modules of an image, in what is known of the machine before it boots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import PlanError, about
from bootwright.common.ranges import FOUR_GIB, MIB, Range, align_up
from bootwright.description.load import Description
from bootwright.description.records import OfDomain, OfHypervisor
from bootwright.hyperlaunch.model import BootInfo
from bootwright.kernels.kernel import Kernel
from bootwright.plan.memory import HIGHEST_RAM, Memory, Placement, stub_range
from bootwright.plan.modules import Job


class Placing:
    """Kernels have their places; ramdisks come next, as low as possible; then what is only passing.

    machine: the machine as it is loaded, which is also what is entered sees of it. A domain with memory of its own has
    an address space of its own (partition.regions); to the machine its modules are files.
    """

    def __init__(
        self,
        description: Description,
        info: BootInfo,
        jobs: Sequence[Job],
        carried: Mapping[bytes, Range] = MappingProxyType({}),
    ) -> None:
        """carried: modules that other profiles bring, by their hash, and where they are loaded: what is the same is not
        brought again, and nothing else is loaded there.
        """
        self._carried = dict(carried)
        self._foreign = [Placement(place, "a module of another profile", False) for place in carried.values()]
        self._description = description
        self._info = info
        self._embedded = description.image.modules == "embedded"
        self.jobs = list(jobs)
        self.machine = Memory()

    def place(self) -> None:
        """Give every job its addresses. Raises PlanError, with both parties of a clash."""
        for job in self.jobs:
            self._check_memory(job)
        self._each(lambda job: job.kernel is not None, self._place_kernel)
        self._keep_carried()
        self._keep_room()
        self._each(self._has_place, self._place_file)
        self._each(self._passes, self._place_packed)
        for job in self.jobs:
            if self.machine.top > self._limit(job):
                self._too_small(job, self.machine.top)
        if self.below > HIGHEST_RAM:
            image = self._description.image
            raise PlanError(
                f"what the loader brings and what is unpacked take {self.below >> 20} MiB, all of them below "
                f"{HIGHEST_RAM:#x}, where a PC can have RAM",
                image.place("modules"),
            )

    @property
    def placed(self) -> tuple[Placement, ...]:
        """What has got a place here."""
        return tuple(one for one in self.machine.placed if one not in self._foreign)

    @property
    def below(self) -> int:
        """How much RAM must be there below 4 GiB, if it starts at 0: all that was placed, and what a loader brings."""
        return self.machine.top + (0 if self._embedded else sum(job.packed.size for job in self.jobs))

    def _has_place(self, job: Job) -> bool:
        """Is it used as a file, from where we choose?"""
        return job.kernel is None and bool(self._embedded or job.packed.pieces)

    def _passes(self, job: Job) -> bool:
        return self._embedded and bool(job.packed.pieces)

    def _each(self, which: Callable[[Job], bool], step: Callable[[Job], Job]) -> None:
        for number, job in enumerate(self.jobs):
            if which(job):
                described = self._description.table(job.owner)
                with about(described.subject, described.place(job.key)):
                    self.jobs[number] = step(job)

    def _place_kernel(self, job: Job) -> Job:
        kernel, what = job.kernel, f"kernel {self._info.mods[job.mod].name}"
        assert kernel is not None
        space, movable = self.machine, kernel.movable
        before = list(space.placements)
        try:
            for part in kernel.ranges:
                space.claim(part, what)
        except PlanError:
            if movable is None:
                raise
            space.placements = before
            moved = space.place(
                kernel.span.size, what, lasting=True, lowest=movable.lowest, alignment=movable.alignment
            )
            if moved.end - 1 > movable.highest:
                raise
            return replace(job, kernel=kernel.moved(moved.start - kernel.span.start), place=moved)
        placed = replace(job, place=kernel.span)
        self._check_deferred(placed)
        return placed

    def _keep_carried(self) -> None:
        """A kernel may go to where a module lies that this profile does not use; then it needs its own of those."""
        kernels = [part for job in self.jobs if job.kernel for part in job.kernel.ranges]
        self.machine.placements += self._foreign
        for digest, place in tuple(self._carried.items()):
            if any(place.overlaps(part) for part in kernels):
                del self._carried[digest]

    def _keep_room(self) -> None:
        """What a kernel is told lies below 1 MiB, or behind the stub. A machine may have no room there, nor the kernel
        leave any here; then it is not to lie behind all that is loaded.
        """
        kernels = [job.kernel for job in self.jobs if job.kernel]
        if any(part.overlaps(stub_range()) for kernel in kernels for part in kernel.ranges):
            self.machine.keep(load_abi().constants["HANDOVER_SIZE"])

    def _check_deferred(self, job: Job) -> None:
        """What goes to where the stub is comes last, and the stub has room to remember only so much."""
        assert job.place is not None
        start, stub, limit = job.place.start, stub_range(), load_abi().constants["MAX_DEFERRED"]
        pieces = [piece for piece in job.packed.pieces if piece.at(start).range.overlaps(stub)]
        if len(pieces) > limit:
            raise PlanError(
                f"kernel {self._info.mods[job.mod].name} {job.place} has {len(pieces)} pieces in the place "
                f"of the stub {stub}, but at most {limit} can be put there"
            )

    def _place_file(self, job: Job) -> Job:
        module = self._info.mods[job.mod]
        size = job.unpacked_size(module.size)
        if not job.packed.pieces and job.packed.sha256 in self._carried:
            place = self._carried[job.packed.sha256]
            return replace(job, place=Range.sized(place.start, size), load_address=place.start)
        final = self.machine.place(size, f"{job.key} {module.name}", lasting=True)
        kernel = self._kernel_beside(job)
        limit = FOUR_GIB if kernel is None or kernel.ramdisk_end is None else kernel.ramdisk_end
        if final.end > limit:
            raise PlanError(f"{job.key} {module.name} {final} ends above {limit:#x}, beyond its kernel's reach")
        if job.packed.pieces:
            return replace(job, place=final)
        return replace(job, place=final, load_address=final.start)

    def _kernel_beside(self, job: Job) -> Kernel | None:
        """The kernel of a job's domain."""
        return next((other.kernel for other in self.jobs if other.owner == job.owner and other.kernel), None)

    def _place_packed(self, job: Job) -> Job:
        name = self._info.mods[job.mod].name
        if job.packed.sha256 in self._carried:
            return replace(job, load_address=self._carried[job.packed.sha256].start)
        load = self.machine.place(job.packed.size, f"packed {job.key} {name}", lasting=False)
        return replace(job, load_address=load.start)

    # --- does it fit into the domain's memory? ---

    def _limit(self, job: Job) -> int:
        """What the machine has at least, as far as the description says; a hypervisor shares out the rest."""
        match job.owner:
            case OfDomain(index) if self._info.hypervisor is None:
                return self._info.domains[index].mem_size.pages(0) * load_abi().constants["PAGE_SIZE"]
            case OfDomain() | OfHypervisor():
                return FOUR_GIB

    def _told(self, job: Job) -> tuple[int, ...]:
        """What the kernel of a job's domain is told of: its ramdisk, and modules."""
        match job.owner:
            case OfDomain(index):
                return self._info.domains[index].told
            case OfHypervisor():
                return ()

    def _told_size(self, job: Job) -> int:
        return sum(self._info.mods[mod].size for mod in self._told(job))

    def _check_memory(self, job: Job) -> None:
        """Kernel, ramdisk and modules must fit into the domain's memory, wherever they go."""
        if job.kernel is None:
            return
        kernel = job.kernel
        size = sum(part.size for part in kernel.ranges) + self._told_size(job)
        if max(kernel.span.end, size) > self._limit(job):
            self._too_small(job, max(kernel.span.end, load_abi().constants["IMAGE_LIMIT"] + size))

    def _too_small(self, job: Job, needed: int) -> None:
        kernel = self._kernel_beside(job)
        parties = f"kernel {kernel.span}" if kernel else "what it loads"
        if told := self._told(job):
            what = "ramdisk" if self._info.mods[told[0]].kind == load_abi().constants["BOOTMOD_RAMDISK"] else "modules"
            what += " and modules" if what == "ramdisk" and len(told) > 1 else ""
            parties += f" and {what} of {self._told_size(job):#x} bytes"
        described = self._description.table(job.owner)
        raise PlanError(
            f"{described.subject}: memory {Range(0, self._limit(job))} is too small for "
            f"{parties}: at least {align_up(needed, MIB) // MIB}M are needed",
            described.place("memory"),
        )
