"""What the media with files on them share: those files, and QEMU's drives to boot them from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from pathlib import Path

from bootwright.image.built import Built
from bootwright.media import grub_bios
from bootwright.media.extents import Piece, whole
from bootwright.media.medium import (
    BOTH,
    EFI_PATH,
    BootMethod,
    Medium,
    bios_only,
    boots_on_uefi,
    efi_application,
    ensure,
)


class Device(Enum):
    """What a drive is plugged into, as QEMU's arguments behind `-drive if=none,id=medium`."""

    CD = ("-device", "ide-cd,drive=medium,bootindex=0")
    IDE = ("-device", "ide-hd,drive=medium,bootindex=0")
    AHCI = ("-device", "ich9-ahci,id=ahci", "-device", "ide-hd,bus=ahci.0,drive=medium,bootindex=0")
    VIRTIO = ("-device", "virtio-blk-pci,drive=medium,bootindex=0")
    USB = ("-device", "qemu-xhci", "-device", "usb-storage,drive=medium,bootindex=0")
    # usb-storage does not heed the size of a block.
    USB_4K = (
        *("-device", "qemu-xhci", "-device", "usb-bot,id=bot", "-device"),
        "scsi-hd,bus=bot.0,drive=medium,bootindex=0,logical_block_size=4096,physical_block_size=4096",
    )


def contents(built: Built, what: str) -> tuple[dict[str, Piece], tuple[str, ...]]:
    """The files of a medium called `what`, for UEFI and for GRUB on a BIOS, by path; and notes about what
    lacks.

    Raises ToolError where neither can be.
    """
    files: dict[str, Piece] = {}
    notes = []
    if boots_on_uefi(built):
        files[EFI_PATH] = whole(efi_application(built))
    if grub_bios.GRUB.is_installed():
        files |= grub_bios.files(built)
    elif files:
        notes.append(grub_bios.note(what))
    if EFI_PATH not in files:
        grub_bios.GRUB.folder()
        notes.append(bios_only(built, what))
    return files, tuple(notes)


def arguments(file: Path, device: Device) -> list[str]:
    """QEMU's arguments for a drive; what the machine writes to it is lost. A comma in a name is doubled."""
    name = str(file).replace(",", ",,")
    return ["-drive", f"if=none,id=medium,format=raw,snapshot=on,file={name}", *device.value]


def attach(medium: Medium, device: Device) -> Callable[[Built, str], AbstractContextManager[list[str]]]:
    """A BootMethod's attach: the medium, made where it is missing or old, on a device."""

    @contextmanager
    def attached(built: Built, firmware: str) -> Iterator[list[str]]:
        if firmware == "bios":
            grub_bios.GRUB.folder()
        else:
            efi_application(built)
        yield arguments(Path(ensure(medium, built).path.name), device)

    return attached


def boot_method(name: str, medium: Medium, device: Device, suffix: str) -> BootMethod:
    """By a medium, or a file like it whose name ends so, on a device, on both firmwares."""
    return BootMethod(name, BOTH, attach(medium, device), suffix=suffix, attach_file=attach_file(device))


def attach_file(device: Device) -> Callable[[Built, str], AbstractContextManager[list[str]]]:
    """A BootMethod's attach_file: the file as it is, on a device."""

    @contextmanager
    def attached(built: Built, firmware: str) -> Iterator[list[str]]:
        yield arguments(Path(built.elf.name), device)

    return attached
