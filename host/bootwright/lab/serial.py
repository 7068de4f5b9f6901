"""Reading from a serial line: raw, 115200 baud, until there is enough."""

from __future__ import annotations

import os
import select
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bootwright.common.errors import DeviceError, counted, why
from bootwright.description.values import MAX_WAIT

SPEED = termios.B115200
PIECE = 4096  # bytes that are asked for at once


def read(path: Path, enough: Callable[[bytes], bool], timeout: float, show: Callable[[bytes], None]) -> bytes:
    """All that the line says until that is `enough`; show is given it as it comes.

    timeout: seconds of silence after which to give up; 0 waits for ever. Raises DeviceError then, and for a
    line that cannot be opened or goes away.
    """
    if not 0 <= timeout <= MAX_WAIT:
        raise DeviceError(f"timeout: {timeout:g} must be 0 or more, and at most {MAX_WAIT} seconds")
    captured = bytearray()
    with opened(path) as line:
        deadline = time.monotonic() + timeout
        while not enough(bytes(captured)):
            left = deadline - time.monotonic() if timeout else None
            ready, _, _ = select.select([line], [], [], None if left is None else max(left, 0))
            if not ready:
                got = f"{counted(len(captured), 'byte')} without a whole report" if captured else "nothing"
                raise DeviceError(f"{path}: silent for {timeout:g} s, after {got}")
            try:
                data = os.read(line, PIECE)
            except BlockingIOError:
                continue
            except OSError as error:
                raise DeviceError(f"{path}: {why(error)}") from error
            if not data:
                raise DeviceError(f"{path}: the line was closed after {counted(len(captured), 'byte')}")
            captured += data
            show(data)
            deadline = time.monotonic() + timeout
    return bytes(captured)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """The line's descriptor, raw; as it was afterwards. Raises DeviceError for what is no serial line."""
    # Not blocking: opening waits for a modem's carrier otherwise.
    try:
        line = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DeviceError(f"{path} cannot be opened: {why(error)}") from error
    try:
        try:
            before = termios.tcgetattr(line)
            termios.tcsetattr(line, termios.TCSANOW, _raw(before))
        except termios.error as error:
            raise DeviceError(f"{path} is no serial line: {error.args[-1]}") from error
        try:
            yield line
        finally:
            with suppress(termios.error):  # of an adapter that was pulled
                termios.tcsetattr(line, termios.TCSANOW, before)
    finally:
        os.close(line)


def _raw(before: list[Any]) -> list[Any]:
    """8 bits, no parity, no flow control, nothing translated: termios(3), cfmakeraw."""
    characters = list(before[6])
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return [termios.IGNBRK, 0, termios.CS8 | termios.CREAD | termios.CLOCAL, 0, SPEED, SPEED, characters]
