"""Pictures as one page of HTML that needs nothing else: the drawings, and tables with every region and bar.

path.write_text(render(chart, found))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from bootwright.chart import memory_svg, time_svg, words
from bootwright.chart.boots import Chart
from bootwright.chart.palette import LOOKS
from bootwright.chart.regions import Stage
from bootwright.chart.timeline import Timeline

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1120px; padding: 0 1em }
svg { max-width: 100%; height: auto }
table { border-collapse: collapse; margin: 0.5em 0 2em } th { text-align: left }
td, th { padding: 0.15em 0.8em; border-bottom: 1px solid #8884; vertical-align: top }
td.number { text-align: right }
td.number, td.code { font-family: ui-monospace, Consolas, monospace; white-space: nowrap }
"""


def render(chart: Chart, found: Timeline | None = None) -> str:
    """The page. found: of the same boot, where it was recorded."""
    title = f"image {chart.title}, {chart.subject}"
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        *(memory_svg.draw(chart).splitlines() if chart.stages else []),
        "<ul>",
        *(f"<li>{escape(line)}</li>" for line in (*chart.launch, *(f"note: {note}" for note in chart.notes))),
        "</ul>",
    ]
    for number, stage in enumerate(chart.stages, 1):
        parts += _stage(number, stage)
    if found is not None:
        parts += ["<h2>Time</h2>", *time_svg.draw(found).splitlines(), *_bars(found)]
    return "\n".join([*parts, "</body></html>", ""])


def _stage(number: int, stage: Stage) -> Iterator[str]:
    yield f"<h2>{number}. {escape(stage.name)}: {escape(stage.says)}</h2>"
    known = f" What is free is for {escape(stage.free_for)}." if stage.free else ""
    yield f"<p>{escape(words.sums(stage))}.{known}</p>"
    rows = [
        (str(r.range), f"{r.range.size:,}", words.size(r.range.size), LOOKS[r.kind].legend, r.what, r.owner)
        for r in stage.regions
    ]
    yield from _table(("range", "bytes", "size", "kind", "what", "whose"), rows, numbers=(1, 2), code=(0,))


def _bars(found: Timeline) -> Iterator[str]:
    rows = [
        (bar.name, time_svg.milliseconds(bar.start * 1000), time_svg.milliseconds(bar.milliseconds), bar.says, bar.line)
        for bar in found.bars
    ]
    yield from _table(("stage", "from", "takes", "what", "its last line"), rows, numbers=(1, 2), code=())


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int], code: Sequence[int]
) -> Iterator[str]:
    yield "<table><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"
    for row in rows:
        styles = [' class="number"' if i in numbers else ' class="code"' if i in code else "" for i in range(len(row))]
        yield "<tr>" + "".join(f"<td{s}>{escape(cell)}</td>" for s, cell in zip(styles, row, strict=True)) + "</tr>"
    yield "</table>"
