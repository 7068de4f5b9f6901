"""A boot that fails and resets the machine: the next one says where it ended. By SeaBIOS, GRUB and OVMF."""

from __future__ import annotations

import selectors
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from project import ROOT

import bootwright
from bootwright.emulate import qemu
from bootwright.image import built
from bootwright.media import BOOT_METHODS

pytestmark = pytest.mark.slow

FAILS = f"""\
[image]
name = "fails"
console = ["com1,115200"]
on-failure = "reboot after 1 s"
[[domain]]
name = "dom0"
memory = "64G"
kernel = "{ROOT}/stub/kernels/demo.asm"
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bootwright.Image:
    folder = tmp_path_factory.mktemp("last")
    (folder / "fails.toml").write_text(FAILS)
    return bootwright.build(folder / "fails.toml", media=("efi", "iso", "disk"), output=folder)


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def shown(command: list[str], folder: Path, text: str, seconds: float = 90) -> str:
    """What a machine that may reset itself prints, up to a text."""
    said, end = b"", time.monotonic() + seconds
    with running(command, folder) as process, selectors.DefaultSelector() as ready:
        assert process.stdout is not None
        ready.register(process.stdout, selectors.EVENT_READ)
        while text.encode() not in said and time.monotonic() < end and ready.select(end - time.monotonic()):
            said += process.stdout.read1() or b"\nQEMU ended"
    return said.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("via", "firmware"),
    [("kernel", "bios"), ("iso-cd", "bios"), ("disk-virtio", "bios"), ("iso-cd", "uefi"), ("efi", "uefi")],
)
def test_the_boot_after_a_failure_says_so(via: str, firmware: str, image: bootwright.Image) -> None:
    made = built.load(image.files["elf"].with_suffix(".json"))
    machine = qemu.Machine(512 << 20, 1, firmware)
    with BOOT_METHODS[via].attach(made, firmware) as medium:
        command = [word for word in qemu.command(machine, medium) if word != "-no-reboot"]
        said = shown([*command, "-serial", "stdio"], made.elf.parent, "stage builder")
    lines = [line for line in said.replace("\r", "").split("\n") if "bootwright: last" in line or "E0404" in line]
    assert [line[line.index("bootwright: ") :].partition(";")[0] for line in lines[:2]] == [
        "bootwright: E0404: domain dom0 needs 62914560 KiB of memory",
        f"bootwright: last boot: build 0x{image.build_id[:8].lstrip('0')} ended with error 0x404 at stage builder",
    ]
