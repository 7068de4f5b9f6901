"""A small initial ramdisk: a cpio archive in the newc format, as Linux unpacks it.

Not compressed: the image's own packing takes care of that, with a library of a fixed version, so that the
bytes are the same everywhere. Owners are root, times are 0. Specification: Linux
Documentation/driver-api/early-userspace/ buffer-format.rst.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BLOCK = 512  # archives are padded to whole ones
TRAILER = "TRAILER!!!"
CHUNK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A file of the archive. mode: type and permissions (stat.S_IFREG | 0o755). content: where a regular
    file's bytes are. device: (major, minor) of a device node.
    """

    name: str
    mode: int
    content: Path | None = None
    device: tuple[int, int] = (0, 0)


def directory(name: str) -> Entry:
    """A directory that everyone may read."""
    return Entry(name, stat.S_IFDIR | 0o755)


def program(name: str, content: Path) -> Entry:
    """A file that everyone may run."""
    return Entry(name, stat.S_IFREG | 0o755, content)


def busybox_ramdisk(busybox: Path, init: Path, programs: Iterable[Path] = ()) -> list[Entry]:
    """The entries of a ramdisk with a program at /bin/NAME, others beside it, the script /init, and /dev/console for
    its output.
    """
    return [
        directory("bin"),
        program(f"bin/{busybox.name}", busybox),
        *(program(f"bin/{path.name}", path) for path in programs),
        directory("dev"),
        Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),
        program("init", init),
        directory("proc"),
        directory("sys"),
    ]


def write(entries: Iterable[Entry], out: Path) -> None:
    """Write an archive of `entries`, in their order, to `out`. OSError passes."""
    with out.open("wb") as target:
        number = 0
        for number, entry in enumerate(entries, 1):
            _write_entry(target, number, entry)
        _write_header(target, number + 1, Entry(TRAILER, 0), 0)
        target.write(bytes(-target.tell() % BLOCK))


def _write_entry(target: BinaryIO, number: int, entry: Entry) -> None:
    if entry.content is None:
        _write_header(target, number, entry, 0)
        return
    with entry.content.open("rb") as source:
        size = source.seek(0, 2)
        source.seek(0)
        _write_header(target, number, entry, size)
        while size:
            data = source.read(min(CHUNK, size))
            if not data:
                raise OSError(f"{entry.content} became shorter while it was read")
            target.write(data)
            size -= len(data)
    _pad(target)


def _write_header(target: BinaryIO, number: int, entry: Entry, size: int) -> None:
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (number, entry.mode, 0, 0, links, 0, size, 0, 0, *entry.device, len(name), 0)
    target.write(b"070701" + b"".join(b"%08x" % field for field in fields) + name)
    _pad(target)


def _pad(target: BinaryIO) -> None:
    target.write(bytes(-target.tell() % 4))
