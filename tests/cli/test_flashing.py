"""The command that writes a medium to a device: what it shows, what it asks, and what it says at the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bootwright.cli import flash as cli_flash
from bootwright.common.errors import BootwrightError, DeviceError
from bootwright.flash import block_devices
from bootwright.flash.target import Target

MIB = 1 << 20
SIZE = 9 * MIB + 700


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "lab.img"
    path.write_bytes(os.urandom(SIZE))
    return path


def stick(**more: object) -> Target:
    disk = block_devices.Disk(Path("/dev/sdz"), 16 * 10**9, model="Ultra Fit", serial="4C53", transport="usb", **more)  # type: ignore[arg-type]
    return Target(disk.path, disk, disk.size, disk.names)


@pytest.mark.parametrize("typed", ["Ultra Fit", "4C53", "  Ultra   Fit "])
def test_model_or_serial_confirm(
    typed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return typed

    cli_flash.confirm(stick(), answer)
    assert asked == ["type 'Ultra Fit' or '4C53' to go on: "]
    said = capsys.readouterr().err
    assert said == "/dev/sdz: Ultra Fit, serial 4C53, 16.0 GB, usb\neverything on /dev/sdz will be lost\n"


def test_another_answer_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(DeviceError, match="'yes' is not what it is called; nothing was written"):
        cli_flash.confirm(stick(), lambda question: "yes")


def test_without_a_terminal_yes_has_to_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(DeviceError, match="nobody is there to confirm it; say --yes"):
        cli_flash.confirm(stick(), pytest.fail)
    cli_flash.confirm(Target(Path("new"), None, None, ()), pytest.fail)


def test_the_list_has_what_may_be_written_to_first() -> None:
    used = block_devices.Disk(Path("/dev/sda"), 10**12, model="Disk", mounts=("/home", "/"))
    disk = stick(by_id=(Path("/dev/disk/by-id/usb-Ultra"),)).disk
    assert disk is not None
    lines = cli_flash.candidates((used, disk)).splitlines()
    assert lines == [
        "device    size       by   model      serial",
        "/dev/sdz  16.0 GB    usb  Ultra Fit  4C53    /dev/disk/by-id/usb-Ultra",
        "/dev/sda  1000.0 GB       Disk               not: holds the running system's /",
    ]
    assert cli_flash.candidates(()) == "there is no device to write to"


def test_the_command_writes_a_file_and_says_so(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    cli_flash.run(str(image), str(out), "disk", yes=False)
    assert out.read_bytes() == image.read_bytes()
    said = capsys.readouterr()
    assert said.err == "" and f"is on {out}: 9,437,884 bytes written in " in said.out
    assert "MiB/s), read back in " in said.out and said.out.endswith(", equal\n")
    with pytest.raises(BootwrightError, match="nobody is there to confirm it"):
        cli_flash.run(str(image), str(out), "disk", yes=False)
    cli_flash.run(str(image), str(out), "disk", yes=True)
    with pytest.raises(BootwrightError, match="medium: 'pxe' is none of disk, iso"):
        cli_flash.run(str(image), str(out), "pxe", yes=True)
