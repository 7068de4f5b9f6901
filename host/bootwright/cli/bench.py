"""What `lab` shows and does: the places of a lab, and boards of it booted and judged, all at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bootwright.cli import bench_report, build, planning
from bootwright.cli.boards import Board, Lab, boards, chosen
from bootwright.common import paths
from bootwright.common.columns import aligned
from bootwright.common.errors import BootwrightError, RunError
from bootwright.common.interrupts import INTERRUPTED
from bootwright.common.terminal import printable
from bootwright.common.words import none_of
from bootwright.lab import places
from bootwright.lab import report as lab_report
from bootwright.media import MEDIA
from bootwright.media.medium import ensure

STATES = ("booted", "launched", "shell")
_RESTORING = 180.0  # seconds in which boards that are interrupted are switched as they were
Show = Callable[[str, str, bool], None]


@dataclass(frozen=True)
class Wanted:
    """What each board is to do. image: a description, "" for each target's own; expect: a text that its console is to
    show, "" for what the target says.
    """

    image: str = ""
    state: str = ""
    expect: str = ""


def run(lab: Lab, wanted: Wanted, reports: Mapping[str, str], as_json: bool) -> bool:
    """Boot boards side by side, and say what became of each. Whether all reached the state. reports: files to write, by
    "junit" and "html", "" for none.
    """
    for path in filter(None, reports.values()):
        if not Path(path).absolute().parent.is_dir():  # said before any board is switched
            raise RunError(f"{path}: cannot be written: its folder is not there")
    booted = boot(lab, wanted, as_json)
    found = booted.outcomes
    _compare(booted.boards, found, wanted.image)
    if as_json:
        said = {"image": booted.image, "targets": found}
        print(json.dumps(said, indent=2, ensure_ascii=False), flush=True)
    else:
        print("\n".join(bench_report.table(found)), flush=True)
    if reports.get("junit"):
        bench_report.write_junit(Path(reports["junit"]), found)
    if reports.get("html"):
        bench_report.write_html(Path(reports["html"]), found, wanted.image)
    return all(one["error"] is None for one in found)


@dataclass(frozen=True)
class Booted:
    """Boards, and what became of each; image: files and build id of the one for all, None for each its own."""

    boards: Sequence[Board]
    outcomes: list[dict[str, Any]]
    image: Mapping[str, Any] | None


def boot(lab: Lab, wanted: Wanted, silent: bool) -> Booted:
    """Boot boards side by side, and switch each as it was. silent: nothing is shown meanwhile."""
    if wanted.state and wanted.state not in STATES:
        raise RunError(f"state: {none_of(wanted.state, STATES)}")
    if wanted.expect and wanted.state not in ("", "shell"):
        raise RunError(f"expect: {wanted.expect!r} is looked for in the state shell, and state is {wanted.state}")
    with tempfile.TemporaryDirectory(prefix="lab-") as work:
        meant = boards(lab, Path(work))
        images = _built(wanted.image, meant, silent)
        asked = {board.name: _asked(board, wanted, lab, images.get(board.name)) for board in meant}
        with bench_report.shown([board.name for board in meant], live=not silent) as show_step:
            outcomes = _followed(asked, show_step)
    return Booted(meant, outcomes, next(iter(images.values()), None) if wanted.image else None)


def _asked(board: Board, wanted: Wanted, lab: Lab, image: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a board's process is asked to do: labgrid.follow.Asked."""
    ready = wanted.expect or board.drivers.get("BootwrightStrategy", {}).get("ready") or "ShellDriver" in board.drivers
    return {
        "environment": board.environment,
        "target": board.name,
        "state": wanted.state or ("shell" if ready else "launched"),
        "acquire": bool(board.place),
        "coordinator": lab.coordinator,
        "image": image,
        "settings": {"ready": wanted.expect} if wanted.expect else {},
    }


def show(lab: Lab, as_json: bool) -> None:
    """The places that a coordinator has."""
    found = chosen(lab)
    if as_json:
        print(json.dumps({"places": [asdict(one) for one in found]}, indent=2, ensure_ascii=False))
        return
    rows: list[Sequence[str]] = [("place", "acquired by", "medium", "tags", "resources")]
    for one in found:
        tags = " ".join(f"{key}={value}" for key, value in sorted(one.tags.items()))
        said = (one.name, one.acquired or "", one.medium, tags, " ".join(one.resources))
        rows.append([printable(cell) for cell in said])
    print("\n".join(aligned(rows)))


def hand(lab: Lab, what: str) -> bool:
    """Acquire or release places. Whether all of them could be."""
    if not lab.names and not lab.tags:
        raise RunError(f"{what}: which place? --place takes a name, --tag a tag")
    done = True
    for one in chosen(lab):
        try:
            changed = places.hand(lab.address(), one.name, what)
            print(f"{one.name}: {what}d{'' if changed else ' already'}", flush=True)
        except RunError as error:
            print(error, file=sys.stderr)
            done = False
    return done


