"""An ELF kernel as a loader hands it to the generic stub, written here byte by byte."""

from __future__ import annotations

import struct

KERNEL, FIRST, SECOND = 0x2000000, 0x600000, 0x700000
ENTRY = KERNEL + 0x10


def elf(
    bits: int = 64,
    note: bool = True,
    segments: int = 1,
    entry: int = 0,
    head: bytes = b"",
    dest: int = KERNEL,
) -> bytes:
    """An ELF kernel: `segments` times 64 bytes of text at dest and behind, and Xen's note if asked for."""
    desc = struct.pack("<I" if bits == 32 else "<Q", ENTRY)
    notes = struct.pack("<III4s", 4, 8, 1, b"Xen\0") + b"ignored!" + struct.pack("<III4s", 4, len(desc), 18, b"Xen\0")
    notes += desc
    loads = [(1, 0x4000 + 64 * i, dest + 0x1000 * i, 64, 96) for i in range(segments)]
    headers = [*loads, *([(4, 0x3F00, 0, len(notes), len(notes))] if note else [])]
    if bits == 64:
        table = b"".join(struct.pack("<IIQQQQQQ", k, 5, o, a + 2**40, a, f, m, 0) for k, o, a, f, m in headers)
        ident = struct.pack(
            "<4sBBB9xHHIQQQIHHHHHH",
            b"\x7fELF",
            2,
            1,
            1,
            2,
            62,
            1,
            entry and entry + 2**40,
            64,
            0,
            0,
            64,
            56,
            len(headers),
            0,
            0,
            0,
        )
    else:
        table = b"".join(struct.pack("<IIIIIIII", k, o, a, a, f, m, 5, 0) for k, o, a, f, m in headers)
        ident = struct.pack(
            "<4sBBB9xHHIIIIIHHHHHH",
            b"\x7fELF",
            1,
            1,
            1,
            2,
            3,
            1,
            entry,
            52,
            0,
            0,
            52,
            32,
            len(headers),
            0,
            0,
            0,
        )
    file = bytearray((ident + table).ljust(0x3000, b"\0"))
    file[0x2000 - len(head) : 0x2000] = head
    text = b"".join(bytes([i + 1]) * 64 for i in range(segments))
    return bytes(file.ljust(0x3F00, b"\0") + notes.ljust(0x100, b"\0") + text)
