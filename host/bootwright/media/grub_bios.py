"""GRUB 2 for a BIOS, as the media carry it: a core image with everything in it that loads our image by
multiboot2: NAME.efi, which lies there for UEFI and is loaded flat (stub/entry/multiboot2_flat.asm), or NAME.elf where
no NAME.efi boots by itself. So the modules in an image lie on the medium once.

Its commands are embedded (GRUB manual, "Embedding a configuration file"), so no module or configuration is
read from the medium, and there is no menu. Facts on the boot sectors: GRUB 2.06, grub-core/boot/i386/pc/*.S.
"""

from __future__ import annotations

import struct
from pathlib import Path

from bootwright.common import scratch
from bootwright.common.messages import shown_build
from bootwright.image.built import Built
from bootwright.media.extents import Piece, whole
from bootwright.media.grub import GRUB_MKIMAGE, PLATFORMS
from bootwright.media.medium import EFI_PATH, boots_on_uefi

GRUB = PLATFORMS["bios"]
IMAGE = "boot/image.elf"

_COMMON = ("biosdisk", "multiboot2", "search", "serial", "terminal", "echo")
_BOOT_CODE = 440
_BOOT_KERNEL_SECTOR = 0x5C  # boot.S: where the core image begins
_BOOT_DRIVE_CHECK = 0x66
_HYBRID_CORE_SECTOR = 0x1B0  # boot_hybrid.S: the same for an ISO on a stick
_CDBOOT_SIZE = 2048
_DISKBOOT_NEXT = 0x1F4  # diskboot.S: the sector behind the core image's first
_TWO_NOPS = b"\x90\x90"


def tools() -> list[Path]:
    """What of GRUB for BIOS may go onto a medium."""
    return [file for file in GRUB.folder().glob("*") if file.is_file()] if GRUB.is_installed() else []


def note(what: str) -> str:
    """The sentence about a medium that had to be made without GRUB for BIOS."""
    return f"{what} boots on UEFI only: {GRUB.missing()}"


def files(built: Built) -> dict[str, Piece]:
    """What GRUB alone reads from the medium, by path: its mark, and where it does not load NAME.efi the image and
    modules that the loader brings.
    """
    found: dict[str, Piece] = {_mark(built): b""}
    if not boots_on_uefi(built):
        found[IMAGE] = whole(built.elf)
    found |= {
        f"boot/module.{number}": whole(built.elf.parent / module.file) for number, module in enumerate(built.modules)
    }
    return found


def commands(built: Built, holder: str = "") -> str:
    """GRUB's commands, for its parser without conditions; a failed one is reported and skipped.

    holder: a file on the medium, a FAT image, that NAME.efi lies in; "" where it lies on the medium itself.
    """
    image = f"/{IMAGE}"
    loop = []
    if boots_on_uefi(built):
        image = f"/{EFI_PATH}"
        if holder:
            image, loop = f"(efi){image}", [f"loopback efi /{holder}"]
    lines = [
        "serial --unit=0 --speed=115200",
        "terminal_output console serial",
        f"search --no-floppy --file --set=root /{_mark(built)}",
        *loop,
        f"multiboot2 {image}",
        *(f'module2 /boot/module.{n} "{module.name}"' for n, module in enumerate(built.modules)),
        "boot",
        f'echo "bootwright: GRUB could not boot {built.name}"',
    ]
    return "\n".join(lines) + "\n"


def core(built: Built, kind: str, modules: tuple[str, ...], holder: str = "") -> bytes:
    """The core image in GRUB's format `kind`, with modules that find its files; holder: as for commands.

    Raises ToolError.
    """
    platform = GRUB.folder()
    with scratch.own(built.elf.parent, "grub") as folder:
        return GRUB_MKIMAGE.core(kind, commands(built, holder), (*_COMMON, *modules), platform, folder)


def disk(built: Built, start: int) -> tuple[bytes, bytes]:
    """Boot code for the MBR, and the core image for a BIOS boot partition that begins at sector `start`."""
    image = bytearray(core(built, "i386-pc", ("part_gpt", "fat")))
    struct.pack_into("<Q", image, _DISKBOOT_NEXT, start + 1)
    boot = bytearray((GRUB.folder() / "boot.img").read_bytes()[:_BOOT_CODE])
    struct.pack_into("<Q", boot, _BOOT_KERNEL_SECTOR, start)
    # On a hard disk the drive number that the BIOS gives is checked, as grub-install has it.
    boot[_BOOT_DRIVE_CHECK : _BOOT_DRIVE_CHECK + 2] = _TWO_NOPS
    return bytes(boot), bytes(image)


def eltorito(built: Built, holder: str) -> bytearray:
    """The core image for a CD whose file `holder` has what UEFI boots; hybrid() completes it."""
    return bytearray(core(built, "i386-pc-eltorito", ("iso9660", "part_msdos", "loopback", "fat"), holder))


def hybrid(image: bytearray, start: int) -> bytes:
    """Boot code for the MBR of an ISO with that core image at 512-byte sector `start`."""
    first = start + _CDBOOT_SIZE // 512
    struct.pack_into("<Q", image, _CDBOOT_SIZE + _DISKBOOT_NEXT, first + 1)
    boot = bytearray((GRUB.folder() / "boot_hybrid.img").read_bytes()[:_BOOT_CODE])
    struct.pack_into("<Q", boot, _HYBRID_CORE_SECTOR, first)
    return bytes(boot)


def _mark(built: Built) -> str:
    # A name of this build alone, so that another medium in the same machine is not taken for it.
    return f"boot/{shown_build(built.build_id) or 'mark'}"
