"""A board of a lab, brought to a state: its image deployed, its power switched, its serial line read and understood.

    BootwrightStrategy: {medium: disk, ready: INIT-OK}      # in labgrid's environment, behind the board's other drivers

What the stub says decides: each stage is a line, and an error is an exception with its number, its sentence with the
values of this board, and what to try (docs/errors.md).
"""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Callable
from typing import Any

import attr
from labgrid.driver import Driver
from labgrid.factory import target_factory
from labgrid.step import step
from labgrid.strategy import Strategy, StrategyError
from pexpect import EOF, TIMEOUT
from serial import SerialException

from bootwright.common.interrupts import held
from bootwright.common.messages import failure_pattern, pattern, shown_build
from bootwright.lab import explain

_ENTRY = ("M_ENTRY",)
_SWITCHING = 10.0  # seconds until a switch says what it did
_LAUNCH = ("M_LAUNCH", "M_PARTITION_LAUNCH")


class Status(enum.Enum):
    """What a board is, or is brought to. launched: its kernel was entered; shell: it has said what it should."""

    unknown = 0
    off = 1
    booted = 2
    launched = 3
    shell = 4


class BootFailed(StrategyError):
    """The stub ended with an error. number: as "E0404"; explanation: what it means, causes, what to try."""

    def __init__(self, found: explain.Explanation, transcript: str) -> None:
        tries = "; ".join(found.tries)
        super().__init__(f"{found.number}: {found.sentence}. {found.means} Try: {tries}")
        self.number = found.number
        self.explanation = found
        self.transcript = transcript

    def __str__(self) -> str:
        return str(self.msg)


