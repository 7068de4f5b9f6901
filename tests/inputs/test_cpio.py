"""The cpio archive, read back."""

from __future__ import annotations

import stat
from pathlib import Path

from bootwright.inputs import cpio


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


def test_busybox_ramdisk(tmp_path: Path) -> None:
    (tmp_path / "busybox").write_bytes(b"program")
    (tmp_path / "init.sh").write_bytes(b"#!/bin/busybox sh\n")
    entries = cpio.busybox_ramdisk(tmp_path / "busybox", tmp_path / "init.sh")
    cpio.write(entries, tmp_path / "one")
    cpio.write(entries, tmp_path / "two")
    data = (tmp_path / "one").read_bytes()
    assert data == (tmp_path / "two").read_bytes() and len(data) % 512 == 0
    found = {name: rest for name, *rest in read(data)}
    assert found["bin/busybox"] == [stat.S_IFREG | 0o755, (0, 0), b"program"]
    assert found["init"] == [stat.S_IFREG | 0o755, (0, 0), b"#!/bin/busybox sh\n"]
    assert found["dev/console"] == [stat.S_IFCHR | 0o600, (5, 1), b""]
    assert [name for name, (mode, *_) in found.items() if stat.S_ISDIR(mode)] == ["bin", "dev", "proc", "sys"]
