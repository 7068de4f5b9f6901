"""Writing a medium to a device: what is refused, what is written and read back, and how it ends early."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from media_fixtures import make_built
from project import ROOT

from bootwright.cli import build
from bootwright.cli import flash as cli_flash
from bootwright.common.errors import DeviceError, SourceError, ToolError
from bootwright.emulate import qemu
from bootwright.flash import block_devices
from bootwright.flash import write as flash_write
from bootwright.flash.target import Target, target
from bootwright.image import built
from bootwright.media import Settings, bmap, for_sector
from bootwright.media.qemu_drives import Device, arguments

MIB = 1 << 20
SIZE = 9 * MIB + 700
UNFINISHED = "it is unfinished and must be written again"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "lab.img"
    path.write_bytes(os.urandom(SIZE))
    return path


def write(image: Path, to: Target, progress: flash_write.Progress = lambda what, done, total: None) -> str:
    """Write; gives what was said on an interruption."""
    said: list[str] = []
    with contextlib.suppress(KeyboardInterrupt):
        flash_write.write(image, to, progress, said.append)
    return "".join(said)


def file(path: Path, size: int = SIZE) -> Target:
    return target(path, size)


# --- plain files ---


@pytest.mark.parametrize("size", [1, 511, 4096, 5000, MIB, MIB + 1, 4 * MIB, SIZE])
def test_a_new_file_becomes_the_image(size: int, image: Path, tmp_path: Path) -> None:
    os.truncate(image, size)
    steps: list[tuple[str, int, int]] = []
    figures = flash_write.write(image, file(tmp_path / "out"), lambda *step: steps.append(step), print)
    assert (tmp_path / "out").read_bytes() == image.read_bytes()
    assert figures.size == size and figures.writing >= 0 and figures.reading >= 0
    for what in ("writing", "reading back")[: 2 if size > MIB else 0]:
        done = [step[1] for step in steps if step[0] == what]
        assert done == sorted(done) and done[-1] == size
    assert {step[2] for step in steps} <= {size}


def test_what_lies_behind_the_image_stays_but_for_the_end(image: Path, tmp_path: Path) -> None:
    """At the end there may be the backup of an older partition table."""
    stick = tmp_path / "stick"
    stick.write_bytes(b"\xaa" * (16 * MIB))
    to = file(stick)
    assert to.limit == 16 * MIB and to.names == ("stick",)
    write(image, to)
    data = stick.read_bytes()
    assert data[:SIZE] == image.read_bytes()
    assert data[SIZE : 16 * MIB - flash_write.TAIL] == b"\xaa" * (16 * MIB - flash_write.TAIL - SIZE)
    assert data[16 * MIB - flash_write.TAIL :] == bytes(flash_write.TAIL)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is neither a block device nor a plain file"),
        ("pipe", "is neither a block device nor a plain file"),
        ("none/stick", "there is no folder "),
        ("small", "is too small: it has 1,000 bytes, and 9,437,884 are to be written"),
        ("/dev/null", "is neither a block device nor a plain file"),
        ("/dev/sdnone", "is not there"),
        ("/dev/shm/../sdnone1", "is not there"),
    ],
)
def test_what_is_no_target(name: str, message: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "small").write_bytes(bytes(1000))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DeviceError) as caught:
        target(tmp_path / name, SIZE)
    assert message in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.img: cannot be read: No such file"):
        write(tmp_path / "none.img", file(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


# --- what ends early ---


def fresh(path: Path, size: int = 16 * MIB) -> Target:
    """A stick that boots something else now."""
    path.write_bytes(b"\x55\xaa" * (size // 2))
    return file(path)


def test_a_full_device_is_unfinished(image: Path) -> None:
    full = Target(Path("/dev/full"), None, None, ())
    with pytest.raises(DeviceError) as caught:
        write(image, full)
    assert str(caught.value) == ("/dev/full: writing at byte 0x0 failed: No space left on device; nothing was written")


def test_a_device_that_ends_in_the_middle(image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import sys; from pathlib import Path; from bootwright.flash import write as flash, target\n"
        f"flash.write(Path({str(image)!r}), target.target(Path({str(out)!r}), 1), lambda *_: None, print)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "host")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6 * MIB, 6 * MIB)),
    )
    message = done.stderr.splitlines()[-1]
    assert message.endswith(f"{out}: writing at byte 0x600000 failed: File too large; {UNFINISHED}")
    assert not any(out.read_bytes()[: flash_write.HEAD])


Fake = Callable[..., int]


def pulled(after: int, real: Fake) -> Fake:
    """os.pwrite or os.preadv of a device that is pulled after so many calls."""
    calls = 0

    def call(*arguments: object) -> int:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(5, "Input/output error")
        return real(*arguments)

    return call


@pytest.mark.parametrize("after", range(1, 7))
def test_a_device_that_is_pulled_while_it_is_written(
    after: int, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = fresh(tmp_path / "stick")
    monkeypatch.setattr(os, "pwrite", pulled(after, os.pwrite))
    with pytest.raises(DeviceError, match=f"Input/output error; {UNFINISHED}"):
        write(image, to)
    assert not any(to.path.read_bytes()[: flash_write.FIRST])


def corrupting(byte: int, real: Callable[[int, Sequence[memoryview], int], int], device: Path) -> Fake:
    """os.preadv of a device with one bad byte."""

    def call(descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        got = real(descriptor, buffers, offset)
        if os.fstat(descriptor).st_ino == device.stat().st_ino and offset <= byte < offset + got:
            buffers[0][byte - offset] ^= 1
        return got

    return call


@pytest.mark.parametrize("byte", [0, 5000, MIB, SIZE - 1])
def test_a_byte_that_reads_back_wrong(byte: int, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to = fresh(tmp_path / "stick")
    monkeypatch.setattr(os, "preadv", corrupting(byte, os.preadv, to.path))
    with pytest.raises(DeviceError) as caught:
        write(image, to)
    assert str(caught.value) == (f"{to.path}: byte {byte:#x} reads back otherwise than written; {UNFINISHED}")
    assert not any(to.path.read_bytes()[: flash_write.HEAD])


@pytest.mark.parametrize("what", ["writing", "reading back"])
def test_an_interruption_says_that_the_stick_is_unfinished(what: str, image: Path, tmp_path: Path) -> None:
    to = fresh(tmp_path / "stick")

    def interrupt(doing: str, done: int, total: int) -> None:
        if doing == what and done > 4 * MIB:
            raise KeyboardInterrupt

    assert write(image, to, interrupt) == f"{to.path}: {UNFINISHED}"
    assert not any(to.path.read_bytes()[: flash_write.HEAD])
    assert write(image, to) == ""
    assert to.path.read_bytes()[:SIZE] == image.read_bytes()


def test_an_image_that_becomes_shorter_meanwhile(image: Path, tmp_path: Path) -> None:
    def cut(what: str, done: int, total: int) -> None:
        os.truncate(image, 6 * MIB)

    with pytest.raises(SourceError, match=f"lab.img: .* it became shorter meanwhile; {UNFINISHED}"):
        write(image, file(tmp_path / "out"), cut)


def test_the_boot_sector_is_written_last(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offsets: list[int] = []
    real = os.pwrite

    def note(descriptor: int, data: memoryview, offset: int) -> int:
        offsets.append(offset)
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", note)
    write(image, fresh(tmp_path / "stick"))
    assert offsets == [0, 16 * MIB - flash_write.TAIL, MIB, 5 * MIB, 9 * MIB, flash_write.FIRST, 0]


# --- the partition table of an image on a larger device ---


def table(path: Path, size: int, sector: int, device_size: int) -> None:
    """Check the table on a device with an image of `size` bytes: by its own fields, independently of gpt.py."""
    data = path.read_bytes()
    last = device_size // sector - 1
    assert struct.unpack_from("<I", data, 446 + 12) == (min(last, 0xFFFFFFFF),)
    headers = []
    for at, other, entries_at in ((1, last, 2), (last, 1, last - 16384 // sector)):
        header = bytearray(data[at * sector : at * sector + 92])
        fields = struct.unpack("<8sIIIIQQQQ16sQIII", header)
        assert (fields[0], fields[5], fields[6], fields[10]) == (b"EFI PART", at, other, entries_at)
        assert fields[8] == last - 16384 // sector - 1, "the last usable sector"
        header[16:20] = bytes(4)
        assert zlib.crc32(header) == fields[3]
        entries = data[entries_at * sector : entries_at * sector + 16384]
        assert zlib.crc32(entries) == fields[13] and any(entries)
        headers.append((fields[7], fields[9], entries))
    assert headers[0] == headers[1]
    former = data[size - sector : size]
    assert b"EFI PART" not in former or size == device_size, "no other backup is left"


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("more", [0, 1, 4, 32, 40, 1000, 70_000])
def test_the_backup_of_the_table_goes_to_the_end(more: int, sector: int, tmp_path: Path) -> None:
    made = for_sector(sector)["disk"].make(make_built(tmp_path / "lab"), Settings()).path
    size = made.stat().st_size
    stick = tmp_path / "stick"
    stick.write_bytes(b"\xaa" * MIB)
    os.truncate(stick, size + more * sector)
    assert write(made, file(stick, size)) == ""
    table(stick, size, sector, size + more * sector)
    if sector == 512:
        said = subprocess.run(["/sbin/sgdisk", "-v", stick], capture_output=True, text=True, check=False).stdout
        assert "No problems found" in said, said
    start, end = 2 * MIB, size - 33 * sector
    with stick.open("rb") as one, made.open("rb") as other:
        one.seek(start)
        other.seek(start)
        assert one.read(end - start) == other.read(end - start)


def test_a_damaged_table_is_left_as_it_is(tmp_path: Path) -> None:
    made = for_sector(512)["disk"].make(make_built(tmp_path / "lab"), Settings()).path
    bmap.path(made).unlink()  # of the sound one
    data = bytearray(made.read_bytes())
    for at in (512 + 40, 1024):  # the header, the entries
        data[at] ^= 1
        made.write_bytes(data)
        to = fresh(tmp_path / "stick", 64 * MIB)
        write(made, to)
        assert to.path.read_bytes()[: len(data)] == data
        data[at] ^= 1


def test_a_byte_of_the_moved_backup_that_reads_back_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = for_sector(512)["disk"].make(make_built(tmp_path / "lab"), Settings()).path
    to = fresh(tmp_path / "stick", 64 * MIB)
    monkeypatch.setattr(os, "preadv", corrupting(64 * MIB - 500, os.preadv, to.path))
    with pytest.raises(DeviceError, match=f"byte {64 * MIB - 500:#x} reads back otherwise than written"):
        write(made, to)
    assert not any(to.path.read_bytes()[: flash_write.HEAD])


# --- sectors of another size ---


def disk_with(path: Path, sector: int) -> Target:
    """A file that passes for a device with such sectors."""
    path.write_bytes(bytes(16))
    disk = block_devices.Disk(path, 1 << 30, block_size=sector, model="Ultra Fit")
    return Target(path, disk, disk.size, disk.names)


@pytest.mark.parametrize(
    ("medium", "image_sector", "sector"), [("disk", 512, 4096), ("disk", 4096, 512), ("iso", 512, 4096)]
)
def test_a_medium_for_other_sectors_is_refused(medium: str, image_sector: int, sector: int, tmp_path: Path) -> None:
    made = for_sector(image_sector)[medium].make(make_built(tmp_path / "lab"), Settings()).path
    to = disk_with(tmp_path / "stick", sector)
    with pytest.raises(DeviceError) as caught:
        write(made, to)
    assert str(caught.value) == (
        f"{to.path} has sectors of {sector} bytes, and {made} is for those of {image_sector}: "
        "no firmware would find anything on it"
    )
    assert to.path.read_bytes() == bytes(16)


# --- loop devices, where they can be had ---


@pytest.fixture(params=[512])
def loop(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    losetup = shutil.which("losetup", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if losetup is None or os.geteuid():
        pytest.skip("loop devices need losetup, and root")
    backing = tmp_path / "backing"
    backing.write_bytes(b"\x55" * (16 * MIB))
    command = [losetup, "-f", "--show", "-b", str(request.param), str(backing)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"losetup: {done.stderr.strip()}")
    device = Path(done.stdout.strip())
    yield device
    subprocess.run([losetup, "-d", str(device)], check=True)


def test_a_loop_device(loop: Path, image: Path, tmp_path: Path) -> None:
    to = target(loop, SIZE)
    assert to.limit == 16 * MIB and to.names == ("backing",)
    assert to.disk is not None and to.disk.transport == "loop"
    assert loop in [disk.path for disk in block_devices.disks()]
    write(image, to)
    assert loop.read_bytes()[: SIZE + 324] == image.read_bytes() + bytes(324)
    with pytest.raises(DeviceError, match="is too small: it has 16,777,216 bytes"):
        target(loop, 16 * MIB + 1)


@pytest.mark.parametrize("loop", [512, 4096], indirect=True)
def test_flash_makes_what_the_sectors_of_the_device_need(
    loop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sgdisk reads a device by its own sectors."""
    losetup = str(shutil.which("losetup", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"))
    os.truncate(tmp_path / "backing", 700 * MIB)
    subprocess.run([losetup, "-c", loop], check=True)
    monkeypatch.setattr(build, "current", lambda name: make_built(tmp_path / "lab"))
    cli_flash.run("lab", str(loop), "disk", yes=True)
    said = subprocess.run(["/sbin/sgdisk", "-v", "-p", loop], capture_output=True, text=True, check=False).stdout
    assert "No problems found" in said and "EFI system" in said, said
    if "4096/" in said:
        assert (tmp_path / "lab/lab.4k.img").exists()
        with pytest.raises(ToolError, match="an iso boots from sectors of 512 bytes, and these have 4096; take disk"):
            cli_flash.run("lab", str(loop), "iso", yes=True)


def test_a_device_that_someone_else_holds(loop: Path, image: Path) -> None:
    to = target(loop, SIZE)
    holder = os.open(loop, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(DeviceError, match="cannot be opened: it is in use, by a file system, LVM, RAID or ZFS"):
            write(image, to)
    finally:
        os.close(holder)
    assert loop.read_bytes() == b"\x55" * (16 * MIB)


def test_another_stick_by_the_same_name(loop: Path, image: Path) -> None:
    """What was looked at and confirmed was pulled, and the next one is what the kernel calls so now."""
    to = target(loop, SIZE)
    losetup = str(shutil.which("losetup", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"))
    if not (to.disk and to.disk.sequence):
        pytest.skip("this kernel counts no media: before 5.15")
    (backing,) = json.loads(subprocess.check_output([losetup, "-J", "-O", "BACK-FILE", loop]))["loopdevices"]
    subprocess.run([losetup, "-d", loop], check=True)
    subprocess.run([losetup, loop, backing["back-file"]], check=True)
    with pytest.raises(DeviceError, match="is another medium than the one that was there a moment ago"):
        write(image, to)
    assert loop.read_bytes() == b"\x55" * (16 * MIB)


# --- a stick that is larger than its image ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("medium", "sector", "firmware"),
    [("disk", 512, "bios"), ("disk", 512, "uefi"), ("iso", 512, "bios"), ("iso", 512, "uefi"), ("disk", 4096, "uefi")],
)
def test_a_flashed_stick_boots(medium: str, sector: int, firmware: str, demo: built.Built, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.write_bytes(b"\xaa" * MIB)
    os.truncate(stick, 400 * MIB)
    file = for_sector(sector)[medium].make(demo, Settings()).path
    write(file, target(stick, file.stat().st_size))
    drive = arguments(stick, Device.USB if sector == 512 else Device.USB_4K)
    command = qemu.command(qemu.Machine(300 << 20, firmware=firmware), drive)
    result = qemu.run(command, expect="demo: powering off", timeout=60, show=lambda text: None)
    assert result.outcome is qemu.Outcome.AS_EXPECTED, result
