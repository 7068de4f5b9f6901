"""Pictures as rows of characters, for terminals of any width, with colours where there are some (rich).

    rich.console.Console().print(*memory(chart, width))

The scale is the drawing's: a row for each segment, more for long ones; addresses at the left, the lowest at the top.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from bootwright.chart import words
from bootwright.chart.boots import Chart
from bootwright.chart.palette import LOOKS
from bootwright.chart.regions import FREE, NOT_USED, Region, Stage
from bootwright.chart.scale import Segment, Units, scale
from bootwright.chart.time_svg import milliseconds, overview
from bootwright.chart.timeline import LAUNCHED, MACHINE, STUB, Bar, Timeline

UNITS = Units(least=1, doubling=0.12, broken=1, hair=0)
_ADDRESS, _LEAST, _NAME, _TIME = 12, 30, 22, 12
_COLOURS = {MACHINE: "#7f7f7f", STUB: "#e69f00", LAUNCHED: "#0072b2"}


def memory(chart: Chart, width: int) -> Iterator[Text]:
    """Lines of a picture: all stages beside each other where they have room, else one below the other."""
    yield Text(f"memory of image {chart.title}, {chart.subject}", style="bold")
    beside = bool(chart.stages) and (width - _ADDRESS) // len(chart.stages) >= _LEAST
    for stages in [chart.stages] if beside else [(stage,) for stage in chart.stages]:
        yield Text()
        yield from _stages(stages, width)
    yield Text()
    there = {region.kind for stage in chart.stages for region in stage.regions}
    yield from _legend(there - {FREE}, width)
    for number, stage in enumerate(chart.stages, 1):
        free = f"; what is free is for {stage.free_for}" if stage.free else ""
        yield Text(f"{number}. {stage.name}: {words.sums(stage)}{free}")
    yield from map(Text, chart.launch)


def _legend(kinds: Collection[str], width: int) -> Iterator[Text]:
    row = Text()
    for kind in (kind for kind in LOOKS if kind in kinds):
        part = Text.assemble(_strip(kind), f" {LOOKS[kind].legend}")
        if row and len(row) + len(part) + 3 > width:
            yield row
            row = Text()
        row += (Text("   ") if row else Text()) + part
    yield row


def _stages(stages: Sequence[Stage], width: int) -> Iterator[Text]:
    column = (width - _ADDRESS) // len(stages)
    heads = [f"{stage.name}: {stage.says}" for stage in stages]
    yield Text(" " * _ADDRESS + "".join(words.cut(head, column - 1).ljust(column) for head in heads), style="bold")
    found = scale(stages, UNITS)
    for one in found.segments:
        for row in range(round(one.length)):
            address = f"{one.range.start:#x}".rjust(_ADDRESS - 2) if row == 0 else " " * (_ADDRESS - 2)
            line = Text.assemble((address + (" ~" if one.broken else "  "), "dim"))
            for stage in stages:
                line += _cell(stage, one, row, column)
            line.rstrip()
            yield line
    if found.segments:
        yield Text(f"{found.segments[-1].range.end:#x}".rjust(_ADDRESS - 2), style="dim")


@dataclass(frozen=True)
class _Here:
    """A region in a segment, and whether it begins in it."""

    region: Region
    begins: bool


def _cell(stage: Stage, segment: Segment, row: int, column: int) -> Text:
    here = next(
        (_Here(r, segment.range.start == r.range.start) for r in stage.regions if r.range.overlaps(segment.range)), None
    )
    if here is None:
        known = any(region.kind in NOT_USED for region in stage.regions)
        label = ("   no memory" if known else "   not known") if row == 0 else ""
        return Text.assemble((label.ljust(column), "dim"))
    free = here.region.kind == FREE
    label = ""
    if here.begins and row == 0:
        size = words.size(here.region.range.size)
        label = f"{words.cut(here.region.what, column - len(size) - 6)}, {size}"
    strip = ("  ", "") if free else _strip(here.region.kind)
    return Text.assemble(strip, " ", (label[: column - 4].ljust(column - 3), "dim" if free else ""))


def _strip(kind: str) -> tuple[str, str]:
    """What a kind's rows begin with."""
    return LOOKS[kind].letter * 2, f"black on {LOOKS[kind].colour}"


def time(found: Timeline, width: int) -> Iterator[Text]:
    """Lines of bars: all of the boot, then the stub alone."""
    yield Text(f"time of {found.title}: {milliseconds(found.seconds * 1000)}", style="bold")
    for name, bars in (("all of it", overview(found)), ("the stub, enlarged", found.of(STUB))):
        yield Text()
        yield Text(name, style="bold")
        room = max(10, width - _NAME - _TIME)
        start, whole = bars[0].start, max(bars[-1].end - bars[0].start, 1e-9)
        for bar in bars:
            yield _bar(bar, (bar.start - start) / whole * room, (bar.end - bar.start) / whole * room, room)


def _bar(bar: Bar, start: float, length: float, room: int) -> Text:
    cells = max(1, round(length))
    before = min(round(start), room - cells)
    drawn = Text.assemble(" " * before, ("\u2588" * cells, _COLOURS[bar.whose]))
    name = words.cut(bar.name, _NAME - 1).ljust(_NAME)
    return Text(name) + drawn + Text(f" {milliseconds(bar.milliseconds)}")
