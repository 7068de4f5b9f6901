"""The domain builder: the reference for what the stub does at boot, step by step as in
docs/domain-builder.md.

Nothing here touches a machine. The functions take the model and give a new one, and those that the stub has
too yield the lines of its transcript (stub/abi/messages.h) as they go:

    lines, outcome = transcript(builder_init(info))      # outcome: Outcome, or the BootFailure it ended with

The order of the lines: how many domains; for each domain as it comes, that it is not built, or what it is,
its command line and that it is built; the hardware domain. A ramdisk that is not there is shown as NOTHING.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum

from bootwright.common.abi import load as load_abi
from bootwright.common.messages import BootFailure as BootFailure
from bootwright.common.messages import line
from bootwright.description import roles
from bootwright.hyperlaunch.cmdline import Hypervisor as Hypervisor
from bootwright.hyperlaunch.cmdline import Reader
from bootwright.hyperlaunch.cmdline import compose_cmdline as compose_cmdline
from bootwright.hyperlaunch.model import BootDomain, BootInfo, DomainBuilder, MemorySize

NOTHING = "-"  # as the stub prints a string that is not there

FdtReader = Callable[[BootInfo], "BootInfo | None"]
Lines = Generator[str, None, None]


class VcpuState(IntEnum):
    """How far vcpu 0 of a domain is."""

    ABSENT = 0
    ALLOCATED = 1
    INITIALISED = 2


@dataclass(frozen=True)
class Launcher:
    """What a launcher can do. multi_domain: build more than the initial domain; pv, pvh: construct these
    modes. hands_on: it hands command lines on itself, in a buffer of its own.
    """

    multi_domain: bool
    pv: bool
    pvh: bool
    hands_on: bool = True

    def reader(self) -> Reader | None:
        """Who reads a domain's command line, but for its kernel."""
        return Reader(load_abi().constants["XEN_CMDLINE_ROOM"], "Xen") if self.hands_on else None


NATIVE = Launcher(multi_domain=False, pv=False, pvh=True, hands_on=False)
XEN = Launcher(multi_domain=False, pv=True, pvh=True)  # as Xen boots without a device tree
HYPERLAUNCH = Launcher(multi_domain=True, pv=True, pvh=True)  # Xen with one
PARTITION = Launcher(multi_domain=True, pv=False, pvh=True, hands_on=False)
LAUNCHERS = {"native": NATIVE, "xen": XEN, "partition": PARTITION}


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


