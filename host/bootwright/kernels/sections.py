"""The section headers of ELF kernels, which multiboot tells a kernel of, and what of the sections no segment loads:
symbols, strings, debug information.

    found = find(stream)                    # Sections, None for a file that has none to tell of
    place(found, base, size)                # the same, with addresses for what is not loaded

Specifications: the ELF gABI; Multiboot2 2.0, 3.6.7; Multiboot 0.6.96, 3.3. As GRUB 2.06 has it, a section with the
address 0 is one that is not loaded, and gets the address where its bytes lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from bootwright.common.abi import load as load_abi
from bootwright.common.ranges import Range
from bootwright.kernels.elf import MAGIC


@dataclass(frozen=True)
class Sections:
    """`count` headers of `size` bytes each; names: number of the section that holds their names."""

    count: int
    size: int
    names: int
    headers: bytes

    @property
    def records(self) -> Iterator[Any]:
        """The headers, as elf32_shdr or elf64_shdr."""
        bits = 64 if self.size == load_abi().constants["ELF64_SHDR_SIZEOF"] else 32
        record = load_abi().struct(f"elf{bits}_shdr")
        return (record(self.headers[i * self.size : (i + 1) * self.size]) for i in range(self.count))


def find(stream: BinaryIO) -> Sections | None:
    """The section headers of an ELF file, as they are in it; None where it has none, or more than can be told of."""
    constants = load_abi().constants
    size = stream.seek(0, 2)
    stream.seek(0)
    head = stream.read(constants["ELF64_EHDR_SIZEOF"])
    if len(head) < constants["ELF64_EHDR_SIZEOF"] or not head.startswith(MAGIC):
        return None
    bits = 64 if head[constants["ELF_CLASS"]] == constants["ELF_CLASS_64"] else 32
    found = load_abi().struct(f"elf{bits}_ehdr")(head)
    each = constants[f"ELF{bits}_SHDR_SIZEOF"]
    length = found.e_shnum * each
    if not length or found.e_shentsize != each or length > constants["MAX_SECTION_HEADERS"]:
        return None
    if found.e_shoff + length > size:
        return None
    stream.seek(found.e_shoff)
    return Sections(found.e_shnum, each, found.e_shstrndx, stream.read(length))


def not_loaded(header: Any, size: int) -> Range | None:
    """Where in a file of `size` bytes a section lies that no segment loads; None for any other."""
    if header.sh_addr or not header.sh_size or header.sh_type == load_abi().constants["ELF_SHT_NOBITS"]:
        return None
    where = Range.sized(header.sh_offset, header.sh_size)
    return where if where.end <= size else None


def place(found: Sections, base: int, size: int) -> Sections:
    """The headers with addresses for what is not loaded of a file of `size` bytes, whose first byte would lie at
    `base`.
    """
    made = b""
    for header in found.records:
        if not_loaded(header, size):
            header.sh_addr = base + header.sh_offset
        made += header.dumps()
    return replace(found, headers=made)
