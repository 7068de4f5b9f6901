"""An environment of labgrid's, as labgrid itself reads it: targets, their places and drivers, and the coordinator.

python -m bootwright.labgrid.environment lab.yaml

{"targets": {"rome": {"place": "rome", "drivers": {"BootwrightImage": {...}, ...}}}, "coordinator": "..."}

{"error": "not valid YAML: mapping values are not allowed here", "line": 3, "column": 7}

line and column are null where they are not known.
"""

from __future__ import annotations

import json
import sys
import warnings
from copy import deepcopy
from typing import Any

from labgrid.config import Config
from labgrid.exceptions import InvalidConfigError, NoConfigFoundError
from labgrid.factory import TargetFactory
from yaml import MarkedYAMLError

from bootwright.common.terminal import printable


def read(path: str) -> dict[str, Any]:
    """What is said of each target. place: "" for none. Raises ValueError with a sentence, labgrid's errors, OSError."""
    try:
        config = Config(path)
        targets = {str(name): _target(said or {}) for name, said in config.get_targets().items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"is no environment of labgrid's: {error}") from error
    if not targets:
        raise ValueError("is no environment of labgrid's: it has no targets")
    return {"targets": targets, "coordinator": str(config.get_option("coordinator_address", ""))}


def _target(said: dict[str, Any]) -> dict[str, Any]:
    resources, drivers = TargetFactory.normalize_config(deepcopy(said))  # it takes its argument apart
    places = [args.get("name", name) for name, (args, *_) in resources.get("RemotePlace", {}).items()]
    known = {cls: dict(next(iter(named.values()))[0]) for cls, named in drivers.items()}
    return {"place": str(places[0]) if places and places[0] else "", "drivers": known}


def _fault(error: Exception) -> dict[str, Any]:
    """labgrid has the parser's error in many lines."""
    cause = error.__context__
    if isinstance(cause, MarkedYAMLError) and cause.problem_mark is not None:
        mark = cause.problem_mark
        return {"error": f"not valid YAML: {cause.problem}", "line": mark.line + 1, "column": mark.column + 1}
    return {"error": printable(str(error)), "line": None, "column": None}


def main(path: str) -> None:
    """Print it as a JSON document."""
    warnings.simplefilter("ignore")
    try:
        said = read(path)
    except (ValueError, InvalidConfigError, NoConfigFoundError, OSError) as error:
        said = _fault(error)
    print(json.dumps(said, default=str))


if __name__ == "__main__":
    main(sys.argv[1])
