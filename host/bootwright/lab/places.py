"""The places of a lab: as its coordinator has them, and the drivers for one, by what its exporters offer.

    for place in known("lab.example:20408"): ...
    hand("lab.example:20408", "rome", "acquire")

labgrid is asked by processes of their own (bootwright.labgrid), since its threads would stay in this one.

A place's tag `stick` names what its board boots from, in a folder of this machine: by whom a tag was set is not known
here, so that it is a name, and the folder says what may be written. `mac` is the board's address, and `machine` the
name of its stored report, where that is not the place's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootwright.common.errors import RunError
from bootwright.common.words import none_of

ADDRESS_VARIABLE, DEFAULT_PORT = "LG_COORDINATOR", "20408"  # labgrid's
_PACKAGE = Path(__file__).resolve().parents[2]
_ASKING = 60  # seconds for an answer
STICK, MAC, MACHINE = "stick", "mac", "machine"  # tags
STICKS = "/dev/disk/by-id"  # where a name is one stick's and no other's
_REMOVABLE = ("usb-", "mmc-")  # there, by udev's rules
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
_MUX = {"NetworkUSBSDMuxDevice": "USBSDMuxDriver", "NetworkUSBSDWireDevice": "USBSDWireDriver"}
_STORAGE = ("NetworkUSBMassStorage", *_MUX)  # a multiplexer is the storage that is behind it, too
_PROVIDER = {"RemoteTFTPProvider": "TFTPProviderDriver", "RemoteHTTPProvider": "HTTPProviderDriver"}


@dataclass(frozen=True)
class Place:
    """acquired: host/user who has it, None for nobody; resources: the names of what it has, by class; a line may be
    there only while its board is on.
    """

    name: str
    tags: Mapping[str, str]
    acquired: str | None
    resources: Mapping[str, Sequence[str]]

    @property
    def machine(self) -> str:
        """The name that the report of its board is stored by."""
        return self.tags.get(MACHINE, self.name)

    @property
    def medium(self) -> str:
        """What a board gets its image by: "disk", "pxe", or "" where nothing of it is known."""
        if self.tags.get(STICK) or any(one in self.resources for one in _STORAGE):
            return "disk"
        return "pxe" if _chosen(_PROVIDER, self) else ""


def coordinator(said: str, environment: str = "") -> str:
    """The coordinator's address: as said, as an environment has it, or as labgrid takes it."""
    return said or environment or os.environ.get(ADDRESS_VARIABLE, f"127.0.0.1:{DEFAULT_PORT}")


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


def target(place: Place, sticks: str = STICKS) -> dict[str, Any]:
    """The place as a target of an environment. sticks: the folder of what its tag may name. Raises RunError where it
    has nothing to switch or to listen to, or its stick is none of these.
    """
    drivers: dict[str, Any] = {}
    for what, known in (("power", _POWER), ("console", _CONSOLE)):
        if (driver := _chosen(known, place)) is None:
            there = ", ".join(place.resources) or "none"
            raise RunError(
                f"place {place.name}: of its resources ({there}) none is for its {what}; {', '.join(known)} would be, "
                "and an environment can name another driver"
            )
        drivers[driver] = {}
    drivers["BootwrightImage"] = {}
    storage = next((resource for resource in _STORAGE if resource in place.resources), None)
    if name := place.tags.get(STICK):
        drivers["BootwrightStick"] = {"path": _stick(place, name, sticks or STICKS)}
    elif storage is not None:  # bound by its name: a multiplexer beside it would be another that it could be
        drivers["USBStorageDriver"] = {"bindings": {"storage": place.resources[storage][0]}}
    elif driver := _chosen(_PROVIDER, place):
        drivers |= {driver: {}, "BootwrightNetboot": {}}
    if (mux := _chosen(_MUX, place)) and place.medium == "disk":
        drivers[mux] = {}
    drivers["BootwrightStrategy"] = {}
    return {"resources": {"RemotePlace": {"name": place.name}}, "drivers": drivers}


def _stick(place: Place, name: str, folder: str) -> str:
    """The device or file that a place's tag names. Raises RunError."""
    path = Path(folder) / name
    where = f"place {place.name}: its tag {STICK}={name!r}"
    if "/" in name or name in (".", "..") or (folder == STICKS and not name.startswith(_REMOVABLE)):
        kind = f"of {' or '.join(_REMOVABLE)} " if folder == STICKS else ""
        raise RunError(f"{where} is no name {kind}in {folder}; --sticks names a folder with links of your own")
    if not path.exists():
        raise RunError(f"{where} is not in {folder}")
    return str(path.resolve())


def environment(targets: Mapping[str, Any], address: str) -> dict[str, Any]:
    """An environment of such targets; address: of the coordinator."""
    options = {"coordinator_address": address}
    return {"targets": dict(targets), "imports": ["bootwright.labgrid"], "options": options}


def _chosen(drivers: Mapping[str, str], place: Place) -> str | None:
    return next((drivers[resource] for resource in place.resources if resource in drivers), None)


def known(address: str) -> list[Place]:
    """The places that the coordinator at this address has. Raises RunError where it does not answer."""
    return [Place(**one) for one in _asked(f"coordinator {address}", address, "list")]


def hand(address: str, place: str, what: str) -> bool:
    """Have a place acquired or released, by `what`, for this user. False where this user had acquired it already.
    Raises RunError with what the coordinator says of it.
    """
    return _asked(f"place {place} cannot be {what}d", address, what, place) is not False


def _asked(subject: str, *arguments: str) -> Any:
    return json.loads(ask(subject, "bootwright.labgrid.coordinator", *arguments))


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
        raise RunError(f"{subject}: no answer in {_ASKING} s; what was asked may have been done all the same") from None
    if done.returncode:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["it said nothing"])[-1]
        raise RunError(f"{subject}: {last}")
    return done.stdout
