"""What only the partition launcher knows, in a device tree: what is written is read back to the same description."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootwright.common.errors import BootwrightError
from bootwright.description import load
from bootwright.devicetree import reader, writer

TEXT = """\
[image]
launcher = "partition"

[[domain]]
name = "dom0"
functions = ["initial-domain"]
memory = "64M"
kernel = "vmlinuz"
ramdisk = { package = "busybox", file = "bin/busybox", init = "init", programs = ["a.asm", "b"] }
cpus = 2
cpu-ids = [4, 0x101]
ports = ["0x60", "0x2f8-0x2ff"]
console = "com1"
on-end = "restart"
restarts = 7

[[domain]]
name = "guest"
memory = "64M"
kernel = "vmlinuz"
console = "ring"

[[shared]]
name = "log"
size = "4M"
between = ["guest", "dom0"]
mode = "both"
as = "pmem"
"""


@pytest.mark.parametrize("form", writer.FORMATS)
def test_a_tree_says_the_same(form: str, tmp_path: Path) -> None:
    described = load.parse(TEXT, tmp_path / "lab.toml")
    assert described.shared and described.domains[0].ports
    path = tmp_path / f"lab.{form}"
    writer.write(described, form, path)
    again = reader.load(path)
    assert again.domains == described.domains
    assert again.shared == described.shared
    assert again.image.launcher == "partition"


def test_a_tree_is_checked_as_a_description(tmp_path: Path) -> None:
    path = tmp_path / "lab.dtb"
    writer.write(load.parse(TEXT, tmp_path / "lab.toml"), "dtb", path)
    path.write_bytes(path.read_bytes().replace(b"guest\0dom0\0", b"guest\0dom1\0"))
    with pytest.raises(BootwrightError, match='shared range "log": between: "dom1" is no domain; there is dom0, guest'):
        reader.load(path)
