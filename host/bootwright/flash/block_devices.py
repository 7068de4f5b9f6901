"""The block devices of this machine, as /sys and /proc show them, and which may be written over.

    for disk in disks():
        reason = refusal(disk, needed=len(image))       # None, or a sentence's end: why not

A disk is a whole device, with all that makes use of it: its partitions, what holds them (device mapper,
RAID), file systems and swap on any of these.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bootwright.common.errors import DeviceError, why

SECTOR = 512  # /sys counts sizes in these, whatever the device's own blocks are
# Memory, and floppy drives, are never listed.
HIDDEN = ("ram", "zram", "fd")
# Part of a device's place in /sys, and how people call that way to connect it.
TRANSPORTS = (("/usb", "usb"), ("/nvme", "nvme"), ("/mmc", "mmc"), ("/virtio", "virtio"), ("/ata", "sata"))
SWAP = "swap"


@dataclass(frozen=True)
class System:
    """Where to look; other folders than the real ones are for tests."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")


@dataclass(frozen=True)
class Disk:
    """A whole block device.

    path: in /dev; size in bytes, block_size: what one write must be a multiple of; model, serial: "" where
    the device does not say; transport: usb, sata, nvme, virtio, mmc, loop or ""; by_id: paths in
    /dev/disk/by-id. whole: None, or the device of which this is a partition. mounts: mount points and
    SWAP, of the device and of all that is on it; holders: devices that are made of it (dm-0, md127);
    parts: devices that it is made of. sequence: counts the media that the kernel has met, 0 where it does not say it:
    the next stick by the same name has another.
    """

    path: Path
    size: int
    block_size: int = SECTOR
    model: str = ""
    serial: str = ""
    transport: str = ""
    by_id: tuple[Path, ...] = ()
    removable: bool = False
    read_only: bool = False
    whole: Path | None = None
    mounts: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    sequence: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """What may be typed to say that this device is meant: its model or its serial number."""
        return tuple(name for name in (self.model, self.serial) if name)


def disks(system: System = System()) -> tuple[Disk, ...]:
    """Every whole device that has a medium in it, by name; without memory, and loops that are not set up."""
    found = []
    uses = _mounts(system)
    for entry in sorted(_listed(system.sys / "class/block")):
        name = entry.name
        if re.sub(r"\d+$", "", name) not in HIDDEN and not (entry / "partition").exists():
            disk = _read(system, name, uses)
            if disk.size:
                found.append(disk)
    return tuple(found)


