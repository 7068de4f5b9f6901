"""Kernels written byte by byte, each field as it is asked for: ELF files, and files of no format at all."""

from __future__ import annotations

import struct
from dataclasses import dataclass

BASE = 0x2000000  # where these kernels go
TEXT, NOTES, SIZE = 0x2000, 0x3000, 0x4000  # offsets in the file
HEADER = 0x1E00  # of a multiboot header: behind 128 program headers
ENTRY = BASE + 0x10
LOAD, NOTE, STACK = 1, 4, 0x6474E551


@dataclass(frozen=True)
class Header:
    """A program header."""

    kind: int = LOAD
    offset: int = TEXT
    paddr: int = BASE
    filesz: int = 0x100
    memsz: int = 0x180
    vaddr: int | None = None  # None: as paddr
    align: int = 0x1000

    def pack(self, bits: int) -> bytes:
        vaddr = self.paddr if self.vaddr is None else self.vaddr
        if bits == 64:
            values = (self.kind, 7, self.offset, vaddr, self.paddr, self.filesz, self.memsz, self.align)
            return struct.pack("<IIQQQQQQ", *values)
        values = (self.kind, self.offset, vaddr, self.paddr, self.filesz, self.memsz, 7, self.align)
        return struct.pack("<8I", *(value & 0xFFFFFFFF for value in values))


def elf(
    *headers: Header,
    bits: int = 64,
    entry: int = ENTRY,
    multiboot: bytes = b"",
    notes: bytes = b"",
    size: int = SIZE,
    **ident: int,
) -> bytes:
    """An ELF file. ident: class_, data, kind, machine, phentsize, phnum, phoff instead of what is right."""
    table = headers or (Header(),)
    if notes:
        table = (*table, Header(NOTE, NOTES, 0, len(notes), len(notes)))
    header_size, entry_size = (64, 56) if bits == 64 else (52, 32)
    word = "Q" if bits == 64 else "I"
    file = bytearray(size)
    file[:16] = b"\x7fELF" + bytes([ident.get("class_", bits // 32), ident.get("data", 1), 1]) + bytes(9)
    struct.pack_into(
        f"<HHI{word}{word}{word}IHHHHHH",
        file,
        16,
        ident.get("kind", 2),
        ident.get("machine", 62 if bits == 64 else 3),
        1,
        entry,
        ident.get("phoff", header_size),
        0,
        0,
        header_size,
        ident.get("phentsize", entry_size),
        ident.get("phnum", len(table)),
        0,
        0,
        0,
    )
    packed = b"".join(header.pack(bits) for header in table)
    file[header_size : header_size + len(packed)] = packed
    file[HEADER : HEADER + len(multiboot)] = multiboot
    file[TEXT : TEXT + 0x1000] = bytes(number * 7 & 0xFF for number in range(0x1000))
    file[NOTES : NOTES + len(notes)] = notes
    return bytes(file[:size])


def flat(multiboot: bytes, size: int = SIZE, at: int = 0x40) -> bytes:
    """A file that is no ELF file, with a header at byte `at`."""
    file = bytearray(number * 5 & 0xFF for number in range(size))
    file[at : at + len(multiboot)] = multiboot
    return bytes(file[:size])
