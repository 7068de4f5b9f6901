"""What `flash` shows and asks: the candidates, the confirmation, progress with its rate."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from bootwright.cli import build
from bootwright.cli.writers import Job, Writers, shown
from bootwright.common import paths
from bootwright.common.columns import aligned
from bootwright.common.errors import BootwrightError, DeviceError, ToolError, counted, one_or_all
from bootwright.common.words import none_of
from bootwright.flash import block_devices
from bootwright.flash.source import SUFFIXES, open_source
from bootwright.flash.target import Target, target
from bootwright.flash.watch import Rule, arrivals
from bootwright.media import for_sector, gpt
from bootwright.media.medium import ensure

# Seconds between two looks at what is put in.
LOOK_EVERY = 1.0
# The media that a whole device can be.
FLASHABLE = ("disk", "iso")
# Files that are written as they are, unpacked where they are packed.
FILES = tuple(f"{suffix}{packed}" for suffix in (".img", ".iso") for packed in ("", *SUFFIXES))


def run(name: str, device: str, medium: str, yes: bool, watch: str = "") -> None:
    """Write an image's medium to devices (with commas between them), or list what there is where none is named.

    watch: a rule (watch.Rule); write to every stick that it means as it is put in, until interrupted.
    The image and its medium are made first where they are not there, or out of date. Raises BootwrightError.
    """
    if medium not in FLASHABLE:
        raise ToolError(f"medium: {none_of(medium, FLASHABLE)}")
    if watch:
        if device:
            raise DeviceError(f"{device}: with --watch no device is named")
        _watch(name, medium, Rule.parse(watch))
    elif not device:
        print(candidates(block_devices.disks()))
    else:
        named = [Path(device)] if Path(device).exists() else [Path(part.strip()) for part in device.split(",")]
        jobs = _jobs(name, named, medium)
        for job in jobs:
            if not yes:
                confirm(job.to)
        _write_all(jobs)


def _jobs(name: str, devices: Sequence[Path], medium: str) -> list[Job]:
    # What is wrong with a device should not wait for a build.
    sectors = [target(device, 0).sector or gpt.SECTOR for device in devices]
    real = [os.path.realpath(device) for device in devices]
    if twice := next((device for device, path in zip(devices, real, strict=True) if real.count(path) > 1), None):
        raise DeviceError(f"{twice}: named twice")
    files = {sector: find(name, medium, sector) for sector in dict.fromkeys(sectors)}
    sizes = {file: _size(file) for file in dict.fromkeys(files.values())}
    return [
        Job(files[sector], sizes[files[sector]], target(device, sizes[files[sector]]))
        for device, sector in zip(devices, sectors, strict=True)
    ]


def _size(file: Path) -> int:
    with open_source(file) as source:
        return source.size


def _write_all(jobs: Sequence[Job]) -> None:
    """Write to all devices at once. Raises the error of each that fails, when the others are done."""
    if len(jobs) == 1:
        with shown() as step:
            said = jobs[0].write(step)
        print(said)
        return
    errors: list[BootwrightError] = []
    with shown() as step, Writers(step) as writers:
        for job in jobs:
            writers.start(job)
        for done in writers.results():
            if isinstance(done, BootwrightError):
                errors.append(done)
            elif isinstance(done, BaseException):
                raise done
            else:
                print(done)
    if errors:
        raise one_or_all(errors)


def _watch(name: str, medium: str, rule: Rule) -> None:
    """Raises DeviceError where a stick failed."""
    written, failed = 0, 0
    file = find(name, medium, gpt.SECTOR)
    print(f"{paths.shown(file)} goes onto every stick that is put in from now on; interrupt to end", file=sys.stderr)
    with shown() as step, suppress(KeyboardInterrupt), Writers(step) as writers:

        def wait() -> None:
            nonlocal written, failed
            time.sleep(LOOK_EVERY)
            for done in writers.ready():
                written, failed = written + isinstance(done, str), failed + (not isinstance(done, str))
                print(done, flush=True)

        for disk in arrivals(rule, block_devices.disks, wait):
            try:
                writers.start(*_jobs(name, [disk.path], medium))
            except BootwrightError as error:
                failed += 1
                print(error, flush=True)
    for done in writers.ready():
        written, failed = written + isinstance(done, str), failed + (not isinstance(done, str))
        print(done if isinstance(done, (str, BootwrightError)) else "interrupted")
    print(f"{counted(written, 'stick')} written, {failed} failed")
    if failed:
        raise DeviceError(f"watch: {counted(failed, 'stick')} failed")


def find(name: str, medium: str, sector: int) -> Path:
    """The file to write: `name` itself if it is a file's, else that image's medium for a device with sectors of so many
    bytes, made where needed. Raises RunError where there is none.
    """
    if name.endswith(FILES) and Path(name).is_file():
        return Path(name)
    found = for_sector(sector)[medium]
    if medium == "iso" and sector != gpt.SECTOR:
        raise ToolError(f"medium: an iso boots from sectors of {gpt.SECTOR} bytes, and these have {sector}; take disk")
    built = build.current(name)
    with build.stages() as stage:
        stage(f"making {paths.shown(found.path(built))}")
        return ensure(found, built).path


def candidates(disks: tuple[block_devices.Disk, ...]) -> str:
    """A table of the devices, those first that may be written to; why not for the others."""
    if not disks:
        return "there is no device to write to"
    rows = [("device", "size", "by", "model", "serial", "")]
    for disk in sorted(disks, key=lambda disk: block_devices.refusal(disk, 0) is not None):
        reason = block_devices.refusal(disk, 0)
        by_id = str(disk.by_id[0]) if disk.by_id else ""
        note = by_id if reason is None else f"not: {reason}"
        rows.append((str(disk.path), size(disk.size), disk.transport, disk.model, disk.serial, note))
    return "\n".join(aligned(rows))


def size(count: int) -> str:
    """Bytes as makers of sticks count them: "16.0 GB"."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def confirm(to: Target, ask: Callable[[str], str] = input) -> None:
    """Have the device's model or serial number typed. Raises DeviceError where that is not what is typed."""
    if not to.names:
        return
    if not sys.stdin.isatty():
        raise DeviceError(f"{to.path}: nobody is there to confirm it; say --yes if it is to be overwritten")
    disk = to.disk
    if disk:
        what = f"{disk.path}: {disk.model or 'no model'}, serial {disk.serial or 'unknown'}, {size(disk.size)}"
        print(f"{what}{', ' + disk.transport if disk.transport else ''}", file=sys.stderr)
    print(f"everything on {to.path} will be lost", file=sys.stderr)
    typed = " ".join(ask(f"type {' or '.join(repr(name) for name in to.names)} to go on: ").split())
    if typed not in to.names:
        raise DeviceError(f"{to.path}: {typed!r} is not what it is called; nothing was written")
