"""An ISO that boots by GRUB and multiboot2, on BIOS and UEFI, made by grub-mkrescue (GRUB 2.06 and later)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootwright.common import scratch
from bootwright.image.built import Built
from bootwright.media.grub import GRUB_MKRESCUE, PLATFORMS
from bootwright.media.medium import BOTH, BootMethod


def make(built: Built, firmware: str) -> list[str]:
    """Write NAME.grub.iso beside the image. Raises ToolError."""
    PLATFORMS[firmware].folder()
    iso = built.elf.with_suffix(".grub.iso")
    with scratch.own(iso.parent, iso.name) as folder:
        config = folder / "grub.cfg"
        config.write_text(configuration(built), encoding="utf-8")
        partial = folder / iso.name
        GRUB_MKRESCUE.write_iso(partial, {"boot/grub/grub.cfg": config, **files(built)})
        partial.replace(iso)
    return ["-cdrom", iso.name]


def files(built: Built) -> dict[str, Path]:
    """What lies on the ISO beside GRUB: the image, and modules that the loader brings, by place."""
    names = [built.elf.name, *(module.file for module in built.modules)]
    return {f"boot/{name}": built.elf.parent / name for name in names}


def configuration(built: Built) -> str:
    """grub.cfg: the image by multiboot2, at once, messages on screen and on the first serial port."""
    lines = [
        # UEFI's own console is on the serial port already.
        'if [ "$grub_platform" = pc ]; then',
        "    serial --unit=0 --speed=115200",
        "    terminal_output console serial",
        "else",
        "    insmod efi_gop",  # without it GRUB does not say what the screen is
        "fi",
        "timeout=0",
        f'menuentry "{built.name}" {{',
        f'    multiboot2 "/boot/{built.elf.name}"',
        *(f'    module2 "/boot/{module.file}" "{module.name}"' for module in built.modules),
        "}",
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def attach(built: Built, firmware: str) -> Iterator[list[str]]:
    """The same, as a BootMethod's attach."""
    yield make(built, firmware)


BOOT_METHOD = BootMethod("grub", BOTH, attach)
