"""The listing of a link: every line of source with its address and bytes, macros expanded below their use."""

from __future__ import annotations

from collections.abc import Iterator

from bootwright.link import Linked, ListedLine

_BYTES_A_LINE = 8
_BLANK = " " * (8 + 2 + 2 * _BYTES_A_LINE)


def render(linked: Linked) -> str:
    """The whole listing as text: address, bytes, line number, source; a heading for each file."""
    return "".join(f"{line}\n" for line in _lines(linked))


def _lines(linked: Linked) -> Iterator[str]:
    for section in linked.sections:
        place = f"{section.address:08x} {section.size:#8x} bytes at offset {section.offset:#x}"
        yield f"{section.name:<20} {place}"
    path = ""
    for listed in linked.listing:
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
