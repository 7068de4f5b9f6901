"""QEMU's own loader: `-kernel`, which enters an ELF32 by its multiboot1 header.

Modules from the loader are given as `-initrd "FILE STRING,FILE STRING"`; QEMU hands each over with all of
that as its string, so a module's name is the second word.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bootwright.image.built import Built
from bootwright.media.medium import BootMethod


def make(built: Built, firmware: str) -> list[str]:
    """The arguments alone: nothing is written."""
    arguments = ["-kernel", built.elf.name]
    if built.modules:
        # A comma in a file name is doubled; a space would end it, and module names have none.
        modules = (f"{module.file} {module.name}".replace(",", ",,") for module in built.modules)
        arguments += ["-initrd", ",".join(modules)]
    return arguments


@contextmanager
def attach(built: Built, firmware: str) -> Iterator[list[str]]:
    """The same, as a BootMethod's attach."""
    yield make(built, firmware)


BOOT_METHOD = BootMethod(
    "kernel", frozenset({"bios"}), attach, "QEMU's own loader starts a kernel without UEFI", ".elf"
)
