"""A disk image: GPT, an EFI system partition with NAME.efi, and GRUB for BIOS in a partition of its own.

    sector 0     MBR: protective entry, GRUB's boot code, an active entry
    sector 1     GPT
    1 MiB        BIOS boot partition: GRUB's core image (where GRUB is installed)
    2 MiB        EFI system partition, FAT32: \\EFI\\BOOT\\BOOTX64.EFI, which GRUB loads, too
    end          backup of the GPT

NAME.img.bmap beside it says which blocks must be written to a device.

Without GRUB it boots on UEFI only, without NAME.efi on a BIOS only. For a device with sectors of 4096 bytes it is
another file, NAME.4k.img, for UEFI only: GRUB's boot sectors read sectors of 512 bytes.
"""

from __future__ import annotations

from pathlib import Path

from bootwright.common.errors import ToolError, Where
from bootwright.common.ranges import MIB, align_up
from bootwright.image.built import Built
from bootwright.media import bmap, fat, gpt, grub_bios, qemu_drives
from bootwright.media.extents import Free, Piece, padded, total, used, whole, write
from bootwright.media.medium import EFI_PATH, BootMethod, Made, Medium, Settings, atomic_output, efi_application
from bootwright.media.qemu_drives import Device

_PAGE = 4096
_ESP_START = 2 * gpt.ALIGNMENT
_LARGE_SECTOR = gpt.SECTORS[1]


def path(built: Built) -> Path:
    """NAME.img."""
    return built.elf.with_suffix(".img")


def path_4k(built: Built) -> Path:
    """NAME.4k.img."""
    return built.elf.with_suffix(".4k.img")


def make(built: Built, settings: Settings) -> Made:
    """Write the disk image: as large as settings say, or as it must be."""
    return _make(built, settings, path(built), gpt.SECTOR)


def make_4k(built: Built, settings: Settings) -> Made:
    """The same for sectors of 4096 bytes."""
    return _make(built, settings, path_4k(built), _LARGE_SECTOR)


def _make(built: Built, settings: Settings, output: Path, sector: int) -> Made:
    pieces, notes = layout(built, settings, output, sector)
    with atomic_output(output) as partial:
        with partial.open("wb") as file:
            write(pieces, file)
        with atomic_output(bmap.path(output)) as block_map:
            bmap.write(partial, used(pieces, bmap.BLOCK), block_map)
    return Made(output, notes)


def layout(built: Built, settings: Settings, output: Path, sector: int) -> tuple[list[Piece], tuple[str, ...]]:
    """The disk as pieces, and notes. Raises ToolError where nothing could boot it, or it cannot be of its size."""
    files, notes = qemu_drives.contents(built, output.name) if sector == gpt.SECTOR else _for_uefi(built, output.name)
    tail = gpt.backup(sector) * sector
    size = _size(settings.size, _ESP_START + fat.least(files, 32, sector) + tail, sector, output)
    start = _ESP_START // sector
    # The last whole MiB may hold the backup of the GPT alone.
    esp = (size - tail - _ESP_START) // _PAGE * _PAGE
    partitions = [gpt.Partition(gpt.EFI_SYSTEM, "EFI system", start, esp // sector)]
    boot, core = b"", b""
    if grub_bios.GRUB.is_installed() and sector == gpt.SECTOR:
        boot, core = grub_bios.disk(built, gpt.ALIGNMENT // sector)
        bios = gpt.ALIGNMENT // sector
        partitions.insert(0, gpt.Partition(gpt.BIOS_BOOT, "BIOS boot", bios, start - bios))
    first, last = gpt.tables(size // sector, partitions, built.build_id, boot, sector)
    serial = gpt.guid(built.build_id, "FAT").fields[0]
    pieces = padded([first], gpt.ALIGNMENT)
    pieces += padded([core], _ESP_START - gpt.ALIGNMENT)
    pieces += fat.build(files, 32, built.name, serial, esp, sector)
    pieces.append(Free(size - total(pieces) - len(last)))
    return [*pieces, last], notes


def _for_uefi(built: Built, what: str) -> tuple[dict[str, Piece], tuple[str, ...]]:
    """As drives.contents, for a disk that no BIOS boots."""
    note = f"{what} boots on UEFI only: GRUB for BIOS boots from no sectors of {_LARGE_SECTOR} bytes"
    return {EFI_PATH: whole(efi_application(built))}, (note,)


def _size(wanted: int | None, least: int, sector: int, output: Path) -> int:
    """The disk's size in bytes, in whole MiB. Raises ToolError for one that cannot be."""
    needed = align_up(least, MIB)
    most = (_ESP_START + fat.most(sector) + gpt.backup(sector) * sector) // MIB * MIB
    size = needed if wanted is None else wanted // MIB * MIB
    if size < needed:
        message = f"size: {size // MIB} MiB is too small for a disk; {needed // MIB} MiB are needed"
        raise ToolError(message, Where(str(output)))
    if size > most:
        message = (
            f"size: {size // MIB} MiB is too large for a disk with sectors of {sector} bytes; "
            f"its FAT32 ends at {most // MIB} MiB"
        )
        raise ToolError(message, Where(str(output)))
    return size


MEDIUM = Medium("disk", path, make, grub_bios.tools)
MEDIUM_4K = Medium("disk", path_4k, make_4k)

BOOT_METHODS = (
    *(
        qemu_drives.boot_method(f"disk-{device.name.lower()}", MEDIUM, device, ".img")
        for device in (Device.IDE, Device.AHCI, Device.VIRTIO, Device.USB)
    ),
    BootMethod(
        "disk-4k",
        frozenset({"uefi"}),
        qemu_drives.attach(MEDIUM_4K, Device.USB_4K),
        "SeaBIOS and GRUB for BIOS know sectors of 512 bytes alone",
        ".4k.img",
        qemu_drives.attach_file(Device.USB_4K),
    ),
)
