"""The layout of a medium, held against other readers: sgdisk, mtools, xorriso; and damaged media."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bootwright
from bootwright.artifact import layout
from bootwright.cli import artifact as cli_artifact
from bootwright.common.ranges import MIB


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The demo on an ISO, and on disks for both sizes of sectors."""
    folder = tmp_path_factory.mktemp("media")
    root = Path(__file__).parents[2]
    made = bootwright.build(root / "images/demo.toml", media=("iso", "disk"), output=folder)
    large = bootwright.build(root / "images/demo.toml", media=("disk",), sector=4096, output=folder / "4k")
    return {"iso": made.files["iso"], "disk": made.files["disk"], "4k": large.files["disk"]}


def said(path: Path) -> dict[str, Any]:
    found = layout.record(path)
    assert found is not None
    return found


def esp(found: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in found["gpt"]["partitions"] if one["kind"] == "EFI system")


def test_sgdisk_sees_the_same_partitions(media: dict[str, Path]) -> None:
    found = said(media["disk"])
    assert (found["sector"], found["gpt"]["right"]) == (512, True)
    assert found["gpt"]["backup"] == {"right": True, "at_the_end": True}
    shown = subprocess.run(
        ["/sbin/sgdisk", "-v", "-p", media["disk"]], capture_output=True, text=True, check=True
    ).stdout
    assert "No problems found" in shown
    rows = re.findall(r"^ +\d+ +(\d+) +(\d+) .*? [0-9A-F]{4}  (.*)$", shown, re.MULTILINE)
    theirs = [[int(first) * 512, (int(last) + 1) * 512, name] for first, last, name in rows]
    assert theirs == [[*one["place"], one["name"]] for one in found["gpt"]["partitions"]]


def test_mtools_sees_the_same_files_and_as_much_free_space(media: dict[str, Path]) -> None:
    for name in ("disk", "4k"):
        part = esp(said(media[name]))
        image = f"{media[name]}@@{part['place'][0]}"
        shown = subprocess.run(["mdir", "-/", "-i", image, "::"], capture_output=True, text=True, check=True).stdout
        free = int(re.sub(r"\D", "", re.findall(r"([\d ]+) bytes free", shown)[-1]))
        assert part["file_system"]["free"] == free
        listed = subprocess.run(
            ["mdir", "-/", "-b", "-i", image, "::"], capture_output=True, text=True, check=True
        ).stdout
        theirs = {line.removeprefix("::/").lower() for line in listed.splitlines() if not line.endswith("/")}
        assert {one["path"].lower() for one in part["file_system"]["files"]} == theirs


