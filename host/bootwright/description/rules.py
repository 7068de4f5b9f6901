"""The rules between the values of a description, for description.load: each broken one as an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bootwright.common import words
from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError, DescriptionError, Where
from bootwright.description.records import Description, DomainDescription


def check(description: Description) -> Iterator[BootwrightError]:
    """What must hold between the tables of a description; everything that does not."""
    domains = description.domains
    if description.image.generic:
        yield from _check_generic(description)
        return
    yield from _check_hypervisor(description)
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
            f"none of the {len(domains)} domains is the initial domain, the only one that the "
            f'{description.image.launcher} launcher builds: give "{fit.name}" '
            'functions = ["initial-domain"]',
            fit.where,
        )
    for second in initial[1:]:
        yield DescriptionError(
            f'domain "{second.name}": functions: domain "{initial[0].name}" is the initial domain '
            "already; there can be only one",
            second.place("functions"),
        )


def _check_domain(domain: DomainDescription) -> Iterator[BootwrightError]:
    subject = f'domain "{domain.name}"'
    if domain.initial and domain.kernel is None:
        yield DescriptionError(f"{subject}: kernel is missing, and the initial domain needs one", domain.where)
    if domain.initial and domain.domid != load_abi().constants["INITIAL_DOMAIN_ID"]:
        yield DescriptionError(
            f"{subject}: domid: {domain.domid} is not the initial domain's, which is 0", domain.place("domid")
        )
    low = domain.memory if domain.memory_min is None else domain.memory_min
    high = domain.memory if domain.memory_max is None else domain.memory_max
    if low > domain.memory:
        yield DescriptionError(
            f"{subject}: memory-min: {low >> 10} KiB are more than the domain's memory of {domain.memory >> 10} KiB",
            domain.place("memory-min"),
        )
    if high < domain.memory:
        yield DescriptionError(
            f"{subject}: memory-max: {high >> 10} KiB are less than the domain's memory of {domain.memory >> 10} KiB",
            domain.place("memory-max"),
        )


def _check_generic(description: Description) -> Iterator[BootwrightError]:
    """An image without tables: nothing that it was told would be there at boot."""
    for key, where in description.image.places.items():
        if key not in ("name", "generic"):
            yield DescriptionError(f"[image]: {key}: a generic image has no tables that could hold it", where)
    for domain in description.domains:
        yield DescriptionError(
            f'domain "{domain.name}": a generic image has no domains: the loader brings them', domain.where
        )
    if description.hypervisor is not None:
        yield DescriptionError(
            "[hypervisor]: a generic image starts the initial domain itself", description.hypervisor.where
        )


def _check_hypervisor(description: Description) -> Iterator[BootwrightError]:
    image, hypervisor = description.image, description.hypervisor
    if image.launcher == "xen" and hypervisor is None:
        yield DescriptionError(
            '[image]: launcher: "xen" needs a table [hypervisor] that names the kernel of Xen',
            image.places.get("launcher", image.where),
        )
    if image.launcher == "native" and hypervisor is not None:
        yield DescriptionError(
            '[hypervisor]: launcher = "native" starts no hypervisor: write launcher = "xen", or leave the table out',
            hypervisor.where,
        )


def _check_mode(description: Description, domain: DomainDescription) -> Iterator[BootwrightError]:
    """What the launcher can build, and how the domain may be entered."""
    subject = f'domain "{domain.name}"'
    xen = description.image.launcher == "xen"
    pvh = description.hypervisor is not None and "pvh" in _dom0(description.hypervisor.cmdline)
    if xen and domain.protocol != "auto":
        yield DescriptionError(
            f"{subject}: protocol: Xen enters its domains in its own way; leave it out",
            domain.place("protocol"),
        )
    if xen and domain.modules:
        yield DescriptionError(
            f"{subject}: modules: Xen hands its domains a kernel and a ramdisk and no more; leave it out",
            domain.place("modules"),
        )
    if not xen and domain.mode != "pvh":
        wanted = ' (a PV domain needs launcher = "xen" and a table [hypervisor])'
        yield DescriptionError(
            f'{subject}: mode: "{domain.mode}" is not what launcher = "native" builds; it builds '
            f'"pvh"{wanted if domain.mode == "pv" else ""}',
            domain.place("mode"),
        )
    elif xen and domain.initial and domain.mode != "pv" and (domain.mode != "pvh" or not pvh):
        wanted = ', or "pvh" where [hypervisor] has dom0=pvh in its cmdline' if domain.mode == "pvh" else ""
        yield DescriptionError(
            f'{subject}: mode: "{domain.mode}" is not how Xen builds the initial domain; it builds "pv"{wanted}',
            domain.place("mode"),
        )


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
        party = f'domain "{other.name}"{line}' if key != "name" else f"the domain{line}"
        shown = f'"{value}"' if isinstance(value, str) else value
        yield DescriptionError(f'domain "{domain.name}": {key}: {shown} is that of {party} already', domain.place(key))
