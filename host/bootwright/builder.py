"""The domain builder: the reference for what the stub does at boot, step by step as in
docs/domain-builder.md.

Nothing here touches a machine. The functions take the model and give a new one, and those that the stub has
too yield the lines of its transcript (stub/abi/messages.h) as they go:

    lines, outcome = transcript(builder_init(info))      # outcome: Outcome, or the BootFailure it ended with

The order of the lines: how many domains; for each domain as it comes, that it is not built, or what it is,
its command line and that it is built; the hardware domain. A ramdisk that is not there is shown as NOTHING.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from enum import IntEnum

from bootwright.abi import load as load_abi
from bootwright.errors import BootwrightError
from bootwright.model import BootDomain, BootInfo, BootModule, DomainBuilder, MemorySize

NOTHING = "-"  # as the stub prints a string that is not there

FdtReader = Callable[[BootModule], "tuple[BootDomain, ...] | None"]
Lines = Generator[str, None, None]


class BootFailure(BootwrightError):
    """What ends a boot: a number of stub/abi/errors.h and its sentence, as the stub prints them."""

    def __init__(self, name: str, *values: int | str) -> None:
        abi = load_abi()
        self.name = name
        self.number = abi.constants[name]
        self.text = abi.format(f"{name}_TEXT", *values)
        super().__init__(f"E{self.number:04x}: {self.text}")


class VcpuState(IntEnum):
    """How far vcpu 0 of a domain is."""

    ABSENT = 0
    ALLOCATED = 1
    INITIALISED = 2


@dataclass(frozen=True)
class Launcher:
    """What a launcher can do. multi_domain: build more than the initial domain; pv, pvh: construct these
    modes.
    """

    multi_domain: bool
    pv: bool
    pvh: bool


NATIVE = Launcher(multi_domain=False, pv=False, pvh=True)


@dataclass(frozen=True)
class Hypervisor:
    """Settings of the hypervisor that reach the initial domain's command line."""

    skip_ioapic: bool = False
    acpi: str = ""
    acpi_disabled: bool = False


@dataclass(frozen=True)
class BuiltDomain:
    """A domain on its way: its index in the builder, the id it got, its composed command line, its vcpu 0."""

    index: int
    domain: BootDomain
    domid: int
    cmdline: str = ""
    vcpu0: VcpuState = VcpuState.ALLOCATED


@dataclass
class Outcome:
    """What create_domains made: the model with `constructed` set, the domains built in order, the hardware
    domain.
    """

    info: BootInfo
    built: list[BuiltDomain] = field(default_factory=list)
    hwdom: BuiltDomain | None = None


@dataclass(frozen=True)
class RamdiskChoice:
    """Step 2. info: the model with the ramdisk in; index: the module picked, None for none; candidates: all
    that could have been it (a warning is due for more than one).
    """

    info: BootInfo
    index: int | None
    candidates: tuple[int, ...]


def builder_init(info: BootInfo, read_fdt: FdtReader | None = None, *, dom0_pvh: bool = False) -> BootInfo:
    """Step 1: find out which domains to build.

    Domains that are known already (from the tables) stay. Otherwise `read_fdt` is given module 0: a tuple
    of domains if it is a device tree with the node, None if it is no device tree, and BootFailure if the
    node is missing. Without a device tree there is one domain, of module 0, as Xen always did; its mode is
    PV unless dom0_pvh.
    """
    constants = load_abi().constants
    if info.builder is not None:
        return info
    if not info.mods:
        raise BootFailure("E_NO_INITIAL_DOMAIN", 0)
    domains = read_fdt(info.mods[0]) if read_fdt else None
    if domains is not None:
        module = replace(info.mods[0], kind=constants["BOOTMOD_FDT"])
        return replace(info, mods=(module, *info.mods[1:]), builder=DomainBuilder(domains, fdt_enabled=True))
    kernel = replace(info.mods[0], kind=constants["BOOTMOD_KERNEL"])
    if kernel.string:
        kernel = replace(kernel, string_kind=constants["BOOTSTR_CMDLINE"])
    all_of_it = MemorySize(constants["MEMORY_MINUS"], 0)
    domain = BootDomain(
        name="dom0",
        permissions=constants["PERMISSION_CONTROL"] | constants["PERMISSION_HARDWARE"],
        functions=constants["FUNCTION_CONSOLE"]
        | constants["FUNCTION_XENSTORE"]
        | constants["FUNCTION_INITIAL_DOMAIN"],
        mode=constants["MODE_LONG"] | (0 if dom0_pvh else constants["MODE_PARAVIRTUALIZED"]),
        domid=constants["INITIAL_DOMAIN_ID"],
        mem_size=all_of_it,
        mem_min=MemorySize(constants["MEMORY_PAGES"], 0),
        mem_max=all_of_it,
        kernel=0,
    )
    return replace(info, mods=(kernel, *info.mods[1:]), builder=DomainBuilder((domain,)))


