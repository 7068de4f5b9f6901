"""Images that are packed, or have a block map: what comes onto a stick is what the image says."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import zstandard
from media_fixtures import make_built

from bootwright.common.errors import SourceError
from bootwright.common.ranges import Range
from bootwright.flash import write as flash_write
from bootwright.flash.source import open_source
from bootwright.flash.target import Target, target
from bootwright.media import Settings, bmap, for_sector

MIB = 1 << 20
CONTENT = os.urandom(3 * MIB) + bytes(4 * MIB) + os.urandom(MIB + 700)
OLD = b"\x55\xaa" * 512


def stick(path: Path, size: int) -> Target:
    """One that has something else on it all over."""
    path.write_bytes(OLD * (size // len(OLD)))
    return target(path, 1)


def pack(path: Path, data: bytes, how: str) -> Path:
    if how == "zst":  # two frames, the second without its size, as a pipe makes it
        stream = zstandard.ZstdCompressor(write_content_size=False, write_checksum=True).compressobj()
        packed = (
            zstandard.ZstdCompressor(write_checksum=True).compress(data[:MIB])
            + stream.compress(data[MIB:])
            + stream.flush()
        )
    else:
        packed = lzma.compress(data[:MIB], preset=0) + lzma.compress(data[MIB:], preset=0)
    path = path.with_name(f"{path.name}.{how}")
    path.write_bytes(packed)
    return path


@pytest.mark.parametrize("how", ["xz", "zst"])
def test_a_packed_image_is_unpacked_on_its_way(how: str, tmp_path: Path) -> None:
    to = stick(tmp_path / "stick", 16 * MIB)
    flash_write.write(pack(tmp_path / "lab.img", CONTENT, how), to, lambda *step: None, print)
    assert to.path.read_bytes()[: len(CONTENT)] == CONTENT


@pytest.mark.parametrize("how", ["xz", "zst"])
def test_a_packed_disk_comes_onto_a_larger_stick_as_one_that_is_not(how: str, tmp_path: Path) -> None:
    """The backup of its table goes to the stick's end, behind all that there is to unpack."""
    made = for_sector(512)["disk"].make(make_built(tmp_path / "lab"), Settings()).path
    packed = pack(tmp_path / "lab.img", made.read_bytes(), how)
    size = made.stat().st_size + MIB
    plain, other = stick(tmp_path / "plain", size), stick(tmp_path / "packed", size)
    flash_write.write(made, plain, lambda *step: None, print)
    flash_write.write(packed, other, lambda *step: None, print)
    whole, tail = len(made.read_bytes()) - 33 * 512, 33 * 512
    assert other.path.read_bytes()[-tail:] == plain.path.read_bytes()[-tail:]
    assert other.path.read_bytes()[:MIB] == plain.path.read_bytes()[:MIB]
    assert other.path.read_bytes()[2 * MIB : whole] == made.read_bytes()[2 * MIB : whole]


@pytest.mark.parametrize(("how", "program"), [("xz", "xz"), ("zst", "zstd")])
def test_what_the_usual_programs_pack(how: str, program: str, tmp_path: Path) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"not run: {program} is not installed")
    (tmp_path / "lab.img").write_bytes(CONTENT)
    subprocess.run([program, "-q", "-1", tmp_path / "lab.img"], check=True)
    with open_source(tmp_path / f"lab.img.{how}") as source:
        assert source.size == len(CONTENT)
        for offset, size in ((0, 5), (MIB - 3, 7), (10, 4 * MIB), (len(CONTENT) - 9, 9)):
            found = bytearray(size)
            source.fill(memoryview(found), offset)
            assert found == CONTENT[offset : offset + size]


