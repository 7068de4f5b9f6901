"""Every part of the data a place, one behind the other from PARTITION_BASE on; records and strings.

First everything is placed, so that all addresses are known; then it is filled. What is not filled is zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bootwright.common.abi import load as load_abi
from bootwright.common.ranges import Range, align_up

RECORD_ALIGN = 8


@dataclass(frozen=True)
class Place:
    """A part of the data by name, with the machine addresses that it takes."""

    name: str
    range: Range


class Layout:
    """Data as they grow."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.places: list[Place] = []
        self._end = base
        self._data = bytearray()
        self._strings: dict[str, int] = {}

    def place(self, name: str, size: int, align: int = RECORD_ALIGN) -> int:
        """Room for `size` bytes; gives its machine address, 0 for no bytes."""
        if not size:
            return 0
        start = align_up(self._end, align)
        self._end = start + size
        self.places.append(Place(name, Range(start, self._end)))
        return start

    def pages(self, name: str, count: int = 1) -> int:
        """Room for whole pages."""
        page = load_abi().constants["PAGE_SIZE"]
        return self.place(name, count * page, page)

    @property
    def next_page(self) -> int:
        """The machine address that the next pages will have."""
        return align_up(self._end, load_abi().constants["PAGE_SIZE"])

    def records(self, name: str, struct: str, count: int) -> int:
        """Room for an array of records."""
        return self.place(name, count * load_abi().constants[f"{struct.upper()}_SIZEOF"])

    def add(self, name: str, data: bytes) -> int:
        """Place bytes and fill them in."""
        start = self.place(name, len(data))
        self.put(start, data)
        return start

    def array(self, name: str, records: Sequence[bytes]) -> int:
        """Place records one behind the other, and fill them in; gives the first one's address, 0 for none."""
        return self.add(name, b"".join(records)) if records else 0

    def filled(self, name: str, data: bytes) -> int:
        """Place whole pages, and fill them in."""
        start = self.pages(name, len(data) // load_abi().constants["PAGE_SIZE"])
        self.put(start, data)
        return start

    def string(self, text: str) -> int:
        """A string with its terminator, each once; 0 for the empty one."""
        if not text:
            return 0
        if text not in self._strings:
            data = text.encode() + b"\0"
            self._strings[text] = self.place(f"string {text!r}", len(data), 1)
            self.put(self._strings[text], data)
        return self._strings[text]

    def put(self, address: int, data: bytes) -> None:
        """Fill what was placed."""
        start, end = address - self.base, address - self.base + len(data)
        self._data.extend(bytes(max(0, end - len(self._data))))
        self._data[start:end] = data

    @property
    def length(self) -> int:
        """Bytes of all that was placed, in whole pages."""
        return align_up(self._end - self.base, load_abi().constants["PAGE_SIZE"])

    def data(self) -> bytes:
        """All bytes up to the last that is not zero."""
        return bytes(self._data).rstrip(b"\0")


def record(name: str, /, **values: Any) -> bytes:
    """A record of stub/abi."""
    return bytes(load_abi().struct(name)(**values).dumps())
