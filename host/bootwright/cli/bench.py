"""What `lab` shows and does: all targets of a labgrid environment at once, each booted and judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bootwright.cli.junit import plain
from bootwright.common.columns import aligned
from bootwright.common.errors import SourceError, ToolError, Where, why
from bootwright.common.words import none_of

STATES = ("booted", "launched", "shell")
_PACKAGE = Path(__file__).resolve().parents[2]


def run(environment: str, chosen: Sequence[str], state: str, junit: str, as_json: bool, acquire: bool = False) -> bool:
    """Boot the targets of an environment, side by side, and say what became of each. Whether all reached the state.

    acquire: their places are acquired for that time.
    """
    if find_spec("labgrid") is None:
        raise ToolError("labgrid is not installed: pip install 'bootwright[lab]'")
    if state not in STATES:
        raise ToolError(f"state: {none_of(state, STATES)}")
    known = targets(Path(environment))
    for name in chosen:
        if name not in known:
            raise ToolError(f"target: {none_of(name, known)}")
    found: list[dict[str, Any]] = []
    wanted = list(dict.fromkeys(chosen)) or known
    with _followed(environment, wanted, [state, *["acquire"] * acquire]) as outcomes:
        for one in outcomes:
            found.append(one)
            if not as_json:
                print(_line(one), flush=True)
    found.sort(key=lambda one: wanted.index(one["target"]))
    if junit:
        write_junit(Path(junit), found)
    if as_json:
        print(json.dumps({"state": state, "targets": found}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_table(found)))
    return all(one["error"] is None for one in found)


def targets(path: Path) -> list[str]:
    """The names of an environment's targets. Raises SourceError."""
    import yaml  # labgrid needs it, too

    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        return [str(name) for name in said["targets"]]
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(str(path))) from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise SourceError("is no environment of labgrid's: it has no targets", Where(str(path))) from error


@contextmanager
def _followed(environment: str, names: Sequence[str], how: Sequence[str]) -> Iterator[Iterator[dict[str, Any]]]:
    """What became of each target, as it comes. Left early, each process is told, and switches its board off."""
    path = os.pathsep.join([str(_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "bootwright.labgrid.follow", environment]
    running = {
        name: subprocess.Popen(
            [*command, name, *how],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in names
    }
    with ThreadPoolExecutor(max(1, len(running))) as pool:
        try:
            waiting = [pool.submit(_outcome, name, process) for name, process in running.items()]
            yield (one.result() for one in as_completed(waiting))
        finally:
            for process in running.values():
                if process.poll() is None:
                    process.terminate()


def _outcome(name: str, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    out, err = process.communicate()
    try:
        said: dict[str, Any] = json.loads(out.decode("utf-8", "replace").splitlines()[-1])
    except (ValueError, IndexError):
        last = (err.decode("utf-8", "replace").strip().splitlines() or ["it ended without a word"])[-1]
        empty = {"reached": "unknown", "number": None, "transcript": "", "stage": None, "seconds": 0.0}
        return {"target": name, "error": last} | empty
    return said


def _line(one: dict[str, Any]) -> str:
    verdict = "failed" if one["error"] else one["reached"]
    return f"{one['target']}: {verdict} ({one['seconds']:.1f} s){': ' + one['error'] if one['error'] else ''}"


def _table(found: Sequence[dict[str, Any]]) -> list[str]:
    rows = [("target", "verdict", "error", "last stage", "s")]
    for one in found:
        verdict = "failed" if one["error"] else "right"
        rows.append((one["target"], verdict, one["number"] or "", one["stage"] or "", f"{one['seconds']:.1f}"))
    wrong = sum(1 for one in found if one["error"])
    return ["", *aligned(rows, right=(4,)), f"{wrong} of {len(found)} failed"]


def write_junit(path: Path, found: Sequence[dict[str, Any]]) -> None:
    """A JUnit report: a case for each target, with what its board said."""
    wrong = sum(1 for one in found if one["error"])
    suite = ElementTree.Element("testsuite", name="bootwright lab", tests=str(len(found)), failures=str(wrong))
    for one in found:
        case = ElementTree.SubElement(suite, "testcase", name=one["target"], time=str(one["seconds"]))
        if one["error"]:
            ElementTree.SubElement(case, "failure", message=plain(one["error"]))
        ElementTree.SubElement(case, "system-out").text = plain(one["transcript"])
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
