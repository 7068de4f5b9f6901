"""What a kernel is told by each launch protocol, byte for byte: the reference for stub/launch/*.asm.

    information("pvh", told, area)      # the bytes that the kernel finds in the hand-over area

Specifications: Xen's public/arch-x86/hvm/start_info.h; Multiboot 0.6.96; Multiboot2 2.0; Linux
Documentation/arch/x86/boot.rst and zero-page.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bootwright.common.abi import load as load_abi
from bootwright.common.ranges import Range
from bootwright.hyperlaunch.model import MemoryRange
from bootwright.kernels import linux
from bootwright.kernels.sections import Sections
from bootwright.reference.machine import BootDevice, Efi, Framebuffer, basic_memory

ITEM_ALIGN = 8
UPPER_MEMORY = 1 << 20


@dataclass(frozen=True)
class HandoverInput:
    """What there is to tell. who: the domain's name, for errors. modules: start, size and string of each.
    ranges: normalised. file: the kernel as a file, at least its setup header, for Linux. load_base: where its
    lowest piece lies; sections: headers that it is told of, with addresses.
    """

    who: str
    entry: int
    cmdline: str
    modules: tuple[tuple[int, int, str], ...]
    ranges: tuple[MemoryRange, ...]
    rsdp: int = 0
    rsdp_bytes: bytes = b""
    framebuffer: Framebuffer | None = None
    efi: Efi | None = None
    file: bytes = b""
    load_base: int = 0
    sections: Sections | None = None
    boot_device: BootDevice | None = None


class Area:
    """The information as it grows, from address `base` on; every item is aligned. place: the hand-over area."""

    def __init__(self, place: Range) -> None:
        self.place = place
        self.base = place.start + load_abi().constants["HANDOVER_INFORMATION"]
        self.data = bytearray()

    def alloc(self, data: bytes) -> int:
        """Add an item; gives its address."""
        address = self.base + len(self.data)
        self.data += data + bytes(-len(data) % ITEM_ALIGN)
        return address

    def alloc_string(self, text: str) -> int:
        """Add a string with its terminator."""
        return self.alloc(text.encode() + b"\0")

    def put(self, address: int, data: bytes) -> None:
        """Fill an item that was allocated before."""
        start = address - self.base
        self.data[start : start + len(data)] = data


def information(protocol: str, told: HandoverInput, place: Range) -> bytes:
    """The bytes from HANDOVER_INFORMATION on in the hand-over area `place`, by the protocol's name as in
    protocols.NAMES; their number is the same wherever it lies. Raises BootFailure.
    """
    area = Area(place)
    _WRITERS[protocol](area, told)
    return bytes(area.data)


def _record(name: str, **values: Any) -> bytes:
    return bytes(load_abi().struct(name)(**values).dumps())


def _pvh(area: Area, told: HandoverInput) -> None:
    constants = load_abi().constants
    start = area.alloc(bytes(constants["HVM_START_INFO_SIZEOF"]))
    cmdline = area.alloc_string(told.cmdline)
    memmap = area.alloc(b"".join(_memory_entry(part) for part in told.ranges))
    size = constants["HVM_MODLIST_ENTRY_SIZEOF"]
    modlist = area.alloc(bytes(constants["MAX_MODULES"] * size))
    for number, (place, length, string) in enumerate(told.modules):
        text = area.alloc_string(string)
        entry = _record("hvm_modlist_entry", paddr=place, size=length, cmdline_paddr=text)
        area.put(modlist + number * size, entry)
    info = _record(
        "hvm_start_info",
        magic=constants["XEN_HVM_START_MAGIC_VALUE"],
        version=1,
        flags=constants["SIF_PRIVILEGED"] | constants["SIF_INITDOMAIN"],
        nr_modules=len(told.modules),
        modlist_paddr=modlist,
        cmdline_paddr=cmdline,
        rsdp_paddr=told.rsdp,
        memmap_paddr=memmap,
        memmap_entries=len(told.ranges),
    )
    area.put(start, info)


def _memory_entry(part: MemoryRange) -> bytes:
    return _record("hvm_memmap_table_entry", addr=part.start, size=part.end - part.start, type=part.type)


def _multiboot1(area: Area, told: HandoverInput) -> None:
    constants = load_abi().constants
    start = area.alloc(bytes(constants["MULTIBOOT1_INFO_SIZEOF"]))
    cmdline = area.alloc_string(told.cmdline)
    name = area.alloc_string(load_abi().strings["M_LOADER_NAME"])
    size = constants["MULTIBOOT1_MODULE_SIZEOF"]
    mods = area.alloc(bytes(constants["MAX_MODULES"] * size))
    for number, (place, length, string) in enumerate(told.modules):
        text = area.alloc_string(string)
        entry = _record("multiboot1_module", mod_start=place, mod_end=place + length, string=text)
        area.put(mods + number * size, entry)
    entry_size = constants["MULTIBOOT1_MMAP_SIZEOF"] - constants["MULTIBOOT1_MMAP_ADDR"]
    entries = [
        _record("multiboot1_mmap", size=entry_size, addr=p.start, len=p.end - p.start, type=p.type) for p in told.ranges
    ]
    mmap = area.alloc(b"".join(entries))
    flags = ["MEMORY", "CMDLINE", "MODS", "MMAP", "LOADER_NAME"]
    more: dict[str, Any] = {}
    if found := told.sections:
        flags.append("ELF_SECTIONS")
        syms = area.alloc(found.headers)
        more |= dict(syms_num=found.count, syms_size=found.size, syms_addr=syms, syms_shndx=found.names)
    if device := told.boot_device:
        flags.append("BOOT_DEVICE")
        more["boot_device"] = [0xFF, *(part & 0xFF for part in (device.sub_partition, device.partition, device.disk))]
    info = _record(
        "multiboot1_info",
        flags=sum(constants[f"MULTIBOOT1_INFO_FLAG_{flag}"] for flag in flags),
        mem_lower=basic_memory(told.ranges, 0),
        mem_upper=basic_memory(told.ranges, UPPER_MEMORY),
        cmdline=cmdline,
        mods_count=len(told.modules),
        mods_addr=mods,
        mmap_length=len(entries) * constants["MULTIBOOT1_MMAP_SIZEOF"],
        mmap_addr=mmap,
        boot_loader_name=name,
        **more,
    )
    area.put(start, info)


def _multiboot2(area: Area, told: HandoverInput) -> None:
    basic = (basic_memory(told.ranges, first) for first in (0, UPPER_MEMORY))
    entries = b"".join(_memory_entry(part) for part in told.ranges)
    entry_size = load_abi().constants["MULTIBOOT2_MMAP_ENTRY_SIZEOF"]
    memory = [
        ("BASIC_MEMORY", struct.pack("<II", *basic)),
        ("MMAP", struct.pack("<II", entry_size, 0) + entries),
    ]
    efi = [("EFI64", struct.pack("<Q", told.efi.system))] if told.efi else []
    if told.efi and told.efi.usable:
        head = struct.pack("<II", told.efi.descriptor_size, told.efi.descriptor_version)
        efi.append(("EFI_MMAP", head + told.efi.map))
    _tags(area, [*_modules2(told), *memory, *_machine2(told), *efi])


def _multiboot2_efi(area: Area, told: HandoverInput) -> None:
    assert told.efi is not None
    efi = [
        ("EFI_SERVICES", b""),
        ("EFI64", struct.pack("<Q", told.efi.system)),
        ("EFI64_HANDLE", struct.pack("<Q", told.efi.handle)),
    ]
    _tags(area, [*_modules2(told), *_machine2(told), *efi])


def _tags(area: Area, tags: Iterable[tuple[str, bytes]]) -> None:
    constants = load_abi().constants
    start = area.alloc(bytes(constants["MULTIBOOT2_INFO_SIZEOF"]))
    for name, content in (*tags, ("END", b"")):
        size = constants["MULTIBOOT2_TAG_SIZEOF"] + len(content)
        area.alloc(_record("multiboot2_tag", type=constants[f"MULTIBOOT2_TAG_{name}"], size=size) + content)
    area.put(start, _record("multiboot2_info", total_size=len(area.data)))


def _modules2(told: HandoverInput) -> Iterator[tuple[str, bytes]]:
    yield "CMDLINE", told.cmdline.encode() + b"\0"
    yield "LOADER_NAME", load_abi().strings["M_LOADER_NAME"].encode() + b"\0"
    for place, size, string in told.modules:
        yield "MODULE", struct.pack("<II", place, place + size) + string.encode() + b"\0"
    yield "LOAD_BASE", struct.pack("<I", told.load_base)
    if found := told.sections:
        yield "ELF_SECTIONS", struct.pack("<III", found.count, found.size, found.names) + found.headers


def _machine2(told: HandoverInput) -> Iterator[tuple[str, bytes]]:
    constants = load_abi().constants
    if device := told.boot_device:
        yield "BOOT_DEVICE", struct.pack("<III", device.disk, device.partition, device.sub_partition)
    if told.framebuffer is not None:
        yield "FRAMEBUFFER", _framebuffer(told.framebuffer)
    if 0 < told.rsdp < 1 << 32:  # above it the stub does not reach it
        yield "ACPI_OLD", told.rsdp_bytes[: constants["RSDP_V1_LENGTH"]]
        if told.rsdp_bytes[constants["RSDP_REVISION"]] >= 2:
            yield "ACPI_NEW", told.rsdp_bytes[: constants["RSDP_SIZEOF"]]


def _framebuffer(screen: Framebuffer) -> bytes:
    record = _record(
        "multiboot2_tag_framebuffer",
        addr=screen.address,
        pitch=screen.pitch,
        width=screen.width,
        height=screen.height,
        bpp=screen.bpp,
        framebuffer_type=screen.type,
        colours=list(screen.colours),
    )
    return record[load_abi().constants["MULTIBOOT2_TAG_SIZEOF"] :]


def _linux(area: Area, told: HandoverInput) -> None:
    constants = load_abi().constants
    whole = constants["BOOT_PARAMS_SIZEOF"]
    header = load_abi().struct("boot_params")(told.file[:whole].ljust(whole, b"\0"))
    first = constants["BOOT_PARAMS_SETUP_SECTS"]
    last = min(constants["BOOT_PARAMS_HEADER"] + header.jump_offset, constants["BOOT_PARAMS_PAD7"])
    params = load_abi().struct("boot_params")(bytes(first) + told.file[first:last].ljust(whole - first, b"\0"))
    start = area.alloc(bytes(whole))
    params.type_of_loader = constants["LINUX_LOADER_UNDEFINED"]
    params.vid_mode = constants["LINUX_NORMAL_VGA"]
    params.acpi_rsdp_addr = told.rsdp
    params.code32_start = told.entry
    params.cmd_line_ptr = area.alloc_string(told.cmdline)
    for place, size, _ in told.modules[:1]:
        params.ramdisk_image, params.ext_ramdisk_image = place & 0xFFFFFFFF, place >> 32
        params.ramdisk_size, params.ext_ramdisk_size = size & 0xFFFFFFFF, size >> 32
    entries = [_e820_entry(part) for part in told.ranges]
    fitting = entries[: constants["LINUX_E820_MAX"]]
    params.e820_entries = len(fitting)
    params.e820_table = list(b"".join(fitting).ljust(len(params.e820_table), b"\0"))
    if more := b"".join(entries[len(fitting) :]):
        kind = constants["LINUX_SETUP_E820_EXT"]
        params.setup_data = area.alloc(_record("setup_data", type=kind, len=len(more)) + more)
    _screen_info(params, told.framebuffer)
    if told.efi is not None and told.efi.usable:
        changed = told.efi.without(area.place)
        room = len(told.efi.map) + told.efi.descriptor_size
        params.efi_info = list(_efi_info(told.efi, area.alloc(changed.ljust(room, b"\0")), len(changed)))
    _enter(params, header)
    area.put(start, bytes(params.dumps()))


def _e820_entry(part: MemoryRange) -> bytes:
    constants = load_abi().constants
    disabled = part.type == constants["XEN_HVM_MEMMAP_TYPE_DISABLED"]
    kind = constants["XEN_HVM_MEMMAP_TYPE_RESERVED"] if disabled else part.type
    return _record("boot_e820_entry", addr=part.start, size=part.end - part.start, type=kind)


def _screen_info(params: Any, screen: Framebuffer | None) -> None:
    constants = load_abi().constants
    if screen is None or screen.type != constants["MULTIBOOT2_FRAMEBUFFER_RGB"]:
        params.orig_video_mode = constants["LINUX_VIDEO_MODE_TEXT"]
        params.orig_video_cols, params.orig_video_lines = constants["VGA_COLUMNS"], constants["VGA_ROWS"]
        params.orig_video_isvga = constants["LINUX_VIDEO_TYPE_VGAC"]
        params.orig_video_points = constants["LINUX_FONT_POINTS"]
        return
    params.orig_video_isvga = constants["LINUX_VIDEO_TYPE_VLFB"]
    params.lfb_base, params.ext_lfb_base = screen.address & 0xFFFFFFFF, screen.address >> 32
    if params.ext_lfb_base:
        params.capabilities = constants["LINUX_VIDEO_CAPABILITY_64BIT_BASE"]
    params.lfb_width, params.lfb_height = screen.width & 0xFFFF, screen.height & 0xFFFF
    params.lfb_depth, params.lfb_linelength = screen.bpp, screen.pitch & 0xFFFF
    params.lfb_size = ((screen.pitch * screen.height + 0xFFFF) & 0xFFFFFFFF) >> 16
    for name, place in (("red", 0), ("green", 2), ("blue", 4)):
        setattr(params, f"{name}_pos", screen.colours[place])
        setattr(params, f"{name}_size", screen.colours[place + 1])


def _efi_info(efi: Efi, memory_map: int, size: int) -> bytes:
    return _record(
        "efi_info",
        loader_signature=load_abi().constants["EFI_LOADER_SIGNATURE64"],
        systab=efi.system & 0xFFFFFFFF,
        systab_hi=efi.system >> 32,
        memdesc_size=efi.descriptor_size,
        memdesc_version=efi.descriptor_version,
        memmap=memory_map,
        memmap_size=size,
    )


def _enter(params: Any, header: Any) -> None:
    """What depends on the way in: real mode, 32 or 64 bits."""
    constants = load_abi().constants
    if linux.starts_in_real_mode(header):
        params.cmd_line_ptr = constants["REAL_MODE_BASE"] + constants["REAL_MODE_CMDLINE"]
        params.loadflags |= constants["LINUX_CAN_USE_HEAP"]
        params.heap_end_ptr = constants["REAL_MODE_HEAP_END"]
        return
    flags = params.xloadflags if params.version >= constants["LINUX_VERSION_XLOADFLAGS"] else 0
    if flags & constants["LINUX_XLF_KERNEL_64"]:
        params.code32_start -= constants["LINUX_ENTRY64"]


_WRITERS: dict[str, Callable[[Area, HandoverInput], None]] = {
    "pvh": _pvh,
    "linux": _linux,
    "multiboot1": _multiboot1,
    "multiboot2": _multiboot2,
    "multiboot2_efi": _multiboot2_efi,
}
