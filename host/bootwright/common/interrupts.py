"""What is done whole before an interruption is taken: half of a switch, or of a place taken, cannot be undone.

with held():
    ...         # SIGINT, SIGTERM and SIGHUP come behind it
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # a key, who runs this, a terminal that is gone

INTERRUPTED = "interrupted"  # what is said of work that was, and of which all is as it was before


@contextmanager
def held() -> Iterator[None]:
    """Interruptions that come in the block are taken at its end. Only the main thread is told of any: signal(7). A
    command that the block runs is interrupted by a key all the same, unless its process group is another.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in INTERRUPTIONS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
