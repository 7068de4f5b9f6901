"""Folders that one process works in, and what two processes must not do at once.

    with scratch.own(output.parent, output.name) as folder:     # gone afterwards, whatever happens
        ...
    with scratch.locked(output):                                # waits for whoever else is at it
        ...

Who owns a folder holds a lock on it (flock), which the kernel gives back however a process ends. So what a process
left that was killed is known by its lock, and the next one that works at the same place removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".scratch"

# What flock says of a folder on a file system without such locks, NFS among them (flock(2)).
_NO_LOCKS = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


@contextmanager
def own(parent: Path, name: str) -> Iterator[Path]:
    """A new folder of this process' own in `parent`, which must be there; `name` is for who meets it.

    Before that, what earlier processes left in `parent` is removed. OSError passes.
    """
    sweep(parent)
    folder, lock = _create(parent, name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(parent: Path) -> None:
    """Remove the folders in `parent` that own() made and whose process has ended."""
    for folder in sorted(parent.glob(f".*{SUFFIX}")):
        with suppress(OSError):  # somebody else was faster, or it is not ours to remove
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                if _lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for the same out of a folder, which must be there. OSError passes."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _create(parent: Path, name: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=SUFFIX, dir=parent))
        lock = -1
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            _lock(lock, fcntl.LOCK_EX)
            # Before it was locked, another process may have taken it for a leftover.
            if os.path.samestat(os.fstat(lock), os.stat(folder)):
                return folder, lock
        if lock >= 0:
            os.close(lock)


def _lock(descriptor: int, operation: int) -> bool:
    """Whether a lock was taken: not where another process has it, nor where the file system has no locks."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in _NO_LOCKS and not isinstance(error, BlockingIOError):
            raise
        return False
    return True
