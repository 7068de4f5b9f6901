"""The memory of a machine as a drawing: a column for each stage, on one scale, and above each a bar that is to scale.

path.write_text(draw(chart))
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from bootwright.chart import words
from bootwright.chart.boots import Chart
from bootwright.chart.palette import LOOKS
from bootwright.chart.regions import FREE, NOT_USED, Region, Stage
from bootwright.chart.scale import Scale, Units, gaps, scale
from bootwright.chart.svg import FONT, LINE, SMALL, TITLE, WIDE, document, fitting, n, swatch, text
from bootwright.common.ranges import Range

UNITS = Units(least=19, doubling=3.5, broken=30, hair=3)
_LEFT, _COLUMN, _BETWEEN, _STRIP, _PAD = 104.0, 312.0, 16.0, 12.0, 6.0
_TOP, _BAR = 150.0, 12.0


def draw(chart: Chart) -> str:
    """The memory of a machine at each stage, with its addresses at the left, the lowest at the top."""
    found = scale(chart.stages, UNITS)
    width = _LEFT + max(2, len(chart.stages)) * (_COLUMN + _BETWEEN)
    legend = list(_legend(chart, width, _TOP + found.length + 34))
    notes = list(_notes(chart, width, _TOP + found.length + 34 + LINE * 1.6 * len(legend)))
    height = _TOP + found.length + 50 + LINE * 1.6 * len(legend) + LINE * len(notes)
    room = fitting(width - 24, TITLE)
    body = [
        text(16, 30, words.cut(f"memory of image {chart.title}", room), TITLE, "bold"),
        text(16, 48, words.cut(chart.subject, fitting(width - 24, FONT)), FONT, "dim"),
        text(
            16, 66, "addresses grow downwards; lengths by the logarithm of sizes, the bars above to scale", SMALL, "dim"
        ),
        *_axis(found, width),
    ]
    for number, stage in enumerate(chart.stages):
        body += _stage(stage, found, _LEFT + number * (_COLUMN + _BETWEEN), number + 1)
    body += [part for row in legend for part in row]
    return document(width, height, f"memory of image {chart.title}, {chart.subject}", [*body, *notes])


def _axis(found: Scale, width: float) -> Iterator[str]:
    last = -100.0
    ends = [(one.range.end, one.end) for one in found.segments[-1:]]
    for address, where in [*((one.range.start, one.start) for one in found.segments), *ends]:
        y = _TOP + where
        yield f'<path class="line" d="M{n(_LEFT - 6)},{n(y)} H{n(width - _BETWEEN)}"/>'
        if y - last >= SMALL:
            yield text(_LEFT - 9, y + 3.5, f"{address:#x}", SMALL, "dim", "end")
            last = y


def _broken(x: float, y: float) -> str:
    return f'<path class="mark" d="M{n(x - 5)},{n(y + 1)} l4,-5 l3,8 l4,-5"/>'


def _stage(stage: Stage, found: Scale, x: float, number: int) -> Iterator[str]:
    room = fitting(_COLUMN, FONT)
    yield text(x, 90, words.cut(f"{number}. {stage.name}", room), FONT + 2, "bold")
    yield text(x, 104, words.cut(stage.says, fitting(_COLUMN, SMALL)), SMALL, "dim")
    yield from _overview(stage, found, x)
    yield text(x, 138, words.cut(words.sums(stage), fitting(_COLUMN, SMALL)), SMALL)
    for region in stage.regions:
        yield from _region(region, found, x)
    if found.segments:
        whole = Range(found.segments[0].range.start, found.segments[-1].range.end)
        known = any(region.kind in NOT_USED for region in stage.regions)
        for gap in gaps(stage.regions, whole):
            yield from _gap(gap, found, x, "no memory" if known else "not known")
    for one in found.segments:
        if one.broken:
            yield _broken(x + _STRIP / 2 - 3, _TOP + one.start + one.length / 2)


def _overview(stage: Stage, found: Scale, x: float) -> Iterator[str]:
    """The same to scale; what is too small for that is a hair."""
    top = found.segments[-1].range.end if found.segments else 1
    yield f'<rect x="{n(x)}" y="110" width="{n(_COLUMN)}" height="{n(_BAR)}" class="none"/>'
    for region in stage.regions:
        if region.kind != FREE:
            start = region.range.start / top * _COLUMN
            width = max(1.0, region.range.size / top * _COLUMN)
            look = LOOKS[region.kind]
            yield (
                f'<rect x="{n(x + min(start, _COLUMN - width))}" y="110" width="{n(width)}" height="{n(_BAR)}" '
                f'fill="{look.colour}"><title>{escape(words.whole(region))}</title></rect>'
            )


def _region(region: Region, found: Scale, x: float) -> Iterator[str]:
    y, end = _TOP + found.at(region.range.start), _TOP + found.at(region.range.end)
    look = LOOKS[region.kind]
    box = f'x="{n(x)}" y="{n(y)}" width="{n(_COLUMN)}" height="{n(end - y)}"'
    yield f"<g><title>{escape(words.whole(region))}</title>"
    if region.kind == FREE:
        yield f'<rect {box} class="none"/>'
    else:
        yield f'<rect {box} class="tint edge" fill="{look.colour}"/>'
        yield from swatch(x, y, _STRIP, end - y, region.kind)
    yield from _label(region, x + _STRIP + _PAD, y, end)
    yield "</g>"


def _label(region: Region, x: float, y: float, end: float) -> Iterator[str]:
    """Name and size; where there is room for two lines, the range too."""
    room, height = _COLUMN - _STRIP - 2 * _PAD, end - y
    style = "dim" if region.kind == FREE else ""
    size = words.size(region.range.size)
    if height < FONT + 3:
        return
    if region.kind != FREE and height >= 2 * LINE + 4:
        yield text(x, y + 13, words.cut(region.what, fitting(room, FONT)), FONT, style)
        yield text(x, y + 13 + LINE, words.cut(f"{region.range}, {size}", fitting(room, SMALL)), SMALL, "dim")
        return
    name = words.cut(region.what, fitting(room, FONT) - len(size) - 2)
    yield text(x, min((y + end) / 2 + 4, y + 15), f"{name}, {size}", FONT, style)


def _gap(gap: Range, found: Scale, x: float, what: str) -> Iterator[str]:
    y, end = _TOP + found.at(gap.start), _TOP + found.at(gap.end)
    if end - y >= FONT + 3:
        yield text(x + _STRIP + _PAD, min((y + end) / 2 + 4, y + 15), f"{what}, {words.size(gap.size)}", FONT, "dim")


def _legend(chart: Chart, width: float, y: float) -> Iterator[list[str]]:
    """A row of parts for each row of the legend."""
    there = {region.kind for stage in chart.stages for region in stage.regions}
    row: list[str] = []
    x = _LEFT
    rows = 0
    for kind, look in LOOKS.items():
        if kind not in there:
            continue
        need = 22 + len(look.legend) * SMALL * WIDE + 18
        if x + need > width and row:
            yield row
            row, x, rows = [], _LEFT, rows + 1
        at = y + rows * LINE * 1.6
        row += [*swatch(x, at - 9, 14, 11, kind), text(x + 20, at, look.legend, SMALL)]
        x += need
    if row:
        yield row


def _notes(chart: Chart, width: float, y: float) -> Iterator[str]:
    last = chart.stages[-1] if chart.stages else None
    said = [f"when launched, what is free is for {last.free_for}"] if last and len(chart.stages) == 3 else []
    for number, note in enumerate([*said, *chart.launch, *(f"note: {note}" for note in chart.notes)]):
        yield text(16, y + number * LINE, words.cut(note, fitting(width - 32, SMALL)), SMALL, "dim")
