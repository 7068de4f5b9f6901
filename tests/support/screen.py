"""Text on a framebuffer: what stub/lib/framebuffer.asm has to show, and a reader of what it has drawn, by the glyphs of
stub/lib/font.asm read as text."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from project import ROOT

FONT = ROOT / "stub/lib/font.asm"
CELL = 6, 9  # a glyph of 5 by 8, and one empty pixel on its right and below
BLACK, GREY = b"\0\0\0\0", b"\xaa\xaa\xaa\0"
Glyph = tuple[str, ...]


@functools.cache
def glyphs() -> dict[Glyph, str]:
    """Every character by its cell: 9 rows of 6 letters, 0 for black and 1 for grey."""
    lines = re.findall(r"^\s+glyph (0b.*) ; (.)$", FONT.read_text(), re.MULTILINE)
    assert "".join(character for _, character in lines) == "".join(map(chr, range(0x21, 0x7F)))
    found = {(*(row + "0" for row in re.findall("0b([01]{5})", art)), "000000"): shown for art, shown in lines}
    assert len(found) == len(lines), "no two characters look the same"
    return {("000000",) * 9: " ", **found}


@dataclass(frozen=True)
class Screen:
    """The size of a screen in pixels, pitch in bytes, and how many pixels one of the font takes."""

    width: int
    height: int
    pitch: int
    scale: int

    @property
    def columns(self) -> int:
        return self.width // (CELL[0] * self.scale)

    @property
    def rows(self) -> int:
        return self.height // (CELL[1] * self.scale)

    def shown(self, text: str) -> list[str]:
        """What every row shows once this is printed, from an empty screen on."""
        rows, row = [""] * self.rows, 0
        for character in text:
            if character != "\n":
                rows[row] += character if "!" <= character <= "~" else " "
            if character == "\n" or len(rows[row]) == self.columns:
                row = (row + 1) % self.rows
                rows[(row + 1) % self.rows] = ""
        return [shown.rstrip() for shown in rows]

    def read(self, line: Callable[[int], bytes]) -> list[str]:
        """The text of every row, as row has it."""
        return [self.row(number, line) for number in range(self.rows)]

    def row(self, number: int, line: Callable[[int], bytes]) -> str:
        """The text of a row; line gives the bytes of one line of pixels, of all columns or the first few."""
        size, known = self.scale, glyphs()
        lines = []
        for y in range(CELL[1]):
            pixels = [line((number * CELL[1] + y) * size + part) for part in range(size)]
            assert all(other == pixels[0] for other in pixels), "a pixel of the font is as high as it is wide"
            lines.append(self._line(pixels[0]))
        cells = min(self.columns, len(lines[0]) // CELL[0])
        starts = range(0, cells * CELL[0], CELL[0])
        return "".join(known[tuple(text[x : x + CELL[0]] for text in lines)] for x in starts).rstrip()

    def _line(self, pixels: bytes) -> str:
        points = [pixels[start : start + 4] for start in range(0, len(pixels) // 4 * 4, 4)][: self.width]
        shown = {BLACK: "0", GREY: "1"}
        text = "".join(shown[point] for point in points)
        groups = [text[start : start + self.scale] for start in range(0, len(text), self.scale)]
        assert all(len(set(group)) == 1 for group in groups)
        return "".join(group[0] for group in groups)
