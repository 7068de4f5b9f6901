"""Where an image is written: a disk or a plain file, refused where it must not be written over, and opened.

to = target(Path("/dev/sdb"), size)
with opened(to) as (descriptor, past_the_cache): ...
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bootwright.common.errors import DeviceError
from bootwright.flash import block_devices

BLKGETDISKSEQ = 0x80081280  # linux/fs.h


@dataclass(frozen=True)
class Target:
    """Where to write: a disk, or a plain file (disk None). limit: bytes it holds, None for a file that may
    grow. names: what may be typed to confirm it; empty where nothing can be lost.
    """

    path: Path
    disk: block_devices.Disk | None
    limit: int | None
    names: tuple[str, ...]

    @property
    def sector(self) -> int | None:
        """Bytes of one of its sectors; None for a file, which has none."""
        return self.disk.block_size if self.disk else None


def target(path: Path, size: int, system: block_devices.System = block_devices.System()) -> Target:  # noqa: B008
    """The device or file at `path`, if `size` bytes may be written over it. Raises DeviceError."""
    if path.is_block_device():
        disk = block_devices.find(path, system)
        if reason := block_devices.refusal(disk, size):
            raise DeviceError(f"{path} {reason}")
        return Target(path, disk, disk.size, disk.names or (path.name,))
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise DeviceError(f"{path} is neither a block device nor a plain file")
    if path.absolute().is_relative_to(system.dev):
        raise DeviceError(f"{path} is not there" if not path.exists() else f"{path} is no block device")
    if not path.parent.is_dir():
        raise DeviceError(f"{path}: there is no folder {path.parent}")
    held = path.stat().st_size if path.exists() else 0
    if held and held < size:
        raise DeviceError(f"{path} is too small: it has {held:,} bytes, and {size:,} are to be written")
    return Target(path, None, held or None, (path.name,) if held else ())


@contextlib.contextmanager
def opened(to: Target) -> Iterator[tuple[int, bool]]:
    """The target's descriptor, and whether it is written past the cache. Raises DeviceError."""
    flags = os.O_RDWR | os.O_CLOEXEC
    # A block device is opened for ourselves alone: that fails for whatever else has it, ZFS for one.
    flags |= os.O_EXCL if to.disk else os.O_CREAT
    direct = os.O_DIRECT if to.disk else 0
    try:
        try:
            device = os.open(to.path, flags | direct, 0o644)
        except OSError:
            if not direct:
                raise
            device, direct = os.open(to.path, flags), 0
    except OSError as error:
        reason = "it is in use, by a file system, LVM, RAID or ZFS" if error.errno == errno.EBUSY else error.strerror
        raise DeviceError(f"{to.path} cannot be opened: {reason}") from error
    with _closing(device):
        _check_same(device, to)
        yield device, bool(direct)


def _check_same(device: int, to: Target) -> None:
    """Raises DeviceError where another medium has come to this name since it was looked at, and confirmed."""
    if to.disk is None or not to.disk.sequence:
        return
    try:
        (sequence,) = struct.unpack("Q", fcntl.ioctl(device, BLKGETDISKSEQ, bytes(8)))
    except OSError:  # a kernel before 5.15
        return
    if sequence != to.disk.sequence:
        raise DeviceError(f"{to.path} is another medium than the one that was there a moment ago")


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # of a device that was pulled; that has been said
            os.close(descriptor)