@target_factory.reg_driver
@attr.s(eq=False)
class BootwrightStrategy(Strategy):
    """Binds power, console, and where there are any: the image and where it is deployed, the multiplexer that a stick
    is behind, a driver for the shell.

    medium: what of the image goes onto the storage; ready: a text that the console shows when it is up, where no shell
    is bound; fail: one that says that it will not be; boot_timeout, launch_timeout, ready_timeout: in seconds, for
    firmware and loader; for the stub; for what it launches. progress: is told of each step.
    """

    bindings = {  # noqa: RUF012  # as labgrid reads it
        "power": "PowerProtocol",
        "console": "ConsoleProtocol",
        "image": {"BootwrightImage", None},
        "storage": {"USBStorageDriver", "BootwrightStick", None},
        "mux": {"USBSDMuxDriver", "USBSDWireDriver", None},
        "netboot": {"BootwrightNetboot", None},
        "shell": {"ShellDriver", None},
    }
    medium = attr.ib(default="disk", validator=attr.validators.instance_of(str))
    ready = attr.ib(default="", validator=attr.validators.instance_of(str))
    fail = attr.ib(default="Kernel panic", validator=attr.validators.instance_of(str))
    boot_timeout = attr.ib(default=120.0, validator=attr.validators.instance_of(float))
    launch_timeout = attr.ib(default=120.0, validator=attr.validators.instance_of(float))
    ready_timeout = attr.ib(default=120.0, validator=attr.validators.instance_of(float))
    status = attr.ib(default=Status.unknown, init=False)
    transcript = attr.ib(default="", init=False)
    progress: Callable[[str], None] = attr.ib(default=lambda said: None, init=False)
    _failed: bool = attr.ib(default=False, init=False)
    _was_on: bool | None = attr.ib(default=None, init=False)

    @step(args=["status"])
    def transition(self, status: Status | str) -> None:
        """Bring the board to a state. Raises BootFailed for an error of the stub, StrategyError for all else."""
        wanted = Status[status] if isinstance(status, str) else status
        if wanted is Status.unknown:
            raise StrategyError("unknown: is no state to bring a board to")
        if wanted is self.status and not self._failed:
            return
        if self._failed or wanted.value <= self.status.value or self.status is Status.unknown:
            self._off()
        self._failed = True  # until it has gone well: what failed on the way is not gone on with
        self._reach(wanted)
        self._failed = False

    def _reach(self, wanted: Status) -> None:
        if wanted.value >= Status.booted.value and self.status is Status.off:
            self._boot()
        if wanted.value >= Status.launched.value and self.status is Status.booted:
            self._until(_LAUNCH, self.launch_timeout)
            self.status = Status.launched
            self.progress(Status.launched.name)
        if wanted is Status.shell:
            self._ready()

    def restore(self) -> None:
        """Switch the board off; on again where it was on before this strategy first touched it, as far as its power
        driver can say that.
        """
        self.transition(Status.off)
        if self._was_on:
            self._switch("cycle")  # with the switch's own time between off and on

    def _off(self) -> None:
        for bound in (self.shell, self.console):
            if bound is not None:
                self.target.deactivate(bound)
        self.target.activate(self.power)
        if self._was_on is None:
            self._was_on = self._is_on()
        self._switch("off")
        self.status, self.transcript, self._failed = Status.off, "", False

    def _switch(self, what: str) -> None:
        """Switch the power on, off, or cycle it. Raises StrategyError where that fails, or does nothing as far as the
        switch can say it.
        """
        try:
            with held():
                getattr(self.power, what)()
        except Exception as error:  # most power drivers have errors of their own
            raise StrategyError(f"power {what}: {error}") from error
        wanted, deadline = what != "off", time.monotonic() + _SWITCHING
        while self._is_on() is (not wanted):
            if time.monotonic() > deadline:
                raise StrategyError(f"power {what}: its switch says that it is still {'off' if wanted else 'on'}")
            time.sleep(_SWITCHING / 20)

    def _is_on(self) -> bool | None:
        """What the switch says; None where its driver cannot say it."""
        try:
            return bool(self.power.get())
        except Exception:  # each of those says that in its own way
            return None

    def _boot(self) -> None:
        if self.image is not None:
            self.target.activate(self.image)
        if self.storage is not None:
            self._write()
        if self.netboot is not None:
            self.progress("staging")
            self.target.activate(self.netboot)
            self.netboot.stage()
        self.status = Status.unknown  # until the stub has said that it is there
        listens = self._listens()
        self.progress("power on")
        self._switch("on")
        if not listens:
            self._listen()
        match = self._until(_ENTRY, self.boot_timeout)
        self.status = Status.booted
        if self.image is not None and (build := self.image.build_id()) and match[2] != shown_build(build):
            raise StrategyError(f"it booted build {match[2]} of {match[1]}, and not {shown_build(build)}")

    def _listen(self) -> None:
        """Open the line. Raises StrategyError."""
        try:
            self.target.activate(self.console)
        except Exception as error:  # each console has errors of its own
            raise StrategyError(f"its console cannot be read: {error}") from error

    def _listens(self) -> bool:
        """Open the line before the board says anything; False where it is there only once the board is on."""
        try:
            self._listen()
        except StrategyError:
            return False
        return True

    def _write(self) -> None:
        if self.image is None:
            raise StrategyError("its target has a stick and no BootwrightImage that could be written to it")
        self.progress(f"writing {self.medium}")
        if self.mux is not None:
            self.target.activate(self.mux)
            self.mux.set_mode("host")
        self.target.activate(self.storage)
        self.storage.write_image(str(self.image.path(self.medium)))
        self.target.deactivate(self.storage)
        if self.mux is not None:
            self.mux.set_mode("dut")

    def _ready(self) -> None:
        if self.shell is not None:
            self.target.activate(self.shell)
        elif self.ready:
            said = self._expect(
                [re.escape(self.ready), *([re.escape(self.fail)] if self.fail else [])],
                self.ready_timeout,
                f"shown {self.ready!r} within {self.ready_timeout:g} s",
            )
            if not said.endswith(self.ready):
                raise StrategyError(f"it showed {self.fail!r}, and not {self.ready!r}")
        else:
            raise StrategyError("shell: neither a ShellDriver nor `ready` says when it is up")
        self.status = Status.shell

    def _until(self, messages: tuple[str, ...], timeout: float) -> re.Match[str]:
        """The line of one of these messages. Raises BootFailed where an error comes before it."""
        patterns = [_within_a_line(pattern(name)) for name in messages]
        failure = _within_a_line(failure_pattern()).replace(".*", "[^\r\n]*")
        deadline = time.monotonic() + timeout
        while True:
            left, wanted = deadline - time.monotonic(), f"come so far within {timeout:g} s"
            line = self._expect(["\n"], left, wanted).rstrip("\r\n")
            if re.search(failure, line):
                raise BootFailed(explain.read(self.transcript).errors[-1], self.transcript)
            if match := next((match for one in patterns if (match := re.search(one, line))), None):
                return match

    def _expect(self, patterns: list[str], timeout: float, wanted: str) -> str:
        """What the line said up to one of these, and that; timeout: in seconds. Raises StrategyError where it is over,
        or the line ends: it has not `wanted`.
        """
        try:
            _, before, _, after = self.console.expect(patterns, timeout=max(timeout, 0))
        except (TIMEOUT, EOF, SerialException) as error:
            self.transcript += _text(getattr(self.console._expect, "before", b""))
            stage = explain.read(self.transcript).stage
            where = f"the last stage was {stage.name}: {stage.silent[0]}" if stage else "no line of the stub has come"
            end = "" if isinstance(error, TIMEOUT) else "the line ended, and "
            raise StrategyError(f"{end}it has not {wanted}; {where}") from error
        text = _text(before) + _text(after)
        self.transcript += text
        if (stage := explain.read(text).stage) is not None:
            self.progress(stage.name)
        return text


def _within_a_line(found: re.Pattern[str]) -> str:
    """Firmware and loader leave what moves a cursor in front of the stub's line."""
    return found.pattern.removeprefix("^").removesuffix("$")


def _text(data: Any) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else ""


# labgrid looks for a class of this kind by what it is derived from.
assert issubclass(BootwrightStrategy, Driver)
