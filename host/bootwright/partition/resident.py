"""The resident part as one kernel: its program, linked, with its data behind it as a further segment.

    linked = link(cache)
    path.write_bytes(with_data(linked.image, found))    # an ELF file with a PVH note

Whoever loads an ELF kernel by PVH loads this: the stub, and QEMU's -kernel.
"""

from __future__ import annotations

from pathlib import Path

from bootwright.common import abi
from bootwright.common.ranges import Range
from bootwright.link import elf_writer, layout
from bootwright.link.linked import Linked
from bootwright.link.program import program
from bootwright.partition.compute import Partition

LAYOUT = "partition"


def link(cache: Path | None) -> Linked:
    """The program, with room for one more segment; cache: where results are kept. Raises as link.program does."""
    files = layout.load(LAYOUT).files
    paths = [abi.stub_directory() / f"{name}.asm" for names in files.values() for name in names]
    return program(paths, LAYOUT, cache, reasons=set(files), spare_headers=1)


def code(cache: Path | None) -> Range:
    """Where its code and constants lie: what stays as it is."""
    symbols = link(cache).symbols
    return Range(symbols["__start_text"], symbols["__end_fixups"])


def with_data(image: bytes, found: Partition) -> bytes:
    """The ELF file of a program that was linked with a spare program header, with the data as one more segment.

    Zeros at their end are not in the file. Raises ValueError for a file without a spare header.
    """
    return elf_writer.with_segment(image, "rw", found.base, found.data, found.length)
