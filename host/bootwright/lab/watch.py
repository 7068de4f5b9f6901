"""A machine at a desk, watched on its serial line from the moment that its power is switched: a verdict, as of a QEMU.

found = watch(Path("/dev/ttyUSB0"), ("INIT-OK",), (), 300, print, power.cycle)
found.outcome, found.reason, found.transcript
"""

from __future__ import annotations

import codecs
import os
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootwright.common.errors import DeviceError, counted, listed, why
from bootwright.common.interrupts import held
from bootwright.common.messages import failure_pattern, pattern
from bootwright.common.terminal import printable, split_cut, without_control
from bootwright.description.values import MAX_WAIT
from bootwright.lab import serial

_SWITCHING = 60  # seconds that a power switch may take
_AFTER_FAILURE = 2.0  # seconds, for the lines behind that of an error
_LAUNCHED = ("M_LAUNCH", "M_PARTITION_LAUNCH")


@dataclass(frozen=True)
class Power:
    """A machine's power switch: a command that takes on, off or cycle as its last argument."""

    command: str

    def switch(self, what: str) -> None:
        """Raises DeviceError where the command is not there, fails, or does not come back."""
        try:
            words = [*shlex.split(self.command), what]
        except ValueError as error:
            raise DeviceError(f"power {self.command!r}: {error}") from error
        # Not a pipe: what the command leaves running may keep one open, and it has switched all the same.
        with held(), tempfile.TemporaryFile() as said:
            try:
                # A group of its own: half of a cycle would leave the machine off.
                process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, process_group=0)
            except OSError as error:
                raise DeviceError(f"power {what}: {self.command!r} cannot be run: {why(error)}") from error
            try:
                status = process.wait(_SWITCHING)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # all of it: none of it is to switch later
                process.wait()
                raise DeviceError(f"power {what}: {self.command!r} has not ended after {_SWITCHING} s") from None
            said.seek(0)
            text = said.read().decode("utf-8", "replace")
        if status:
            last = printable((text.strip().splitlines() or ["it said nothing"])[-1])
            raise DeviceError(f"power {what}: {self.command!r} ended with status {status}: {last}")


@dataclass(frozen=True)
class Watched:
    """outcome: "as_expected", "failed", "stub_failure" or "time_out"; reason: the same in a sentence; transcript: what
    the line said, without terminal control; seconds: since the power was switched.
    """

    outcome: str
    reason: str
    transcript: str
    seconds: float


def watch(
    path: Path,
    expect: Sequence[str],
    fail: Sequence[str],
    timeout: float,
    show: Callable[[str], None],
    begin: Callable[[], None] = lambda: None,
) -> Watched:
    """Read the line until it has shown all of `expect`; where that is empty, until the stub has launched something.

    begin: what is done once somebody listens, as switching the power; timeout: in seconds, for all of it. Raises
    DeviceError for a line that cannot be opened or goes away, and what begin raises.
    """
    if not 0 < timeout <= MAX_WAIT:  # said before the power is on
        raise DeviceError(f"timeout: {timeout:g} must be more than 0, and at most {MAX_WAIT} seconds")
    decoder, raw, text, failed = codecs.getincrementaldecoder("utf-8")("replace"), b"", "", 0.0
    with serial.opened(path) as line:
        begin()
        started = time.monotonic()
        deadline = started + timeout
        while True:
            if verdict := _verdict(text, expect, fail):
                return Watched(*verdict, text, time.monotonic() - started)
            match = failure_pattern().search(text)
            if match and not failed:
                failed = time.monotonic() + _AFTER_FAILURE
            left = (min(failed, deadline) if failed else deadline) - time.monotonic()
            if left <= 0:
                missing = listed([repr(one) for one in expect if one not in text]) if expect else "a launch"
                outcome, reason = "time_out", f"time-out after {timeout:g} s without {missing}"
                if match:
                    outcome, reason = "stub_failure", match[0]
                return Watched(outcome, reason, text, time.monotonic() - started)
            if not select.select([line], [], [], left)[0]:
                continue
            raw += _piece(line, path, len(text))
            whole, raw = split_cut(raw)
            if new := decoder.decode(without_control(whole)):
                text += new
                show(new)


def _piece(line: int, path: Path, so_far: int) -> bytes:
    try:
        data = os.read(line, serial.PIECE)
    except BlockingIOError:
        return b""
    except OSError as error:
        raise DeviceError(f"{path}: {why(error)}") from error
    if not data:
        raise DeviceError(f"{path}: the line was closed after {counted(so_far, 'character')}")
    return data


def _verdict(text: str, expect: Sequence[str], fail: Sequence[str]) -> tuple[str, str] | None:
    if found := next((one for one in fail if one in text), None):
        return "failed", f"the line showed {found!r}"
    if expect and all(text.count(one) >= expect.count(one) for one in expect):
        return "as_expected", f"the line showed {listed([repr(one) for one in dict.fromkeys(expect)])}"
    if not expect and any(pattern(name).search(text) for name in _LAUNCHED):
        return "as_expected", "the stub launched what it was to"
    return None
