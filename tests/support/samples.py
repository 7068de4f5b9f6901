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

from bootwright.common.abi import load as load_abi

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
    return note(kind, entry.to_bytes(size, "little") if size else b"", owner)


def note(kind: int, desc: bytes, owner: bytes = b"Xen") -> bytes:
    """Any ELF note."""
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
    entry: int = 0,
    align: int = 1,
) -> bytes:
    """An ELF file with these segments; `notes` None for the PVH note of an entry at 0x400000.

    entry: the file's own; align: of the first segment's bytes in the file.
    """
    notes = pvh_note(0x400000) if notes is None else notes
    ehsize, phsize = (64, 56) if bits == 64 else (52, 32)
    offset = ehsize + phsize * (len(loads) + bool(notes))
    headers, body = b"", bytes(-offset % align)
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
        f"<HHI{word}{word}{word}IHHHHHH", kind, machine, 1, entry, ehsize, 0, 0, ehsize, phsize, count, 0, 0, 0
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


def bzimage(payload: bytes, *, version: int = 0x20F, cmdline_size: int = 2047) -> bytes:
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
    struct.pack_into("<I", setup, 0x238, cmdline_size)
    struct.pack_into("<II", setup, 0x248, offset, len(payload))
    return bytes(setup) + protected


def linux(code: bytes = b"\xf4" * 0x400, **fields: int) -> bytes:
    """A bzImage for the Linux boot protocol: any field of boot_params' header can be set."""
    abi = load_abi()
    header = {"setup_sects": 1, "boot_flag": 0xAA55, "jump_offset": 0x6A, "header": 0x53726448, "version": 0x20F,
              "loadflags": 1, "code32_start": 0x100000, "initrd_addr_max": 0x7FFFFFFF, "cmdline_size": 255,
              "kernel_alignment": 0x200000, "relocatable_kernel": 1, "xloadflags": 1, "pref_address": 0x1000000,
              "init_size": 0x3000, "syssize": -(-len(code) // 16)} | fields  # fmt: skip
    setup = abi.struct("boot_params")(**header).dumps()[: abi.constants["BOOT_PARAMS_PAD7"]]
    start = ((header["setup_sects"] or 4) + 1) * 512
    return bytes(setup.ljust(start, b"\0") + code)


def multiboot1(flags: int = 3, *more: int) -> bytes:
    """A multiboot1 header; more: the address fields."""
    return struct.pack(f"<{3 + len(more)}I", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF, *more)


def multiboot2(*tags: bytes, length: int | None = None) -> bytes:
    """A multiboot2 header with these tags, and the end."""
    body = b"".join(tag + bytes(-len(tag) % 8) for tag in (*tags, struct.pack("<HHI", 0, 0, 8)))
    length = 16 + len(body) if length is None else length
    return struct.pack("<4I", 0xE85250D6, 0, length, -(0xE85250D6 + length) & 0xFFFFFFFF) + body


def tag2(kind: int, *content: int, optional: bool = False) -> bytes:
    """A tag of a multiboot2 header."""
    return struct.pack(f"<HHI{len(content)}I", kind, optional, 8 + 4 * len(content), *content)


def headed(header: bytes, bits: int = 32, entry: int = 0x400000) -> bytes:
    """An ELF kernel with a multiboot header in its only segment, and no note."""
    return elf([Load(0x400000, header.ljust(64, b"\xf4"))], b"", bits=bits, entry=entry, align=8)


def with_sections(file: bytes, bits: int, tables: Sequence[bytes], **head: int) -> bytes:
    """An ELF file of samples.elf with section headers: nothing, .text, and `tables` that no segment loads, the last of
    them with the names. head: fields of its header to change.
    """
    names = [b".text", b".symtab", b".strtab", b".shstrtab"]
    record = load_abi().struct(f"elf{bits}_shdr")
    text = load_abi().struct(f"elf{bits}_phdr")(file[64 if bits == 64 else 52 :])
    headers = [
        record(sh_addr=0).dumps(),
        record(sh_name=1, sh_type=1, sh_addr=text.p_vaddr, sh_offset=text.p_offset, sh_size=text.p_filesz).dumps(),
    ]
    for number, table in enumerate(tables):
        file += bytes(-len(file) % 16)
        kind = 2 if not number else 3
        name = tables[-1].find(names[1 + number] + b"\0")
        place = dict(sh_offset=len(file), sh_size=len(table), sh_link=3 * (not number), sh_entsize=16 * (not number))
        headers.append(record(sh_name=max(name, 0), sh_type=kind, **place).dumps())
        file += table
    file += bytes(-len(file) % 16)
    changed = load_abi().struct(f"elf{bits}_ehdr")(file)
    size = len(record)
    fields = {"e_shoff": len(file), "e_shnum": len(headers), "e_shentsize": size, "e_shstrndx": len(headers) - 1} | head
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed.dumps() + file[len(changed.dumps()) :] + b"".join(headers)


def kernels() -> dict[str, bytes]:
    """The files that descriptions of tests name, by file name."""
    note = pvh_note(0x400000)
    whole = bzimage(pack_payload(elf(), "gzip"))
    return {
        "good.elf": elf(),
        "good32.elf": elf(bits=32),
        "good.bz": whole,
        "early.bz": whole[:-64],
        "short-cmdline.bz": bzimage(pack_payload(elf(), "gzip"), cmdline_size=255),
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
        "linux.bz": linux(),
        "linux-early.bz": linux(syssize=0x1000),
        "linux-header.bz": linux()[:0x260],
        "linux-low.bz": linux(pref_address=0x8000),
        "linux-high.bz": linux(pref_address=0xFFFFF000),
        "linux-zimage.bz": linux(loadflags=0),
        "linux-alignment.bz": linux(kernel_alignment=0x3000),
        "linux-init-size.bz": linux(init_size=0x4000000),
        "mb1.elf": headed(multiboot1()),
        "mb1-flags.elf": headed(multiboot1(11)),
        "mb2.elf": headed(multiboot2()),
        "mb2-request.elf": headed(multiboot2(tag2(1, 4, 6, 99))),
        "mb2-tag.elf": headed(multiboot2(tag2(7))),
        "mb2-entry.elf": headed(multiboot2(tag2(3, 0x500000))),
        "mb2-cut.elf": headed(multiboot2(length=0x1000)),
        "damaged.gz": gzip.compress(elf(), mtime=0)[:-40],
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
