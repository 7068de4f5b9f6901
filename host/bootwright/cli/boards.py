"""Boards of a lab that are meant: targets of an environment of labgrid's, or places of its coordinator."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bootwright.common.errors import RunError, SourceError, ToolError, Where, why
from bootwright.common.words import none_of
from bootwright.lab import places


@dataclass(frozen=True)
class Lab:
    """What is said of a lab: an environment of labgrid's, a coordinator, and which of it."""

    environment: str = ""
    coordinator: str = ""
    names: Sequence[str] = ()
    tags: Sequence[str] = ()
    targets: Sequence[str] = ()

    def address(self) -> str:
        """The coordinator's."""
        options = _environment(Path(self.environment)).get("options") if self.environment else None
        said = options.get("coordinator_address", "") if isinstance(options, dict) else ""
        return places.coordinator(self.coordinator, str(said))


@dataclass(frozen=True)
class Board:
    """A target of an environment. said: as the environment has it; machine: the name of its stored report, "" for none
    that could be known.
    """

    name: str
    environment: str
    said: Mapping[str, Any] = field(default_factory=dict)
    machine: str = ""

    def driver(self, name: str) -> Mapping[str, Any] | None:
        """What the target says of a driver, None where it has none."""
        drivers = self.said.get("drivers", {})
        listed = drivers if isinstance(drivers, list) else [drivers]
        return next((one[name] or {} for one in listed if isinstance(one, dict) and name in one), None)


def known(lab: Lab) -> list[places.Place]:
    """The places that the coordinator has. Raises RunError where it does not answer, ToolError without labgrid."""
    check_labgrid()
    return places.known(lab.address())


def chosen(lab: Lab) -> list[places.Place]:
    """Of these the ones that are named or tagged; all, where nothing is said. Raises RunError for what is not there."""
    there = known(lab)
    return places.chosen(there, lab.names, lab.tags) if lab.names or lab.tags else there


def check_labgrid() -> None:
    """Raises ToolError where it is not installed."""
    if find_spec("labgrid") is None:
        how = "`./bootstrap lab` installs it in a checkout, pip install 'bootwright[lab]' elsewhere"
        raise ToolError(f"labgrid is not installed: {how}")


def targets(path: Path) -> dict[str, Any]:
    """An environment's targets by name. Raises SourceError."""
    return {str(name): said for name, said in _environment(path)["targets"].items()}


def _environment(path: Path) -> dict[str, Any]:
    import yaml  # labgrid needs it, too

    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        said["targets"].items()
        found: dict[str, Any] = said
        return found
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(str(path))) from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, AttributeError) as error:
        raise SourceError("is no environment of labgrid's: it has no targets", Where(str(path))) from error


def boards(lab: Lab, work: Path) -> list[Board]:
    """The boards that are meant: targets of the environment, and for a place that is in none of these a target by its
    resources. work: an empty folder for an environment of such. Raises RunError, SourceError, ToolError.
    """
    check_labgrid()
    there = targets(Path(lab.environment)) if lab.environment else {}
    for name in lab.targets:
        if name not in there:
            raise RunError(f"target: {none_of(name, there)}")
    if not lab.names and not lab.tags:
        if not there:
            raise RunError("which boards? --place takes a name, --tag a tag, --environment a file of labgrid's")
        names = list(dict.fromkeys(lab.targets)) or list(there)
        return [Board(name, lab.environment, there[name], place_of(there[name]) or name) for name in names]
    wanted = chosen(lab)
    of_place = {place_of(said): name for name, said in there.items()}
    made = {one.name: places.target(one) for one in wanted if one.name not in of_place}
    for name in made:
        if name in there:
            raise RunError(f"{name}: is a target of {lab.environment}, and the name of another place")
    file = work / "environment.yaml"
    file.write_text(json.dumps(places.environment(made, lab.address())), encoding="utf-8")
    return [
        Board(one.name, str(file), made[one.name], one.machine)
        if one.name in made
        else Board(of_place[one.name], lab.environment, there[of_place[one.name]], one.machine)
        for one in wanted
    ]


def place_of(said: Any) -> str:
    """The place of a target, "" for none."""
    resources = said.get("resources", {}) if isinstance(said, dict) else {}
    place = resources.get("RemotePlace") if isinstance(resources, dict) else None
    return str(place.get("name", "")) if isinstance(place, dict) else ""
