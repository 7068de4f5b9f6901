"""The image as an EFI application, NAME.efi, made by the image recipe: UEFI starts it without a loader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootwright.common import scratch
from bootwright.image.built import Built
from bootwright.media import fat, qemu_drives
from bootwright.media.extents import whole, write
from bootwright.media.medium import EFI_PATH, BootMethod, Made, Medium, Settings, efi_application
from bootwright.media.qemu_drives import Device


def path(built: Built) -> Path:
    """NAME.efi."""
    return built.elf.with_suffix(".efi")


def make(built: Built, settings: Settings) -> Made:
    """Nothing is left to do. Raises ToolError where the image has no such file."""
    return Made(efi_application(built))


@contextmanager
def attach(built: Built, firmware: str) -> Iterator[list[str]]:
    """A drive without partitions: FAT with the application as what removable media are booted by."""
    files = {EFI_PATH: whole(efi_application(built))}
    bits = fat.choose(files)
    folder = built.elf.parent
    with scratch.own(folder, built.elf.stem) as place:
        with (place / "fat").open("wb") as output:
            write(fat.build(files, bits, built.name, 0, fat.least(files, bits)), output)
        yield qemu_drives.arguments((place / "fat").relative_to(folder), Device.VIRTIO)


MEDIUM = Medium("efi", path, make)
BOOT_METHOD = BootMethod("efi", frozenset({"uefi"}), attach, "an EFI application is started by UEFI alone", ".efi")
