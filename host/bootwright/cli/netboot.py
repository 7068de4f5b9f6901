"""What `serve` shows and does: images for machines that boot by network, until it is interrupted."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bootwright.cli import build
from bootwright.common import paths, scratch
from bootwright.common.errors import RunError
from bootwright.common.words import none_of
from bootwright.image import build as image_build
from bootwright.lab import places
from bootwright.media import pxe
from bootwright.media.medium import ensure
from bootwright.netboot import dhcp, rules, server
from bootwright.netboot.tree import Served

_DEFAULT = "demo"


def run(name: str, machines: Sequence[str], file: str, options: dhcp.Options, port: int, verbose: bool) -> None:
    """Serve an image to all machines, or to each what its rule says. name: "" for no image for others, where there are
    rules; file: of rules, "" for none; port: of HTTP, 0 for none; verbose: whether the servers' own lines are shown.
    """
    dhcp.check_rights()  # first what can be wrong
    dhcp.check(options)
    said = [*(rules.read(Path(file)) if file else ()), *map(rules.parse, machines)]
    known = rules.with_places(said, _places([rule.machine for rule in said if rule.is_place]))
    others = name or ("" if known else _DEFAULT)
    all_served = list(_served(others, known))
    for served in all_served:
        for one in served.machines:
            print(f"{one}: {served.name}{f', profile {served.profile}' if served.profile else ''}", flush=True)
    if not options.dhcp_range:
        print(
            "note: machines that ask for UEFI's HTTP boot (architecture 16) get no answer of a proxy: boot them by "
            "PXE, or with --dhcp-range",
            file=sys.stderr,
        )
    names = {rule.machine: rule.name for rule in known}
    root = paths.output(_DEFAULT).parent
    with scratch.own(root, "serve") as folder:
        server.serve(all_served, names, options, port, folder, _line, _log if verbose else lambda line: None)


def _served(others: str, known: Sequence[rules.Rule]) -> list[Served]:
    """What is served, each image built where it is not current."""
    by_image: dict[tuple[str, str], list[str]] = {}
    if others:
        image, _, profile = others.partition(":")
        by_image[image, profile] = []
    for rule in known:
        by_image.setdefault((rule.image, rule.profile), []).append(rule.machine)
    built = {image: build.current(image) for image, _ in by_image}
    folders: dict[str, Path] = {}
    for image, one in built.items():
        if (other := next((other for other in folders if built[other].elf == one.elf), None)) is not None:
            raise RunError(f"{other} and {image} are both the image {one.name}: one would be served for the other")
        made = ensure(pxe.MEDIUM, one)
        folders[image] = made.path
        for note in made.notes:
            print(f"note: {note}", file=sys.stderr)
    found = []
    for (image, profile), machines in by_image.items():
        _check_profile(image, profile)
        if others.partition(":")[::2] == (image, profile) and machines:
            machines = []  # they are among all others
        found.append(Served(built[image], folders[image], profile, tuple(machines)))
    return found


def _check_profile(image: str, profile: str) -> None:
    if not profile:
        return
    described = image_build.describe(image_build.read(paths.description(image)))
    there = [one for one in (described.image.profile, *(other.name for other in described.profiles)) if one]
    if profile not in there:
        raise RunError(f"{image}: profile: {none_of(profile, there)}")


def _places(names: Sequence[str]) -> Mapping[str, str]:
    """The MAC addresses of the places that labgrid's coordinator has, asked only where a rule names one."""
    if not names:
        return {}
    from bootwright.cli import bench

    return {one.name: one.tags[places.MAC] for one in bench.known_places(bench.Lab()) if places.MAC in one.tags}


def _line(line: str) -> None:
    print(line, flush=True)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
