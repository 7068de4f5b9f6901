"""What a description says, as frozen records: one for each kind of table, and Description for all of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import DescriptionError, Where
from bootwright.common.ranges import Range
from bootwright.description import roles, values
from bootwright.description.values import HANDED_KEY, Console, DomainConsole, HandedModule, Source


@dataclass(frozen=True)
class OfDomain:
    """Whose a file or a module is: that of the domain at `index` of the description."""

    index: int


@dataclass(frozen=True)
class OfHypervisor:
    """Whose a file or a module is: the hypervisor itself, or one that is for it."""


Owner = OfDomain | OfHypervisor


@dataclass(frozen=True, kw_only=True)
class Table(ABC):
    """A table of a description: where it starts, and where the value of each key that is there is written."""

    where: Where | None = field(default=None, compare=False)
    places: Mapping[str, Where] = field(default_factory=dict, compare=False, repr=False)

    def place(self, key: str) -> Where | None:
        """Where the value of `key` is written; where the table starts if it is not there."""
        return self.places.get(key, self.where)

    @property
    @abstractmethod
    def subject(self) -> str:
        """What an error calls it."""

    def error(self, key: str, message: str) -> DescriptionError:
        """The error `message` about the value of `key`; about the table itself where that is ""."""
        return DescriptionError(": ".join(filter(None, (self.subject, key, message))), self.place(key))


@dataclass(frozen=True)
class ImageDescription(Table):
    """The [image] table. Keys, defaults and meaning as in the description; on_failure: seconds, None for
    halt; generic: the stub alone, which finds out at boot what the loader brought.
    """

    subject: ClassVar[str] = "[image]"
    name: str
    launcher: str = "native"
    console: Console = values.DEFAULT_CONSOLE
    log: str = "normal"
    on_failure: int | None = None
    pack: str = "auto"
    modules: str = "embedded"
    verify: bool = True
    sbat: tuple[str, ...] = values.DEFAULT_SBAT
    slack: int = values.DEFAULT_SLACK
    profile: str = "default"
    menu: int = 5
    generic: bool = False


@dataclass(frozen=True)
class DomainDescription(Table):
    """One [[domain]] table. permissions and functions are PERMISSION_* and FUNCTION_* bits, mode one of
    "pvh", "pv", "hvm", memory sizes are bytes, uuid is 16 bytes, domid 0 asks for the next free one.
    """

    name: str
    memory: int
    permissions: int = 0
    functions: int = 0
    mode: str = "pvh"
    protocol: str = "auto"
    domid: int = 0
    uuid: bytes = bytes(16)
    cpus: int = 1
    memory_min: int | None = None
    memory_max: int | None = None
    security_id: str = ""
    kernel: Source | None = None
    ramdisk: Source | None = None
    device_tree: Source | None = None
    config: Source | None = None
    cmdline: str = ""
    modules: tuple[HandedModule, ...] = ()
    cpu_ids: tuple[int, ...] = ()
    ports: tuple[Range, ...] = ()
    console: DomainConsole = values.VIRTUAL_CONSOLE
    on_end: str = "stop"
    restarts: int = 3
    alone: bool = field(default=False, compare=False)  # its roles are those of the only domain, which nobody gave it

    @property
    def files(self) -> dict[str, Source]:
        """The files that it names, by their keys, in the order of their modules."""
        named = (
            ("kernel", self.kernel),
            ("ramdisk", self.ramdisk),
            ("device-tree", self.device_tree),
            ("config", self.config),
            *((key, module.source) for key, module in self.handed.items()),
        )
        return {key: source for key, source in named if source is not None}

    @property
    def handed(self) -> dict[str, HandedModule]:
        """Its `modules`, by keys such as "modules[0]"."""
        return {f"{HANDED_KEY}[{number}]": module for number, module in enumerate(self.modules)}

    @property
    def initial(self) -> bool:
        """Whether it has the initial-domain function."""
        return bool(self.functions & load_abi().constants["FUNCTION_INITIAL_DOMAIN"])

    @property
    def hardware(self) -> bool:
        """Whether it may be the hardware domain: the initial domain, or one with the hardware permission."""
        return self.initial or bool(self.permissions & load_abi().constants["PERMISSION_HARDWARE"])

    def as_the_only_one(self) -> DomainDescription:
        """The same with the roles of a domain that is alone."""
        if self.initial:
            return self
        permissions, functions = roles.of_the_only_one(self.permissions, self.functions)
        return replace(self, permissions=permissions, functions=functions, alone=True)

    def place(self, key: str) -> Where | None:
        """As Table.place, of a file of its `modules` too."""
        module = self.handed.get(key)
        return module.where if module else super().place(key)

    @property
    def subject(self) -> str:
        return f'domain "{self.name}"'


@dataclass(frozen=True)
class HypervisorDescription(Table):
    """The [hypervisor] table: what launcher = "xen" starts. lcm: a device tree as module 0 names the domains."""

    subject: ClassVar[str] = "[hypervisor]"
    kernel: Source
    cmdline: str = ""
    lcm: bool = False
    microcode: Source | None = None
    xsm_policy: Source | None = None

    @property
    def modules(self) -> dict[str, Source]:
        """The files that it is handed for itself, by their keys, in the order of their modules."""
        named = (("microcode", self.microcode), ("xsm-policy", self.xsm_policy))
        return {key: source for key, source in named if source is not None}

    @property
    def files(self) -> dict[str, Source]:
        """The files that it names: those, and its own."""
        return {**self.modules, "kernel": self.kernel}


@dataclass(frozen=True)
class SharedDescription(Table):
    """One [[shared]] table. size: bytes; between: names of domains; mode: "first" or "both"; kind: "reserved" or
    "pmem".
    """

    name: str
    size: int
    between: tuple[str, ...]
    mode: str = "first"
    kind: str = "reserved"

    @property
    def subject(self) -> str:
        """As Table's."""
        return f'shared range "{self.name}"'


@dataclass(frozen=True)
class ProfileDescription(Table):
    """One [[profile]] table: what is different in it; None for what is not."""

    name: str
    title: str = ""
    cmdline: str | None = None
    kernel: Source | None = None
    ramdisk: Source | None = None
    hypervisor_cmdline: str | None = None
    console: Console | None = None
    log: str | None = None

    @property
    def subject(self) -> str:
        """As Table's."""
        return f'profile "{self.name}"'


@dataclass(frozen=True)
class Description:
    """A whole description. path: its file as given; files named in it are relative to its folder. profiles: the further
    ones; variants: the whole description as each of these has it.
    """

    path: Path
    image: ImageDescription
    domains: tuple[DomainDescription, ...]
    hypervisor: HypervisorDescription | None = None
    shared: tuple[SharedDescription, ...] = ()
    profiles: tuple[ProfileDescription, ...] = ()
    variants: tuple[Description, ...] = ()

    @property
    def owners(self) -> dict[Owner, DomainDescription | HypervisorDescription]:
        """The tables that name files, by whose those are, in the order of the modules."""
        found: dict[Owner, DomainDescription | HypervisorDescription] = {
            OfDomain(index): domain for index, domain in enumerate(self.domains)
        }
        return found if self.hypervisor is None else {**found, OfHypervisor(): self.hypervisor}

    def table(self, owner: Owner) -> Table:
        """The table that is about whose a file is; [image] for a hypervisor that no table names."""
        return self.owners.get(owner, self.image)

    @property
    def folder(self) -> Path:
        """The folder that paths in the description start from."""
        return self.path.parent
