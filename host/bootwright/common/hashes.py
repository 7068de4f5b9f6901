"""SHA-256 of files, those of large ones remembered; and the bytes of files, block by block.

    hashes = Hashes()
    size, sha256 = hashes.of(path)
    hashes.save()

Hashing a large file is spared as long as its size, times and inode are those that it was hashed with.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from bootwright.common import paths, scratch

LARGE = 1 << 20  # bytes of a file whose hash is worth remembering
_BUFFER = 1 << 20
# A file may be written twice within the step of a file system's clock; 2 s is FAT's, others have less.
_CLOCK_STEP = 2_000_000_000


class Hashes:
    """SHA-256 of files; those of large ones are kept in build/.hashes.json with what tells whether they still hold."""

    def __init__(self) -> None:
        self._file = paths.root() / "build" / ".hashes.json"
        self._known: dict[str, list[Any]] = {}
        self._changed = False
        with suppress(OSError, ValueError, RecursionError):
            found = json.loads(self._file.read_text(encoding="utf-8"))
            self._known = found if isinstance(found, dict) else {}

    def of(self, path: Path) -> tuple[int, str]:
        """Size and hash of a file. Raises OSError for one that is not there, or no regular file."""
        with _opened(path) as file:
            status = os.fstat(file.fileno())
            key = os.path.abspath(path)
            known = self._known.get(key)
            if isinstance(known, list) and len(known) == 2 and known[0] == _state(status):
                return status.st_size, str(known[1])
            now = time.time_ns()
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if max(status.st_mtime_ns, status.st_ctime_ns) + _CLOCK_STEP < now:
            self._keep(key, status, found)
        return status.st_size, found

    def remember(self, path: Path, sha256: str) -> None:
        """Keep the hash of a file that was written by this process, and by nobody else."""
        self._keep(os.path.abspath(path), path.stat(), sha256)

    def _keep(self, key: str, status: os.stat_result, sha256: str) -> None:
        if status.st_size >= LARGE:
            self._known[key] = [_state(status), sha256]
            self._changed = True

    def save(self) -> None:
        """Write down what is new. Where that cannot be, files are hashed again."""
        if not self._changed:
            return
        kept = {}
        for key, value in sorted(self._known.items()):
            with suppress(OSError):
                os.stat(key)
                kept[key] = value
        with suppress(OSError):
            self._file.parent.mkdir(exist_ok=True)
            with scratch.own(self._file.parent, "hashes") as folder:
                (folder / "new").write_text(json.dumps(kept, indent=0), encoding="utf-8")
                (folder / "new").replace(self._file)


def blocks(file: BinaryIO, offset: int, size: int) -> Iterator[bytes]:
    """The `size` bytes of a file from `offset` on, as many as are there, in blocks that are small enough to hold."""
    file.seek(offset)
    while size and (block := file.read(min(size, _BUFFER))):
        yield block
        size -= len(block)


def _state(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def _opened(path: Path) -> Any:
    # Opening a named pipe would wait for its other end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return path.open("rb", buffering=_BUFFER)
