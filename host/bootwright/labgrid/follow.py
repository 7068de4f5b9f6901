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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
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
_OURS = "You have already acquired place"  # labgrid's client 26.0, of a place that this user has on this machine


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


def follow(asked: Asked) -> Outcome:
    """Bring a target to a state, and switch it as it was."""
    found = Outcome(asked.target)
    started = time.monotonic()
    try:
        with _acquired(asked):
            _follow(asked, found)
    except (StrategyError, RunError) as error:
        found.error = "; ".join(filter(None, [found.error, _sentence(error)]))
    except KeyboardInterrupt:
        found.error = found.error or INTERRUPTED
    stage = explain.read(found.transcript).stage
    found.stage, found.seconds = stage.name if stage else None, round(time.monotonic() - started, 1)
    return found


def _follow(asked: Asked, found: Outcome) -> None:
    strategy: BootwrightStrategy | None = None
    try:
        strategy = _strategy(asked)
        strategy.progress = _say
        strategy.transition(asked.state)
    except BootFailed as error:
        found.error, found.number = _sentence(error), error.number
    except (StrategyError, BootwrightError, ClientError, NoDriverFoundError, NoResourceFoundError) as error:
        found.error = _sentence(error)
    except KeyboardInterrupt:
        found.error = INTERRUPTED
    except Exception as error:  # drivers of a switch, a line, a coordinator raise whatever they meet
        found.error = printable(f"{type(error).__name__}: {error}")
    finally:
        if strategy is not None:
            found.reached = strategy.status.name
            found.transcript = strategy.transcript
            found.error = _restored(strategy) or found.error


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
    return printable(_PLACE.sub(r"\1", str(getattr(error, "msg", None) or error)).removeprefix("Error: "))


def _restored(strategy: BootwrightStrategy) -> str | None:
    try:
        strategy.restore()
    except KeyboardInterrupt:  # the first one, of a board that was about to be switched anyway
        return _restored(strategy)
    except Exception as error:
        return f"it is not switched off: {_sentence(error)}"
    return None


@contextmanager
def _acquired(asked: Asked) -> Iterator[None]:
    """The target's place is this user's meanwhile, if that is asked, and what it was afterwards. Raises RunError
    where it is somebody else's, or in use by another run.
    """
    if not asked.acquire:
        yield
        return
    said = environment.read(asked.environment)
    place = said["targets"][asked.target]["place"]
    address = places.coordinator(asked.coordinator, said["coordinator"])
    with _alone(address, place):
        taken = False
        try:
            with held():
                taken = _take(address, place)
            yield
        finally:
            if taken:
                with held():
                    places.hand(address, place, "release")


@contextmanager
def _alone(address: str, place: str) -> Iterator[None]:
    """To the coordinator two runs of one user are one: they are told apart here, by a name in the kernel that goes with
    its process (unix(7), abstract). Raises RunError.
    """
    name = hashlib.sha256(f"{os.getuid()} {address} {place}".encode()).hexdigest()
    with socket.socket(socket.AF_UNIX) as ours:
        try:
            ours.bind(f"\0bootwright-lab-{name}")
        except OSError as error:
            raise RunError(f"place {place} is used by another run of yours on this machine") from error
        yield


def _take(address: str, place: str) -> bool:
    """Acquire a place; False where this user has it already. Raises RunError."""
    try:
        places.hand(address, place, "acquire")
    except RunError as error:
        if _OURS not in str(error):
            raise
        return False
    return True


def _say(progress: str) -> None:
    print(json.dumps({"progress": progress}), flush=True)


def _interrupted(number: int, frame: FrameType | None) -> None:
    """The first time: what is done then, switching the board as it was, is not interrupted again."""
    for one in INTERRUPTIONS:
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in INTERRUPTIONS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupted)
    print(json.dumps(asdict(follow(Asked(**json.loads(sys.argv[1])))), ensure_ascii=False))
