"""Processes that do one thing, and how they ended."""

from __future__ import annotations

import os
from collections.abc import Callable


def child(work: Callable[[], None]) -> int:
    """A process that does this, and no more; its id."""
    pid = os.fork()
    if not pid:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return pid


def status_of(pid: int) -> int:
    """Its status, once it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
