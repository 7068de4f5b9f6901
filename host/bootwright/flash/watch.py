"""Sticks as they are put in: which of them a rule means.

    for disk in arrivals(rule, block_devices.disks, wait):      # rule: Rule.parse("model=SanDisk*,serial=4C53*")
        ...

A stick that is there from the start is never meant: it may be somebody's. One that was taken out and put in again is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bootwright.common.errors import DeviceError
from bootwright.flash.block_devices import Disk

_Key = tuple[str, str, str, int]


@dataclass(frozen=True)
class Rule:
    """Patterns, as of a shell, for what `flash` lists of a device: model and serial number; and how it is connected."""

    model: str = "*"
    serial: str = "*"
    by: str = "usb"

    @staticmethod
    def parse(text: str) -> Rule:
        """The rule that "model=...,serial=...,by=..." says. Raises DeviceError, also for one that means every stick."""
        said = {}
        for part in text.split(","):
            name, equals, pattern = part.partition("=")
            if name.strip() not in ("model", "serial", "by") or not equals or not pattern.strip():
                raise DeviceError(f"watch: {part!r} is none of model=PATTERN, serial=PATTERN and by=usb")
            said[name.strip()] = pattern.strip()
        rule = Rule(**said)
        if not (rule.model + rule.serial).strip("*"):
            raise DeviceError(f"watch: {text!r} means every stick; say a model or a serial number")
        return rule

    def means(self, disk: Disk) -> bool:
        """Whether a device is one of those."""
        pairs = ((disk.model, self.model), (disk.serial, self.serial), (disk.transport, self.by))
        return all(fnmatchcase(value, pattern) for value, pattern in pairs)


def arrivals(rule: Rule, disks: Callable[[], Iterable[Disk]], wait: Callable[[], None]) -> Iterator[Disk]:
    """Devices that the rule means, each when it has been there for two looks in a row; wait: between two looks."""
    known = {_key(disk) for disk in disks()}
    seen: set[_Key] = set()
    while True:
        wait()
        now = {_key(disk): disk for disk in disks()}
        new = {key: disk for key, disk in now.items() if key not in known}
        for key, disk in new.items():
            if key in seen and rule.means(disk):
                yield disk
        known = {key for key in now if key in known or key in seen}
        seen = set(new)


def _key(disk: Disk) -> _Key:
    return str(disk.path), disk.model, disk.serial, disk.size
