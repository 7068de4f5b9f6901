"""The time of a boot as a drawing: bars of milliseconds, all of the boot first, and below it the stub alone, enlarged.

path.write_text(draw(found))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from xml.sax.saxutils import escape

from bootwright.chart import regions, words
from bootwright.chart.svg import FONT, SMALL, TITLE, document, fitting, n, swatch, text
from bootwright.chart.timeline import LAUNCHED, MACHINE, STUB, Bar, Timeline

_KINDS = {MACHINE: regions.FIRMWARE, STUB: regions.STUB, LAUNCHED: regions.KERNEL}
_WIDTH, _LEFT, _ROOM, _RIGHT = 1000.0, 180.0, 640.0, 140.0
_TOP, _ROW, _BAR, _PANEL = 70.0, 40.0, 16.0, 54.0


def draw(found: Timeline) -> str:
    """Two panels of bars, each on a scale of its own."""
    whole, stub = overview(found), found.of(STUB)
    title = f"time of {found.title}"
    second = _TOP + _PANEL + len(whole) * _ROW + 10
    body = [
        text(16, 30, words.cut(title, fitting(_WIDTH - 32, TITLE)), TITLE, "bold"),
        text(16, 48, "host's time when each text came; a bar ends with the line below it", SMALL, "dim"),
        *_panel("all of it", whole, _TOP),
        *_panel("the stub, enlarged", stub, second),
    ]
    return document(_WIDTH, second + _PANEL + len(stub) * _ROW + 6, title, body)


def overview(found: Timeline) -> list[Bar]:
    """All bars, those of the stub as one."""
    stub = found.of(STUB)
    one = replace(stub[-1], name="stub", says="until its last line", start=stub[0].start)
    return [*found.of(MACHINE), one, *found.of(LAUNCHED)]


def _panel(name: str, bars: Sequence[Bar], y: float) -> Iterator[str]:
    start, end = bars[0].start, bars[-1].end
    per = _ROOM / max(end - start, 1e-9)
    bottom = y + _PANEL - 12 + len(bars) * _ROW
    yield text(16, y + 14, name, FONT + 2, "bold")
    for tick in ticks((end - start) * 1000):
        x = _LEFT + tick / 1000 * per
        yield f'<path class="line" d="M{n(x)},{n(y + 36)} V{n(bottom)}"/>'
        yield text(x, y + 32, milliseconds(tick), SMALL, "dim", "middle")
    for number, bar in enumerate(bars):
        yield from _bar(
            bar, (bar.start - start) * per, max(1.5, (bar.end - bar.start) * per), y + _PANEL + number * _ROW
        )


def _bar(bar: Bar, start: float, width: float, y: float) -> Iterator[str]:
    start = min(start, _ROOM - width)
    yield f"<g><title>{escape(f'{bar.name}: {bar.says}, {milliseconds(bar.milliseconds)}')}</title>"
    yield text(_LEFT - 10, y + 12, words.cut(bar.name, fitting(_LEFT - 26, FONT)), FONT, "", "end")
    yield from swatch(_LEFT + start, y, width, _BAR, _KINDS[bar.whose])
    yield text(_LEFT + start + width + 6, y + 12, milliseconds(bar.milliseconds), FONT)
    yield text(_LEFT, y + 28, words.cut(bar.line, fitting(_ROOM + _RIGHT, SMALL)), SMALL, "dim")
    yield "</g>"


def milliseconds(value: float) -> str:
    """Three digits that count, as far as they do: "0.12 ms", "203 ms", "4,760 ms"."""
    return (
        f"{value:,.0f} ms"
        if value >= 100 or value == int(value)
        else f"{value:.1f} ms"
        if value >= 10
        else f"{value:.2f} ms"
    )


def ticks(whole: float) -> list[float]:
    """Round values from 0 on, four to nine of them, within a length."""
    step = 10.0**-3
    while whole / step > 8:
        step *= 2.5 if f"{step:e}".startswith("2") else 2
    return [number * step for number in range(int(whole / step) + 1)]