def find(path: Path, system: System = System()) -> Disk:
    """The block device at `path`, by whatever name of /dev. Raises DeviceError if it is none."""
    try:
        status = path.stat()
    except OSError as error:
        raise DeviceError(f"{path}: {why(error)}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise DeviceError(f"{path} is no block device")
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    place = system.sys / "dev/block" / number
    if not place.exists():
        raise DeviceError(f"{path}: the kernel does not know block device {number}")
    return _read(system, place.resolve().name, _mounts(system))


def refusal(disk: Disk, needed: int) -> str | None:
    """Why `needed` bytes must not be written over the disk, as the end of a sentence; None if they may."""
    if disk.whole is not None:
        return f"is a partition: name the whole device, {disk.whole}"
    if disk.parts:
        return f"is made of other devices ({', '.join(disk.parts)})"
    if "/" in disk.mounts:
        return "holds the running system's /"
    if SWAP in disk.mounts:
        return "holds swap space in use"
    if disk.mounts:
        return f"is mounted at {' and '.join(disk.mounts)}"
    if disk.holders:
        return f"is in use by {' and '.join(disk.holders)} (LVM, RAID or another mapping)"
    if disk.path.name.startswith("sr"):
        return "is an optical drive: burn the ISO with a program for that"
    if disk.read_only:
        return "is read-only"
    if not disk.size:
        return "has no medium in it"
    if disk.size < needed:
        return f"is too small: it has {disk.size:,} bytes, and {needed:,} are to be written"
    return None


def _read(system: System, name: str, uses: Mapping[str, tuple[str, ...]]) -> Disk:
    place = (system.sys / "class/block" / name).resolve()
    partition = (place / "partition").exists()
    own = [place, *(part for part in _listed(place) if (part / "partition").exists())]
    holders = tuple(dict.fromkeys(_holders(system, own)))
    everything = [*own, *(system.sys / "class/block" / holder for holder in holders)]
    mounts = [use for one in everything for use in uses.get(_line(one / "dev"), ())]
    whole = place.parent if partition else place
    return Disk(
        path=system.dev / name.replace("!", "/"),
        size=int(_line(place / "size") or 0) * SECTOR,
        block_size=int(_line(whole / "queue/logical_block_size") or SECTOR),
        model=" ".join(_model(whole).split()),
        serial=_serial(system, whole),
        transport=_transport(whole),
        by_id=_by_id(system, name),
        removable=_line(whole / "removable") == "1",
        read_only=_line(place / "ro") == "1",
        whole=system.dev / whole.name if partition else None,
        mounts=tuple(dict.fromkeys(mounts)),
        holders=holders,
        parts=tuple(sorted(part.name for part in _listed(place / "slaves"))),
        sequence=int(_line(whole / "diskseq") or 0),
    )


def _holders(system: System, places: list[Path]) -> Iterator[str]:
    for place in places:
        for holder in sorted(_listed(place / "holders")):
            yield holder.name
            yield from _holders(system, [(system.sys / "class/block" / holder.name).resolve()])


def _model(place: Path) -> str:
    if (place / "loop/backing_file").exists():
        return Path(_line(place / "loop/backing_file")).name
    vendor, model = _line(place / "device/vendor"), _line(place / "device/model")
    # SATA disks have "ATA" for a vendor, virtio its PCI number: neither says anything.
    vendor = "" if vendor == "ATA" or vendor.startswith("0x") else vendor
    return f"{vendor} {model or _line(place / 'device/name')}"


def _serial(system: System, place: Path) -> str:
    """The device's own, or that of what it is part of: a USB stick's is that of its USB device."""
    holders = [place, place / "device", *place.resolve().parents]
    for holder in holders:
        if holder == system.sys.resolve():
            break
        if serial := _line(holder / "serial"):
            return serial
        if (holder / "idVendor").exists():  # what is above is the hub's
            break
    return ""


def _transport(place: Path) -> str:
    if place.name.startswith("loop"):
        return "loop"
    return next((name for part, name in TRANSPORTS if part in str(place)), "")


def _by_id(system: System, name: str) -> tuple[Path, ...]:
    links = sorted(_listed(system.dev / "disk/by-id"))
    # The wwn- and nvme-eui. ones are the same device again, under a number that nobody knows it by.
    named = [link for link in links if not link.name.startswith(("wwn-", "nvme-eui."))]
    return tuple(link for link in named if Path(os.path.realpath(link)).name == name)


def _mounts(system: System) -> Mapping[str, tuple[str, ...]]:
    """Mount points and SWAP by device number. The format of mountinfo: proc(5)."""
    found: dict[str, tuple[str, ...]] = {}

    def add(number: str, use: str) -> None:
        found[number] = (*found.get(number, ()), use)

    for line in _text(system.proc / "self/mountinfo").splitlines():
        fields = line.split(" ")
        if len(fields) < 10 or "-" not in fields:
            continue
        point, source = _unescaped(fields[4]), _unescaped(fields[fields.index("-") + 2])
        # btrfs and others mount under a number of their own; then the source says which device.
        numbers = {fields[2], _number(system, source)}
        for number in numbers - {""}:
            add(number, point)
    for line in _text(system.proc / "swaps").splitlines()[1:]:
        if number := _number(system, _unescaped(line.partition(" ")[0])):
            add(number, SWAP)
    return found


def _number(system: System, source: str) -> str:
    """The number of the device that a path names; "" for none."""
    if not source.startswith("/dev/") or "\0" in source:
        return ""
    real = os.path.realpath(system.dev / source.removeprefix("/dev/"))
    return _line(system.sys / "class/block" / Path(real).name / "dev")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # a device may go while it is looked at
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _line(path: Path) -> str:
    return _text(path).strip().strip("\0")
