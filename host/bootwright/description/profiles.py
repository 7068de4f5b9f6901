"""Profiles: several ways to start one image, each the description with something else in it.

rescue = applied(description, description.profiles[0])      # a whole description
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

from bootwright.common.errors import BootwrightError, Where
from bootwright.description.records import Description, DomainDescription, ProfileDescription, Table

T = TypeVar("T", bound=Table)


def applied(description: Description, profile: ProfileDescription) -> Description:
    """The description as a profile has it. What the profile says has its place there."""
    image = _with(description.image, profile, {"console": profile.console, "log": profile.log})
    image = replace(image, profile=profile.name)
    hypervisor = description.hypervisor
    if hypervisor is not None:
        hypervisor = _with(hypervisor, profile, {"cmdline": profile.hypervisor_cmdline}, "hypervisor-cmdline")
    return replace(
        description,
        image=image,
        domains=tuple(_domain(domain, profile) for domain in description.domains),
        hypervisor=hypervisor,
        profiles=(),
    )


def _domain(domain: DomainDescription, profile: ProfileDescription) -> DomainDescription:
    said = {"cmdline": profile.cmdline, "kernel": profile.kernel, "ramdisk": profile.ramdisk}
    return _with(domain, profile, said) if domain.initial else domain


def _with(table: T, profile: ProfileDescription, said: Mapping[str, object], named: str = "") -> T:
    """The table with what is said, None for what is not. named: its key in the profile, where that is another one."""
    changes: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    places = {key: profile.places.get(named or key) for key in changes}
    known = {key: place for key, place in places.items() if place is not None}
    return replace(table, **changes, places=MappingProxyType({**table.places, **known}))


def check(description: Description) -> Iterator[BootwrightError]:
    """What must hold between the profiles of a description, and the rest of it."""
    image, names = description.image, {description.image.profile: description.image.place("profile")}
    for profile in description.profiles:
        if profile.name in names:
            yield profile.error("name", f"is the name of another profile{_at(names[profile.name])}")
        names[profile.name] = profile.place("name")
        if image.launcher == "partition":
            yield profile.error("", 'launcher = "partition" has one way to start its domains, and no profiles')
        if profile.hypervisor_cmdline is not None and description.hypervisor is None:
            yield profile.error("hypervisor-cmdline", "there is no hypervisor to read it")
        for key, file in (("kernel", profile.kernel), ("ramdisk", profile.ramdisk)):
            if file is not None and image.modules == "loader":
                yield profile.error(key, 'a loader brings the modules (modules = "loader"), the same for each profile')


def _at(where: Where | None) -> str:
    return f", at {where}" if where else ""
