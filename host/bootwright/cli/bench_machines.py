"""What `lab probe` and `lab plan` show: the machines of a lab, probed all at once, and an image planned for each."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bootwright.cli import bench, build, planning
from bootwright.cli.boards import Lab, boards
from bootwright.common import paths
from bootwright.common.abi import load as load_abi
from bootwright.common.columns import aligned
from bootwright.common.errors import SourceError
from bootwright.common.terminal import printable
from bootwright.lab import report as lab_report

IMAGE = "probe"


def probe(lab: Lab, as_json: bool) -> bool:
    """Boot the probe on boards side by side, and store what each reports as its machine. Whether all could be."""
    expect = load_abi().strings["PROBE_OFF"].rstrip()
    booted = bench.boot(lab, bench.Wanted(IMAGE, expect=expect), as_json)
    both = zip(booted.boards, booted.outcomes, strict=True)
    found = [_stored(board.name, board.machine, one) for board, one in both]
    if as_json:
        print(json.dumps({"machines": found}, indent=2, ensure_ascii=False))
    else:
        rows = [("target", "machine", "what"), *((one["target"], one["machine"], _what(one)) for one in found)]
        print("\n".join(["", *aligned(rows)]))
    return all(one["error"] is None for one in found)


def _stored(target: str, machine: str, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """What a board's console says of its machine, stored."""
    said = {"target": target, "machine": machine, "error": outcome["error"], "what": None}
    if outcome["error"] is not None:
        return said
    try:
        report = lab_report.extract(outcome["transcript"].encode())
        lab_report.store(report, machine)
    except SourceError as error:
        return said | {"error": str(error)}
    return said | {"what": lab_report.describe(report)}


def _what(one: Mapping[str, Any]) -> str:
    return printable(f"failed: {one['error']}" if one["error"] is not None else one["what"])


def plan(lab: Lab, name: str, as_json: bool) -> bool:
    """Say on which boards' machines an image fits, as they were probed. Whether on all of them."""
    with tempfile.TemporaryDirectory(prefix="lab-") as work:
        machines = {board.name: board.machine for board in boards(lab, Path(work))}
    with build.stages() as stage, planning.prepared(paths.description(name), stage) as image:
        found = list(_fits(image, machines))
    if as_json:
        print(json.dumps({"image": image.plan.image.name, "machines": found}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_rows(found)))
    return all(one["fits"] for one in found)


def _fits(image: planning.Prepared, machines: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """How the image fits on each machine, by target. fits: None where the machine was not probed."""
    stored = {path.stem for path in lab_report.stored()}
    for target, machine in machines.items():
        unknown = "not probed: lab probe does that"
        said: dict[str, Any] = {"target": target, "machine": machine, "fits": None, "reason": unknown}
        if machine in stored:
            found = image.fit(lab_report.load(machine))
            said |= {"fits": found.reason is None, "reason": found.reason, "notes": list(found.notes)}
        yield said


def _rows(found: Sequence[Mapping[str, Any]]) -> list[str]:
    verdicts = {True: "fits", False: "does not fit", None: "unknown"}
    rows = [(one["target"], one["machine"], verdicts[one["fits"]], one["reason"] or "") for one in found]
    right = sum(1 for one in found if one["fits"])
    return [*aligned([("target", "machine", "verdict", "why"), *rows]), f"it fits on {right} of {len(found)}"]
