"""`flash` onto several devices at once, and onto sticks as they are put in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path

import pytest

from bootwright.cli import flash as cli_flash
from bootwright.common.errors import BootwrightError, DeviceError
from bootwright.flash import block_devices, write
from bootwright.flash.block_devices import Disk
from bootwright.flash.target import Target
from bootwright.flash.watch import Rule, arrivals

MIB = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "lab.img"
    path.write_bytes(os.urandom(2 * MIB + 5))
    return path


def test_several_at_once(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sticks = [tmp_path / f"stick{number}" for number in range(3)]
    cli_flash.run(str(image), ",".join(map(str, sticks)), "disk", yes=True)
    assert all(stick.read_bytes() == image.read_bytes() for stick in sticks)
    said = capsys.readouterr().out.splitlines()
    assert sorted(line.split(" is on ")[1].split(":")[0] for line in said) == sorted(map(str, sticks))


def test_one_that_fails_does_not_keep_the_others(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sticks = [tmp_path / f"stick{number}" for number in range(3)]
    good = write.write

    def writes(file: Path, to: Target, *rest: object) -> write.Figures:
        if to.path == sticks[1]:
            raise DeviceError(f"{to.path}: writing at byte 0x0 failed: Input/output error")
        return good(file, to, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(write, "write", writes)
    with pytest.raises(BootwrightError, match=r"stick1: writing at byte 0x0 failed"):
        cli_flash.run(str(image), ",".join(map(str, sticks)), "disk", yes=True)
    assert [stick.exists() and stick.read_bytes() == image.read_bytes() for stick in sticks] == [True, False, True]
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("other", ["stick", "./stick", "link"])
def test_one_device_by_two_names(other: str, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stick").write_bytes(bytes(4 * MIB))
    Path("link").symlink_to("stick")
    with pytest.raises(DeviceError, match=r"stick: named twice"):
        cli_flash.run(str(image), f"stick,{other}", "disk", yes=True)
    assert Path("stick").read_bytes() == bytes(4 * MIB)


# --- sticks as they are put in ---

MINE = Disk(Path("/dev/sdb"), 16 * MIB, model="SanDisk Ultra", serial="4C53", transport="usb")
OTHER = Disk(Path("/dev/sdc"), 16 * MIB, model="Kingston DT", serial="0019", transport="usb")
SYSTEM = Disk(Path("/dev/sda"), 16 * MIB, model="SanDisk SSD", serial="4C53", transport="sata")


def arrived(rule: str, *looks: Sequence[Disk]) -> list[Disk]:
    """What arrives in so many looks, of which the first is the start."""
    views: Iterator[Sequence[Disk]] = chain(looks, repeat(looks[-1]))
    left = iter(range(len(looks)))

    def wait() -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    found: list[Disk] = []
    with pytest.raises(KeyboardInterrupt):
        for disk in arrivals(Rule.parse(rule), lambda: next(views), wait):
            found.append(disk)
    return found


def test_a_stick_that_is_put_in() -> None:
    assert arrived("model=SanDisk*", [SYSTEM], [SYSTEM, MINE]) == [MINE]
    assert arrived("model=SanDisk*", [], [OTHER, MINE], [OTHER, MINE]) == [MINE]
    assert arrived("serial=0019", [], [OTHER, MINE]) == [OTHER]


def test_what_was_there_is_somebody_elses() -> None:
    assert arrived("model=SanDisk*", [MINE], [MINE], [MINE]) == []


def test_put_in_again_it_is_written_again() -> None:
    assert arrived("serial=4C53", [MINE], [], [MINE], [MINE], [], [MINE]) == [MINE, MINE]


def test_a_moment_is_not_enough() -> None:
    assert arrived("serial=4C53", [], [MINE], []) == []


def test_another_bus_is_said() -> None:
    assert arrived("serial=4C53", [], [SYSTEM]) == []
    assert arrived("serial=4C53,by=sata", [], [SYSTEM]) == [SYSTEM]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("model=*", "means every stick; say a model or a serial number"),
        ("by=usb", "means every stick"),
        ("vendor=x", "'vendor=x' is none of model=PATTERN, serial=PATTERN and by=usb"),
        ("model", "'model' is none of"),
        ("model=", "'model=' is none of"),
    ],
)
def test_rules_that_are_none(rule: str, message: str) -> None:
    with pytest.raises(DeviceError) as caught:
        Rule.parse(rule)
    assert message in str(caught.value)


def test_watching(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two sticks are put in, one of which is too small; then it is interrupted."""
    good, small = tmp_path / "good", tmp_path / "small"
    good.write_bytes(bytes(4 * MIB))
    small.write_bytes(bytes(1000))
    sticks = [Disk(path, 4 * MIB, model="Lab", serial=path.name, transport="usb") for path in (good, small)]
    looks = iter([[], sticks, sticks, sticks])

    def look() -> list[Disk]:
        found = next(looks, None)
        if found is None:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(block_devices, "disks", look)
    monkeypatch.setattr(cli_flash, "LOOK_EVERY", 0.3)
    with pytest.raises(DeviceError, match="1 stick failed"):
        cli_flash.run(str(image), "", "disk", yes=False, watch="model=Lab")
    assert good.read_bytes()[: image.stat().st_size] == image.read_bytes()
    assert small.read_bytes() == bytes(1000)
    said = capsys.readouterr().out
    assert f"{small} is too small" in said and said.endswith("1 stick written, 1 failed\n")
