"""media.disk: read back by sgdisk, fsck.fat and mtools; its size; what it is without GRUB."""

import re
from pathlib import Path

import pytest
from media_fixtures import make_built, read, same

from bootwright.errors import ToolError
from bootwright.media import disk, grub_bios
from bootwright.media.medium import Settings

ESP = 2 << 20


def verified(path: Path) -> str:
    """sgdisk finds nothing wrong, checksums and both tables included; returns its list."""
    said = read("/sbin/sgdisk", "-v", path)
    assert "No problems found" in said, said
    return read("/sbin/sgdisk", "-p", "-i", "1", path)


def test_read_back(tmp_path: Path) -> None:
    built = make_built(tmp_path / "lab")
    made = disk.make(built, Settings())
    assert made.path == tmp_path / "lab/lab.img" and made.notes == ()
    listed = verified(made.path)
    assert re.search(r"1 +2048 +4095 +1024.0 KiB +EF02 +BIOS boot", listed)
    assert re.search(r"2 +4096 +\d+ +33.0 MiB +EF00 +EFI system", listed)
    for name, source in (
        ("EFI/BOOT/BOOTX64.EFI", "lab.efi"),
        ("boot/image.elf", "lab.elf"),
    ):
        read("mcopy", "-n", "-o", "-i", f"{made.path}@@{ESP}", f"::{name}", tmp_path / "copy")
        assert same(built.elf.parent, source, tmp_path / "copy")
    with made.path.open("rb") as file:
        file.seek(ESP)
        (tmp_path / "esp").write_bytes(file.read(33 << 20))
    assert "differences" not in read("/sbin/fsck.fat", "-n", "-v", tmp_path / "esp")
    assert made.path.stat().st_blocks * 512 < 3 << 20, "what is empty is a hole"


def test_boot_sectors_name_where_the_core_image_is(tmp_path: Path) -> None:
    content = disk.make(make_built(tmp_path), Settings()).path.read_bytes()
    mbr, core = content[:512], content[1 << 20 : 2 << 20]
    assert int.from_bytes(mbr[0x5C:0x64], "little") == 2048
    assert int.from_bytes(core[0x1F4:0x1FC], "little") == 2049
    sectors = int.from_bytes(core[0x1FC:0x1FE], "little")
    assert any(core[sectors * 512 : (sectors + 1) * 512]) and not any(core[(sectors + 1) * 512 :])
    assert (
        mbr[446:462].hex()
        == "00000200eefeffff01000000" + (len(content) // 512 - 1).to_bytes(4, "little").hex()
    )


def test_same_bytes_and_another_build(tmp_path: Path) -> None:
    one = disk.make(make_built(tmp_path / "one"), Settings()).path
    two = disk.make(make_built(tmp_path / "two"), Settings()).path
    assert same(tmp_path, one, two)


@pytest.mark.parametrize("size", [35, 100, 259, 300])
def test_size(size: int, tmp_path: Path) -> None:
    made = disk.make(make_built(tmp_path), Settings(size=size << 20))
    assert made.path.stat().st_size == size << 20
    verified(made.path)
    read("mcopy", "-n", "-i", f"{made.path}@@{ESP}", "::EFI/BOOT/BOOTX64.EFI", tmp_path / "copy")


def test_too_small(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"size: 34 MiB is too small for a disk; 35 MiB are needed"):
        disk.make(make_built(tmp_path), Settings(size=34 << 20))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab.efi", "lab.elf"]


def test_without_grub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grub_bios, "DIRECTORY", tmp_path / "none")
    made = disk.make(make_built(tmp_path / "lab"), Settings())
    assert made.notes == (
        "lab.img boots on UEFI only: GRUB for BIOS is not installed; it is in the package grub-pc-bin",
    )
    assert "EF02" not in verified(made.path)
    with pytest.raises(ToolError, match=r"it is in the package grub-pc-bin$"):
        disk.make(make_built(tmp_path / "other", efi=False), Settings())
