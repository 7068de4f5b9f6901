"""Reading from a serial line: raw, 115200 baud, until there is enough, and by nobody else meanwhile."""

from __future__ import annotations

import fcntl
import os
import select
import stat
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bootwright.common.errors import DeviceError, counted, why
from bootwright.description.values import MAX_WAIT

_PROC = Path("/proc")
_PSEUDOTERMINALS = range(136, 144)  # Linux, Documentation/admin-guide/devices.txt: UNIX98 PTY slaves
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
    """The line's descriptor, raw; as it was afterwards. Raises DeviceError for what is no serial line, and for one that
    somebody else reads: each would get a part of what the machine says.
    """
    # Not blocking: opening waits for a modem's carrier otherwise.
    try:
        line = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        by = "".join(f" by {name}" for name in _readers(path)[:1])  # who took it for itself: tty_ioctl(4), TIOCEXCL
        raise DeviceError(f"{path} cannot be opened: {why(error)}{by}") from error
    try:
        _lock(line, path)
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


def _lock(line: int, path: Path) -> None:
    """Raises DeviceError where somebody else reads the line, or has locked it."""
    readers = _readers(path)
    try:
        fcntl.flock(line, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as pyserial, picocom and others know it
    except OSError:
        readers = readers or ["another program"]
    if readers:
        raise DeviceError(f"{path} is read by {readers[0]}: a line has one reader")


def _readers(path: Path) -> list[str]:
    """The other processes that have the device open for reading: proc(5), fd and fdinfo. Those of other users are shown
    to root alone.
    """
    found = []
    try:
        device = _device(path.stat())
    except OSError:
        return []
    for process in _PROC.glob("[0-9]*"):
        if int(process.name) != os.getpid() and _reads(process, device):
            with suppress(OSError):
                found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
    return found


def _device(found: os.stat_result) -> tuple[int, int] | None:
    """Which device it is, None for a file that is none. A pseudoterminal has its number in one file system alone."""
    if not stat.S_ISCHR(found.st_mode):
        return None
    return found.st_rdev, found.st_dev if os.major(found.st_rdev) in _PSEUDOTERMINALS else 0


def _reads(process: Path, device: tuple[int, int] | None) -> bool:
    for number in _names(process / "fd"):
        with suppress(OSError, ValueError):
            if device is not None and _device((process / "fd" / number).stat()) == device:
                said = (process / "fdinfo" / number).read_text().split()
                return int(said[said.index("flags:") + 1], 8) & os.O_ACCMODE != os.O_WRONLY
    return False


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # another user's, or it has ended
        return []


def _raw(before: list[Any]) -> list[Any]:
    """8 bits, no parity, no flow control, nothing translated: termios(3), cfmakeraw."""
    characters = list(before[6])
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return [termios.IGNBRK, 0, termios.CS8 | termios.CREAD | termios.CLOCAL, 0, SPEED, SPEED, characters]
