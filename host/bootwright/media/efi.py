"""The image as an EFI application, NAME.efi, made by the image recipe: UEFI starts it without a loader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootwright.media import drives, fat
from bootwright.media.drives import Device
from bootwright.media.medium import Made, Medium, Settings, Way, efi_application, written
from bootwright.media.pieces import whole, write
from bootwright.report import Built


def path(built: Built) -> Path:
    """NAME.efi."""
    return built.elf.with_suffix(".efi")


def make(built: Built, settings: Settings) -> Made:
    """Nothing is left to do. Raises ToolError where the image has no such file."""
    return Made(efi_application(built))


@contextmanager
def attach(built: Built, firmware: str) -> Iterator[list[str]]:
    """A drive without partitions: FAT with the application as what removable media are booted by."""
    files = {drives.EFI_PATH: whole(efi_application(built))}
    file = built.elf.with_name(f".{built.elf.stem}.fat")
    bits = fat.choose(files)
    try:
        with written(file) as partial, partial.open("wb") as output:
            write(fat.build(files, bits, built.name, 0, fat.least(files, bits)), output)
        yield drives.arguments(Path(file.name), Device.VIRTIO)
    finally:
        file.unlink(missing_ok=True)


MEDIUM = Medium("efi", path, make)
WAY = Way("efi", frozenset({"uefi"}), attach, "an EFI application is started by UEFI alone")