def test_xorriso_sees_the_same_files(media: dict[str, Path]) -> None:
    found = said(media["iso"])
    command = ["xorriso", "-indev", str(media["iso"]), "-find", "/", "-type", "f", "-exec", "lsdl", "--"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = {(name.upper(), int(size)) for size, name in re.findall(r" (\d+) \w+ +\d+ +[\d:]+ '/(.*)'", shown)}
    ours = {(one["path"].upper(), one["size"]) for one in found["file_system"]["files"]}
    assert ours and {name for name, _ in theirs} <= {name for name, _ in ours} and theirs <= ours


def test_a_fat_of_somebody_else_with_long_names(tmp_path: Path) -> None:
    """By mkfs.fat and mcopy, of each kind."""
    for bits, size in ((12, 2 * MIB), (16, 16 * MIB), (32, 64 * MIB)):
        path = tmp_path / f"fat{bits}"
        path.write_bytes(bytes(size))
        extra = ["-s", "1"] if bits == 32 else []
        subprocess.run(["/sbin/mkfs.fat", "-F", str(bits), *extra, path], capture_output=True, check=True)
        (tmp_path / "a long name, with words.text").write_bytes(b"x" * 700)
        subprocess.run(["mmd", "-i", path, "::/Folder"], check=True)
        subprocess.run(["mcopy", "-i", path, tmp_path / "a long name, with words.text", "::/Folder"], check=True)
        found = said(path)["file_system"]
        assert found["kind"] == f"FAT{bits}"
        assert [*found["files"]] == [{"path": "Folder/a long name, with words.text", "size": 700}]
        shown = subprocess.run(["mdir", "-i", path, "::"], capture_output=True, text=True, check=True).stdout
        assert found["free"] == int(re.sub(r"\D", "", re.findall(r"([\d ]+) bytes free", shown)[0]))


@pytest.mark.parametrize(
    ("at", "right", "backup"),
    [(512 + 40, False, None), (1024, False, True), (-512 + 40, True, False), (-512 * 33, True, False)],
)
def test_a_wrong_checksum_is_seen(
    at: int,
    right: bool,
    backup: bool | None,
    media: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path(shutil.copy(media["disk"], tmp_path))
    with path.open("r+b") as file:
        file.seek(at if at > 0 else path.stat().st_size + at)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    found = said(path)["gpt"]
    assert found["right"] == right
    if backup is not None:
        assert found["backup"]["right"] == backup
    cli_artifact.inspect(str(path), False)
    assert "is WRONG" in capsys.readouterr().out


def test_a_disk_that_grew_has_its_backup_elsewhere(media: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(media["disk"], tmp_path))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + MIB)
    assert said(path)["gpt"]["backup"] == {"right": True, "at_the_end": False}


def damaged(path: Path, count: int) -> Iterator[None]:
    """The same medium with some bytes changed where its structures are; they are put back."""
    chance, size = random.Random(5), path.stat().st_size
    areas = [(0, 0x9000), (2 * MIB, 2 * MIB + 0x8000), (size - 40 * 512, size)]
    with path.open("r+b") as file:
        for _ in range(count):
            before = []
            for _ in range(chance.choice([1, 1, 3, 40])):
                start, end = chance.choice(areas)
                at = chance.randrange(min(start, size - 9), min(end, size) - 8)
                file.seek(at)
                before.append((at, file.read(8)))
                file.seek(at)
                file.write(chance.choice([b"\xff" * 8, bytes(8), chance.randbytes(1), chance.randbytes(8)]))
            file.flush()
            yield
            for at, data in reversed(before):
                file.seek(at)
                file.write(data)


@pytest.mark.parametrize("name", ["disk", "iso", "4k"])
def test_a_damaged_medium_is_described_all_the_same(name: str, media: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(media[name], tmp_path))
    for _ in damaged(path, 150):
        found = layout.record(path)
        if found is not None:
            json.dumps(found)
            assert all(line.isprintable() for line in layout.text(found))


@pytest.fixture
def loop(media: dict[str, Path], tmp_path: Path) -> Iterator[Path]:
    """The demo's disk as a block device, with some room behind it."""
    losetup = shutil.which("losetup", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
    path = Path(shutil.copy(media["disk"], tmp_path / "loop.img"))
    done = losetup and subprocess.run([losetup, "-f", "--show", path], capture_output=True, text=True, check=False)
    if not done or done.returncode:
        pytest.skip("loop devices need losetup, and root")
    device = Path(done.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run([str(losetup), "-d", device], check=True)


@pytest.mark.slow
def test_a_device_is_looked_into_and_changed_in_place(
    loop: Path, media: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its partition table stays right, and so do its files, by other readers; what is on it boots."""
    assert said(loop) == said(media["disk"])
    cli_artifact.cmdline(str(loop), "dom0", "changed on the device", "", "", "")
    (tmp_path / "new.txt").write_text("a ramdisk from the bench")
    cli_artifact.replace(str(loop), "demo.txt", str(tmp_path / "new.txt"), "", "")
    assert cli_artifact.inspect(str(loop), False)
    shown = capsys.readouterr().out
    assert "cmdline changed on the device" in shown and "GPT  is right; its backup is right" in shown
    assert not cli_artifact.diff(str(loop), str(media["disk"]), False)
    assert "domains dom0 cmdline" in capsys.readouterr().out
    checked = subprocess.run(["/sbin/sgdisk", "-v", loop], capture_output=True, text=True, check=True).stdout
    assert "No problems found" in checked
    boot = bootwright.run(tmp_path / "loop.img", via="disk-virtio", expect=("demo: powering off",))
    assert "demo: command line: changed on the device" in boot.transcript
    assert "starts: a ramdisk from the bench" in boot.transcript


def test_what_is_no_medium_has_no_layout(tmp_path: Path) -> None:
    for number, data in enumerate([b"", b"text", bytes(4096), b"\x7fELF" + bytes(1000)]):
        (tmp_path / str(number)).write_bytes(data)
        assert layout.record(tmp_path / str(number)) is None
