"""One target of a labgrid environment, followed to a state in a process of its own, as labgrid wants it.

    python -m bootwright.labgrid.follow ENVIRONMENT TARGET STATE        # one JSON document on standard output

The board is switched off at the end, however that came.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any

from labgrid import Environment
from labgrid.exceptions import NoDriverFoundError, NoResourceFoundError
from labgrid.strategy import StrategyError

from bootwright.common.errors import BootwrightError
from bootwright.lab import explain
from bootwright.labgrid.strategy import BootFailed, BootwrightStrategy


def follow(environment: str, target: str, state: str) -> dict[str, Any]:
    """Bring a target to a state, and switch it off: what became of it."""
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


def _off(strategy: BootwrightStrategy) -> dict[str, Any]:
    try:
        strategy.transition("off")
    except Exception as error:
        return {"error": f"it is not switched off: {error}"}
    return {}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(json.dumps(follow(*sys.argv[1:4]), ensure_ascii=False))
