"""One machine under QEMU: its command line, its serial console, and how it came to an end.

The guest's serial console is a pipe, and QEMU says over its control socket (QMP) why the guest stopped: a
guest that powers off, one that resets (as a triple fault does), and QEMU ending by itself are told apart.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import selectors
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from bootwright.common.errors import RunError, listed
from bootwright.common.messages import failure_pattern
from bootwright.common.ranges import Range
from bootwright.common.terminal import split_cut, without_control
from bootwright.common.tool import PIPE, QUIET, Files, Process, Tool
from bootwright.description.values import COM_PORTS

FIRMWARE = ("bios", "uefi")
ACCELERATORS = ("tcg", "kvm")
# The machine's, in the order of -serial.
SERIAL_PORTS = tuple(COM_PORTS.values())
_KVM = Path("/dev/kvm")
SVM_CPU = "EPYC,+svm,+npt"

# Behind a failure the stub has still to say what it does next.
_AFTER_FAILURE = 1.0
# What ends a run from the keyboard: Ctrl-].
END_KEY = b"\x1d"
_ANSWER = 10.0
_LOOK = 3600.0  # seconds that one select() waits at most: epoll counts milliseconds in 31 bits

# Given the console's text so far: which physical memory is to be read now, None for nothing yet.
Inspect = Callable[[str], Sequence[Range] | None]

# Reasons of QMP's event SHUTDOWN, in words.
_STOPPED: dict[str | None, str] = {
    "guest-shutdown": "the guest powered off",
    "guest-reset": "the guest reset (by a triple fault or on purpose)",
    "guest-panic": "the guest panicked",
}


class Qemu(Tool):
    """QEMU, which runs as long as its guest does: command, run."""

    name = "qemu-system-x86_64"
    package = "qemu-system-x86"
    does = "boots an image"


class Ovmf(Files):
    """UEFI firmware for QEMU."""

    name = "UEFI firmware for QEMU"
    package = "ovmf"
    does = "boots an image in the place of a BIOS"
    folders = (Path("/usr/share/ovmf"), Path("/usr/share/OVMF"))
    files = ("OVMF.fd",)


QEMU = Qemu()
OVMF = Ovmf()


class Outcome(IntEnum):
    """How a run ended; the value is the exit status of `run`."""

    AS_EXPECTED = 0
    STUB_FAILURE = 3
    TIME_OUT = 4
    ENDED = 5
    FAILED = 6


@dataclass(frozen=True)
class Machine:
    """The machine to boot on: memory in bytes, number of cpus, one of FIRMWARE, one of ACCELERATORS; svm: with AMD's
    virtualisation; cpu: QEMU's model, "" for one of ours; secure: code and variables of a UEFI firmware that enforces
    Secure Boot.
    """

    memory: int
    cpus: int = 1
    firmware: str = "bios"
    accelerator: str = "tcg"
    svm: bool = False
    cpu: str = ""
    secure: tuple[Path, Path] | None = None


@dataclass(frozen=True)
class Result:
    """How a run ended, in a sentence, and everything the serial console showed, without terminal control.

    memory: the bytes of each range that was to be inspected.
    """

    outcome: Outcome
    reason: str
    transcript: str
    seconds: float
    memory: tuple[bytes, ...] = ()


def command(machine: Machine, medium: Sequence[str]) -> list[str]:
    """QEMU's command line for a machine that boots from `medium` (QEMU arguments).

    Raises ToolError where QEMU or the firmware is not installed, RunError for a machine that cannot be.
    """
    return [
        QEMU.path(),
        *_accelerator(machine),
        *_firmware(machine),
        *("-m", f"{-(-machine.memory >> 20)}M"),
        *("-smp", str(machine.cpus)),
        *("-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot"),
        *medium,
    ]


def _accelerator(machine: Machine) -> list[str]:
    # The same modest cpu for both: it is enough for Linux, and repeats on every host.
    name = machine.accelerator
    if name == "kvm" and not os.access(_KVM, os.R_OK | os.W_OK):
        raise RunError(f"accelerator: {_KVM} is not there, or may not be opened")
    return ["-accel", name, "-cpu", machine.cpu or (SVM_CPU if machine.svm else "qemu64")]


def _firmware(machine: Machine) -> list[str]:
    if machine.secure is not None:
        code, variables = machine.secure
        # What it keeps is out of the guest's reach (EDK2, OvmfPkg/README, "SMM support").
        return [
            *("-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"),
            *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}"),
            *("-drive", f"if=pflash,format=raw,unit=1,file={variables}"),
        ]
    if machine.firmware == "bios":
        return []
    return ["-bios", str(OVMF.folder() / "OVMF.fd")]


def _serial(port: int | None) -> list[str]:
    """Options that put the first serial port on standard output, where kernels print, and the one at `port`."""
    if port not in SERIAL_PORTS[1:]:
        return ["-serial", "stdio"]
    between = ["-serial", "null"] * (SERIAL_PORTS.index(port) - 1)
    shared = ["-serial", "chardev:console"]
    return ["-chardev", "stdio,id=console,mux=on", *shared, *between, *shared]


def texts(expect: str | Sequence[str] | None) -> tuple[str, ...]:
    """What is expected, as texts: one, several, or none."""
    return (expect,) if isinstance(expect, str) else tuple(expect or ())


def run(
    arguments: Sequence[str],
    *,
    expect: str | Sequence[str] | None,
    timeout: float,
    show: Callable[[str], None],
    directory: Path | None = None,
    inspect: Inspect | None = None,
    serial_port: int | None = None,
    fail: Sequence[str] = (),
    keyboard: int | None = None,
) -> Result:
    """Run QEMU until the serial console shows all of `expect` (a text that is there twice, twice), or one of `fail`,
    the stub fails, QEMU ends, or the time is over. keyboard: a descriptor whose bytes are typed on the console, up to
    END_KEY; the console's text is shown as it is then, with what controls a terminal.

    timeout is in seconds. Without `expect` the guest has to power off. show is given the console's text as it
    comes. inspect is asked until it names something; the guest stands still while that is read. serial_port: which is
    watched besides the first. QEMU is ended in every case. Raises ToolError where it cannot be started.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as messages:
        control = [
            "-chardev",
            f"socket,id=control,fd={theirs.fileno()}",
            "-mon",
            "chardev=control,mode=control",
        ]
        whole = [*arguments, *_serial(serial_port), *control]
        typed = PIPE if keyboard is not None else QUIET
        fds = [theirs.fileno()]
        with QEMU.start(whole, folder=directory, stdin=typed, stdout=PIPE, stderr=messages, pass_fds=fds) as process:
            theirs.close()
            watch = _Watch(process, ours, texts(expect), show, inspect, fail, keyboard)
            outcome, reason = watch.until(time.monotonic() + timeout, timeout)
        messages.seek(0)
        said = messages.read().decode(errors="replace").strip()
    if outcome is Outcome.ENDED and process.returncode and said:
        reason = f"{reason}: {said.splitlines()[-1]}"
    return Result(outcome, reason, watch.transcript, time.monotonic() - watch.started, watch.memory)


