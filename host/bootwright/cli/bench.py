"""What `lab` shows and does: the places of a lab, and boards of it booted and judged, all at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bootwright.cli import bench_report, build, planning
from bootwright.common import paths
from bootwright.common.columns import aligned
from bootwright.common.errors import BootwrightError, RunError, SourceError, ToolError, Where, why
from bootwright.common.words import none_of
from bootwright.lab import places
from bootwright.lab import report as lab_report
from bootwright.media import MEDIA
from bootwright.media.medium import ensure

STATES = ("booted", "launched", "shell")
_PACKAGE = Path(__file__).resolve().parents[2]
_ASKING = 60  # seconds for a coordinator's answer


@dataclass(frozen=True)
class Lab:
    """What is said of a lab: an environment of labgrid's, a coordinator, and which of it."""

    environment: str = ""
    coordinator: str = ""
    names: Sequence[str] = ()
    tags: Sequence[str] = ()
    targets: Sequence[str] = ()


@dataclass(frozen=True)
class Wanted:
    """What each board is to do. image: a description, "" for each target's own; expect: a text that its console is to
    show, "" for what the target says.
    """

    image: str = ""
    state: str = ""
    expect: str = ""


@dataclass(frozen=True)
class Board:
    """A target of an environment. said: as the environment has it; machine: the name of its stored report, "" for none
    that could be known.
    """

    name: str
    environment: str
    said: Mapping[str, Any] = field(default_factory=dict)
    machine: str = ""

    def driver(self, name: str) -> Mapping[str, Any] | None:
        """What the target says of a driver, None where it has none."""
        drivers = self.said.get("drivers", {})
        listed = drivers if isinstance(drivers, list) else [drivers]
        return next((one[name] or {} for one in listed if isinstance(one, dict) and name in one), None)


def run(lab: Lab, wanted: Wanted, reports: Mapping[str, str], as_json: bool) -> bool:
    """Boot boards side by side, and say what became of each. Whether all reached the state. reports: files to write, by
    "junit" and "html", "" for none.
    """
    _check()
    with tempfile.TemporaryDirectory(prefix="lab-") as work:
        boards = _boards(lab, Path(work))
        if wanted.state and wanted.state not in STATES:
            raise RunError(f"state: {none_of(wanted.state, STATES)}")
        state = wanted.state or ("shell" if wanted.expect or not wanted.image else "launched")
        image = _built(wanted.image, boards) if wanted.image else None
        asked = {
            "state": state,
            "coordinator": lab.coordinator,
            "image": image,
            "settings": {"ready": wanted.expect} if wanted.expect else {},
        }
        with bench_report.shown([board.name for board in boards], live=not as_json) as show:
            found = _followed(boards, asked, show)
    order = [board.name for board in boards]
    found.sort(key=lambda one: order.index(one["target"]))
    _compare(boards, found, wanted.image)
    if reports.get("junit"):
        bench_report.write_junit(Path(reports["junit"]), found)
    if reports.get("html"):
        bench_report.write_html(Path(reports["html"]), found, wanted.image)
    if as_json:
        print(json.dumps({"state": state, "image": image, "targets": found}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(bench_report.table(found)))
    return all(one["error"] is None for one in found)


def show(lab: Lab, as_json: bool) -> None:
    """The places that a coordinator has."""
    found = known_places(lab)
    if lab.names or lab.tags:
        found = places.chosen(found, lab.names, lab.tags)
    if as_json:
        listed = [
            {"name": one.name, "tags": dict(one.tags), "acquired": one.acquired, "resources": list(one.resources)}
            for one in found
        ]
        print(json.dumps({"places": listed}, indent=2, ensure_ascii=False))
        return
    rows = [("place", "acquired by", "medium", "tags", "resources")]
    for one in found:
        tags = " ".join(f"{key}={value}" for key, value in sorted(one.tags.items()))
        rows.append((one.name, one.acquired or "", one.medium, tags, " ".join(one.resources)))
    print("\n".join(aligned(rows)))


def hand(lab: Lab, what: str) -> bool:
    """Acquire or release places. Whether all of them could be."""
    if not lab.names and not lab.tags:
        raise RunError(f"{what}: which place? --place takes a name, --tag a tag")
    done = True
    for one in places.chosen(known_places(lab), lab.names, lab.tags):
        address = places.coordinator(lab.coordinator, _address(lab.environment))
        command = [sys.executable, "-m", "labgrid.remote.client", "-x", address, "-p", one.name, what]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_ASKING, check=False)
        last = ((answer.stderr or answer.stdout).strip().splitlines() or ["it said nothing"])[-1]
        print(f"{one.name}: {f'{what}d' if answer.returncode == 0 else last}", flush=True)
        done = done and answer.returncode == 0
    return done


def targets(path: Path) -> dict[str, Any]:
    """An environment's targets by name. Raises SourceError."""
    return {str(name): said for name, said in _environment(path)["targets"].items()}


def _environment(path: Path) -> dict[str, Any]:
    import yaml  # labgrid needs it, too

    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        said["targets"].items()
        found: dict[str, Any] = said
        return found
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(str(path))) from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, AttributeError) as error:
        raise SourceError("is no environment of labgrid's: it has no targets", Where(str(path))) from error


def _check() -> None:
    if find_spec("labgrid") is None:
        raise ToolError("labgrid is not installed: pip install 'bootwright[lab]'")


def _address(environment: str) -> str:
    """The coordinator that an environment names, "" for none."""
    options = (_environment(Path(environment)).get("options") or {}) if environment else {}
    return str(options.get("coordinator_address", ""))


