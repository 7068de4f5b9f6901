"""What `explain` shows: an error in full, all of them in a line each, or what a captured log says."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bootwright.common import asciicast
from bootwright.common.errors import SourceError, Where, why
from bootwright.lab import explain
from bootwright.lab.explain import Explanation, Reading

_WIDTH = 100


def run(number: str, log: str, as_json: bool) -> None:
    """Explain an error, or what a log has; neither: list all errors. Raises SourceError for none that is known."""
    if log:
        _show_log(explain.read(_text(log)), as_json)
    elif number:
        one = explain.find(number)
        print(json.dumps(_record(one), indent=2) if as_json else "\n".join(_lines(one)))
    elif as_json:
        print(json.dumps([_record(one) for one in explain.all_explanations()], indent=2))
    else:
        for one in explain.all_explanations():
            print(f"{one.number}  {one.sentence}")


def _text(log: str) -> str:
    try:
        data = sys.stdin.buffer.read() if log == "-" else Path(log).read_bytes()
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(log)) from error
    text = data.decode("utf-8", errors="replace")
    recording = asciicast.read(text)
    return recording.text if recording else text


def _show_log(found: Reading, as_json: bool) -> None:
    if as_json:
        errors = [_record(one) for one in found.errors]
        stage = found.stage and {"name": found.stage.name, "does": found.stage.does, "silent": found.stage.silent}
        before = found.before_error and _record(found.before_error)
        said = {"errors": errors, "stage": stage, "last_line": found.last_line}
        print(json.dumps(said | {"boot_before": found.before, "error_before": before}, indent=2))
        return
    for one in found.errors:
        print("\n".join(_lines(one)))
    if not found.errors:
        print("\n".join(_without_error(found)))
    if found.before:
        print(f"the boot before it: {found.before}")
    if found.before_error:
        print("\n".join(_lines(found.before_error)))


def _without_error(found: Reading) -> Iterator[str]:
    if found.stage is None:
        yield "no line of the stub is in this log: docs/how-to/dark-machine.md says where to look"
        return
    yield f"no error in this log; the stub's last line: {found.last_line}"
    yield from _paragraph("stage", f"{found.stage.name}: {found.stage.does}")
    yield from _list("if nothing follows", found.stage.silent)


def _lines(one: Explanation) -> Iterator[str]:
    yield f"{one.number}: {one.sentence}"
    yield from _paragraph("meaning", one.means)
    yield from _list("usual causes", one.causes)
    yield from _list("try", one.tries)


def _paragraph(title: str, text: str) -> Iterator[str]:
    yield f"  {title}:"
    yield from textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def _list(title: str, items: tuple[str, ...]) -> Iterator[str]:
    yield f"  {title}:"
    for item in items:
        yield from textwrap.wrap(item, _WIDTH, initial_indent="    - ", subsequent_indent="      ")


def _record(one: Explanation) -> dict[str, Any]:
    return {
        "number": one.number,
        "name": one.error.name,
        "sentence": one.sentence,
        "values": one.values,
        "means": one.means,
        "causes": one.causes,
        "try": one.tries,
    }
