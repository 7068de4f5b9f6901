"""One target of a labgrid environment, followed to a state in a process of its own, as labgrid wants it.

    python -m bootwright.labgrid.follow ENVIRONMENT TARGET STATE [acquire]      # one JSON document on standard output

The board is switched off at the end, however that came; with `acquire` its place is acquired for that time, and
released.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from labgrid import Environment
from labgrid.exceptions import NoDriverFoundError, NoResourceFoundError
from labgrid.strategy import StrategyError

from bootwright.common.errors import BootwrightError
from bootwright.lab import explain
from bootwright.labgrid.strategy import BootFailed, BootwrightStrategy


def follow(environment: str, target: str, state: str, acquire: str = "") -> dict[str, Any]:
    """Bring a target to a state, and switch it off: what became of it."""
    if acquire:
        try:
            with _acquired(environment, target):
                return follow(environment, target, state)
        except StrategyError as error:
            empty = {"reached": "unknown", "number": None, "transcript": "", "stage": None, "seconds": 0.0}
            return {"target": target, "error": error.msg} | empty
    started = time.monotonic()
    said: dict[str, Any] = {"target": target, "reached": "unknown", "error": None, "number": None, "transcript": ""}
    strategy: BootwrightStrategy | None = None
    try:
        strategy = Environment(environment).get_target(target).get_driver("BootwrightStrategy", activate=False)
        strategy.transition(state)
    except BootFailed as error:
        said |= {"error": str(error), "number": error.number}
    except (StrategyError, BootwrightError, NoDriverFoundError, NoResourceFoundError) as error:
        said["error"] = getattr(error, "msg", None) or str(error)
    except KeyboardInterrupt:
        said["error"] = "interrupted"
    except Exception as error:  # drivers of a switch, a line, a coordinator raise whatever they meet
        said["error"] = f"{type(error).__name__}: {error}"
    finally:
        if strategy is not None:
            said |= {"reached": strategy.status.name, "transcript": strategy.transcript}
            said |= _off(strategy)
    stage = explain.read(said["transcript"]).stage
    return said | {"stage": stage.name if stage else None, "seconds": round(time.monotonic() - started, 1)}


@contextmanager
def _acquired(environment: str, target: str) -> Iterator[None]:
    """The target's place is this user's meanwhile. Raises StrategyError where it is somebody else's."""
    config = Environment(environment).config
    resources = config.get_targets()[target].get("resources", {})
    found = resources.get("RemotePlace") if isinstance(resources, dict) else None
    place = found.get("name") if isinstance(found, dict) else None
    if not place:
        raise StrategyError("it has no RemotePlace that could be acquired")
    address = config.get_option("coordinator_address", "")
    where = ["-x", address] if address else []  # else as labgrid's own environment variable says
    client = [sys.executable, "-m", "labgrid.remote.client", *where, "-p", place]

    def ask(what: str) -> None:
        done = subprocess.run([*client, what], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            last = ((done.stderr or done.stdout).strip().splitlines() or ["it said nothing"])[-1]
            raise StrategyError(f"place {place} cannot be {what}d: {last}")

    ask("acquire")
    try:
        yield
    finally:
        ask("release")


def _off(strategy: BootwrightStrategy) -> dict[str, Any]:
    try:
        strategy.transition("off")
    except Exception as error:
        return {"error": f"it is not switched off: {error}"}
    return {}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(json.dumps(follow(*sys.argv[1:5]), ensure_ascii=False))