class Machine:
    """What building does to a machine, for who knows one: gives the lines that it prints, raises BootFailure.

    probe may find out the kernel's protocol, load puts the domain's modules in place. This one does nothing.
    """

    def probe(self, built: BuiltDomain) -> Iterable[str]:
        """Before the domain is built."""
        return ()

    def reader(self, built: BuiltDomain) -> Reader | None:
        """Who reads its command line, if that is known."""
        return None

    def load(self, built: BuiltDomain) -> Iterable[str]:
        """Once all about the domain is checked."""
        return ()


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

    Domains that are known already (from the tables) stay. Otherwise `read_fdt` looks at module 0
    (reference.tree_reader.read_tree): it gives the model with the domains if that is a device tree with the node, None
    if it is no device tree, and raises BootFailure if the node is missing. Without a device tree there is one
    domain, of module 0, as Xen always did; its mode is PV unless dom0_pvh.
    """
    constants = load_abi().constants
    if info.builder is not None:
        return info
    if not info.mods:
        raise BootFailure("E_NO_INITIAL_DOMAIN", 0)
    found = read_fdt(info) if read_fdt else None
    if found is not None:
        return found
    kernel = replace(info.mods[0], kind=constants["BOOTMOD_KERNEL"])
    if kernel.string:  # its command line, as the loader wrote it: compose_cmdline takes an image name off
        kernel = replace(kernel, string_kind=constants["BOOTSTR_STRING"])
    all_of_it = MemorySize(constants["MEMORY_MINUS"], 0)
    permissions, functions = roles.of_the_only_one()
    domain = BootDomain(
        name="dom0",
        permissions=permissions,
        functions=functions,
        mode=roles.modes()["pvh" if dom0_pvh else "pv"],
        domid=constants["INITIAL_DOMAIN_ID"],
        mem_size=all_of_it,
        mem_min=MemorySize(constants["MEMORY_PAGES"], 0),
        mem_max=all_of_it,
        kernel=0,
    )
    return replace(info, mods=(kernel, *info.mods[1:]), builder=DomainBuilder((domain,)))


def choose_ramdisk(info: BootInfo) -> RamdiskChoice:
    """Step 2, for the fallback only: the first module of kind unknown becomes the initial domain's
    ramdisk; the others are handed to a kernel that takes more than one.
    """
    constants = load_abi().constants
    unknown = tuple(i for i, module in enumerate(info.mods) if module.kind == constants["BOOTMOD_UNKNOWN"])
    domains = info.domains
    if not unknown or not domains or (info.builder and info.builder.fdt_enabled):
        return RamdiskChoice(info, None, ())
    first = unknown[0]
    mods = (
        *info.mods[:first],
        replace(info.mods[first], kind=constants["BOOTMOD_RAMDISK"]),
        *info.mods[first + 1 :],
    )
    chosen = replace(info, mods=mods).with_domain(0, replace(domains[0], ramdisk=first, handed=unknown[1:]))
    return RamdiskChoice(chosen, first, unknown)


def fallback_lines(choice: RamdiskChoice) -> list[str]:
    """What is printed of steps 1 and 2 where there are neither tables nor a device tree."""
    lines = [line("M_FALLBACK")]
    if choice.index is not None and len(choice.candidates) > 1:
        lines.append(line("M_RAMDISKS", len(choice.candidates), choice.index))
    return lines


def creation_order(domains: tuple[BootDomain, ...]) -> tuple[int, ...]:
    """Step 3, order: the first domain with the xenstore function, the first with the console function, the
    rest.
    """
    first = [
        next((i for i, domain in enumerate(domains) if domain.is_xenstore_domain), None),
        next((i for i, domain in enumerate(domains) if domain.is_console_domain), None),
    ]
    return tuple(dict.fromkeys([i for i in first if i is not None] + list(range(len(domains)))))


def next_free_domid(taken: set[int]) -> int:
    """The lowest id from 1 that nobody has. Raises BootFailure when none below the reserved ones is left."""
    limit = load_abi().constants["DOMID_FIRST_RESERVED"]
    for domid in range(1, limit):
        if domid not in taken:
            return domid
    raise BootFailure("E_DOMID", "", limit, 0)


def create_domains(
    outcome: Outcome,
    launcher: Launcher = NATIVE,
    hypervisor: Hypervisor | None = None,
    machine: Machine = Machine(),  # noqa: B008 it has no state
) -> Lines:
    """Steps 3 to 5: build what the launcher can build, adding to `outcome`. Raises BootFailure.

    A launcher for many domains builds them in creation_order, with a warning for each of the two functions
    that no domain has; another builds the initial domain, and names those that it leaves out, as they come.
    """
    domains = outcome.info.domains
    yield line("M_BUILDER", len(domains))
    order = tuple(range(len(domains)))
    if launcher.multi_domain:
        order = creation_order(domains)
        if not any(domain.is_xenstore_domain for domain in domains):
            yield line("M_NO_XENSTORE")
        if not any(domain.is_console_domain for domain in domains):
            yield line("M_NO_CONSOLE")
    # An id that a later domain asks for by number is not given away to one that takes any.
    taken = {domain.domid for domain in domains}
    for index in order:
        domain = domains[index]
        if not launcher.multi_domain and not domain.is_initial_domain:
            yield line("M_SKIPPED", domain.name)
        elif domain.kernel is None and domain.is_initial_domain:
            raise BootFailure("E_NO_KERNEL", domain.name)
        elif domain.kernel is None:
            yield line("M_NO_KERNEL", domain.name)
        elif not domain.constructed:
            domid = _domid(domain, taken)
            taken.add(domid)
            yield from _create(outcome, BuiltDomain(index, domain, domid), launcher, hypervisor, machine)
    if not any(domain.is_initial_domain for domain in domains):
        raise BootFailure("E_NO_INITIAL_DOMAIN", len(domains))


def _domid(domain: BootDomain, taken: set[int]) -> int:
    if domain.is_initial_domain:
        return load_abi().constants["INITIAL_DOMAIN_ID"]
    return domain.domid or next_free_domid(taken)


def _create(
    outcome: Outcome,
    built: BuiltDomain,
    launcher: Launcher,
    hypervisor: Hypervisor | None,
    machine: Machine,
) -> Lines:
    mods, domain = outcome.info.mods, built.domain
    page = load_abi().constants["PAGE_SIZE"]
    available = machine_memory(outcome.info)
    if outcome.built and not launcher.multi_domain:
        # There is one cpu to give away, and the domain before has it.
        built = replace(built, vcpu0=VcpuState.INITIALISED)
    else:
        yield from machine.probe(built)
        ramdisk = mods[domain.ramdisk].name if domain.ramdisk is not None else NOTHING
        size = domain.mem_size.pages((available or 0) // page) * page >> 20
        yield line("M_DOMAIN", built.domid, domain.name, mods[domain.kernel or 0].name, ramdisk, size)
        reader = launcher.reader() or machine.reader(built)
        built = replace(built, cmdline=compose_cmdline(outcome.info, domain, hypervisor, reader))
        yield line("M_CMDLINE", built.domid, built.cmdline)
    done = construct_domain(built, launcher, available)
    yield from machine.load(done)
    outcome.built.append(done)
    outcome.info = outcome.info.with_domain(built.index, done.domain)
    total = len(outcome.info.domains)
    yield line("M_BUILT", built.domid, len(outcome.built), total)


def machine_memory(info: BootInfo) -> int | None:
    """Bytes of RAM in the memory map; None while there is no map."""
    ram = load_abi().constants["XEN_HVM_MEMMAP_TYPE_RAM"]
    return sum(part.end - part.start for part in info.mmap if part.type == ram) if info.mmap else None


def construct_domain(built: BuiltDomain, launcher: Launcher = NATIVE, available: int | None = None) -> BuiltDomain:
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
    total = len(outcome.info.domains)
    outcome.hwdom = next((built for built in outcome.built if built.domain.is_hardware_domain), None)
    if outcome.hwdom is None:
        raise BootFailure("E_NO_HARDWARE_DOMAIN", total)
    yield line("M_HWDOM", outcome.hwdom.domid, outcome.hwdom.domain.name)


def run(
    outcome: Outcome,
    launcher: Launcher = NATIVE,
    hypervisor: Hypervisor | None = None,
    machine: Machine = Machine(),  # noqa: B008 it has no state
) -> Lines:
    """Steps 3 to 6 in one, yielding the lines of the transcript. Raises BootFailure."""
    yield from create_domains(outcome, launcher, hypervisor, machine)
    yield from builder_get_hwdom(outcome)


def transcript(
    info: BootInfo, launcher: Launcher = NATIVE, hypervisor: Hypervisor | None = None
) -> tuple[list[str], Outcome | BootFailure]:
    """All lines that building `info` prints, and how it ended. A failure's own line is not among them."""
    outcome = Outcome(info)
    lines: list[str] = []
    try:
        lines.extend(run(outcome, launcher, hypervisor))
    except BootFailure as failure:
        return lines, failure
    return lines, outcome
