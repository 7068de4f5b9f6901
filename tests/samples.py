"""Small kernels, sound and broken, and descriptions around them, for the tests."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lz4.block
import zstandard

PT_LOAD, PT_NOTE = 1, 4


@dataclass(frozen=True)
class Load:
    """A PT_LOAD to write; filesz None for the length of data."""

    paddr: int
    data: bytes
    memsz: int | None = None
    filesz: int | None = None


def pvh_note(entry: int, size: int = 4, owner: bytes = b"Xen", kind: int = 18) -> bytes:
    """An ELF note as the PVH protocol has it."""
    desc = entry.to_bytes(size, "little") if size else b""
    name = owner + b"\0"
    padded = name + bytes(-len(name) % 4) + desc + bytes(-len(desc) % 4)
    return struct.pack("<III", len(name), len(desc), kind) + padded


def elf(
    loads: Sequence[Load] = (Load(0x400000, b"\xf4" * 64),),
    notes: bytes | None = None,
    *,
    bits: int = 64,
    machine: int | None = None,
    kind: int = 2,
) -> bytes:
    """An ELF file with these segments; `notes` None for the PVH note of an entry at 0x400000."""
    notes = pvh_note(0x400000) if notes is None else notes
    ehsize, phsize = (64, 56) if bits == 64 else (52, 32)
    offset = ehsize + phsize * (len(loads) + bool(notes))
    headers, body = b"", b""
    for load in [*loads, *([notes] if notes else [])]:
        if isinstance(load, bytes):
            values = (PT_NOTE, offset + len(body), 0, len(load), len(load))
            body += load
        else:
            filesz = len(load.data) if load.filesz is None else load.filesz
            memsz = max(filesz, len(load.data)) if load.memsz is None else load.memsz
            values = (PT_LOAD, offset + len(body), load.paddr, filesz, memsz)
            body += load.data
        p_type, p_offset, paddr, filesz, memsz = values
        if bits == 64:
            headers += struct.pack("<IIQQQQQQ", p_type, 7, p_offset, paddr, paddr, filesz, memsz, 1)
        else:
            headers += struct.pack("<IIIIIIII", p_type, p_offset, paddr, paddr, filesz, memsz, 7, 1)
    count = len(headers) // phsize
    machine = machine if machine is not None else (62 if bits == 64 else 3)
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1, 1]) + bytes(9)
    word = "Q" if bits == 64 else "I"
    head = struct.pack(
        f"<HHI{word}{word}{word}IHHHHHH", kind, machine, 1, 0, ehsize, 0, 0, ehsize, phsize, count, 0, 0, 0
    )
    return ident + head + headers + body


def pack_payload(data: bytes, method: str) -> bytes:
    """A kernel's payload as Linux's build packs it: the unpacked size in the last 4 bytes."""
    size = struct.pack("<I", len(data))
    if method == "gzip":
        return gzip.compress(data, mtime=0)
    if method == "xz":
        return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32) + size
    if method == "lzma":
        return lzma.compress(data, format=lzma.FORMAT_ALONE) + size
    if method == "bzip2":
        return bz2.compress(data) + size
    if method == "zstd":
        return zstandard.ZstdCompressor(level=19).compress(data) + size
    assert method == "lz4"
    blocks = b"\x02\x21\x4c\x18"
    for start in range(0, len(data), 8 << 20):
        block = lz4.block.compress(data[start : start + (8 << 20)], store_size=False)
        blocks += struct.pack("<I", len(block)) + block
    return blocks + size


def bzimage(payload: bytes, *, version: int = 0x20F) -> bytes:
    """A bzImage around a packed payload."""
    setup_sects, offset = 1, 0x100
    protected = bytes(offset) + payload
    protected += bytes(-len(protected) % 16)
    setup = bytearray((setup_sects + 1) * 512)
    setup[0x1F1] = setup_sects
    struct.pack_into("<I", setup, 0x1F4, len(protected) // 16)
    setup[0x1FE:0x200] = b"\x55\xaa"
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, version)
    struct.pack_into("<II", setup, 0x248, offset, len(payload))
    return bytes(setup) + protected


def kernels() -> dict[str, bytes]:
    """The files that descriptions of tests name, by file name."""
    note = pvh_note(0x400000)
    whole = bzimage(pack_payload(elf(), "gzip"))
    return {
        "good.elf": elf(),
        "good32.elf": elf(bits=32),
        "good.bz": whole,
        "early.bz": whole[:-64],
        "setup-only.bz": whole[:0x260],
        "damaged.bz": bzimage(b"\x1f\x8b\x08" + bytes(60)),
        "unknown.bz": bzimage(b"?" * 64),
        "noelf.bz": bzimage(pack_payload(b"no kernel at all", "gzip")),
        "text.txt": b"this is no kernel\n",
        "empty": b"",
        "nonote.elf": elf(notes=b""),
        "othernote.elf": elf(notes=pvh_note(0x400000, owner=b"GNU")),
        "shortnote.elf": elf(notes=pvh_note(0, 0)),
        "entry.elf": elf(notes=pvh_note(0x500000)),
        "past-end.elf": elf([Load(0x400000, b"x" * 64, filesz=0x10000)], note),
        "overlap.elf": elf([Load(0x400000, b"x" * 64), Load(0x400020, b"y" * 64)], note),
        "huge.elf": elf([Load(0x400000, b"x" * 64, memsz=1 << 32)], note),
        "wide.elf": elf([Load(0x400000, b"x" * 64, memsz=0x3000000)], note),
        "mem-less.elf": elf([Load(0x400000, b"x" * 64, memsz=16)], note),
        "noload.elf": elf([], note),
        "on-stub.elf": elf([Load(0x1F0000, b"x" * 0x20000)], pvh_note(0x1F0000)),
        "low.elf": elf([Load(0x8000, b"x" * 64)], pvh_note(0x8000)),
        "zeros.elf": elf([Load(0x400000, bytes(64))]),
        "arm.elf": elf(machine=183),
        "object.elf": elf(kind=1),
        "cut.elf": elf()[:80],
        "ramdisk": b"a ramdisk\n" * 10,
    }


def write_kernels(folder: Path) -> None:
    """Put all of them into a folder; `big` is a sparse file of 8 MiB."""
    for name, data in kernels().items():
        (folder / name).write_bytes(data)
    with (folder / "big").open("wb") as file:
        file.truncate(8 << 20)
    (folder / "folder").mkdir(exist_ok=True)


DOMAIN = """
[[domain]]
name = "dom0"
functions = ["initial-domain"]
memory = "64M"
kernel = "good.elf"
"""
