"""What `serve` shows and does: images for machines that boot by network, until it is interrupted."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bootwright.cli import boards, build
from bootwright.common import paths, scratch
from bootwright.common.errors import RunError
from bootwright.common.terminal import printable
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
    with scratch.own(paths.outputs(), "serve") as folder:
        server.serve(all_served, names, options, port, folder, _line, _log if verbose else lambda line: None)


def _served(others: str, known: Sequence[rules.Rule]) -> list[Served]:
    """What is served, each image built where it is not current. others: what all get that no rule names, "" for
    nothing; a machine whose rule says the same is one of them.
    """
    default = rules.image_of(others)
    machines: dict[tuple[str, str], list[str]] = {default: []} if others else {}
    for rule in known:
        if (key := (rule.image, rule.profile)) != default:
            machines.setdefault(key, []).append(rule.machine)
    for image, profile in machines:
        _check_profile(image, profile)
    made: dict[str, Served] = {}
    for image, _ in machines:
        if image not in made:
            made[image] = _with_folder(image, made)
    return [replace(made[image], profile=profile, machines=tuple(of)) for (image, profile), of in machines.items()]


def _with_folder(image: str, made: Mapping[str, Served]) -> Served:
    """An image, with its medium pxe. Raises RunError where another of those that are made has its files."""
    built = build.current(image)
    for other, served in made.items():
        if served.built.elf == built.elf:
            raise RunError(f"{other} and {image} are both the image {built.name}: one would be served for the other")
    medium = ensure(pxe.MEDIUM, built)
    for note in medium.notes:
        print(f"note: {note}", file=sys.stderr)
    return Served(built, medium.path)


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
    return {one.name: one.tags[places.MAC] for one in boards.known(boards.Lab()) if places.MAC in one.tags}


def _line(line: str) -> None:
    print(printable(line), flush=True)  # names of files in it are what machines on the network asked for


def _log(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)
