"""The listing of a link: every line of source with its address and bytes, macros expanded below their use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bootwright.asm.preprocess import Line
from bootwright.link.elf_writer import ElfSection

_BYTES_A_LINE = 8
_BLANK = " " * (8 + 2 + 2 * _BYTES_A_LINE)


@dataclass(frozen=True)
class ListedLine:
    """A line of source and what became of it; address None for a line that puts nothing anywhere."""

    line: Line
    address: int | None
    data: bytes


def render(sections: Iterable[ElfSection], lines: Iterable[ListedLine]) -> str:
    """The whole listing as text: address, bytes, line number, source; a heading for each file."""
    return "".join(f"{line}\n" for line in _lines(sections, lines))


def _lines(sections: Iterable[ElfSection], lines: Iterable[ListedLine]) -> Iterator[str]:
    for section in sections:
        place = f"{section.address:08x} {section.size:#8x} bytes at offset {section.offset:#x}"
        yield f"{section.name:<20} {place}"
    path = ""
    for listed in lines:
        if listed.line.where.path != path:
            path = listed.line.where.path
            yield ""
            yield f"; {path}"
        yield from _line(listed)


def _line(listed: ListedLine) -> Iterator[str]:
    data = listed.data.hex()
    width = 2 * _BYTES_A_LINE
    # A long run of zeros, such as a table, is shown by its beginning alone.
    chunks = [data[start : start + width] for start in range(0, len(data), width)] or [""]
    if not any(listed.data) and len(chunks) > 2:
        chunks = [chunks[0], "..."]
    number = "" if listed.line.macro else str(listed.line.where.line)
    source = f"{'+' * listed.line.depth:>1}{listed.line.text}"
    address = "" if listed.address is None else f"{listed.address:08x}"
    yield f"{address:<8}  {chunks[0]:<{width}} {number:>5} {source}".rstrip()
    for index, chunk in enumerate(chunks[1:], 1):
        yield f"{(listed.address or 0) + index * _BYTES_A_LINE:08x}  {chunk}"
