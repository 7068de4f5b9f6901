"""QEMU's own loader: `-kernel`, which enters an ELF32 by its multiboot1 header.

Modules from the loader are given as `-initrd "FILE STRING,FILE STRING"`; QEMU hands each over with all of
that as its string, so a module's name is the second word.
"""

from __future__ import annotations

from bootwright.media.medium import Medium
from bootwright.report import Built


def make(built: Built, firmware: str) -> list[str]:
    """The arguments alone: nothing is written."""
    arguments = ["-kernel", built.elf.name]
    if built.modules:
        # A comma in a file name is doubled; a space would end it, and module names have none.
        modules = (f"{module.file} {module.name}".replace(",", ",,") for module in built.modules)
        arguments += ["-initrd", ",".join(modules)]
    return arguments


MEDIUM = Medium("kernel", frozenset({"bios"}), make)
