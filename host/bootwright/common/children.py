"""Processes that this one has started, by whatever library: ended where what wanted them was left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bootwright.common.interrupts import held


@contextmanager
def no_child_left() -> Iterator[None]:
    """Where the block is left by an exception, an interruption above all, each process that was started in it by this
    one is killed, and has ended.
    """
    before = _children()
    try:
        yield
    except BaseException:
        with held():
            for child in _children() - before:
                with suppress(ProcessLookupError, ChildProcessError):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
        raise


def _children() -> set[int]:
    """By process id, from proc(5)."""
    found = set[int]()
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended just now
            found |= {int(child) for child in path.read_text(encoding="ascii").split()}
    return found
