"""A disk image: GPT, an EFI system partition with NAME.efi, and GRUB for BIOS in a partition of its own.

    sector 0     MBR: protective entry, GRUB's boot code
    sector 1     GPT
    1 MiB        BIOS boot partition: GRUB's core image (where GRUB is installed)
    2 MiB        EFI system partition, FAT32: \\EFI\\BOOT\\BOOTX64.EFI, \\boot\\image.elf for GRUB
    end          backup of the GPT

Without GRUB it boots on UEFI only, without NAME.efi on a BIOS only.
"""

from __future__ import annotations

from pathlib import Path

from bootwright.errors import ToolError, Where
from bootwright.media import drives, fat, gpt, grub_bios
from bootwright.media.drives import Device
from bootwright.media.medium import BOTH, Made, Medium, Settings, Way, written
from bootwright.media.pieces import Piece, Zeros, padded, total, write
from bootwright.report import Built

_MIB = 1 << 20
_BIOS_START = gpt.ALIGNMENT
_ESP_START = 2 * gpt.ALIGNMENT


def path(built: Built) -> Path:
    """NAME.img."""
    return built.elf.with_suffix(".img")


def make(built: Built, settings: Settings) -> Made:
    """Write the disk image: as large as settings say, or as it must be."""
    output = path(built)
    pieces, notes = layout(built, settings)
    with written(output) as partial, partial.open("wb") as file:
        write(pieces, file)
    return Made(output, notes)


def layout(built: Built, settings: Settings) -> tuple[list[Piece], tuple[str, ...]]:
    """The disk as pieces, and notes. Raises ToolError where nothing could boot it, or it does not fit."""
    files, notes = drives.contents(built, path(built).name)
    least = fat.least(files, 32)
    ends = (_ESP_START + gpt.BACKUP) * gpt.SECTOR
    needed = -(-(least + ends) // _MIB) * _MIB
    size = needed if settings.size is None else settings.size // _MIB * _MIB
    if size < needed:
        message = f"size: {size // _MIB} MiB is too small for a disk; {needed // _MIB} MiB are needed"
        raise ToolError(message, Where(str(path(built))))
    sectors = size // gpt.SECTOR
    # The last whole MiB may hold the backup of the GPT alone.
    esp = (sectors - gpt.BACKUP - _ESP_START) // 8 * 8
    partitions = [gpt.Partition(gpt.EFI_SYSTEM, "EFI system", _ESP_START, esp)]
    boot, core = b"", b""
    if grub_bios.is_installed():
        boot, core = grub_bios.disk(built, _BIOS_START)
        partitions.insert(0, gpt.Partition(gpt.BIOS_BOOT, "BIOS boot", _BIOS_START, _ESP_START - _BIOS_START))
    first, last = gpt.tables(sectors, partitions, built.build_id, boot)
    serial = gpt.guid(built.build_id, "FAT").fields[0]
    pieces = padded([first], _BIOS_START * gpt.SECTOR)
    pieces += padded([core], (_ESP_START - _BIOS_START) * gpt.SECTOR)
    pieces += fat.build(files, 32, built.name, serial, esp * gpt.SECTOR)
    pieces.append(Zeros(size - total(pieces) - len(last)))
    return [*pieces, last], notes


MEDIUM = Medium("disk", path, make)

WAYS = tuple(
    Way(f"disk-{device.name.lower()}", BOTH, drives.attach(MEDIUM, device))
    for device in Device
    if device is not Device.CD
)