def _boards(lab: Lab, work: Path) -> list[Board]:
    """The targets that are meant: of the environment, and for a place that is in none with drivers by its resources."""
    known = targets(Path(lab.environment)) if lab.environment else {}
    for name in lab.targets:
        if name not in known:
            raise RunError(f"target: {none_of(name, known)}")
    by_place = {_place_of(said): name for name, said in known.items()}
    if not lab.names and not lab.tags:
        if not known:
            raise RunError("which boards? --place takes a name, --tag a tag, --environment a file of labgrid's")
        names = list(dict.fromkeys(lab.targets)) or list(known)
        return [Board(name, lab.environment, known[name], _place_of(known[name]) or name) for name in names]
    chosen = places.chosen(known_places(lab), lab.names, lab.tags)
    made = {one.name: places.target(one) for one in chosen if one.name not in by_place}
    file = work / "environment.yaml"
    file.write_text(json.dumps(places.environment(made, places.coordinator(lab.coordinator))), encoding="utf-8")
    return [
        Board(
            by_place.get(one.name, one.name),
            lab.environment if one.name in by_place else str(file),
            known[by_place[one.name]] if one.name in by_place else made[one.name],
            one.tags.get(places.MACHINE, one.name),
        )
        for one in chosen
    ]


def _place_of(said: Any) -> str:
    """The place of a target, "" for none."""
    resources = said.get("resources", {}) if isinstance(said, dict) else {}
    place = resources.get("RemotePlace") if isinstance(resources, dict) else None
    return str(place.get("name", "")) if isinstance(place, dict) else ""


def known_places(lab: Lab) -> list[places.Place]:
    """The places that the coordinator has. Raises RunError where it does not answer."""
    _check()
    address = places.coordinator(lab.coordinator, _address(lab.environment))
    command = [sys.executable, "-m", "bootwright.lab.places", address]
    try:
        done = subprocess.run(
            command, env=_with_us(), capture_output=True, text=True, timeout=_ASKING, check=False, process_group=0
        )
    except subprocess.TimeoutExpired:
        raise RunError(f"coordinator {address}: no answer in {_ASKING} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RunError(f"coordinator {address}: {last}")
    return [places.Place(**one) for one in json.loads(done.stdout)]


def _with_us() -> dict[str, str]:
    path = os.pathsep.join([str(_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path}


def _built(name: str, boards: Sequence[Board]) -> dict[str, Any]:
    """The image, built once with the media that the boards boot from."""
    media = set()
    for board in boards:
        if board.driver("BootwrightStick") is not None or board.driver("USBStorageDriver") is not None:
            strategy = board.driver("BootwrightStrategy") or {}
            media.add(str(strategy.get("medium", "disk")))
        if board.driver("BootwrightNetboot") is not None:
            media.add("pxe")
    built = build.current(name)
    files = {medium: str(ensure(MEDIA[medium], built).path) for medium in sorted(media) if medium in MEDIA}
    return {"name": built.name, "build_id": built.build_id, "files": {"elf": str(built.elf), **files}}


def _followed(
    boards: Sequence[Board], asked: Mapping[str, Any], show: Callable[[str, str, bool], None]
) -> list[dict[str, Any]]:
    """What became of each board, as it comes. Left early, each process is told, and switches its board off."""
    with _running(boards, asked) as running, ThreadPoolExecutor(max(1, len(running))) as pool:
        try:
            waiting = [pool.submit(_outcome, name, process, show) for name, process in running.items()]
            found = []
            for one in as_completed(waiting):
                found.append(one.result())
                show(one.result()["target"], bench_report.line(one.result()), True)
            return found
        finally:
            for process in running.values():
                if process.poll() is None:
                    process.terminate()


@contextmanager
def _running(boards: Sequence[Board], asked: Mapping[str, Any]) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    running = {}
    for board in boards:
        acquire = bool(_place_of(board.said))
        more = {"environment": board.environment, "target": board.name, "acquire": acquire}
        running[board.name] = subprocess.Popen(
            [sys.executable, "-m", "bootwright.labgrid.follow", json.dumps({**asked, **more})],
            env=_with_us(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    try:
        yield running
    finally:
        for process in running.values():
            process.wait()


def _outcome(name: str, process: subprocess.Popen[bytes], show: Callable[[str, str, bool], None]) -> dict[str, Any]:
    """What a process says of its board; its steps are shown as they come."""
    assert process.stdout is not None and process.stderr is not None
    messages: list[bytes] = []
    with ThreadPoolExecutor(1) as reading:
        errors = process.stderr
        reading.submit(lambda: messages.append(errors.read()))
        last: dict[str, Any] = {}
        for line in process.stdout:
            try:
                last = json.loads(line)
            except ValueError:
                continue  # a driver of labgrid's that prints
            if "progress" in last:
                show(name, last["progress"], False)
        process.wait()
    if "target" in last:
        return last
    said = b"".join(messages).decode("utf-8", "replace").strip().splitlines() or ["it ended without a word"]
    empty = {"reached": "unknown", "number": None, "transcript": "", "stage": None, "seconds": 0.0}
    return {"target": name, "error": said[-1]} | empty


def _compare(boards: Sequence[Board], found: Sequence[dict[str, Any]], image: str) -> None:
    """Add to each outcome where its console differs from what the image says on its machine, where that is stored."""
    known = {path.stem for path in lab_report.stored()}
    for board, one in zip(boards, found, strict=True):
        one |= {"machine": board.machine if board.machine in known else None, "differences": []}
        description = image or str((board.driver("BootwrightImage") or {}).get("description", ""))
        if one["machine"] is None or not description:
            continue
        try:
            with planning.prepared(paths.description(description), lambda stage: None) as planned:
                one["differences"] = planned.differences(lab_report.load(board.machine), one["transcript"])
        except BootwrightError as error:
            one["differences"] = [f"it cannot be planned: {error}"]
