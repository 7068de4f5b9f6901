"""What `flash` shows and asks: the candidates, the confirmation, progress with its rate."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bootwright.cli import build
from bootwright.common import paths
from bootwright.common.columns import aligned
from bootwright.common.errors import DeviceError, ToolError
from bootwright.common.ranges import MIB
from bootwright.flash import block_devices, write
from bootwright.media import for_sector, gpt
from bootwright.media.medium import ensure

# The media that a whole device can be.
FLASHABLE = ("disk", "iso")


def run(name: str, device: str, medium: str, yes: bool) -> None:
    """Write an image's medium to a device, or list what there is to write to where none is named.

    The image and its medium are made first where they are not there, or out of date. Raises BootwrightError.
    """
    if medium not in FLASHABLE:
        raise ToolError(f"medium: {medium!r} is none of {', '.join(FLASHABLE)}")
    if not device:
        print(candidates(block_devices.disks()))
        return
    # What is wrong with the device should not wait for a build.
    sector = write.target(Path(device), 0).sector or gpt.SECTOR
    file = find(name, medium, sector)
    target = write.target(Path(device), file.stat().st_size)
    if not yes:
        confirm(target)
    with shown() as step:
        figures = write.write(file, target, step, lambda said: print(said, file=sys.stderr))
    print(summary(file, target, figures))


def find(name: str, medium: str, sector: int) -> Path:
    """The file to write: `name` itself if it is a file's, else that image's medium for a device with sectors of so many
    bytes, made where needed. Raises RunError where there is none.
    """
    if Path(name).suffix in (".img", ".iso") and Path(name).is_file():
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


def confirm(target: write.Target, ask: Callable[[str], str] = input) -> None:
    """Have the device's model or serial number typed. Raises DeviceError where that is not what is typed."""
    if not target.names:
        return
    if not sys.stdin.isatty():
        raise DeviceError(f"{target.path}: nobody is there to confirm it; say --yes if it is to be overwritten")
    disk = target.disk
    if disk:
        what = f"{disk.path}: {disk.model or 'no model'}, serial {disk.serial or 'unknown'}, {size(disk.size)}"
        print(f"{what}{', ' + disk.transport if disk.transport else ''}", file=sys.stderr)
    print(f"everything on {target.path} will be lost", file=sys.stderr)
    typed = " ".join(ask(f"type {' or '.join(repr(name) for name in target.names)} to go on: ").split())
    if typed not in target.names:
        raise DeviceError(f"{target.path}: {typed!r} is not what it is called; nothing was written")


@contextmanager
def shown() -> Iterator[write.Progress]:
    """A callback for flash.write: bars with rates on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress("{task.description}", *columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield step


def summary(file: Path, target: write.Target, figures: write.Figures) -> str:
    """The line that says what was done, and at what rate."""

    def rate(seconds: float) -> str:
        return f"{figures.size / MIB / max(seconds, 1e-3):.1f} MiB/s"

    return (
        f"{paths.shown(file)} is on {target.path}: {figures.size:,} bytes "
        f"written in {figures.writing:.1f} s ({rate(figures.writing)}), "
        f"read back in {figures.reading:.1f} s ({rate(figures.reading)}), equal"
    )
