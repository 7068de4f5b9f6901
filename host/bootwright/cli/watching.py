"""What `watch` shows: a machine's serial line, and a verdict."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from bootwright.cli import build, junit
from bootwright.common import asciicast
from bootwright.common.errors import DeviceError
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
) -> int:
    """Switch a machine on and watch it; as `run` does with QEMU. Gives the status: 1 where it may be on in the end."""
    switch = Power(power) if power else None
    with asciicast.writing(Path(record), line) if record else nullcontext() as cast:

        def show(text: str) -> None:
            if cast is not None:
                cast.add(text)
            if not as_json:
                build.show(text)

        begun = False

        def begin() -> None:
            nonlocal begun
            if switch:
                begun = True
                switch.switch("cycle")

        try:
            found = watch(Path(line), tuple(expect), tuple(fail), timeout, show, begin)
        except BaseException:
            if begun and off and (wrong := _off(switch)):
                print(wrong, file=sys.stderr)
            raise
        wrong = _off(switch) if off else None
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
            "power": str(wrong) if wrong else None,
        }
        print(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        print(f"{found.reason} ({found.seconds:.1f} s)", file=sys.stderr)
    if wrong:
        print(wrong, file=sys.stderr)
        return 1
    return outcome


def _off(switch: Power | None) -> DeviceError | None:
    """Gives the error where the machine may be on."""
    try:
        if switch:
            switch.switch("off")
    except DeviceError as error:
        return error
    return None
