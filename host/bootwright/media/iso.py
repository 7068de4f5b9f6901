"""A hybrid ISO: boots from a CD and from a USB stick it was written to, on BIOS and UEFI.

ISO 9660 with Rock Ridge and El Torito 1.0: an entry for BIOS (GRUB) and one for UEFI (a FAT image that holds
NAME.efi). In front of it, where ISO 9660 leaves 32 KiB alone, an MBR: GRUB's boot code, a partition with the
whole ISO, and one of type 0xEF with the FAT image (UEFI 2.10, sections 5.2 and 13.3).
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, BinaryIO, cast

from bootwright.common.ranges import align_up
from bootwright.image.built import Built
from bootwright.media import fat, gpt, grub_bios, qemu_drives
from bootwright.media.extents import Piece, Reader, total
from bootwright.media.medium import EFI_PATH, Made, Medium, Settings, atomic_output
from bootwright.media.qemu_drives import Device

if TYPE_CHECKING:
    from pycdlib.pycdlib import PyCdlib

_BLOCK = 2048
_BLOCK_SECTORS = _BLOCK // 512
_EPOCH = 315532800.0  # 1980-01-01, the date of everything on our media
_PLATFORM_EFI = 0xEF
_MBR_EFI, _MBR_ISO = 0xEF, 0xCD
_CORE, _ESP = "boot/grub.img", "efi.img"
_CATALOG, _CATALOG_NAME = "/BOOT/CATALOG.;1", "catalog"  # El Torito's, a file too
# El Torito counts 512-byte sectors in 16 bits; 0 means up to the end of the medium (UEFI 2.10, section
# 13.3.2.1).
_SECTORS_LIMIT = 1 << 16
_CDBOOT_SECTORS = 4
# Drives and drivers read ahead, and some BIOSes fail or lie when that goes beyond the end: as much as mkisofs
# has.
_PADDING = 150
_COPY_BUFFER = 1 << 20


def path(built: Built) -> Path:
    """NAME.iso."""
    return built.elf.with_suffix(".iso")


def make(built: Built, settings: Settings) -> Made:
    """Write the ISO."""
    output = path(built)
    files, notes = qemu_drives.contents(built, output.name)
    application = files.pop(EFI_PATH, None)
    core = grub_bios.eltorito(built, _ESP) if files else None
    contents: dict[str, list[Piece]] = {name: [piece] for name, piece in files.items()}
    if application is not None:
        contents[_ESP] = _esp(built, application)
    with _still_clock(), ExitStack() as opened, atomic_output(output) as partial:
        iso = _start(built)
        opened.callback(iso.close)
        _add(iso, contents, opened)
        if core is not None:
            # pycdlib reads it when it writes, after the address of the ISO's own core image is known.
            _add_file(iso, _CORE, held := io.BytesIO(core), len(core))
            iso.add_eltorito(
                _iso_path(_CORE),
                _CATALOG,
                _CATALOG_NAME,
                boot_load_size=_CDBOOT_SECTORS,
                boot_info_table=True,
            )
        if application is not None:
            sectors = total(contents[_ESP]) // 512
            iso.add_eltorito(
                _iso_path(_ESP),
                _CATALOG,
                _CATALOG_NAME,
                boot_load_size=sectors if sectors < _SECTORS_LIMIT else 0,
                platform_id=_PLATFORM_EFI,
                efi=True,
            )
        iso.force_consistency()
        boot = b""
        if core is not None:
            boot = grub_bios.hybrid(core, _sector(iso, _CORE))
            held.seek(0)
            held.write(core)
        with partial.open("wb") as file:
            iso.write_fp(file, blocksize=_COPY_BUFFER)
            sectors = file.seek(_PADDING * _BLOCK, io.SEEK_END) // 512
            file.truncate()
        entries = [gpt.MbrEntry(_MBR_ISO, 0, sectors, active=True)]
        if application is not None:
            esp = total(contents[_ESP]) // gpt.SECTOR
            entries.append(gpt.MbrEntry(_MBR_EFI, _sector(iso, _ESP), esp))
        with partial.open("r+b") as file:
            file.write(gpt.mbr(boot, _serial(built), entries))
    return Made(output, notes)


def _start(built: Built) -> PyCdlib:
    from pycdlib.pycdlib import PyCdlib

    iso = PyCdlib()
    iso.new(interchange_level=3, rock_ridge="1.09", vol_ident="BOOTWRIGHT", vol_set_ident=built.build_id)
    iso.add_directory("/BOOT", rr_name="boot")
    return iso


def _add(iso: PyCdlib, contents: dict[str, list[Piece]], opened: ExitStack) -> None:
    for name, pieces in contents.items():
        reader = opened.enter_context(Reader(pieces))
        _add_file(iso, name, cast("BinaryIO", reader), total(pieces))


def _add_file(iso: PyCdlib, name: str, file: BinaryIO, size: int) -> None:
    iso.add_fp(file, size, _iso_path(name), rr_name=name.rpartition("/")[2])


def _esp(built: Built, application: Piece) -> list[Piece]:
    files = {EFI_PATH: application}
    bits = fat.choose(files)
    size = align_up(fat.least(files, bits), _BLOCK)
    return fat.build(files, bits, built.name, _serial(built), size)


def _serial(built: Built) -> int:
    return gpt.guid(built.build_id, "FAT").fields[0]


def _iso_path(name: str) -> str:
    folder, _, last = name.rpartition("/")
    return f"/{folder.upper()}/".replace("//", "/") + last.upper() + ("" if "." in last else ".") + ";1"


def _sector(iso: PyCdlib, name: str) -> int:
    """Where a file begins, in sectors of 512 bytes."""
    return int(iso.get_record(iso_path=_iso_path(name)).extent_location()) * _BLOCK_SECTORS


@contextmanager
def _still_clock() -> Iterator[None]:
    """pycdlib takes dates from the clock and the time zone; here it finds one that stands still, in UTC."""
    from pycdlib import dates, headervd, pycdlib

    still = SimpleNamespace(time=lambda: _EPOCH, localtime=time.gmtime, gmtime=time.gmtime, strftime=time.strftime)
    modules = (dates, headervd, pycdlib)
    kept = [vars(module)["time"] for module in modules]
    for module in modules:
        vars(module)["time"] = still
    try:
        yield
    finally:
        for module, clock in zip(modules, kept, strict=True):
            vars(module)["time"] = clock


MEDIUM = Medium("iso", path, make, grub_bios.tools)

BOOT_METHODS = (
    qemu_drives.boot_method("iso-cd", MEDIUM, Device.CD, ".iso"),
    qemu_drives.boot_method("iso-usb", MEDIUM, Device.USB, ".iso"),
)
