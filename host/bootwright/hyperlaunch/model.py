"""The model: what is to be booted, as checked objects with the names of docs/domain-builder.md.

    files = {(OfDomain(0), "kernel"): Path(...), (OfDomain(0), "ramdisk"): Path(...)}     # from inputs.resolve
    info = build(description, files)                                                      # BootInfo
    info.domains[0].kernel                                                                # index into info.mods

Numbers (kinds, bits, modes) are those of stub/abi/builder.h. References to modules are indices into
BootInfo.mods, None for none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from bootwright.common import words
from bootwright.common.abi import load as load_abi
from bootwright.common.errors import SourceError, Where
from bootwright.description.load import Description, DomainDescription
from bootwright.description.records import OfDomain, OfHypervisor, Owner
from bootwright.description.values import HANDED_KEY
from bootwright.devicetree.bindings import HANDED_KIND, KINDS

# A machine sold with so much memory has a little less RAM to give, because its firmware keeps some: without a
# memory-min, this share of a domain's memory must be there.
USUAL_RAM = Fraction(15, 16)

# The keys that name modules, in the order of the modules, and what these are.
DOMAIN_MODULES = {key: KINDS[key] for key in ("kernel", "ramdisk", "device-tree", "config")}
HYPERVISOR_MODULES = {key: KINDS[key] for key in ("microcode", "xsm-policy")} | {"kernel": "BOOTMOD_XEN"}


@dataclass(frozen=True)
class MemorySize:
    """An amount of memory. kind: MEMORY_PAGES, MEMORY_SHARE or MEMORY_MINUS; value: pages, divisor, pages
    left.
    """

    kind: int
    value: int

    @staticmethod
    def of_bytes(size: int) -> MemorySize:
        """The amount of `size` bytes, in pages rounded up."""
        constants = load_abi().constants
        return MemorySize(constants["MEMORY_PAGES"], -(-size // constants["PAGE_SIZE"]))

    def pages(self, available: int) -> int:
        """How many pages that is on a machine with `available` pages; never less than 0."""
        constants = load_abi().constants
        if self.kind == constants["MEMORY_SHARE"]:
            return available // self.value if self.value else 0
        if self.kind == constants["MEMORY_MINUS"]:
            return max(available - self.value, 0)
        return self.value


@dataclass(frozen=True)
class BootModule:
    """A file that is there at boot. start, size: physical address (0 while not known) and bytes.

    string: its command line or what the loader wrote beside it, by string_kind (BOOTSTR_*). headroom: bytes
    in front of it that unpacking a bzImage needs. name and path are the host's: the name in the tables, and
    the file.
    """

    kind: int
    size: int
    start: int = 0
    string: str = ""
    string_kind: int = 0
    headroom: int = 0
    name: str = ""
    path: Path | None = field(default=None, compare=False)


@dataclass(frozen=True)
class BootDomain:
    """What one domain is to be; fields as in struct boot_domain. handed: modules that its kernel is told of behind
    its ramdisk.
    """

    name: str
    permissions: int
    functions: int
    mode: int
    domid: int
    mem_size: MemorySize
    mem_min: MemorySize
    mem_max: MemorySize
    uuid: bytes = bytes(16)
    ncpus: int = 1
    security_id: str = ""
    kernel: int | None = None
    ramdisk: int | None = None
    configs: tuple[int | None, int | None] = (None, None)
    handed: tuple[int, ...] = ()
    constructed: bool = False

    @property
    def modules(self) -> dict[str, int]:
        """Its modules, by their keys in a description."""
        device_tree, config = self.configs
        named = (
            ("kernel", self.kernel),
            ("ramdisk", self.ramdisk),
            ("device-tree", device_tree),
            ("config", config),
            *((f"{HANDED_KEY}[{number}]", mod) for number, mod in enumerate(self.handed)),
        )
        return {key: mod for key, mod in named if mod is not None}

    def renumbered(self, number: Callable[[int], int | None]) -> BootDomain:
        """The same with other references: `number` gives the new one, or None, for each."""
        return self.with_modules({key: number(mod) for key, mod in self.modules.items()})

    def with_modules(self, found: Mapping[str, int | None]) -> BootDomain:
        """The same with these modules, by their keys."""
        configs = found.get("device-tree"), found.get("config")
        handed = tuple(mod for key, mod in found.items() if key.startswith(HANDED_KEY) and mod is not None)
        return replace(self, kernel=found.get("kernel"), ramdisk=found.get("ramdisk"), configs=configs, handed=handed)

    @property
    def told(self) -> tuple[int, ...]:
        """The modules that its kernel is told of."""
        return self.handed if self.ramdisk is None else (self.ramdisk, *self.handed)

    def _has(self, bits: int, name: str) -> bool:
        return bool(bits & load_abi().constants[name])

    @property
    def is_initial_domain(self) -> bool:
        """The legacy dom0: function bit 31."""
        return self._has(self.functions, "FUNCTION_INITIAL_DOMAIN")

    @property
    def is_control_domain(self) -> bool:
        """The initial domain, or one with permission bit 0."""
        return self.is_initial_domain or self._has(self.permissions, "PERMISSION_CONTROL")

    @property
    def is_hardware_domain(self) -> bool:
        """The initial domain, or one with permission bit 1."""
        return self.is_initial_domain or self._has(self.permissions, "PERMISSION_HARDWARE")

    @property
    def is_xenstore_domain(self) -> bool:
        """Function bit 30."""
        return self._has(self.functions, "FUNCTION_XENSTORE")

    @property
    def is_console_domain(self) -> bool:
        """Function bit 2."""
        return self._has(self.functions, "FUNCTION_CONSOLE")

    @property
    def is_paravirtualized(self) -> bool:
        """PV: mode bit 0."""
        return self._has(self.mode, "MODE_PARAVIRTUALIZED")

    @property
    def is_pvh(self) -> bool:
        """PVH: neither mode bit 0 nor bit 1."""
        return not self.is_paravirtualized and not self._has(self.mode, "MODE_DEVICE_MODEL")


@dataclass(frozen=True)
class DomainBuilder:
    """The domains to build. fdt_enabled: they were read from a device tree."""

    domains: tuple[BootDomain, ...]
    fdt_enabled: bool = False


@dataclass(frozen=True)
class MemoryRange:
    """Part of a memory map: half-open, in bytes; type as XEN_HVM_MEMMAP_TYPE_*."""

    start: int
    end: int
    type: int


@dataclass(frozen=True)
class BootInfo:
    """What the loader handed over, whatever the loader was. cmdline: the hypervisor's (the stub's) own.

    hypervisor: the module that is launched to build the domains, None where the stub does;
    hypervisor_cmdline: what it is told.
    """

    mods: tuple[BootModule, ...]
    builder: DomainBuilder | None = None
    cmdline: str = ""
    loader: str = ""
    mmap: tuple[MemoryRange, ...] = ()
    hypervisor: int | None = None
    hypervisor_cmdline: str = ""

    @property
    def domains(self) -> tuple[BootDomain, ...]:
        """The domains to build, as far as they are known."""
        return self.builder.domains if self.builder else ()

    @property
    def kextra(self) -> str:
        """What stands behind " -- " on the command line, with exactly one leading space; "" if there is
        none.
        """
        return words.split_hypervisors(self.cmdline)[1]

    def with_domain(self, index: int, domain: BootDomain) -> BootInfo:
        """The same with another domain at `index`."""
        builder = self.builder or DomainBuilder(())
        domains = (*builder.domains[:index], domain, *builder.domains[index + 1 :])
        return replace(self, builder=replace(builder, domains=domains))


def build(description: Description, files: Mapping[tuple[Owner, str], Path]) -> BootInfo:
    """The model of a description. `files`: each that it names, by whose it is and its key.

    Modules come in the order of the domains, a kernel before its ramdisk, as Xen counts them, and what is handed to
    it behind both; behind them what is for the hypervisor; the hypervisor itself is the last. Two domains that use the
    same file (and, for kernels, the same command line) share a module, unless it is one of their `modules`, or a
    hypervisor builds them all: it gives a module's pages to the domain that it builds with it. Raises SourceError when
    a file cannot be looked at.
    """
    constants = load_abi().constants
    mods: list[BootModule] = []
    domains: list[BootDomain] = []
    shared = description.hypervisor is None or not description.hypervisor.lcm
    for index, domain in enumerate(description.domains):
        owner, modules = OfDomain(index), dict[str, int | None]()
        for key, kind in DOMAIN_MODULES.items():
            if (owner, key) not in files:
                continue
            module = _module(files[owner, key], constants[kind], domain.subject, key, domain.place(key))
            if key == "kernel" and domain.cmdline:
                module = replace(module, string=domain.cmdline, string_kind=constants["BOOTSTR_CMDLINE"])
            modules[key] = _add(mods, module, shared=shared)
        for key, handed in domain.handed.items():
            if (owner, key) in files:
                module = _module(files[owner, key], constants[HANDED_KIND], domain.subject, key, handed.where)
                string_kind = constants["BOOTSTR_CMDLINE" if handed.string else "BOOTSTR_EMPTY"]
                modules[key] = len(mods)
                mods.append(replace(module, string=handed.string, string_kind=string_kind))
        domains.append(_domain(domain).with_modules(modules))
    hypervisor = None
    if description.hypervisor is not None:
        for key, kind in HYPERVISOR_MODULES.items():
            if (OfHypervisor(), key) in files:
                path, described = files[OfHypervisor(), key], description.hypervisor
                mods.append(_module(path, constants[kind], described.subject, key, described.place(key)))
        hypervisor = len(mods) - 1 if (OfHypervisor(), "kernel") in files else None
    return BootInfo(
        _named(mods),
        DomainBuilder(tuple(domains)),
        hypervisor=hypervisor,
        hypervisor_cmdline=description.hypervisor.cmdline if description.hypervisor else "",
    )


def _module(path: Path, kind: int, subject: str, key: str, where: Where | None) -> BootModule:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise SourceError(f"{subject}: {key} {path} cannot be read: {error.strerror}", where) from error
    return BootModule(kind, size, path=path)


def _add(mods: list[BootModule], module: BootModule, *, shared: bool) -> int:
    for index, known in enumerate(mods):
        if shared and known == module and known.path == module.path:
            return index
    mods.append(module)
    return len(mods) - 1


def _named(mods: list[BootModule]) -> tuple[BootModule, ...]:
    """Give every module a name: that of its file where it is a plain word, short enough and not taken yet."""
    limit = load_abi().constants["MAX_NAME"]
    taken: set[str] = set()
    named: list[BootModule] = []
    for index, module in enumerate(mods):
        name = module.path.name if module.path else ""
        if name in taken or not re.fullmatch(r"[A-Za-z0-9._+-]+", name) or len(name) + 1 > limit:
            name = f"module{index}"
        while name in taken:
            name = f"{name}_"
        taken.add(name)
        named.append(replace(module, name=name))
    return tuple(named)


def _domain(domain: DomainDescription) -> BootDomain:
    constants = load_abi().constants
    modes = {"pvh": 0, "pv": constants["MODE_PARAVIRTUALIZED"], "hvm": constants["MODE_DEVICE_MODEL"]}
    low = domain.memory * USUAL_RAM if domain.memory_min is None else domain.memory_min
    high = domain.memory if domain.memory_max is None else domain.memory_max
    return BootDomain(
        name=domain.name,
        permissions=domain.permissions,
        functions=domain.functions,
        mode=modes[domain.mode] | constants["MODE_LONG"],
        domid=domain.domid,
        mem_size=MemorySize.of_bytes(domain.memory),
        mem_min=MemorySize.of_bytes(int(low)),
        mem_max=MemorySize.of_bytes(high),
        uuid=domain.uuid,
        ncpus=domain.cpus,
        security_id=domain.security_id,
    )
