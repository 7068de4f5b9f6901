"""media.disk: read back by sgdisk, fsck.fat and mtools; its size; what it is without GRUB."""

import re
from pathlib import Path

import pytest
from media_fixtures import BUILD_ID, make_built, read, same

from bootwright.common.errors import RunError, ToolError
from bootwright.media import disk, for_sector, gpt, grub_bios
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
    read("mcopy", "-n", "-o", "-i", f"{made.path}@@{ESP}", "::EFI/BOOT/BOOTX64.EFI", tmp_path / "copy")
    assert same(built.elf.parent, "lab.efi", tmp_path / "copy")
    listed = read("mdir", "-/", "-b", "-i", f"{made.path}@@{ESP}").split()
    assert [name for name in listed if not name.endswith("/")] == ["::/EFI/BOOT/BOOTX64.EFI", f"::/boot/{BUILD_ID[:8]}"]
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
    assert mbr[446:462].hex() == protective(len(content) // 512)


def protective(sectors: int) -> str:
    """The one entry of a protective MBR: UEFI 2.10, table 5-4; not active."""
    return "00000200eefeffff01000000" + (sectors - 1).to_bytes(4, "little").hex()


def test_a_BIOS_finds_an_active_entry_and_UEFI_a_protective_MBR(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = disk.make(make_built(tmp_path / "lab"), Settings()).path.read_bytes()
    entries = [content[at : at + 16] for at in range(446, 510, 16)]
    assert entries[0].hex() == protective(len(content) // 512)
    # Of no type, from sector 0 on, one sector: a reader of partitions finds none.
    assert entries[1].hex() == "80000100" + "00000100" + "00000000" + "01000000"
    assert not any(entries[2] + entries[3])
    monkeypatch.setattr(grub_bios.GRUB, "folders", ())
    content = disk.make(make_built(tmp_path / "uefi"), Settings()).path.read_bytes()
    assert not any(content[462:510]), "what no BIOS boots needs no such entry"


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


@pytest.mark.parametrize(("sector", "most"), [(512, (2 << 20) + 1), (4096, (8 << 20) + 1)])
def test_too_large(sector: int, most: int, tmp_path: Path) -> None:
    make = for_sector(sector)["disk"].make
    built = make_built(tmp_path)
    for mebibytes in (most + 2, 64 << 20):
        with pytest.raises(ToolError) as caught:
            make(built, Settings(size=mebibytes << 20))
        assert f"size: {mebibytes} MiB is too large for a disk with sectors of {sector} bytes; " in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab.efi", "lab.elf"]


def test_nearly_the_largest(tmp_path: Path) -> None:
    made = disk.make(make_built(tmp_path), Settings(size=2 << 40))
    assert made.path.stat().st_size == 2 << 40
    verified(made.path)
    read("mcopy", "-n", "-i", f"{made.path}@@{ESP}", "::EFI/BOOT/BOOTX64.EFI", tmp_path / "copy")
    assert same(tmp_path, "lab.efi", tmp_path / "copy")


# --- sectors of 4096 bytes ---


def test_large_sectors(tmp_path: Path) -> None:
    built = make_built(tmp_path / "lab")
    made = for_sector(4096)["disk"].make(built, Settings())
    assert made.path == tmp_path / "lab/lab.4k.img"
    assert made.notes == ("lab.4k.img boots on UEFI only: GRUB for BIOS boots from no sectors of 4096 bytes",)
    with made.path.open("rb") as file:
        head = file.read(ESP)
        esp = file.read()
    sectors = made.path.stat().st_size // 4096
    assert head[446:462].hex() == protective(sectors) and not any(head[:446] + head[462:510])
    assert head[4096:4104] == b"EFI PART" and gpt.sector_of(head) == 4096
    (tmp_path / "esp").write_bytes(esp)
    assert "4096 bytes per logical sector" in read("/sbin/fsck.fat", "-n", "-v", tmp_path / "esp")
    read("mcopy", "-n", "-i", f"{made.path}@@{ESP}", "::EFI/BOOT/BOOTX64.EFI", tmp_path / "copy")
    assert same(built.elf.parent, "lab.efi", tmp_path / "copy")
    assert made.path.stat().st_blocks * 512 < 1 << 20, "what is empty is a hole"


def test_large_sectors_without_an_application(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"lab\.efi: this image has none, and UEFI starts nothing else"):
        for_sector(4096)["disk"].make(make_built(tmp_path, efi=False), Settings())


@pytest.mark.parametrize("sector", [0, 520, 2048, 8192])
def test_sectors_that_no_medium_is_for(sector: int) -> None:
    with pytest.raises(RunError, match=f"no media for sectors of {sector} bytes, only for those of 512 and 4096"):
        for_sector(sector)


def test_without_grub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grub_bios.GRUB, "folders", ())
    made = disk.make(make_built(tmp_path / "lab"), Settings())
    assert made.notes == (
        "lab.img boots on UEFI only: GRUB for BIOS, which loads an image on a BIOS, is not installed; "
        "it is in the package grub-pc-bin",
    )
    assert "EF02" not in verified(made.path)
    with pytest.raises(ToolError, match=r"it is in the package grub-pc-bin$"):
        disk.make(make_built(tmp_path / "other", efi=False), Settings())
