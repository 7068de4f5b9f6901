"""The rules for descriptions of the partition launcher, and for keys that only that one knows. As rules.py."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError, counted
from bootwright.common.ranges import MIB, Range
from bootwright.description.records import Description, DomainDescription, SharedDescription

LAUNCHER = "partition"
KEYS = ("cpu-ids", "ports", "console", "on-end", "restarts")  # of a domain, for this launcher alone
PROTOCOLS = ("auto", "pvh", "linux")


def check(description: Description) -> Iterator[BootwrightError]:
    """What does not hold of what only the partition launcher does."""
    if description.image.launcher != LAUNCHER:
        yield from _check_elsewhere(description)
        return
    for domain in description.domains:
        yield from _check_domain(domain)
    yield from _check_cpus(description)
    yield from _check_owners(description.domains)
    for one in description.shared:
        yield from _check_shared(description, one)
    for first, second in combinations(description.shared, 2):
        if first.name == second.name:
            yield second.error("name", "is that of another shared range already")


def owned_ports(domain: DomainDescription) -> tuple[tuple[str, Range], ...]:
    """The ports of the machine that a domain owns, each with the key that says so."""
    console = domain.console
    uart = (
        [("console", Range.sized(console.port, load_abi().constants["UART_PORTS"]))] if console.kind == "passed" else []
    )
    return (*uart, *(("ports", ports) for ports in domain.ports))


def _check_elsewhere(description: Description) -> Iterator[BootwrightError]:
    for domain in description.domains:
        for key in KEYS:
            if key in domain.places:
                yield domain.error(key, f'is for launcher = "{LAUNCHER}" alone')
    for one in description.shared:
        yield one.error("", f'memory is shared by launcher = "{LAUNCHER}" alone')


def _check_domain(domain: DomainDescription) -> Iterator[BootwrightError]:
    alignment, smallest = (load_abi().constants[name] for name in ("BANK_ALIGNMENT", "LEAST_DOMAIN_MEMORY"))
    if domain.protocol not in PROTOCOLS:
        yield domain.error("protocol", f'"{domain.protocol}" is not how a partition is entered; pvh and linux are')
    if domain.modules:
        yield domain.error("modules", "a partition is handed a kernel and a ramdisk and no more; leave it out")
    if domain.memory % alignment or domain.memory < smallest:
        unit, least = alignment // MIB, smallest // MIB
        message = f"{domain.memory >> 10} KiB are no whole number of {unit} MiB, and at least {least} MiB"
        yield domain.error("memory", message)
    for key, size in (("memory-min", domain.memory_min), ("memory-max", domain.memory_max)):
        if size is not None and size != domain.memory:
            yield domain.error(key, "a partition has the memory that it is built with; leave it out")
    if domain.cpu_ids and len(domain.cpu_ids) != domain.cpus:
        yield domain.error("cpu-ids", f"names {counted(len(domain.cpu_ids), 'cpu')}, but cpus is {domain.cpus}")


def _check_cpus(description: Description) -> Iterator[BootwrightError]:
    limit = load_abi().constants["MAX_CPUS"]
    total = 0
    owners: dict[int, DomainDescription] = {}
    for domain in description.domains:
        total += domain.cpus
        if total > limit >= total - domain.cpus:
            message = f"{total} with those of the domains before it, but at most {limit} are possible"
            yield domain.error("cpus", message)
        for number in domain.cpu_ids:
            other = owners.setdefault(number, domain)
            if other is not domain:
                yield domain.error("cpu-ids", f"{number} is that of {other.subject} already")


def _check_owners(domains: tuple[DomainDescription, ...]) -> Iterator[BootwrightError]:
    """No port has two owners, whoever says so and how."""
    owned = [(domain, key, ports) for domain in domains for key, ports in owned_ports(domain)]
    for (first, _, taken), (second, key, ports) in combinations(owned, 2):
        if taken.overlaps(ports):
            whose = "its own" if first is second else f"{first.subject}'s"
            yield second.error(key, f"ports {ports} overlap {whose} {taken}")


def _check_shared(description: Description, shared: SharedDescription) -> Iterator[BootwrightError]:
    alignment = load_abi().constants["BANK_ALIGNMENT"]
    known = [domain.name for domain in description.domains]
    for name in shared.between:
        if name not in known:
            yield shared.error("between", f'"{name}" is no domain; there is {", ".join(known)}')
    if shared.size % alignment:
        yield shared.error("size", f"{shared.size >> 10} KiB are no whole number of {alignment // MIB} MiB")
    limit = load_abi().constants["MAX_SHARES"]
    for name in shared.between:
        before = [one for one in description.shared if name in one.between]
        if len(before) > limit and before[limit] is shared:
            message = f'is number {limit + 1} of domain "{name}", but at most {limit} are possible'
            yield shared.error("between", message)
