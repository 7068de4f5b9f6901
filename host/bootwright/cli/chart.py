"""What `map` shows: pictures of an image's memory and of a boot's time, in the terminal, as drawings, or as a page."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from bootwright.chart import boots, document, memory_svg, page, time_svg, timeline
from bootwright.chart.boots import Chart
from bootwright.chart.timeline import Timeline
from bootwright.cli import build as cli_build
from bootwright.cli import planning
from bootwright.common import asciicast, paths, scratch
from bootwright.common.errors import SourceError, Where, why
from bootwright.common.terminal import without_control
from bootwright.lab import report as lab_report

_PIPE_WIDTH = 132


@dataclass(frozen=True)
class Output:
    """Where the picture goes: files, "" for none; json: to standard output; without any of them to the terminal."""

    svg: str = ""
    html: str = ""
    json: bool = False


def run(name: str, machine: str, log: str, output: Output) -> None:
    """Draw an image's memory on a machine, on a plain PC, or as a log has it. Raises BootwrightError."""
    if machine and log:
        raise SourceError("--machine and --log are two machines: give one of them")
    text = _text(log) if log else ""
    report = lab_report.load(machine) if machine else None
    with cli_build.stages() as stage:
        found = planning.planned(paths.description(name), report, Path(machine).stem, stage)
    recording = asciicast.read(text)
    console = recording.text if recording else text
    chart = boots.of_log(console, found.fit, found.build, found.parts, f"by {Path(log).name}") if log else found.chart
    time = timeline.of_recording(recording) if recording else None
    if log and not chart.stages:
        raise SourceError(chart.notes[0], Where(log))
    for path in _write(chart, time, output):
        if not output.json:
            print(f"{path} ({path.stat().st_size:,} bytes)")
    if output.json:
        print(json.dumps(document.memory(chart) | {"time": document.time(time) if time else None}, indent=2))
    elif not (output.svg or output.html):
        _show(chart, time)
    for note in chart.notes:
        print(f"note: {note}", file=sys.stderr)


def _text(log: str) -> str:
    try:
        data = Path(log).read_bytes()
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(log)) from error
    return without_control(data).decode("utf-8", "replace")


def _write(chart: Chart, time: Timeline | None, output: Output) -> list[Path]:
    """The files that were asked for. Raises SourceError."""
    files = {}
    if output.svg:
        files[Path(output.svg)] = memory_svg.draw(chart)
        if time:
            path = Path(output.svg)
            files[path.with_name(f"{path.stem}-time{path.suffix}")] = time_svg.draw(time)
    if output.html:
        files[Path(output.html)] = page.render(chart, time)
    for path, text in files.items():
        try:
            with scratch.own(path.parent, path.name) as folder:
                (folder / path.name).write_text(text, encoding="utf-8")
                (folder / path.name).replace(path)
        except OSError as error:
            raise SourceError(f"cannot be written: {why(error)}", Where(str(path))) from error
    return list(files)


def _show(chart: Chart, time: Timeline | None) -> None:
    from rich.console import Console

    from bootwright.chart import terminal

    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
    for line in terminal.memory(chart, console.width):
        console.print(line)
    if time:
        console.print()
        for line in terminal.time(time, console.width):
            console.print(line)
