"""What a plan is made of: frozen records, near to those of stub/abi/tables.h. plan.make makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bootwright.common.abi import load as load_abi
from bootwright.common.pieces import Piece
from bootwright.common.ranges import Range, Relocation
from bootwright.hyperlaunch.model import BootDomain
from bootwright.kernels.sections import Sections
from bootwright.plan.memory import Placement


@dataclass(frozen=True)
class PlannedImage:
    """The image's settings, as numbers of stub/abi/tables.h. profile: which these are, "" where there is only one;
    menu_seconds: of the first.
    """

    name: str
    console: int
    serial_port: int
    serial_divisor: int
    log: int
    on_failure: int
    reboot_seconds: int
    profile: str = ""
    profile_title: str = ""
    menu_seconds: int = 0


@dataclass(frozen=True)
class PlannedModule:
    """struct module_record with its pieces. movable: of a kernel, where else it may lie; sections: the
    headers that it is told of. payload: the file with the
    `size` bytes that are embedded or loaded.
    """

    name: str
    kind: int
    flags: int
    string: str
    load_address: int
    size: int
    unpacked_size: int
    start: int
    sha256: bytes
    pieces: tuple[Piece, ...] = ()
    movable: Relocation | None = None
    sections: Sections | None = None
    payload: Path | None = field(default=None, compare=False)

    @property
    def embedded(self) -> bool:
        """Whether it is part of the image."""
        return bool(self.flags & load_abi().constants["MODULE_EMBEDDED"])

    @property
    def load_range(self) -> Range:
        """Where the loader puts its packed bytes; empty at 0 for one that is not embedded."""
        return Range.sized(self.load_address, self.size if self.embedded else 0)


@dataclass(frozen=True)
class PlannedDomain:
    """A domain with its modules as indices into Plan.modules; protocol: PROTOCOL_*; entry: physical
    address; cmdline_room as in struct boot_domain.
    """

    domain: BootDomain
    protocol: int
    entry: int
    cmdline_room: int = 0


@dataclass(frozen=True)
class PlannedHypervisor:
    """What is launched in place of a domain: its index in Plan.modules, PROTOCOL_*, command line, physical
    entry; efi_entry: the one with EFI's boot services running, 0 if it has none.
    """

    module: int
    protocol: int
    cmdline: str
    entry: int
    efi_entry: int = 0


@dataclass(frozen=True)
class PartitionedDomain:
    """A domain as the resident part runs it, by name. cpus: APIC ids, None for any; regions: what there is at which of
    its own addresses; console: in words; restarts: within a minute, None where its end is one; protocol, entry,
    cmdline: of its kernel.
    """

    name: str
    cpus: tuple[int | None, ...]
    regions: tuple[tuple[Range, str], ...]
    console: str
    restarts: int | None
    protocol: str
    entry: int
    cmdline: str


@dataclass(frozen=True)
class PlannedPartition:
    """What the resident part's data say. parts: of them, with their machine addresses."""

    domains: tuple[PartitionedDomain, ...]
    parts: tuple[tuple[Range, str], ...]


@dataclass(frozen=True)
class Plan:
    """All of it. hypervisor: None where the stub launches the hardware domain itself. placements: what lies where in
    the machine, beside the stub, for the map. transcript: what the domain builder will print at boot. notes: sentences
    a user may want to know. partitioned: of a partition, for the map. slack: bytes of room behind the tables. These
    five are not part of the tables. profiles: the further ways to start the same image, each a plan.
    """

    image: PlannedImage
    domains: tuple[PlannedDomain, ...]
    modules: tuple[PlannedModule, ...]
    hypervisor: PlannedHypervisor | None = None
    placements: tuple[Placement, ...] = field(default=(), compare=False)
    transcript: tuple[str, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    partitioned: PlannedPartition | None = field(default=None, compare=False)
    slack: int = field(default=0, compare=False)
    profiles: tuple[Plan, ...] = ()

    @property
    def carried(self) -> tuple[PlannedModule, ...]:
        """The modules of all profiles, each once: one that several share lies at one place."""
        found = {module.load_address: module for plan in self.profiles for module in plan.modules if module.embedded}
        for module in self.modules:
            found.pop(module.load_address, None)
        return (*self.modules, *found.values())

    def moved(self, places: Mapping[int, int]) -> Plan:
        """The same with its embedded modules loaded elsewhere. places: new addresses by the old ones."""
        modules = (
            replace(module, load_address=places[module.load_address]) if module.embedded else module
            for module in self.modules
        )
        profiles = tuple(plan.moved(places) for plan in self.profiles)
        return replace(self, modules=tuple(modules), profiles=profiles)

    @property
    def partition(self) -> bool:
        """Whether what is launched is our own resident part: no other hypervisor is entered by PVH."""
        return self.hypervisor is not None and self.hypervisor.protocol == load_abi().constants["PROTOCOL_PVH"]


@dataclass(frozen=True)
class Generic:
    """In place of a plan: the image is the generic stub, which finds out at boot what the loader brought. It has all
    launchers and no tables, so nothing of a description but its name reaches it.
    """
