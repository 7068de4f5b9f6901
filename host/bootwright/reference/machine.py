"""A machine as a boot finds it: what the loader hands over, and its memory map as the stub reads it.

machine = Machine("multiboot2", ranges=ranges, modules=modules, stub=Range(0x100000, 0x140000))
normalise(machine.ranges)           # sorted, without overlaps: memory.asm's normalise_memory
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bootwright.common.abi import load as load_abi
from bootwright.common.messages import BootFailure
from bootwright.common.ranges import FOUR_GIB, Range, align_up
from bootwright.hyperlaunch.model import MemoryRange

# What each type of EFI's memory map is, from EfiReservedMemoryType on, once boot services have ended: RAM is code
# and data of loaders and of boot services, and what is free (UEFI 2.10, table 7.10).
EFI_TYPES = (2, 1, 1, 1, 1, 2, 2, 1, 5, 3, 4, 2, 2, 2, 7)
HIGHEST = (1 << 64) - 1
X2APIC, XAPIC = "x2APIC", "xAPIC"  # ways to use the local APIC, as they are printed


@dataclass(frozen=True)
class LoaderModule:
    """A module that the loader brought, as it lies in memory, with its string."""

    start: int
    size: int
    string: str = ""


@dataclass(frozen=True)
class Framebuffer:
    """The screen as a multiboot2 loader or EFI describes it: fields of multiboot2_tag_framebuffer."""

    address: int
    pitch: int
    width: int
    height: int
    bpp: int
    type: int
    colours: bytes = bytes(6)


@dataclass(frozen=True)
class BootDevice:
    """The BIOS disk that a multiboot loader came from, as interrupt 0x13 counts them; BOOT_DEVICE_NONE for no
    partition.
    """

    disk: int
    partition: int
    sub_partition: int


@dataclass(frozen=True)
class Efi:
    """What there is of EFI. system: address of its system table; map: its memory map, as it was when boot services
    ended, and where the stub keeps it; empty where a loader did not hand it over.

    While boot services go on, as Xen wants it, memory is the firmware's. handle: the image handle; given: what the
    firmware answers when it is asked for memory; None where boot services have ended.
    """

    system: int
    map: bytes = b""
    map_start: int = 0
    descriptor_size: int = 0
    descriptor_version: int = 0
    handle: int = 0
    given: tuple[int, ...] | None = None

    @property
    def usable(self) -> bool:
        """Whether its memory map can be one, and is handed on."""
        least = load_abi().constants["EFI_MEMORY_DESCRIPTOR_SIZEOF"]
        return least <= self.descriptor_size <= len(self.map)

    def without(self, area: Range) -> bytes:
        """Its memory map, with nothing of an area free in it: cut off, or of type loader data. What is free on both
        sides needs a descriptor more, and gets the first of them."""
        constants, size = load_abi().constants, self.descriptor_size
        free, page = constants["EFI_CONVENTIONAL_MEMORY"], constants["PAGE_SIZE"]
        found, behind = bytearray(self.map), b""
        for start in range(0, len(self.map) - size + 1, size):
            entry = load_abi().struct("efi_memory_descriptor")(self.map[start : start + size])
            first, end = entry.physical_start, entry.physical_start + entry.number_of_pages * page
            if entry.type != free or first >= area.end or end <= area.start:
                continue
            cut = entry.dumps()
            if first >= area.start and end <= area.end:
                entry.type = constants["EFI_LOADER_DATA"]
            elif first >= area.start:
                entry.physical_start, entry.number_of_pages = area.end, (end - area.end) // page
            else:
                entry.number_of_pages = (area.start - first) // page
                if end > area.end and not behind:
                    rest = load_abi().struct("efi_memory_descriptor")(cut)
                    rest.physical_start, rest.number_of_pages = area.end, (end - area.end) // page
                    behind = rest.dumps() + self.map[start + len(cut) : start + size]
            found[start : start + len(cut)] = entry.dumps()
        return bytes(found) + behind

    @property
    def ranges(self) -> tuple[MemoryRange, ...]:
        """Its memory map in the terms of everybody else's. Raises BootFailure."""
        constants = load_abi().constants
        if self.descriptor_size < constants["EFI_MEMORY_DESCRIPTOR_SIZEOF"]:
            raise BootFailure("E_EFI_MEMORY_MAP", 0, len(self.map))
        found = []
        for start in range(0, len(self.map) - self.descriptor_size + 1, self.descriptor_size):
            entry = load_abi().struct("efi_memory_descriptor")(self.map[start : start + self.descriptor_size])
            known = entry.type < len(EFI_TYPES)
            kind = EFI_TYPES[entry.type] if known else constants["XEN_HVM_MEMMAP_TYPE_RESERVED"]
            size = entry.number_of_pages * constants["PAGE_SIZE"]
            found.append(MemoryRange(entry.physical_start, entry.physical_start + size, kind))
        return tuple(found)


@dataclass(frozen=True)
class Platform:
    """What of a machine the resident part alone asks for. cpus: APIC ids of the enabled ones, in the order of ACPI's
    MADT, each once. svm_off: "" or what VM_CR says of a firmware that has switched SVM off. resident: where its code
    and constants lie.
    """

    cpus: tuple[int, ...]
    resident: Range
    boot_cpu: int = 0
    intel: bool = False
    svm: bool = True
    nested_paging: bool = True
    svm_off: str = ""
    x2apic: bool = False
    tsc_mhz: int = 0