def choose_ramdisk(info: BootInfo) -> RamdiskChoice:
    """Step 2, for the fallback only: the first module of kind unknown becomes the initial domain's
    ramdisk.
    """
    constants = load_abi().constants
    unknown = tuple(i for i, module in enumerate(info.mods) if module.kind == constants["BOOTMOD_UNKNOWN"])
    domains = info.builder.domains if info.builder else ()
    if not unknown or not domains or (info.builder and info.builder.fdt_enabled):
        return RamdiskChoice(info, None, ())
    first = unknown[0]
    mods = (
        *info.mods[:first],
        replace(info.mods[first], kind=constants["BOOTMOD_RAMDISK"]),
        *info.mods[first + 1 :],
    )
    chosen = replace(info, mods=mods).with_domain(0, replace(domains[0], ramdisk=first))
    return RamdiskChoice(chosen, first, unknown)


def creation_order(domains: tuple[BootDomain, ...]) -> tuple[int, ...]:
    """Step 3, order: the first domain with the xenstore function, the first with the console function, the
    rest.
    """
    first = [
        next((i for i, domain in enumerate(domains) if domain.is_xenstore_domain), None),
        next((i for i, domain in enumerate(domains) if domain.is_console_domain), None),
    ]
    return tuple(dict.fromkeys([i for i in first if i is not None] + list(range(len(domains)))))


def compose_cmdline(info: BootInfo, domain: BootDomain, hypervisor: Hypervisor | None = None) -> str:
    """The command line of a domain. Raises BootFailure E_CMDLINE_TOO_LONG where Xen would cut it off in
    silence.

    A string of kind cmdline (from a description) has no image name; a loader's string has one, unless the
    loader is GRUB 2 or PVH.
    """
    constants = load_abi().constants
    module = (
        info.mods[domain.kernel] if domain.kernel is not None else BootModule(constants["BOOTMOD_KERNEL"], 0)
    )
    line = module.string.lstrip(" ")
    if module.string_kind != constants["BOOTSTR_CMDLINE"] and not leaves_out_image_name(info.loader):
        line = line.partition(" ")[2].lstrip(" ")
    if domain.is_initial_domain:
        settings = hypervisor or Hypervisor()
        line += info.kextra
        if settings.skip_ioapic and "noapic" not in line:
            line += " noapic"
        acpi = settings.acpi or ("off" if settings.acpi_disabled else "")
        if acpi and "acpi=" not in line:
            line += f" acpi={acpi}"
    limit = constants["MAX_STRING"] - 1
    if len(line.encode()) > limit:
        raise BootFailure("E_CMDLINE_TOO_LONG", domain.name, limit)
    return line


def leaves_out_image_name(loader: str) -> bool:
    """Whether a loader of this name puts no image name in front of a module's string: GRUB 2 and PVH."""
    _, grub, version = loader.partition("GRUB ")
    return (bool(grub) and not version.startswith(("0", "1"))) or loader.startswith("PVH")


def next_free_domid(taken: set[int]) -> int:
    """The lowest id from 1 that nobody has. Raises BootFailure when none below the reserved ones is left."""
    limit = load_abi().constants["DOMID_FIRST_RESERVED"]
    for domid in range(1, limit):
        if domid not in taken:
            return domid
    raise BootFailure("E_DOMID", "", limit, 0)


def create_domains(
    outcome: Outcome, launcher: Launcher = NATIVE, hypervisor: Hypervisor | None = None
) -> Lines:
    """Steps 3 to 5: build what the launcher can build, adding to `outcome`. Raises BootFailure.

    A launcher for many domains builds them in creation_order, with a warning for each of the two functions
    that no domain has; another builds the initial domain, and names those that it leaves out, as they come.
    """
    domains = outcome.info.builder.domains if outcome.info.builder else ()
    yield _line("M_BUILDER", len(domains))
    order = tuple(range(len(domains)))
    if launcher.multi_domain:
        order = creation_order(domains)
        if not any(domain.is_xenstore_domain for domain in domains):
            yield _line("M_NO_XENSTORE")
        if not any(domain.is_console_domain for domain in domains):
            yield _line("M_NO_CONSOLE")
    # An id that a later domain asks for by number is not given away to one that takes any.
    taken = {domain.domid for domain in domains}
    for index in order:
        domain = domains[index]
        if not launcher.multi_domain and not domain.is_initial_domain:
            yield _line("M_SKIPPED", domain.name)
        elif domain.kernel is None and domain.is_initial_domain:
            raise BootFailure("E_NO_KERNEL", domain.name)
        elif not domain.constructed and domain.kernel is not None:
            domid = _domid(domain, taken)
            taken.add(domid)
            yield from _create(outcome, BuiltDomain(index, domain, domid), launcher, hypervisor)
    if not any(domain.is_initial_domain for domain in domains):
        raise BootFailure("E_NO_INITIAL_DOMAIN", len(domains))


