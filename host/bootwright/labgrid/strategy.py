"""A board of a lab, brought to a state: its image deployed, its power switched, its serial line read and understood.

    BootwrightStrategy: {medium: disk, ready: INIT-OK}      # in labgrid's environment, behind the board's other drivers

What the stub says decides: each stage is a line, and an error is an exception with its number, its sentence with the
values of this board, and what to try (docs/errors.md).
"""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attr
from labgrid.driver import Driver
from labgrid.factory import target_factory
from labgrid.step import step
from labgrid.strategy import Strategy, StrategyError
from labgrid.util.expect import PtxExpect
from pexpect import EOF, TIMEOUT
from serial import SerialException

from bootwright.common.children import no_child_left
from bootwright.common.errors import listed
from bootwright.common.interrupts import held
from bootwright.common.messages import failure_pattern, pattern, shown_build
from bootwright.common.terminal import without_control
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

    transcript: all that was read from the console since the power was switched on.
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
    boot_timeout = attr.ib(default=120.0, validator=attr.validators.instance_of((float, int)))
    launch_timeout = attr.ib(default=120.0, validator=attr.validators.instance_of((float, int)))
    ready_timeout = attr.ib(default=120.0, validator=attr.validators.instance_of((float, int)))
    status = attr.ib(default=Status.unknown, init=False)
    _said: bytearray = attr.ib(factory=bytearray, init=False)
    _recorded: bool = attr.ib(default=False, init=False)
    progress: Callable[[str], None] = attr.ib(default=lambda said: None, init=False)
    _failed: bool = attr.ib(default=False, init=False)
    _was_on: bool | None = attr.ib(default=None, init=False)
    _switched: bool = attr.ib(default=False, init=False)

    @property
    def transcript(self) -> str:
        """The text alone, without what moves a cursor."""
        return without_control(bytes(self._said)).decode("utf-8", "replace")

    @step(args=["status"])
    def transition(self, status: Status | str) -> None:
        """Bring the board to a state. Raises BootFailed for an error of the stub, StrategyError for all else."""
        wanted = Status[status] if isinstance(status, str) else status
        if wanted is Status.unknown:
            raise StrategyError("unknown: is no state to bring a board to")
        if wanted is self.status and not self._failed:
            return
        if wanted.value >= Status.booted.value and self.status in (Status.off, Status.unknown):
            self._prepare()  # a board goes on with what it does while an image is built, or none can be
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

    def _activate(self, driver: Driver) -> None:
        """Raises StrategyError where what it needs went away with its exporter: to labgrid that is a KeyError."""
        try:
            self.target.activate(driver)
        except KeyError as error:
            entries = {type(one).__name__: getattr(one, "_remote_entry", None) for one in self.target.resources}
            lost = [name for name, entry in entries.items() if entry is not None and "params" not in entry.data]
            if not lost:
                raise
            raise StrategyError(f"with the exporter that offered it went its {listed(lost)}") from error

    def restore(self) -> None:
        """Switch a board that this strategy has switched off; on again where it was on before that, as far as its power
        driver can say it.
        """
        if not self._switched:
            return
        self.transition(Status.off)
        if self._was_on:
            self._switch("cycle")  # with the switch's own time between off and on
            self.status, self._was_on = Status.unknown, None
        self._switched = False

    def _off(self) -> None:
        for bound in (self.shell, self.console):
            if bound is not None:
                self.target.deactivate(bound)
        self._activate(self.power)
        if self._was_on is None:
            self._was_on = self._is_on()
        self._switch("off")
        self._said.clear()
        if hasattr(self.console, "_expect"):  # the next boot does not begin with the end of this one
            self.console._expect = PtxExpect(self.console)
        self.status, self._failed = Status.off, False

    def _switch(self, what: str) -> None:
        """Switch the power on, off, or cycle it. Raises StrategyError where that fails, or does nothing as far as the
        switch can say it.
        """
        try:
            with held():
                self._switched = True
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

    def _prepare(self) -> None:
        """The image with what the board boots from, built where it has not been. Raises as a build does."""
        if self.image is None:
            if self.storage is not None:
                raise StrategyError("its target has a stick and no BootwrightImage that could be written to it")
            return
        self._activate(self.image)
        if self.storage is not None:
            self.image.path(self.medium)
        if self.netboot is not None:
            self.image.path("pxe")

    def _boot(self) -> None:
        self._prepare()
        if self.storage is not None:
            self._write()
        if self.netboot is not None:
            self.progress("staging")
            self._activate(self.netboot)
            with no_child_left():
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
        """Open the line, and record what is read from it by whatever driver. Raises StrategyError."""
        try:
            self._activate(self.console)
        except StrategyError:
            raise
        except Exception as error:  # each console has errors of its own
            raise StrategyError(f"its console cannot be read: {error}") from error
        if not self._recorded:
            read = self.console.read

            def recorded(*args: Any, **kwargs: Any) -> bytes:
                data: bytes = read(*args, **kwargs)
                self._said += data
                return data

            self.console.read, self._recorded = recorded, True

    def _listens(self) -> bool:
        """Open the line before the board says anything; False where it is there only once the board is on."""
        try:
            self._listen()
        except StrategyError:
            return False
        return True

    def _write(self) -> None:
        image = str(self.image.path(self.medium))
        self.progress(f"writing {self.medium}")
        with self._stick_here():
            self._activate(self.storage)
            try:
                with no_child_left():
                    self.storage.write_image(image)
            finally:
                self.target.deactivate(self.storage)

    @contextmanager
    def _stick_here(self) -> Iterator[None]:
        """A stick behind a multiplexer is this machine's meanwhile, and the board's again however that ends."""
        if self.mux is None:
            yield
            return
        self._activate(self.mux)
        try:
            with held():
                self.mux.set_mode("host")
            yield
        finally:
            with held():
                self.mux.set_mode("dut")

    def _ready(self) -> None:
        if self.shell is not None:
            self._shell()
        elif self.ready:
            wanted = [re.escape(self.ready), *([re.escape(self.fail)] if self.fail else [])]
            said = self._expect(wanted, self.ready_timeout, f"shown {self.ready!r} within {self.ready_timeout:g} s")
            if not said.endswith(self.ready):
                raise StrategyError(f"it showed {self.fail!r}, and not {self.ready!r}")
        else:
            raise StrategyError("shell: neither a ShellDriver nor `ready` says when it is up")
        self.status = Status.shell

    def _shell(self) -> None:
        try:
            self._activate(self.shell)
        except (TIMEOUT, EOF, SerialException) as error:
            if self.fail and self.fail in self.transcript:
                raise StrategyError(f"it showed {self.fail!r}, and no prompt of a shell") from error
            raise self._late(error, "come to the prompt of its ShellDriver") from error

    def _until(self, messages: tuple[str, ...], timeout: float) -> re.Match[str]:
        """The line of one of these messages. Raises BootFailed where an error comes before it."""
        patterns = [_within_a_line(pattern(name)) for name in messages]
        failure = _within_a_line(failure_pattern()).replace(".*", "[^\r\n]*")
        deadline = time.monotonic() + timeout
        while True:
            left, wanted = deadline - time.monotonic(), f"come so far within {timeout:g} s"
            line = self._expect(["\n"], left, wanted).rstrip("\r\n")
            if re.search(failure, line):
                raise self._failure(line)
            if match := next((match for one in patterns if (match := re.search(one, line))), None):
                return match

    def _failure(self, line: str) -> StrategyError:
        """Of the stub's line; one that this version does not know is of an image that another has built."""
        errors = explain.read(self.transcript).errors
        return BootFailed(errors[-1], self.transcript) if errors else StrategyError(f"it said {line!r}")

    def _expect(self, patterns: list[str], timeout: float, wanted: str) -> str:
        """What the line said up to one of these, and that; timeout: in seconds. Raises StrategyError where it is over,
        or the line ends: it has not `wanted`.
        """
        try:
            _, before, _, after = self.console.expect([one.encode() for one in patterns], timeout=max(timeout, 0))
        except (TIMEOUT, EOF, SerialException) as error:
            raise self._late(error, wanted) from error
        text: str = (before + after).decode("utf-8", "replace")
        if (stage := explain.read(text).stage) is not None:
            self.progress(stage.name)
        return text

    def _late(self, error: Exception, wanted: str) -> StrategyError:
        """The error of a board that has not `wanted` in time, or whose line ended."""
        stage = explain.read(self.transcript).stage
        where = f"the last stage was {stage.name}: {stage.silent[0]}" if stage else "no line of the stub has come"
        end = "" if isinstance(error, TIMEOUT) else "the line ended, and "
        return StrategyError(f"{end}it has not {wanted}; {where}")


def _within_a_line(found: re.Pattern[str]) -> str:
    """Firmware and loader leave what moves a cursor in front of the stub's line."""
    return found.pattern.removeprefix("^").removesuffix("$")


# labgrid looks for a class of this kind by what it is derived from.
assert issubclass(BootwrightStrategy, Driver)
