"""The places of a lab: as its coordinator has them, and the drivers for one, by what its exporters offer.

    for place in known("lab.example:20408"): ...
    hand("lab.example:20408", "rome", "acquire")

labgrid is asked in processes of their own, since its threads would stay in this one:

    python -m bootwright.lab.places lab.example:20408       # one JSON document: a list of places

    {"name": "rome", "tags": {"board": "epyc"}, "acquired": "desk/ann", "resources": ["NetworkSerialPort", ...]}

A place's tag `stick` names a file or device, which this machine reaches, that its board boots from; `mac` is its
address, and `machine` the name of its stored report, where that is not the place's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bootwright.common.errors import RunError
from bootwright.common.words import none_of

ADDRESS_VARIABLE, DEFAULT_ADDRESS = "LG_COORDINATOR", "127.0.0.1:20408"  # labgrid's
_PACKAGE = Path(__file__).resolve().parents[2]
_ASKING = 60  # seconds for an answer
STICK, MAC, MACHINE = "stick", "mac", "machine"  # tags
# Resources of labgrid's, and the driver for each.
_POWER = {
    "NetworkPowerPort": "NetworkPowerDriver",
    "PDUDaemonPort": "PDUDaemonDriver",
    "TasmotaPowerPort": "TasmotaPowerDriver",
    "NetworkUSBPowerPort": "USBPowerDriver",
    "NetworkSiSPMPowerPort": "SiSPMPowerDriver",
    "NetworkYKUSHPowerPort": "YKUSHPowerDriver",
}
_CONSOLE = {"NetworkSerialPort": "SerialDriver"}
_STORAGE = {"NetworkUSBMassStorage": "USBStorageDriver"}
_MUX = {"NetworkUSBSDMuxDevice": "USBSDMuxDriver", "NetworkUSBSDWireDevice": "USBSDWireDriver"}
_PROVIDER = {"RemoteTFTPProvider": "TFTPProviderDriver", "RemoteHTTPProvider": "HTTPProviderDriver"}


@dataclass(frozen=True)
class Place:
    """acquired: host/user who has it, None for nobody; resources: the classes of what it has; a line may
    be there only while its board is on.
    """

    name: str
    tags: Mapping[str, str]
    acquired: str | None
    resources: Sequence[str]

    @property
    def machine(self) -> str:
        """The name that the report of its board is stored by."""
        return self.tags.get(MACHINE, self.name)

    @property
    def medium(self) -> str:
        """What a board gets its image by: "disk", "pxe", or "" where nothing of it is known."""
        if self.tags.get(STICK) or _chosen(_STORAGE, self.resources):
            return "disk"
        return "pxe" if _chosen(_PROVIDER, self.resources) else ""


def coordinator(said: str, environment: str = "") -> str:
    """The coordinator's address: as said, as an environment has it, or as labgrid takes it."""
    return said or environment or os.environ.get(ADDRESS_VARIABLE, DEFAULT_ADDRESS)


def chosen(places: Sequence[Place], names: Sequence[str], tags: Sequence[str]) -> list[Place]:
    """The places with these names, and those that have all of these tags: KEY or KEY=VALUE. Raises RunError."""
    known = {place.name: place for place in places}
    if not known:
        raise RunError("place: the coordinator has none; labgrid-client create makes one")
    for name in names:
        if name not in known:
            raise RunError(f"place: {none_of(name, known)}")
    found = [known[name] for name in dict.fromkeys(names)]
    if tags:
        tagged = [place for place in places if all(_has(place, tag) for tag in tags)]
        if not tagged:
            shown = sorted({f"{key}={value}" for place in places for key, value in place.tags.items()})
            raise RunError(f"tag: no place has {' and '.join(tags)}; there is: {', '.join(shown) or 'no tag'}")
        found += [place for place in tagged if place not in found]
    return found


def _has(place: Place, tag: str) -> bool:
    key, sign, value = tag.partition("=")
    return key in place.tags and (not sign or place.tags[key] == value)


def target(place: Place) -> dict[str, Any]:
    """The place as a target of an environment. Raises RunError where it has nothing to switch or to listen to."""
    drivers: dict[str, Any] = {}
    for what, known in (("power", _POWER), ("console", _CONSOLE)):
        if (driver := _chosen(known, place.resources)) is None:
            there = ", ".join(place.resources) or "none"
            raise RunError(
                f"place {place.name}: of its resources ({there}) none is for its {what}; {', '.join(known)} would be, "
                "and an environment can name another driver"
            )
        drivers[driver] = {}
    drivers["BootwrightImage"] = {}
    if stick := place.tags.get(STICK):
        drivers["BootwrightStick"] = {"path": stick}
    elif driver := _chosen(_STORAGE, place.resources):
        drivers[driver] = {}
        if mux := _chosen(_MUX, place.resources):
            drivers[mux] = {}
    elif driver := _chosen(_PROVIDER, place.resources):
        drivers |= {driver: {}, "BootwrightNetboot": {}}
    drivers["BootwrightStrategy"] = {}
    return {"resources": {"RemotePlace": {"name": place.name}}, "drivers": drivers}


def environment(targets: Mapping[str, Any], address: str) -> dict[str, Any]:
    """An environment of such targets; address: of the coordinator."""
    options = {"coordinator_address": address}
    return {"targets": dict(targets), "imports": ["bootwright.labgrid"], "options": options}


def _chosen(drivers: Mapping[str, str], resources: Sequence[str]) -> str | None:
    return next((drivers[resource] for resource in resources if resource in drivers), None)


def known(address: str) -> list[Place]:
    """The places that the coordinator at this address has. Raises RunError where it does not answer."""
    done = ask(f"coordinator {address}", "bootwright.lab.places", address)
    return [Place(**one) for one in json.loads(done)]


def hand(address: str, place: str, what: str) -> None:
    """Have a place acquired or released, by `what`, for this user. Raises RunError with what labgrid says of it."""
    ask(f"place {place} cannot be {what}d", "labgrid.remote.client", "-x", address, "-p", place, what)


def with_us() -> dict[str, str]:
    """The environment of a Python that is to find this package."""
    path = os.pathsep.join([str(_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path}


def ask(subject: str, module: str, *arguments: str) -> str:
    """What one of labgrid's programs, or of ours on labgrid, says. Raises RunError with the last line of what it
    complains of.
    """
    command = [sys.executable, "-m", module, *arguments]
    try:
        # A group of its own: who interrupts this process wants its places back.
        done = subprocess.run(
            command, env=with_us(), capture_output=True, text=True, timeout=_ASKING, check=False, process_group=0
        )
    except subprocess.TimeoutExpired:
        raise RunError(f"{subject}: no answer in {_ASKING} s") from None
    if done.returncode:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["it said nothing"])[-1]
        raise RunError(f"{subject}: {last}")
    return done.stdout


def _places(address: str) -> list[Place]:
    from labgrid.remote.client import start_session

    session = start_session(address)
    found = []
    for name, place in sorted(session.places.items()):
        resources = [
            resource.cls
            for exporter, groups in session.resources.items()
            for group, members in groups.items()
            for key, resource in members.items()
            if place.hasmatch((exporter, group, resource.cls, key))
        ]
        found.append(Place(name, dict(place.tags), place.acquired or None, resources))
    session.loop.run_until_complete(session.stop())
    return found


if __name__ == "__main__":
    try:
        print(json.dumps([asdict(place) for place in _places(sys.argv[1])]))
    except Exception as error:  # gRPC's, labgrid's, the system's
        sys.exit(f"{type(error).__name__}: {error}")
