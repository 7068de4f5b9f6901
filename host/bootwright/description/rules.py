"""The rules between the values of a description, for description.load: each broken one as an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bootwright.common import words
from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError, DescriptionError, Where
from bootwright.description import partitions
from bootwright.description.records import Description, DomainDescription

# What becomes of the initial domain.
_ONLY = {
    "native": "the only one that the native launcher builds",
    "xen": "the only one that the xen launcher builds",
    "partition": "without which nothing is launched",
}


def check(description: Description) -> Iterator[BootwrightError]:
    """What must hold between the tables of a description; everything that does not."""
    domains = description.domains
    if description.image.generic:
        yield from _check_generic(description)
        return
    yield from _check_hypervisor(description)
    yield from partitions.check(description)
    if not domains:
        yield DescriptionError("there is no domain: at least one [[domain]] is needed", Where(str(description.path)))
        return
    yield from _duplicates(domains, "name", lambda domain: domain.name)
    yield from _duplicates(domains, "domid", lambda domain: domain.domid or None)
    for domain in domains:
        yield from _check_domain(domain)
        yield from _check_mode(description, domain)
    initial = [domain for domain in domains if domain.initial]
    if not initial:
        # What it is given makes it need a kernel.
        fit = max(domains, key=lambda domain: (domain.kernel is not None, domain.hardware))
        yield DescriptionError(
            f"none of the {len(domains)} domains is the initial domain, {_ONLY[description.image.launcher]}: "
            f'give "{fit.name}" '
            'functions = ["initial-domain"]',
            fit.where,
        )
    for second in initial[1:]:
        yield second.error("functions", f"{initial[0].subject} is the initial domain already; there can be only one")


def _check_domain(domain: DomainDescription) -> Iterator[BootwrightError]:
    if domain.initial and domain.kernel is None:
        yield domain.error("", "kernel is missing, and the initial domain needs one")
    if domain.initial and domain.domid != load_abi().constants["INITIAL_DOMAIN_ID"]:
        yield domain.error("domid", f"{domain.domid} is not the initial domain's, which is 0")
    low = domain.memory if domain.memory_min is None else domain.memory_min
    high = domain.memory if domain.memory_max is None else domain.memory_max
    memory = f"than the domain's memory of {domain.memory >> 10} KiB"
    if low > domain.memory:
        yield domain.error("memory-min", f"{low >> 10} KiB are more {memory}")
    if high < domain.memory:
        yield domain.error("memory-max", f"{high >> 10} KiB are less {memory}")


def _check_generic(description: Description) -> Iterator[BootwrightError]:
    """An image without tables: nothing that it was told would be there at boot."""
    for key in description.image.places:
        if key not in ("name", "generic"):
            yield description.image.error(key, "a generic image has no tables that could hold it")
    for domain in description.domains:
        yield domain.error("", "a generic image has no domains: the loader brings them")
    if description.hypervisor is not None:
        yield description.hypervisor.error("", "a generic image starts the initial domain itself")
    for profile in description.profiles:
        yield profile.error("", "a generic image has no profiles: the loader says what to boot")


def _check_hypervisor(description: Description) -> Iterator[BootwrightError]:
    image, hypervisor = description.image, description.hypervisor
    if image.launcher == "xen" and hypervisor is None:
        yield image.error("launcher", '"xen" needs a table [hypervisor] that names the kernel of Xen')
    if image.launcher != "xen" and hypervisor is not None:
        launcher = f'launcher = "{image.launcher}"'
        yield hypervisor.error("", f'{launcher} starts no hypervisor: write launcher = "xen", or leave the table out')


def _check_mode(description: Description, domain: DomainDescription) -> Iterator[BootwrightError]:
    """What the launcher can build, and how the domain may be entered."""
    xen = description.image.launcher == "xen"
    pvh = description.hypervisor is not None and "pvh" in _dom0(description.hypervisor.cmdline)
    if xen and domain.protocol != "auto":
        yield domain.error("protocol", "Xen enters its domains in its own way; leave it out")
    if xen and domain.modules:
        yield domain.error("modules", "Xen hands its domains a kernel and a ramdisk and no more; leave it out")
    if not xen and domain.mode != "pvh":
        wanted = ' (a PV domain needs launcher = "xen" and a table [hypervisor])' if domain.mode == "pv" else ""
        launcher = f'launcher = "{description.image.launcher}"'
        yield domain.error("mode", f'"{domain.mode}" is not what {launcher} builds; it builds "pvh"{wanted}')
    elif xen and domain.initial and domain.mode != "pv" and (domain.mode != "pvh" or not pvh):
        wanted = ', or "pvh" where [hypervisor] has dom0=pvh in its cmdline' if domain.mode == "pvh" else ""
        yield domain.error("mode", f'"{domain.mode}" is not how Xen builds the initial domain; it builds "pv"{wanted}')


def _dom0(cmdline: str) -> list[str]:
    """What Xen's own part of its command line asks of the initial domain, by dom0=LIST."""
    own, _ = words.split_hypervisors(cmdline)
    lists = [word.removeprefix("dom0=") for word in own.split(" ") if word.startswith("dom0=")]
    return ",".join(lists).split(",")


def _duplicates(
    domains: tuple[DomainDescription, ...], key: str, value_of: Callable[[DomainDescription], object]
) -> Iterator[BootwrightError]:
    first: dict[object, int] = {}
    for index, domain in enumerate(domains):
        value = value_of(domain)
        if value is None:
            continue
        if value not in first:
            first[value] = index
            continue
        other = domains[first[value]]
        place = other.place(key)
        line = f" in line {place.line}" if place and place.line else ""
        party = f"{other.subject}{line}" if key != "name" else f"the domain{line}"
        shown = f'"{value}"' if isinstance(value, str) else value
        yield domain.error(key, f"{shown} is that of {party} already")
