"""One target of a labgrid environment, followed to a state in a process of its own, as labgrid wants it.

    python -m bootwright.labgrid.follow '{"environment": "lab.yaml", "target": "rome", "state": "shell", ...}'

On standard output a JSON document for each step, {"progress": "writing disk"}, and at the end one of what became of
it. The board is as it was before at the end, however that came: off, or on where its power switch said that it was on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from types import FrameType
from typing import Any

from labgrid import Environment
from labgrid.exceptions import NoDriverFoundError, NoResourceFoundError
from labgrid.remote.client import Error as ClientError
from labgrid.strategy import StrategyError

from bootwright.common.errors import BootwrightError, RunError
from bootwright.common.interrupts import INTERRUPTED, INTERRUPTIONS, held
from bootwright.common.terminal import printable
from bootwright.lab import explain, places
from bootwright.labgrid import environment
from bootwright.labgrid.strategy import BootFailed, BootwrightStrategy

_PLACE = re.compile(r"Place\(name='([^']*)'.*reservation=[^)]*\)")
_SPEAKING = (StrategyError, BootwrightError, ClientError, NoDriverFoundError, NoResourceFoundError)


@dataclass(frozen=True)
class Asked:
    """What to do. state: to bring the target to; acquire: its place for that time; coordinator: "" for what environment
    and labgrid's own variable say; image: files by medium and build id, in place of the target's own; settings: of its
    strategy, in place of those.
    """

    environment: str
    target: str
    state: str
    acquire: bool = False
    coordinator: str = ""
    image: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """What became of a target. reached: a state; error: a sentence, None for none; number: of an error of the stub;
    stage: the last that the stub said.
    """

    target: str
    reached: str = "unknown"
    error: str | None = None
    number: str | None = None
    transcript: str = ""
    stage: str | None = None
    seconds: float = 0.0


Undo = Callable[[], None]


def follow(asked: Asked) -> Outcome:
    """Bring a target to a state, and switch it as it was."""
    found, undo = Outcome(asked.target), list[Undo]()
    started = time.monotonic()
    try:
        try:
            _follow(asked, found, undo)
        finally:
            _back(undo)
    except KeyboardInterrupt:  # there is no second one
        found.error = found.error or INTERRUPTED
        _back(undo)
    stage = explain.read(found.transcript).stage
    found.stage, found.seconds = stage.name if stage else None, round(time.monotonic() - started, 1)
    return found


def _back(undo: list[Undo]) -> None:
    """All that is to be undone, the last first, each whole. What an interruption kept from it is still there."""
    while undo:
        with held():
            undo[-1]()
            undo.pop()


def _follow(asked: Asked, found: Outcome, undo: list[Undo]) -> None:
    try:
        if asked.acquire:
            _acquire(asked, found, undo)
        strategy = _strategy(asked)
        strategy.progress = _say
        undo.append(partial(_restore, strategy, found))
        strategy.transition(asked.state)
    except BootFailed as error:
        found.error, found.number = _sentence(error), error.number
    except Exception as error:  # drivers of a switch, a line, a coordinator raise whatever they meet
        found.error = _sentence(error)


def _strategy(asked: Asked) -> BootwrightStrategy:
    environment = Environment(asked.environment)
    if asked.coordinator:
        environment.config.set_option("coordinator_address", asked.coordinator)
    target = environment.get_target(asked.target)
    strategy: BootwrightStrategy = target.get_driver("BootwrightStrategy", activate=False)
    for name, value in asked.settings.items():
        setattr(strategy, name, value)
    if "ready" in asked.settings:
        strategy.shell = None  # the text is looked for in its place
    if asked.image is not None and strategy.image is None:
        raise StrategyError(f"its target has no BootwrightImage that {asked.image['name']} could be given to")
    if asked.image is not None:
        strategy.image.given = asked.image
    return strategy


def _sentence(error: Exception) -> str:
    """labgrid's errors have theirs in `msg`; of its client's some have a place with all that belongs to it. What the
    board said may be in it.
    """
    said = _PLACE.sub(r"\1", str(getattr(error, "msg", None) or error)).removeprefix("Error: ")
    return printable(said if isinstance(error, _SPEAKING) else f"{type(error).__name__}: {said}")


def _also(found: Outcome, error: str) -> None:
    found.error = "; ".join(filter(None, [found.error, error]))


def _restore(strategy: BootwrightStrategy, found: Outcome) -> None:
    """Note how far the board has come, and switch it as it was."""
    if not found.transcript:
        found.reached, found.transcript = strategy.status.name, strategy.transcript
    try:
        strategy.restore()
    except Exception as error:
        _also(found, f"it is not switched as it was: {_sentence(error)}")


def _acquire(asked: Asked, found: Outcome, undo: list[Undo]) -> None:
    """The target's place is this user's until all is undone. Raises RunError where it is somebody else's, or in use by
    another run.
    """
    said = environment.read(asked.environment)
    place = said["targets"][asked.target]["place"]
    address = places.coordinator(asked.coordinator, said["coordinator"])
    undo.append(_alone(address, place).close)

    def release() -> None:
        try:
            places.hand(address, place, "release")
        except RunError as error:
            _also(found, str(error))

    with held():
        if places.hand(address, place, "acquire"):
            undo.append(release)


def _alone(address: str, place: str) -> socket.socket:
    """To the coordinator two runs of one user are one: they are told apart here, by a name in the kernel that goes with
    its process (unix(7), abstract). Raises RunError.
    """
    name = hashlib.sha256(f"{os.getuid()} {_numeric(address)} {place}".encode()).hexdigest()
    ours = socket.socket(socket.AF_UNIX)
    try:
        ours.bind(f"\0bootwright-lab-{name}")
    except OSError as error:
        ours.close()
        raise RunError(f"place {place} is used by another run of yours on this machine") from error
    return ours


def _numeric(address: str) -> str:
    """A coordinator's address, however it was written; as it was where it is not known."""
    host, _, port = address.partition(":")
    try:
        return str(socket.getaddrinfo(host, port or places.DEFAULT_PORT, type=socket.SOCK_STREAM)[0][4])
    except OSError:
        return address


def _say(progress: str) -> None:
    print(json.dumps({"progress": progress}), flush=True)


def _interrupted(number: int, frame: FrameType | None) -> None:
    """The first time: what is done then, switching the board as it was, is not interrupted again."""
    _deaf()
    raise KeyboardInterrupt


def _deaf() -> None:
    for one in INTERRUPTIONS:
        signal.signal(one, signal.SIG_IGN)


def main(asked: Asked) -> None:
    """Print what becomes of it."""
    for number in INTERRUPTIONS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupted)
    found = follow(asked)
    _deaf()
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main(Asked(**json.loads(sys.argv[1])))
