"""What drawings are made of: SVG 1.1, without script, for light and dark screens and for paper.

    document(width, height, title, [text(16, 30, "stub"), *swatch(0, 0, 14, 11, "stub")])

Text is in a monospaced font, so that its width is known: no such font has characters wider than WIDE of their height.
The same values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from bootwright.chart import palette
from bootwright.chart.palette import LOOKS

WIDE = 0.62  # of the height of a character
FONT, SMALL, TITLE = 11.0, 10.0, 15.0
LINE = 14.0  # from one line of text to the next

_STYLE = """
text { font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace; fill: #1b1b1b }
.paper { fill: #ffffff } .dim { fill: #555555 } .bold { font-weight: bold }
.edge { stroke: #555555; stroke-width: 0.8 } .line { stroke: #cfcfcf; stroke-width: 0.7 }
.mark { stroke: #1b1b1b; fill: none; stroke-width: 1.1 } .none { fill: none; stroke: #999999; stroke-dasharray: 3 3 }
.tint { fill-opacity: 0.16 } .hole { fill: #ffffff; fill-opacity: 0.35 }
@media (prefers-color-scheme: dark) {
text { fill: #e8e8e8 } .paper { fill: #15181b } .dim { fill: #aeb4ba } .edge { stroke: #aeb4ba }
.line { stroke: #3a4046 } .mark { stroke: #e8e8e8 } .tint { fill-opacity: 0.3 } .none { stroke: #777777 }
}
"""
_PATTERNS = {
    palette.RISING: '<path d="M-1,1 l2,-2 M0,6 l6,-6 M5,7 l2,-2" stroke="#000" stroke-width="1.3"/>',
    palette.FALLING: '<path d="M-1,5 l2,2 M0,0 l6,6 M5,-1 l2,2" stroke="#000" stroke-width="1.3"/>',
    palette.DOTS: '<circle cx="3" cy="3" r="1.3" fill="#000"/>',
    palette.GRID: '<path d="M0,0 l6,6 M0,6 l6,-6" stroke="#000" stroke-width="0.9"/>',
}


def document(width: float, height: float, title: str, body: Sequence[str]) -> str:
    """A drawing of its own."""
    size = f'width="{n(width)}" height="{n(height)}" viewBox="0 0 {n(width)} {n(height)}"'
    patterns = [
        f'<pattern id="{name}" width="6" height="6" patternUnits="userSpaceOnUse">{drawn}</pattern>'
        for name, drawn in _PATTERNS.items()
    ]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        "<defs>",
        *patterns,
        "</defs>",
        f'<rect class="paper" width="{n(width)}" height="{n(height)}"/>',
        *body,
        "</svg>",
        "",
    ])  # fmt: skip


def text(x: float, y: float, said: str, size: float = FONT, style: str = "", anchor: str = "start") -> str:
    """A line of text with its baseline at y."""
    shown = f' class="{style}"' if style else ""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{n(x)}" y="{n(y)}" font-size="{n(size)}"{shown}{where}>{escape(said)}</text>'


def swatch(x: float, y: float, width: float, height: float, kind: str) -> list[str]:
    """An area in a kind's colour and pattern."""
    look = LOOKS[kind]
    box = f'x="{n(x)}" y="{n(y)}" width="{n(width)}" height="{n(height)}"'
    if look.pattern == palette.EMPTY:
        return [f'<rect {box} class="none"/>']
    drawn = [f'<rect {box} fill="{look.colour}"/>']
    return drawn if look.pattern == palette.PLAIN else [*drawn, f'<rect {box} fill="url(#{look.pattern})"/>']


def fitting(width: float, size: float) -> int:
    """How many characters of a size go into a width."""
    return int(width / (size * WIDE))


def n(value: float) -> str:
    """A number as drawings have it: to a tenth."""
    return f"{value:.1f}".removesuffix(".0")
