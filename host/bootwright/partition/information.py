"""What a domain's kernel finds in its memory at the entry: start information or boot_params, map, command line.

Specifications: Xen's public/arch-x86/hvm/start_info.h; Linux Documentation/arch/x86/boot.rst and zero-page.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bootwright.common.abi import load as load_abi
from bootwright.common.ranges import Range, align_up
from bootwright.partition.layout import RECORD_ALIGN
from bootwright.partition.regions import MapEntry
from bootwright.partition.vmcb import CODE_SELECTOR, DATA_SELECTOR

# Flat descriptors for code and data of 32 bits (AMD APM volume 2, 4.7), at the two selectors.
_CODE32, _DATA32 = 0x00CF9B000000FFFF, 0x00CF93000000FFFF


@dataclass(frozen=True)
class Told:
    """What there is to tell. setup: the start of a bzImage, for protocol "linux"."""

    cmdline: str
    map: Sequence[MapEntry]
    rsdp: int
    entry: int
    ramdisk: Range | None = None
    setup: bytes = b""
    initial: bool = False


@dataclass(frozen=True)
class Information:
    """Bytes for guest address `base`. start: the address that the entry's register holds; gdt: the descriptors'."""

    base: int
    data: bytes
    start: int
    gdt: Range

    @property
    def range(self) -> Range:
        """The guest addresses that it takes."""
        return Range.sized(self.base, len(self.data))


class _Area:
    """The information as it grows; every item is aligned."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.data = bytearray()

    def alloc(self, data: bytes) -> int:
        """Add an item; gives its address."""
        address = self.base + len(self.data)
        self.data += data.ljust(align_up(len(data), RECORD_ALIGN), b"\0")
        return address

    def put(self, address: int, data: bytes) -> None:
        """Fill an item that was allocated before."""
        start = address - self.base
        self.data[start : start + len(data)] = data


def information(protocol: str, told: Told) -> Information:
    """What a kernel finds from LOW_BASE on, by the protocol's name: "pvh" or "linux"."""
    area = _Area(load_abi().constants["LOW_BASE"])
    start = {"pvh": _pvh, "linux": _linux}[protocol](area, told)
    gdt = area.alloc(_gdt())
    return Information(area.base, bytes(area.data), start, Range.sized(gdt, len(_gdt())))


def _gdt() -> bytes:
    held = [0] * (max(CODE_SELECTOR, DATA_SELECTOR) // 8 + 1)
    held[CODE_SELECTOR // 8], held[DATA_SELECTOR // 8] = _CODE32, _DATA32
    return struct.pack(f"<{len(held)}Q", *held)


def _record(name: str, **values: Any) -> bytes:
    return bytes(load_abi().struct(name)(**values).dumps())


def _pvh(area: _Area, told: Told) -> int:
    constants = load_abi().constants
    start = area.alloc(bytes(constants["HVM_START_INFO_SIZEOF"]))
    modules = b""
    if told.ramdisk:
        modules = _record("hvm_modlist_entry", paddr=told.ramdisk.start, size=told.ramdisk.size)
    info = _record(
        "hvm_start_info",
        magic=constants["XEN_HVM_START_MAGIC_VALUE"],
        version=1,
        flags=constants["SIF_PRIVILEGED"] | constants["SIF_INITDOMAIN"] if told.initial else 0,
        nr_modules=1 if told.ramdisk else 0,
        modlist_paddr=area.alloc(modules) if modules else 0,
        cmdline_paddr=area.alloc(told.cmdline.encode() + b"\0"),
        rsdp_paddr=told.rsdp,
        memmap_paddr=area.alloc(
            b"".join(
                _record("hvm_memmap_table_entry", addr=entry.range.start, size=entry.range.size, type=entry.type)
                for entry in told.map
            )
        ),
        memmap_entries=len(told.map),
    )
    area.put(start, info)
    return start


def _linux(area: _Area, told: Told) -> int:
    """boot_params: zeros but for the kernel's setup header, and what is filled in."""
    constants = load_abi().constants
    whole = constants["BOOT_PARAMS_SIZEOF"]
    header = load_abi().struct("boot_params")(told.setup[:whole].ljust(whole, b"\0"))
    first = constants["BOOT_PARAMS_SETUP_SECTS"]
    last = min(constants["BOOT_PARAMS_HEADER"] + header.jump_offset, constants["BOOT_PARAMS_PAD7"])
    params = load_abi().struct("boot_params")(bytes(first) + told.setup[first:last].ljust(whole - first, b"\0"))
    start = area.alloc(bytes(whole))
    params.type_of_loader = constants["LINUX_LOADER_UNDEFINED"]
    params.vid_mode = constants["LINUX_NORMAL_VGA"]
    params.acpi_rsdp_addr = told.rsdp
    params.code32_start = told.entry
    params.cmd_line_ptr = area.alloc(told.cmdline.encode() + b"\0")
    if told.ramdisk:
        params.ramdisk_image, params.ramdisk_size = told.ramdisk.start, told.ramdisk.size
    entries = [
        _record("boot_e820_entry", addr=entry.range.start, size=entry.range.size, type=entry.type) for entry in told.map
    ]
    params.e820_entries = len(entries)
    params.e820_table = list(b"".join(entries).ljust(len(params.e820_table), b"\0"))
    area.put(start, bytes(params.dumps()))
    return start