def _built(name: str, meant: Sequence[Board], silent: bool) -> dict[str, dict[str, Any]]:
    """The image of each board that is given one, by the board's name; each is built once, with the media that its
    boards boot from, before any of them is touched.
    """
    by_image: dict[tuple[str, str], list[Board]] = {}
    for board in meant:
        said = board.drivers.get("BootwrightImage")
        if name:
            by_image.setdefault((name, ""), []).append(board)
        elif said is not None:
            if not said.get("description"):
                raise RunError(f"{board.name}: nothing says which image it boots: `lab run NAME`, or an environment")
            by_image.setdefault((str(said["description"]), str(said.get("output") or "")), []).append(board)
    found: dict[str, dict[str, Any]] = {}
    made_of: dict[str, str] = {}
    for (description, output), boots in by_image.items():
        with paths.outputs_in(output):
            image = _image(description, _media(boots), silent)
        if (other := made_of.setdefault(image["files"]["elf"], description)) != description:
            raise RunError(f"{other} and {description} are both built as {image['files']['elf']}")
        found |= {board.name: image for board in boots}
    return found


def _media(boots: Sequence[Board]) -> set[str]:
    """What these boards boot from. Raises RunError where that is no medium."""
    media = set()
    for board in boots:
        if "BootwrightStick" in board.drivers or "USBStorageDriver" in board.drivers:
            media.add(str(board.drivers.get("BootwrightStrategy", {}).get("medium", "disk")))
        if "BootwrightNetboot" in board.drivers:
            media.add("pxe")
    for medium in media:
        if medium not in MEDIA:
            raise RunError(f"medium: {none_of(medium, MEDIA)}")
    return media


def _image(description: str, media: set[str], silent: bool) -> dict[str, Any]:
    built = build.current(description, build.nothing if silent else None)
    files = {medium: str(ensure(MEDIA[medium], built).path.absolute()) for medium in MEDIA if medium in media}
    return {"name": built.name, "build_id": built.build_id, "files": {"elf": str(built.elf.absolute()), **files}}


def _followed(asked: Mapping[str, Mapping[str, Any]], show_step: Show) -> list[dict[str, Any]]:
    """What became of each board, in their order; shown as it comes. Interrupted, it says what went wrong until then,
    and on the way back.
    """
    found: dict[str, dict[str, Any]] = {}
    waiting: dict[Future[dict[str, Any]], str] = {}
    with ThreadPoolExecutor(len(asked)) as pool:
        try:
            with _running(asked) as running:
                waiting = {pool.submit(_outcome, name, process, show_step): name for name, process in running.items()}
                for one in as_completed(waiting):
                    found[waiting[one]] = one.result()
                    show_step(waiting[one], bench_report.line(one.result()), True)
        except BaseException:
            for one in waiting:
                if one.result()["error"] not in (None, INTERRUPTED):
                    print(bench_report.line(one.result()), file=sys.stderr, flush=True)
            raise
    return [found[name] for name in asked]


@contextmanager
def _running(asked: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """A process for each board. Left early, each is told, and switches its board as it was. Who interrupts that, or has
    waited for it too long, has them killed.
    """
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, said in asked.items():
            running[name] = subprocess.Popen(
                [sys.executable, "-m", "bootwright.labgrid.follow", json.dumps(said)],
                env=places.with_us(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=0,  # a key at the terminal is for this process, which tells them; not for a power command
            )
        yield running
    finally:
        for process in running.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _RESTORING
        try:
            for process in running.values():
                process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            for process in running.values():
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def _outcome(name: str, process: subprocess.Popen[bytes], show_step: Show) -> dict[str, Any]:
    """What a process says of its board; its steps are shown as they come."""
    assert process.stdout is not None and process.stderr is not None
    last: dict[str, Any] = {}
    with ThreadPoolExecutor(1) as reading:
        messages = reading.submit(process.stderr.read)
        for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue  # a driver of labgrid's that prints
            if isinstance(said, dict):
                last = said
            if "progress" in last:
                show_step(name, last["progress"], False)
        complaints = messages.result()
    if "target" in last:
        return last
    ended = process.wait()
    if ended == -signal.SIGTERM:  # before it did anything
        error = INTERRUPTED
    elif ended == -signal.SIGKILL:
        error = "its process was killed: the board may be on, and its place acquired"
    else:
        lines = complaints.decode("utf-8", "replace").strip().splitlines() or ["it ended without a word"]
        error = printable(lines[-1])
    empty = {"reached": "unknown", "number": None, "transcript": "", "stage": None, "seconds": 0.0}
    return {"target": name, "error": error} | empty


def _compare(meant: Sequence[Board], found: Sequence[dict[str, Any]], image: str) -> None:
    """Add to each outcome the machine whose report is stored, and where its console differs from what the image says
    there.
    """
    stored = {path.stem for path in lab_report.stored()}
    by_image: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for board, one in zip(meant, found, strict=True):
        description = image or str(board.drivers.get("BootwrightImage", {}).get("description", ""))
        known = board.machine in stored and description and one["transcript"]
        one |= {"machine": board.machine if known else None, "differences": []}
        if known:
            by_image.setdefault(description, []).append((board.machine, one))
    for description, outcomes in by_image.items():
        try:
            with planning.prepared(paths.description(description), lambda stage: None) as planned:
                for machine, one in outcomes:
                    one["differences"] = _differences(planned, machine, one["transcript"])
        except BootwrightError as error:
            for _, one in outcomes:
                one["differences"] = [f"it cannot be planned: {error}"]


def _differences(planned: planning.Prepared, machine: str, transcript: str) -> list[str]:
    try:
        return planned.differences(lab_report.load(machine), transcript)
    except BootwrightError as error:  # of one machine's report
        return [f"it cannot be planned: {error}"]
