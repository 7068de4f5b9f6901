"""What `watch` shows: a machine's serial line, and a verdict."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from bootwright.cli import build, junit
from bootwright.common import asciicast
from bootwright.emulate.qemu import Outcome, Result
from bootwright.lab import explain
from bootwright.lab.watch import Power, watch


def run(
    line: str,
    power: str,
    expect: Sequence[str],
    fail: Sequence[str],
    timeout: float,
    record: str,
    report: str,
    as_json: bool,
    off: bool,
) -> Outcome:
    """Switch a machine on and watch it; as `run` does with QEMU."""
    switch = Power(power) if power else None
    with asciicast.writing(Path(record), line) if record else nullcontext() as cast:

        def show(text: str) -> None:
            if cast is not None:
                cast.add(text)
            if not as_json:
                build.show(text)

        try:
            begin = (lambda: switch.switch("cycle")) if switch else (lambda: None)
            found = watch(Path(line), tuple(expect), tuple(fail), timeout, show, begin)
        finally:
            if switch and off:
                switch.switch("off")
    outcome = Outcome[found.outcome.upper()]
    if report:
        result = Result(outcome, found.reason, found.transcript, found.seconds)
        junit.write(Path(report), "machine", f"watched on {line}", result)
    reading = explain.read(found.transcript)
    if as_json:
        said = {
            "line": line,
            "outcome": found.outcome,
            "status": int(outcome),
            "reason": found.reason,
            "seconds": round(found.seconds, 3),
            "stage": reading.stage.name if reading.stage else None,
            "errors": [one.number for one in reading.errors],
            "transcript": found.transcript,
        }
        print(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        print(f"{found.reason} ({found.seconds:.1f} s)", file=sys.stderr)
    return outcome