def _domid(domain: BootDomain, taken: set[int]) -> int:
    if domain.is_initial_domain:
        return load_abi().constants["INITIAL_DOMAIN_ID"]
    return domain.domid or next_free_domid(taken)


def _create(outcome: Outcome, built: BuiltDomain, launcher: Launcher, hypervisor: Hypervisor | None) -> Lines:
    mods, domain = outcome.info.mods, built.domain
    page = load_abi().constants["PAGE_SIZE"]
    available = machine_memory(outcome.info)
    if outcome.built and not launcher.multi_domain:
        # There is one cpu to give away, and the domain before has it.
        built = replace(built, vcpu0=VcpuState.INITIALISED)
    else:
        ramdisk = mods[domain.ramdisk].name if domain.ramdisk is not None else NOTHING
        size = domain.mem_size.pages((available or 0) // page) * page >> 20
        yield _line("M_DOMAIN", built.domid, domain.name, mods[domain.kernel or 0].name, ramdisk, size)
        built = replace(built, cmdline=compose_cmdline(outcome.info, domain, hypervisor))
        yield _line("M_CMDLINE", built.domid, built.cmdline)
    done = construct_domain(built, launcher, available)
    outcome.built.append(done)
    outcome.info = outcome.info.with_domain(built.index, done.domain)
    total = len(outcome.info.builder.domains) if outcome.info.builder else 0
    yield _line("M_BUILT", built.domid, len(outcome.built), total)


def machine_memory(info: BootInfo) -> int | None:
    """Bytes of RAM in the memory map; None while there is no map."""
    ram = load_abi().constants["XEN_HVM_MEMMAP_TYPE_RAM"]
    return sum(part.end - part.start for part in info.mmap if part.type == ram) if info.mmap else None


def construct_domain(
    built: BuiltDomain, launcher: Launcher = NATIVE, available: int | None = None
) -> BuiltDomain:
    """Step 5, with its sanity checks. Gives the domain with vcpu 0 initialised and `constructed` set.

    available: bytes of RAM of the machine, None if unknown. Raises BootFailure: E_DOMID, E_VCPU,
    E_NO_GUEST_INTERFACE, E_TOO_LITTLE_MEMORY.
    """
    domain = built.domain
    if domain.domid not in (0, built.domid):
        raise BootFailure("E_DOMID", domain.name, domain.domid, built.domid)
    if built.vcpu0 is not VcpuState.ALLOCATED:
        raise BootFailure("E_VCPU", domain.name, built.vcpu0, VcpuState.ALLOCATED)
    can = launcher.pvh if domain.is_pvh else launcher.pv if domain.is_paravirtualized else False
    if not can:
        raise BootFailure("E_NO_GUEST_INTERFACE", domain.name, domain.mode)
    if available is not None:
        page = load_abi().constants["PAGE_SIZE"]
        least = domain.mem_min.pages(available // page) * page
        if least > available:
            raise BootFailure("E_TOO_LITTLE_MEMORY", domain.name, least >> 10, available >> 10)
    return replace(built, domain=replace(domain, constructed=True), vcpu0=VcpuState.INITIALISED)


def builder_get_hwdom(outcome: Outcome) -> Lines:
    """Step 6: the first hardware domain that was built. Raises BootFailure E_NO_HARDWARE_DOMAIN."""
    total = len(outcome.info.builder.domains) if outcome.info.builder else 0
    outcome.hwdom = next((built for built in outcome.built if built.domain.is_hardware_domain), None)
    if outcome.hwdom is None:
        raise BootFailure("E_NO_HARDWARE_DOMAIN", total)
    yield _line("M_HWDOM", outcome.hwdom.domid, outcome.hwdom.domain.name)


def run(outcome: Outcome, launcher: Launcher = NATIVE, hypervisor: Hypervisor | None = None) -> Lines:
    """Steps 3 to 6 in one, yielding the lines of the transcript. Raises BootFailure."""
    yield from create_domains(outcome, launcher, hypervisor)
    yield from builder_get_hwdom(outcome)


def transcript(
    info: BootInfo, launcher: Launcher = NATIVE, hypervisor: Hypervisor | None = None
) -> tuple[list[str], Outcome | BootFailure]:
    """All lines that building `info` prints, and how it ended. A failure's own line is not among them."""
    outcome = Outcome(info)
    lines: list[str] = []
    try:
        for line in run(outcome, launcher, hypervisor):
            lines.append(line)
    except BootFailure as failure:
        return lines, failure
    return lines, outcome


def _line(name: str, *values: int | str) -> str:
    abi = load_abi()
    return abi.strings["M_PREFIX"] + abi.format(name, *values)
