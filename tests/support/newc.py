"""A reader of cpio archives in the newc format, for tests."""

from __future__ import annotations


def read(data: bytes) -> list[tuple[str, int, tuple[int, int], bytes]]:
    """Name, mode, device and content of every entry."""
    found, at = [], 0
    while True:
        assert data[at : at + 6] == b"070701" and at % 4 == 0
        fields = [int(data[at + 6 + i * 8 : at + 14 + i * 8], 16) for i in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        start = at + 110 + fields[11]
        start += -start % 4
        if name == "TRAILER!!!":
            return found
        assert fields[2:4] == [0, 0] and fields[5] == 0  # root's, and of no time
        found.append((name, fields[1], (fields[9], fields[10]), data[start : start + fields[6]]))
        at = start + fields[6]
        at += -at % 4