@pytest.mark.parametrize("how", ["xz", "zst"])
@pytest.mark.parametrize("harm", ["cut short", "damaged"])
def test_a_packed_image_that_is_broken_costs_nothing(how: str, harm: str, tmp_path: Path) -> None:
    image = pack(tmp_path / "lab.img", CONTENT, how)
    data = bytearray(image.read_bytes())
    if harm == "damaged":
        data[100:120] = bytes(20)
    image.write_bytes(data if harm == "damaged" else data[:-50])
    to = stick(tmp_path / "stick", 16 * MIB)
    before = to.path.read_bytes()
    with pytest.raises(SourceError, match=r"cannot be read: it is damaged: "):
        flash_write.write(image, to, lambda *step: None, print)
    assert to.path.read_bytes() == before


# --- block maps ---


def mapped(tmp_path: Path) -> Path:
    image = tmp_path / "lab.img"
    image.write_bytes(CONTENT)
    bmap.write(image, [Range(0, 2 * MIB), Range(7 * MIB, 9 * MIB)], bmap.path(image))
    return image


def test_only_what_is_mapped_is_written(tmp_path: Path) -> None:
    image, to = mapped(tmp_path), stick(tmp_path / "stick", 16 * MIB)
    figures = flash_write.write(image, to, lambda *step: None, print)
    found = to.path.read_bytes()
    assert found[: 2 * MIB] == CONTENT[: 2 * MIB]
    assert found[2 * MIB : 7 * MIB] == OLD * (5 * MIB // len(OLD))
    assert found[7 * MIB : len(CONTENT)] == CONTENT[7 * MIB :]
    assert figures.size == 2 * MIB + len(CONTENT) - 7 * MIB


def test_a_map_of_small_blocks_on_a_device_of_large_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, to = mapped(tmp_path), stick(tmp_path / "stick", 16 * MIB)
    parts = tuple(bmap.Mapped(Range(start, end), None) for start, end in ((0, 3 * MIB - 512), (3 * MIB + 512, 8 * MIB)))
    monkeypatch.setattr(bmap, "read", lambda file, size: parts)
    monkeypatch.setattr(Target, "sector", property(lambda to: 4096))
    monkeypatch.setattr(flash_write, "check_sectors", lambda *_: None)
    flash_write.write(image, to, lambda *step: None, print)
    assert to.path.read_bytes()[: 8 * MIB] == CONTENT[: 8 * MIB]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "", "has another SHA-256 than this map says"),
        ("ImageSize> 8", "ImageSize> 9", "is damaged: it has another SHA-256 than it says"),
        ("<bmap", "<map", "is damaged"),
    ],
)
def test_a_map_that_is_wrong_costs_nothing(old: str, new: str, message: str, tmp_path: Path) -> None:
    image, to = mapped(tmp_path), stick(tmp_path / "stick", 16 * MIB)
    file = bmap.path(image)
    file.write_text(file.read_text().replace(old, new) if old else file.read_text())
    if not old:
        with image.open("r+b") as stream:
            stream.seek(8 * MIB)
            stream.write(b"other")
    before = to.path.read_bytes()
    with pytest.raises(SourceError, match=message):
        flash_write.write(image, to, lambda *step: None, print)
    assert to.path.read_bytes() == before


def test_a_disk_image_of_ours_has_a_map_of_what_is_used(tmp_path: Path) -> None:
    """A stick full of other bytes has the same files after it, as mtools reads them, though most was left alone."""
    made = for_sector(512)["disk"].make(make_built(tmp_path / "lab"), Settings(size=256 * MIB)).path
    to = stick(tmp_path / "stick", 256 * MIB)
    figures = flash_write.write(made, to, lambda *step: None, print)
    assert figures.size < 64 * MIB
    application = f"{to.path}@@2M"
    got = subprocess.run(["mtype", "-i", application, "::EFI/BOOT/BOOTX64.EFI"], capture_output=True, check=True).stdout
    assert got == (made.parent / "lab.efi").read_bytes()
    listed = [
        subprocess.run(["mdir", "-/", "-b", "-i", f"{disk}@@2M"], capture_output=True, check=True).stdout
        for disk in (made, to.path)
    ]
    assert listed[0] == listed[1]
