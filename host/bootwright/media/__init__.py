"""Media of an image, one file each, and the ways to boot by them; all registered here.

    gpt, fat, extents       what disks are made of: partition tables, FAT file systems, runs of bytes
    bmap                    which blocks of a disk image must be written to a device
    medium                  what a medium and a way to boot are, and how a medium is written in one step
    elf_file, efi, iso, disk, pxe   the media
    making                  several of them, made one after the other
    grub                    GRUB's programs, and its files for each firmware
    grub_bios, grub_iso, qemu_drives, qemu_kernel   what some of them share, and ways of QEMU alone
    dnsmasq                 what a DHCP and TFTP server is told of the folder for network boot

    from bootwright.media import MEDIA, Settings
    made = MEDIA["iso"].make(built, Settings())

How each boots, on which firmware, and how long it takes, is on the page docs/media.md.

May import: common, image.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bootwright.common.errors import RunError, Where
from bootwright.common.words import none_of
from bootwright.image.built import Built
from bootwright.media import disk, efi, elf_file, gpt, grub_iso, iso, pxe, qemu_kernel
from bootwright.media.medium import BootMethod, Made, Medium, Settings

MEDIA: dict[str, Medium] = {
    medium.name: medium for medium in (elf_file.MEDIUM, efi.MEDIUM, iso.MEDIUM, disk.MEDIUM, pxe.MEDIUM)
}

BOOT_METHODS: dict[str, BootMethod] = {
    method.name: method
    for method in (
        qemu_kernel.BOOT_METHOD,
        grub_iso.BOOT_METHOD,
        *iso.BOOT_METHODS,
        *disk.BOOT_METHODS,
        *pxe.BOOT_METHODS,
        efi.BOOT_METHOD,
    )
}

# How the name of a finished file ends that can be booted as it is, the longest first.
SUFFIXES = tuple(sorted({way.suffix for way in BOOT_METHODS.values() if way.suffix}, key=len, reverse=True))

# What is made without being asked for, and needs no system package.
USUAL = ("elf", "efi")


def of_file(path: Path) -> dict[str, BootMethod]:
    """How a finished file can be booted, the usual way first. Raises RunError for what none of them boots."""
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
    if suffix is None:
        raise RunError(f"is no file that boots: its name ends in none of {', '.join(SUFFIXES)}", Where(str(path)))
    ways = (way for way in BOOT_METHODS.values() if way.suffix == suffix)
    return {way.name: replace(way, attach=way.attach_file or way.attach) for way in ways}


def chosen(text: str) -> tuple[str, ...]:
    """The media that "iso,disk" or "all" means, in the order of MEDIA; "" is USUAL. Raises RunError."""
    names = text.replace(" ", "").split(",") if text else list(USUAL)
    unknown = [name for name in names if name not in MEDIA and name != "all"]
    if unknown:
        raise RunError(f"media: {none_of(unknown[0], MEDIA, 'all')}")
    return tuple(MEDIA) if "all" in names else tuple(name for name in MEDIA if name in names)


def for_sector(sector: int) -> dict[str, Medium]:
    """The media, by name, for devices with sectors of so many bytes. Raises RunError for a size that none is for."""
    if sector not in gpt.SECTORS:
        known = " and ".join(map(str, gpt.SECTORS))
        raise RunError(f"sector: there are no media for sectors of {sector} bytes, only for those of {known}")
    return MEDIA if sector == gpt.SECTOR else MEDIA | {disk.MEDIUM_4K.name: disk.MEDIUM_4K}


def by_file(built: Built) -> dict[str, Medium]:
    """Every medium that lies in a file or folder of its own, by that one's name."""
    found = {medium.path(built).name: medium for sector in gpt.SECTORS for medium in for_sector(sector).values()}
    return {name: medium for name, medium in found.items() if medium.name not in USUAL}


def settings(names: Sequence[str], size: int | None, sector: int) -> Settings:
    """What is said of the media that are wanted: size in bytes, or None, and bytes of a sector.

    Raises RunError for what applies to none of them.
    """
    for_sector(sector)
    for what, is_said in (("size", size is not None), ("sector", sector != gpt.SECTOR)):
        if is_said and disk.MEDIUM.name not in names:
            raise RunError(f"{what}: is of the disk alone, and {', '.join(names)} has none")
    return Settings(size, sector)


__all__ = [
    "BOOT_METHODS",
    "MEDIA",
    "SUFFIXES",
    "USUAL",
    "BootMethod",
    "Made",
    "Medium",
    "Settings",
    "by_file",
    "chosen",
    "for_sector",
    "of_file",
    "settings",
]
