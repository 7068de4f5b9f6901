"""Boards of a lab that are meant: targets of an environment of labgrid's, or places of its coordinator."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bootwright.common.errors import RunError, SourceError, ToolError, Where, listed, why
from bootwright.common.words import none_of
from bootwright.lab import places


@dataclass(frozen=True)
class Lab:
    """What is said of a lab: an environment of labgrid's, a coordinator, and which of it; sticks: the folder of what a
    place's tag may name.
    """

    environment: str = ""
    coordinator: str = ""
    names: Sequence[str] = ()
    tags: Sequence[str] = ()
    targets: Sequence[str] = ()
    sticks: str = ""

    def address(self) -> str:
        """The coordinator's."""
        said = _environment(self.environment)["coordinator"] if self.environment else ""
        return places.coordinator(self.coordinator, said)


@dataclass(frozen=True)
class Board:
    """A target of an environment. place: "" for one that is in no lab; drivers: their arguments by class; machine: the
    name of its stored report.
    """

    name: str
    environment: str
    place: str
    machine: str
    drivers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


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


@cache
def _environment(path: str) -> dict[str, Any]:
    """An environment as labgrid reads it, in a process of its own. Raises SourceError."""
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(path)) from error
    said: dict[str, Any] = json.loads(places.ask(path, "bootwright.labgrid.environment", path))
    if "error" in said:
        raise SourceError(said["error"], Where(path, said["line"], said["column"]))
    return said


def boards(lab: Lab, work: Path) -> list[Board]:
    """The boards that are meant: targets of the environment, and for a place that is in none of these a target by its
    resources. work: an empty folder for an environment of such. Raises RunError, SourceError, ToolError.
    """
    check_labgrid()
    there = _environment(lab.environment)["targets"] if lab.environment else {}
    if lab.targets and not there:
        raise RunError("target: no environment is named that could have it: --environment")
    for name in lab.targets:
        if name not in there:
            raise RunError(f"target: {none_of(name, there)}")
    meant = {name: there[name] for name in dict.fromkeys(lab.targets) or there}
    machines = {} if lab.names or lab.tags else _machines(lab, [said["place"] for said in meant.values()])
    targets = [
        Board(name, lab.environment, said["place"], machines.get(said["place"], said["place"] or name), said["drivers"])
        for name, said in meant.items()
    ]
    if lab.names or lab.tags:
        targets = _on_places(lab, targets, work)
    elif not targets:
        raise RunError("which boards? --place takes a name, --tag a tag, --environment a file of labgrid's")
    _check_apart(targets)
    return targets


def _machines(lab: Lab, used: Sequence[str]) -> dict[str, str]:
    """The machine of each place, as its tag has it. Empty where the coordinator does not answer: each board says so."""
    try:
        return {place.name: place.machine for place in known(lab)} if any(used) else {}
    except RunError:
        return {}


def _on_places(lab: Lab, targets: Sequence[Board], work: Path) -> list[Board]:
    """The targets on the places that are meant; where none is named, a place that has none gets one."""
    found, made, file = list[Board](), dict[str, Any](), work / "environment.yaml"
    for place in chosen(lab):
        on_it = [board for board in targets if board.place == place.name]
        if not on_it and not lab.targets:
            if any(board.name == place.name for board in targets):
                raise RunError(f"{place.name}: is a target of {lab.environment}, and the name of another place")
            made[place.name] = places.target(place, lab.sticks)
            on_it = [Board(place.name, str(file), place.name, place.machine, made[place.name]["drivers"])]
        found += [Board(one.name, one.environment, one.place, place.machine, one.drivers) for one in on_it]
    if not found:
        raise RunError(f"target: none of {listed(list(lab.targets))} is on one of these places")
    file.write_text(json.dumps(places.environment(made, lab.address())), encoding="utf-8")
    return found


def _check_apart(found: Sequence[Board]) -> None:
    """Raises RunError where two targets would be followed on one place at once."""
    by_place: dict[str, Board] = {}
    for board in found:
        other = by_place.setdefault(board.place or f"target {board.name}", board)
        if other is not board:
            names = f"{other.name} and {board.name}"
            raise RunError(f"targets {names} are both on place {board.place}: --target takes one of them")
