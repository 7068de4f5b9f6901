"""An image with good tables for boots of the stub under Unicorn, what loaders hand over beside it, and the lines that
such a boot has to print."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import lz4.block
from machine import ABI, BUILD_ID, LOADER, C, Machine, Tables, pvh_info

PVH = C["XEN_HVM_START_MAGIC_VALUE"]
KERNEL, RAMDISK, PACKED = 0x800000, 0x900000, 0x600000
TEXT = b"kernel text, " * 50


def good_tables(**domain: Any) -> Tables:
    """A domain with an LZ4-packed kernel of one piece and a stored ramdisk that is used where it lies."""
    packed = lz4.block.compress(TEXT, store_size=False)
    tables = Tables()
    tables.modules = [
        dict(
            name="dom0.kernel",
            kind=C["BOOTMOD_KERNEL"],
            flags=C["MODULE_EMBEDDED"] | C["MODULE_VERIFY"],
            string="  quiet",
            load_address=PACKED,
            size=len(packed),
            unpacked_size=len(TEXT),
            first_piece=0,
            nr_pieces=1,
            sha256=list(hashlib.sha256(packed).digest()),
        ),
        dict(
            name="dom0.ramdisk",
            kind=C["BOOTMOD_RAMDISK"],
            flags=C["MODULE_EMBEDDED"] | C["MODULE_VERIFY"],
            string="",
            load_address=RAMDISK,
            size=5,
            unpacked_size=5,
            sha256=list(hashlib.sha256(b"files").digest()),
        ),
    ]
    tables.pieces = [
        dict(
            source=0,
            source_size=len(packed),
            dest=KERNEL,
            dest_size=len(TEXT),
            zero_size=99,
            method=C["PACK_LZ4"],
        )
    ]
    tables.domains = [
        dict(
            name="dom0",
            permissions=3,
            functions=C["FUNCTION_INITIAL_DOMAIN"] | C["FUNCTION_CONSOLE"],
            mode=C["MODE_LONG"],
            ncpus=1,
            mem_size=4096,
            kernel=0,
            ramdisk=1,
            configs=[C["NO_MODULE"]] * 2,
            protocol=C["PROTOCOL_PVH"],
            entry=KERNEL + 16,
        )
        | domain
    ]
    return tables


def machine_with(tables: Tables, **overrides: int) -> Machine:
    machine = Machine(tables.encode(**overrides))
    machine.write(PACKED, lz4.block.compress(TEXT, store_size=False))
    machine.write(RAMDISK, b"files")
    machine.write(KERNEL, b"\xff" * 0x1000)
    pvh_info(machine, cmdline="image -- extra  words")
    return machine


def boot(tables: Tables, **overrides: int) -> Machine:
    machine = machine_with(tables, **overrides)
    machine.boot(PVH)
    return machine


def line(name: str, *values: int | str) -> str:
    return str(ABI.strings["M_PREFIX"]) + ABI.format(name, *values)


def stub_place(machine: Machine) -> tuple[str, int, int]:
    """What the first line says of the stub: the first eight digits of its build id, and where it lies."""
    return BUILD_ID.hex()[:8], machine.symbols["__image_start"], machine.symbols["__image_end"]


def multiboot2(machine: Machine, *tags: tuple[int, bytes], total: int | None = None) -> None:
    body = b""
    for kind, content in (*tags, (C["MULTIBOOT2_TAG_END"], b"")):
        tag = struct.pack("<II", kind, 8 + len(content)) + content
        body += tag + b"\0" * (-len(tag) % 8)
    machine.write(LOADER, struct.pack("<II", total or 8 + len(body), 0) + body)


def mmap_tag(*ranges: tuple[int, int, int]) -> tuple[int, bytes]:
    return C["MULTIBOOT2_TAG_MMAP"], struct.pack("<II", 24, 0) + b"".join(struct.pack("<QQII", *r, 0) for r in ranges)


def failure(name: str, *values: int | str) -> str:
    """The line, less its prefix, that a failure prints."""
    return f"E{C[name]:04x}: " + ABI.format(f"{name}_TEXT", *values)


def check(machine: Machine, name: str, *values: int | str) -> None:
    assert machine.error() == failure(name, *values)
    assert machine.transcript.endswith(line("M_FAILED_HALT") + "\n")
