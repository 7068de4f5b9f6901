"""What a user may want to know of a description that is right: sentences for the map and for the build's output."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from bootwright import bindings
from bootwright.description import Description, DomainDescription
from bootwright.errors import is_or_are, listed


def of_description(description: Description, built: Collection[int]) -> Iterator[str]:
    """All notes. built: the domains that the launcher builds, by their index."""
    for domain in description.domains:
        yield from _alone(domain)
    yield from _not_built(description, built)
    yield from _left_out(description, built)


def _alone(domain: DomainDescription) -> Iterator[str]:
    if domain.alone:
        given = (
            ("permissions", bindings.words("PERMISSION_"), domain.permissions),
            ("functions", bindings.words("FUNCTION_"), domain.functions),
        )
        shown = [f"{key} {listed([w for w, bit in words.items() if bits & bit])}" for key, words, bits in given]
        yield f'domain "{domain.name}": there is no other, so it is the initial domain; it has {"; ".join(shown)}'


def _not_built(description: Description, built: Collection[int]) -> Iterator[str]:
    for index, domain in enumerate(description.domains):
        if index not in built:
            left = list(domain.files)
            what = f"; its {listed(left)} {is_or_are(left)} left out of the image" if left else ""
            yield f'domain "{domain.name}" is not built by the {description.image.launcher} launcher{what}'


def _left_out(description: Description, built: Collection[int]) -> Iterator[str]:
    """Without a device tree nobody can be told what a domain's configs are."""
    if description.hypervisor is not None and description.hypervisor.lcm:
        return
    for index in sorted(built):
        domain = description.domains[index]
        left = [key for key in ("device-tree", "config") if key in domain.files]
        if left:
            what = f"{listed(left)}: left out of the image"
            told = f"only Xen with lcm = true is told of {'them' if len(left) > 1 else 'it'}"
            yield f'domain "{domain.name}": {what}; {told}'
