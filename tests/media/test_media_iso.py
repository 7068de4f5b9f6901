"""media.iso: read back by xorriso and mtools; the same bytes always; what it is without GRUB."""

import os
import re
import time
from pathlib import Path

import pytest
from media_fixtures import BUILD_ID, make_built, read, same

from bootwright.common.errors import ToolError
from bootwright.media import grub_bios, iso
from bootwright.media.medium import Settings


def report(path: Path) -> str:
    return read("xorriso", "-indev", path, "-report_el_torito", "plain", "-report_system_area", "plain")


def extracted(path: Path, tmp_path: Path, name: str) -> Path:
    target = tmp_path / "extracted"
    read("xorriso", "-osirrox", "on", "-indev", path, "-extract", name, target)
    return target


def test_read_back(tmp_path: Path) -> None:
    built = make_built(tmp_path / "lab")
    made = iso.make(built, Settings())
    assert made.path == tmp_path / "lab/lab.iso" and made.notes == ()
    found = report(made.path)
    assert re.search(r"boot img :   1  BIOS  y   none  0x0000  0x00      4 ", found)
    efi = re.search(r"boot img :   2  UEFI  y   none  0x0000  0x00 +(\d+) +(\d+)", found)
    assert efi
    sectors, block = int(efi[1]), int(efi[2])
    assert "El Torito img opts :   1  grub2-boot-info" in found
    assert "System area summary: MBR grub2-mbr" in found
    whole = made.path.stat().st_size // 512
    assert re.search(rf"MBR partition +:   1   0x80  0xcd +0 +{whole}\n", found)
    assert re.search(rf"MBR partition +:   2   0x00  0xef +{block * 4} +{sectors}\n", found)
    assert "MBR partition path :   2  /efi.img" in found

    names = read("xorriso", "-indev", made.path, "-find", "/").split()
    files = [BUILD_ID[:8], "catalog", "grub.img"]
    assert set(names) == {"'/'", "'/boot'", "'/efi.img'", *(f"'/boot/{name}'" for name in files)}
    esp = extracted(made.path, tmp_path / "lab/..", "/efi.img")
    read("mcopy", "-n", "-i", esp, "::EFI/BOOT/BOOTX64.EFI", tmp_path / "application")
    assert same(built.elf.parent, "lab.efi", tmp_path / "application")
    assert sorted(path.name for path in built.elf.parent.iterdir() if path.name.startswith(".")) == []


def test_drives_may_read_beyond_the_last_file(tmp_path: Path) -> None:
    """Without this SeaBIOS gives GRUB wrong bytes of the last file."""
    made = iso.make(make_built(tmp_path), Settings())
    assert not any(made.path.read_bytes()[-iso._PADDING * 2048 :])


def test_same_bytes_at_another_time_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for zone in ("UTC", "Asia/Tokyo"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        built = make_built(tmp_path / zone.replace("/", "-"))
        os.utime(built.elf, (5, 5))
        found.append(iso.make(built, Settings()).path.read_bytes())
        time.sleep(1.1 if len(found) < 2 else 0)
    monkeypatch.undo()
    time.tzset()
    assert found[0] == found[1]
    assert time.time() > 1e9, "the clock runs again"


def test_a_large_application(tmp_path: Path) -> None:
    made = iso.make(make_built(tmp_path, size=40 << 20), Settings())
    found = report(made.path)
    # El Torito's 16 bits do not hold its size: 0 is for all of it.
    assert re.search(r"boot img :   2  UEFI  y   none  0x0000  0x00      0 ", found)
    entry = re.search(r"MBR partition +:   2   0x00  0xef +\d+ +(\d+)\n", found)
    assert entry and int(entry[1]) > 40 << 11


def test_without_grub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grub_bios.GRUB, "folders", ())
    made = iso.make(make_built(tmp_path / "lab"), Settings())
    assert made.notes == (
        "lab.iso boots on UEFI only: GRUB for BIOS, which loads an image on a BIOS, is not installed; "
        "it is in the package grub-pc-bin",
    )
    found = report(made.path)
    assert re.search(r"boot img :   1  UEFI  y ", found) and "BIOS" not in found
    with pytest.raises(ToolError, match=r"it is in the package grub-pc-bin$"):
        iso.make(make_built(tmp_path / "other", efi=False), Settings())
    assert not (tmp_path / "other/lab.iso").exists()


def test_modules_that_the_loader_brings(tmp_path: Path) -> None:
    built = make_built(tmp_path / "lab", modules=2)
    made = iso.make(built, Settings())
    assert made.notes == (
        "lab.iso boots on BIOS only: lab.efi: UEFI brings it no modules, "
        "and this image gets its modules from the loader",
    )
    assert "UEFI" not in report(made.path)
    assert extracted(made.path, tmp_path, "/boot/module.1").read_bytes() == b"1" * 5000
    assert 'module2 /boot/module.1 "m1"' in grub_bios.commands(built)


def test_without_an_application(tmp_path: Path) -> None:
    made = iso.make(make_built(tmp_path, efi=False), Settings())
    assert made.notes == (
        "lab.iso boots on BIOS only: lab.efi: this image has none, and UEFI starts nothing else from here",
    )
    assert "UEFI" not in report(made.path)
