"""The cpio archive, read back."""

from __future__ import annotations

import stat
from pathlib import Path

from newc import read

from bootwright.inputs import cpio


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
