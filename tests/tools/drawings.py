"""Drawings for docs/design.md: the flow of the packages, and the stages of a boot; boxes, made from the source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

import packages_page

from bootwright.common.abi import load
from bootwright.lab.explain import STAGES

_WIDTH, _ROW, _GAP, _LEFT = 860, 34, 12, 20
_STYLE = (
    "text{font-family:sans-serif;font-size:13px;fill:#1a1a1a}.name{font-weight:bold}.small{fill:#555}"
    "rect{fill:#eef3f8;stroke:#5b7a99}.ours{fill:#fdf3dc;stroke:#b58a2c}path{stroke:#5b7a99;fill:none}"
)


def flow() -> str:
    """The packages from the description to the command line, each with what it turns into what."""
    rows = []
    for package in packages_page.ORDER:
        sentence = packages_page.said(package).split("\n", 1)[0]
        rows.append((package, sentence, ""))
    return _column("How a description becomes media: the packages of the host, each using only those above it", rows)


def boot() -> str:
    """The stages of a boot, with what a card on port 0x80 shows."""
    numbers = {
        name.removeprefix("STAGE_").lower(): value for name, value in load().constants.items() if "STAGE_" in name
    }
    ports = {"entry": ("entry",), "tables": ("tables", "memory"), "launch": ("launch", "launched")}
    rows = []
    for stage in STAGES:
        shown = [f"{numbers[one]:x}" for one in ports.get(stage.name, (stage.name,)) if one in numbers]
        rows.append((stage.name, stage.does, " ".join(shown)))
    return _column("A boot: the stub's stages, and what port 0x80 shows", rows)


def _column(title: str, rows: Sequence[tuple[str, str, str]]) -> str:
    height = 60 + len(rows) * (_ROW + _GAP)
    body = "".join(_rows(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        f'role="img"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f'<rect x="0" y="0" width="{_WIDTH}" height="{height}" style="fill:#fff;stroke:none"/>'
        f'<text class="name" x="{_LEFT}" y="28">{escape(title)}</text>\n{body}</svg>\n'
    )


def _rows(rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    for number, (name, says, mark) in enumerate(rows):
        y = 46 + number * (_ROW + _GAP)
        yield f'<rect x="{_LEFT}" y="{y}" width="150" height="{_ROW}" rx="4"/>\n'
        yield f'<text class="name" x="{_LEFT + 10}" y="{y + 22}">{escape(name)}</text>\n'
        if mark:
            yield f'<rect class="ours" x="{_LEFT + 160}" y="{y}" width="60" height="{_ROW}" rx="4"/>'
            yield f'<text x="{_LEFT + 170}" y="{y + 22}">{escape(mark)}</text>\n'
        x = _LEFT + (234 if any(row[2] for row in rows) else 164)
        for line, text in enumerate(_wrapped(says)):
            down = 22 if len(says) < 90 else 14 + 16 * line
            yield f'<text class="small" x="{x}" y="{y + down}">{escape(text)}</text>\n'
        if number + 1 < len(rows):
            yield f'<path d="M{_LEFT + 65} {y + _ROW}v{_GAP}m-4 -5l4 5l4 -5"/>\n'


def _wrapped(text: str) -> list[str]:
    """In at most two lines."""
    text = text.replace("`", "")
    if len(text) < 90:
        return [text]
    cut = text.rfind(" ", 0, 92)
    rest = text[cut + 1 :]
    return [text[:cut], rest if len(rest) < 96 else rest[:92].rsplit(" ", 1)[0] + " ..."]


def render() -> dict[str, str]:
    """Each drawing, by its name."""
    return {"flow.svg": flow(), "boot.svg": boot()}
