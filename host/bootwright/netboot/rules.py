"""Who boots what: a machine, by its MAC address or by the name of its place, and its image.

52:54:00:12:34:56=debian            # the image of images/debian.toml
rome=xen:rescue                     # its profile rescue
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bootwright.common.errors import RunError, SourceError, Where, why
from bootwright.common.words import nearest

_MAC = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}", re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    """machine: its MAC address, as 52:54:00:12:34:56, or the name of a place until that is known; image: as `image`
    takes it; profile: "" for the image's own; name: what the machine is called in a log; where: of the rule.
    """

    machine: str
    image: str
    profile: str = ""
    name: str = ""
    where: Where | None = None

    @property
    def is_place(self) -> bool:
        """Whether the machine is named by its place."""
        return _MAC.fullmatch(self.machine) is None


def image_of(text: str) -> tuple[str, str]:
    """The image and the profile, "" for its own, of IMAGE or IMAGE:PROFILE."""
    image, _, profile = text.partition(":")
    return image, profile


def parse(text: str, where: Where | None = None) -> Rule:
    """The rule MACHINE=IMAGE or MACHINE=IMAGE:PROFILE. Raises RunError."""
    machine, sign, image = (part.strip() for part in text.partition("="))
    image, profile = image_of(image)
    if not (machine and sign and image) or re.search(r"\s", machine + image + profile):
        raise RunError(f"machine: {text!r} is not MACHINE=IMAGE or MACHINE=IMAGE:PROFILE", where)
    if ":" in machine and not _MAC.fullmatch(machine):
        raise RunError(f"machine: {machine!r} is no MAC address such as 52:54:00:12:34:56", where)
    if _MAC.fullmatch(machine):
        machine = machine.lower().replace("-", ":")
    return Rule(machine, image, profile, machine, where)


def read(path: Path) -> list[Rule]:
    """The rules of a file, one a line; `#` begins a comment. Raises SourceError, and RunError as parse does."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(str(path))) from error
    said = ((number, line.partition("#")[0].strip()) for number, line in enumerate(lines, 1))
    return [parse(line, Where(str(path), number)) for number, line in said if line]


def with_places(rules: Sequence[Rule], places: Mapping[str, str]) -> list[Rule]:
    """The rules with the MAC address of each place. Raises RunError for a place that has none, and for two rules for
    one machine.
    """
    found: dict[str, Rule] = {}
    for rule in rules:
        known = rule
        if rule.is_place:
            if rule.machine not in places:
                more = f"; those are {', '.join(places)}{nearest(rule.machine, places)}" if places else ""
                raise RunError(
                    f"machine: {rule.machine!r} is neither a MAC address nor a place that has one{more}",
                    rule.where,
                )
            known = replace(parse(f"{places[rule.machine]}={rule.image}"), profile=rule.profile, name=rule.machine)
            if known.is_place:
                said = f"the tag mac of place {rule.machine}, {places[rule.machine]!r},"
                raise RunError(f"machine: {said} is no MAC address: six numbers as 52:54:00:12:34:56", rule.where)
        if other := found.get(known.machine):
            raise RunError(
                f"machine {known.machine}: two rules are for it, {_shown(other)} and {_shown(known)}", rule.where
            )
        found[known.machine] = replace(known, where=rule.where)
    return list(found.values())


def _shown(rule: Rule) -> str:
    return f"{rule.name}={rule.image}{':' * bool(rule.profile)}{rule.profile}"