class _Watch:
    """What has been seen of a running QEMU."""

    def __init__(
        self,
        process: Process,
        control: socket.socket,
        expect: Sequence[str],
        show: Callable[[str], None],
        inspect: Inspect | None,
        fail: Sequence[str],
        keyboard: int | None,
    ) -> None:
        self._fail, self._keyboard, self._left = fail, keyboard, False
        self._shown = codecs.getincrementaldecoder("utf-8")("replace")
        self.process = process
        self.control = control
        self.expect = expect
        self.show = show
        self.inspect = inspect
        self.memory: tuple[bytes, ...] = ()
        self.started = time.monotonic()
        self.transcript = ""
        self._raw = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._events = b""
        self._replies: dict[str, str] = {}
        self._stopped: str | None = None
        self._failure: str | None = None

    def until(self, deadline: float, timeout: float) -> tuple[Outcome, str]:
        """Read console and control socket until there is an outcome."""
        assert self.process.stdout is not None
        # QMP (docs/interop/qmp-spec): events come once the capabilities are negotiated.
        self._execute("qmp_capabilities")
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ, self._read_console)
            selector.register(self.control, selectors.EVENT_READ, self._read_events)
            if self._keyboard is not None:
                selector.register(self._keyboard, selectors.EVENT_READ, self._read_keyboard)
            while True:
                ready = selector.select(min(_LOOK, max(0.0, deadline - time.monotonic())))
                for key, _ in ready:
                    if not key.data():
                        selector.unregister(key.fileobj)
                if self.inspect and (wanted := self.inspect(self.transcript)) is not None:
                    self.inspect = None
                    self._execute("stop")
                    self.memory = tuple(self._read_memory(place) for place in wanted)
                    self._execute("cont")
                if found := next((text for text in self._fail if text in self.transcript), None):
                    return Outcome.FAILED, f"the console showed {found!r}"
                if self._left:
                    return self._user_left()
                if self.expect and not self._missing():
                    return Outcome.AS_EXPECTED, f"the console showed {self._expected()}"
                if self._failure is None and (failure := self._find_failure()):
                    self._failure = failure
                    deadline = min(deadline, time.monotonic() + _AFTER_FAILURE)
                if not set(selector.get_map()) - {self._keyboard}:
                    return self._ended()
                if time.monotonic() >= deadline:
                    if self._failure is not None:
                        return Outcome.STUB_FAILURE, self._failure
                    missing = f"{self._expected()} on the console" if self.expect else "a power off"
                    return Outcome.TIME_OUT, f"time-out after {timeout:g} s without {missing}"

    def _ended(self) -> tuple[Outcome, str]:
        status = self.process.wait()
        if self._failure is not None:
            return Outcome.STUB_FAILURE, self._failure
        if status == 0 and self._stopped == "guest-shutdown" and not self.expect:
            return Outcome.AS_EXPECTED, "the guest powered off"
        what = f"QEMU ended with status {status}" if status else _STOPPED.get(self._stopped, "QEMU ended")
        return Outcome.ENDED, what + (f" without {self._expected()} on the console" if self.expect else "")

    def _user_left(self) -> tuple[Outcome, str]:
        outcome = Outcome.ENDED if self.expect else Outcome.AS_EXPECTED
        return outcome, "ended from the keyboard" + (f" without {self._expected()}" if self.expect else "")

    def _missing(self) -> list[str]:
        """What is expected and was not shown, or not as often."""
        return [text for text in self.expect if self.transcript.count(text) < self.expect.count(text)]

    def _expected(self) -> str:
        """What is missing, or all if nothing is."""
        return listed([repr(text) for text in dict.fromkeys(self._missing() or self.expect)])

    def _find_failure(self) -> str | None:
        match = failure_pattern().search(self.transcript)
        # Its line is only whole when another character follows.
        return match[0] if match and match.end() < len(self.transcript) else None

    def _read_console(self) -> bool:
        assert self.process.stdout is not None
        block = os.read(self.process.stdout.fileno(), 1 << 16)
        if self._keyboard is not None and (plain := self._shown.decode(block)):
            self.show(plain)
        self._raw += block
        whole, self._raw = split_cut(self._raw) if block else (self._raw, b"")
        text = self._decoder.decode(without_control(whole))
        if text:
            self.transcript += text
            if self._keyboard is None:
                self.show(text)
        return bool(block)

    def _read_keyboard(self) -> bool:
        """Hand on what is typed. The end of a keyboard that is a file or a pipe is no reason to end."""
        assert self._keyboard is not None
        assert self.process.stdin is not None
        block = os.read(self._keyboard, 1 << 12)
        typed, key, _ = block.partition(END_KEY)
        self._left = bool(key)
        with suppress(BrokenPipeError):
            self.process.stdin.write(typed)
            self.process.stdin.flush()
        return bool(block)

    def _execute(self, command: str, **more: Any) -> None:
        with suppress(ConnectionError):
            self.control.sendall(json.dumps({"execute": command, **more}).encode() + b"\n")

    def _read_memory(self, place: Range) -> bytes:
        """The guest's physical memory there; empty where QEMU has ended, or does not answer in time. QMP's
        human-monitor-command, xp.
        """
        line = f"xp /{place.size}xb {place.start:#x}"
        self._execute("human-monitor-command", arguments={"command-line": line}, id=line)
        deadline = time.monotonic() + _ANSWER
        self.control.settimeout(_ANSWER)
        try:
            while line not in self._replies and time.monotonic() < deadline and self._read_events():
                self.control.settimeout(max(0.01, deadline - time.monotonic()))
        except TimeoutError:
            pass
        finally:
            self.control.settimeout(None)
        shown = self._replies.get(line, "")
        return bytes(int(byte, 16) for byte in re.findall(r"\b0x([0-9a-f]{2})\b", shown))

    def _read_events(self) -> bool:
        try:
            block = self.control.recv(1 << 16)
        except ConnectionError:
            return False
        self._events += block
        *lines, self._events = self._events.split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "id" in message:
                self._replies[message["id"]] = message.get("return", "")
            if message.get("event") == "SHUTDOWN":
                self._stopped = message["data"]["reason"]
        return bool(block)