@dataclass(frozen=True)
class Machine:
    """entry: name of the boot protocol, as the stub prints it. ranges: the loader's memory map. rsdp: address
    of the ACPI RSDP and its bytes, as many as it has. stub: where the stub lies, with all that it uses; build: what it
    shows of its build id.
    contents: of boot modules that the stub looks into, by their number in the tables. bios: whether the interrupt
    vectors of a BIOS are there; with EFI they do not count. memory_type: by the MTRRs, of where
    the stub lies; None for write-back. platform: for a partition; None ends its boot where it begins.
    """

    entry: str
    ranges: tuple[MemoryRange, ...]
    stub: Range
    build: str = ""
    loader: str | None = None
    cmdline: str = ""
    modules: tuple[LoaderModule, ...] = ()
    rsdp: int = 0
    rsdp_bytes: bytes = bytes(36)
    framebuffer: Framebuffer | None = None
    efi: Efi | None = None
    boot_device: BootDevice | None = None
    cpu: str = ""
    bios: bool = True
    memory_type: int | None = None
    platform: Platform | None = None
    contents: Mapping[int, bytes] = field(default_factory=dict, repr=False)


def joined(ranges: Iterable[MemoryRange]) -> int:
    """How many ranges the stub keeps of a loader's map: what follows on one of its type is joined to it."""
    kept: list[MemoryRange] = []
    for part in ranges:
        last = kept[-1] if kept else None
        if last and last.type == part.type and last.end == part.start and part.end < HIGHEST:
            kept[-1] = MemoryRange(last.start, part.end, last.type)
        else:
            kept.append(part)
    return len(kept)


def normalise(ranges: Sequence[MemoryRange]) -> tuple[MemoryRange, ...]:
    """Sorted ranges without overlaps: where several types claim a byte, the highest wins; neighbours of one
    type are joined; an unknown type is reserved. Raises BootFailure E_TOO_MANY_RANGES.
    """
    constants = load_abi().constants
    known = []
    for part in ranges:
        if part.start != part.end:
            named = 1 <= part.type <= constants["XEN_HVM_MEMMAP_TYPE_PMEM"]
            kind = part.type if named else constants["XEN_HVM_MEMMAP_TYPE_RESERVED"]
            known.append(MemoryRange(part.start, min(part.end, HIGHEST), kind))
    borders = sorted({border for part in known for border in (part.start, part.end)})
    found: list[MemoryRange] = []
    for start, end in pairwise(borders):
        kind = max((part.type for part in known if part.start <= start and end <= part.end), default=0)
        if not kind:
            continue
        if found and found[-1].type == kind and found[-1].end == start:
            found[-1] = MemoryRange(found[-1].start, end, kind)
        elif len(found) < constants["MAX_RANGES"]:
            found.append(MemoryRange(start, end, kind))
        else:
            raise BootFailure("E_TOO_MANY_RANGES", constants["MAX_RANGES"])
    return tuple(found)


def _is_ram(part: MemoryRange) -> bool:
    return part.type == load_abi().constants["XEN_HVM_MEMMAP_TYPE_RAM"]


def all_ram(ranges: Iterable[MemoryRange], wanted: Range) -> bool:
    """Whether all of it is RAM. ranges: normalised."""
    return any(_is_ram(part) and part.start <= wanted.start and wanted.end <= part.end for part in ranges)


def overlap(one: Range, other: Range) -> bool:
    """As the stub has it: an empty range inside of another overlaps it."""
    return one.start < other.end and other.start < one.end


def find_room(ranges: Sequence[MemoryRange], size: int, taken: Iterable[Range], limit: int = FOUR_GIB) -> int | None:
    """The highest page-aligned place for `size` bytes of RAM below `limit`, above the stub's, that is clear of
    `taken`; None if there is none.
    """
    constants = load_abi().constants
    obstacles = tuple(taken)
    for part in reversed(ranges):
        if not _is_ram(part):
            continue
        top: int | None = min(part.end, limit)
        while top is not None and top >= size:
            start = (top - size) & -constants["PAGE_SIZE"]
            if start < constants["IMAGE_LIMIT"]:
                return None
            if start < part.start:
                break
            here = Range.sized(start, size)
            top = min((other.start for other in obstacles if overlap(here, other)), default=None)
            if top is None:
                return start
    return None


def find_low_room(ranges: Sequence[MemoryRange], size: int, taken: Iterable[Range]) -> int | None:
    """Where loaders put what kernels are told: the lowest page-aligned place for `size` bytes of RAM that is clear of
    `taken`; below 1 MiB in what may be used there, and only where enough is left behind it.
    """
    constants = load_abi().constants
    low = Range(constants["LOW_BASE"], constants["LOW_LIMIT"])
    high = Range(constants["IMAGE_BASE"], constants["HANDOVER_LIMIT"])
    obstacles = tuple(taken)
    for window, needed in ((low, size + constants["LOW_LEFT"]), (high, size)):
        # It starts where its window or RAM does, or behind something else.
        starts = [window.start, *(part.start for part in ranges), *(other.end for other in obstacles)]
        for start in sorted(align_up(start, constants["PAGE_SIZE"]) for start in starts):
            wanted = Range.sized(start, needed)
            inside = window.start <= start and wanted.end <= window.end and all_ram(ranges, wanted)
            if inside and not any(overlap(wanted, other) for other in obstacles):
                return start
    return None


def basic_memory(ranges: Iterable[MemoryRange], start: int) -> int:
    """KiB of RAM from `start` up to the first hole, as loaders have always counted lower and upper memory."""
    ends = (part.end for part in ranges if _is_ram(part) and part.start <= start < part.end)
    return next(((end - start) >> 10 for end in ends), 0) & 0xFFFFFFFF
