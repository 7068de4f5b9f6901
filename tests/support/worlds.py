"""Machines to be and images for them, made by chance or by hand: the stub boots them under Unicorn, the reference
computes the same boot, and every line and every byte is compared."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field, replace

import machine as unicorn_machine
import samples
from booting import KERNEL, multiboot2
from machine import ABI, RAM, C, pvh_info

from bootwright.common.pieces import Piece
from bootwright.common.ranges import Range, Relocation
from bootwright.hyperlaunch.model import BootDomain, MemoryRange, MemorySize
from bootwright.kernels.protocols import NAMES
from bootwright.kernels.sections import Sections
from bootwright.plan import tables
from bootwright.plan.records import Generic, Plan, PlannedDomain, PlannedHypervisor, PlannedImage, PlannedModule
from bootwright.reference import boot
from bootwright.reference.machine import BootDevice, Efi, Framebuffer, LoaderModule, Machine

MIB = 1 << 20
RSDP = b"RSD PTR \x11bochs \x02" + bytes(range(20))
IMAGE = PlannedImage("test", C["CONSOLE_SERIAL"], C["UART_COM1"], 1, C["LOG_DEBUG"], 0, 0)


@dataclass
class World:
    """A machine to be, and an image for it. plan: as boot.boot takes it."""

    seed: int
    plan: Plan | Generic = field(default_factory=Generic)
    ranges: list[tuple[int, int, int]] = field(default_factory=list)  # start, size, type
    files: list[tuple[int, bytes, str]] = field(default_factory=list)  # the loader's modules
    embedded: list[tuple[int, bytes]] = field(default_factory=list)
    contents: dict[int, bytes] = field(default_factory=dict)
    cmdline: str = ""
    framebuffer: Framebuffer | None = None
    loader: str | None = None
    efi: Efi | None = None
    bios: bool = True
    boot_device: BootDevice | None = None


def memory_map(dice: random.Random) -> list[tuple[int, int, int]]:
    """RAM up to some megabytes, with holes and overlaps of all types."""
    top = dice.randrange(24 * MIB, RAM + 1, 0x1000)
    found = [(0, 0x9FC00, 1), (0xF0000, 0x10000, 2), (MIB, top - MIB, 1)]
    for _ in range(dice.choice((0, 1, 3, 200 if dice.random() < 0.1 else 5))):
        size = dice.choice((0, 1, 0x1000, 0x12345, MIB))
        found.append((dice.randrange(22 * MIB, top), size, dice.randrange(0, 12)))
    if dice.random() < 0.3:
        found.append((1 << 32, dice.choice((MIB, (1 << 64) - (1 << 32), (1 << 64) - 1)), dice.choice((1, 2, 6))))
    dice.shuffle(found)
    return found


def slots(dice: random.Random) -> list[int]:
    """Places for modules and pieces, a megabyte for each, in any order."""
    places = [number * MIB for number in range(2, 20)]
    dice.shuffle(places)
    return places


def kernel(dice: random.Random, protocol: str, places: list[int]) -> tuple[bytes, tuple[Piece, ...], int]:
    """A stored kernel: its file, its pieces and its entry. One piece may lie where the stub is."""
    if protocol == "linux":
        place = dice.choice((MIB, places.pop()))
        code = dice.randbytes(dice.randrange(0x300, 0x8000))
        flags = dice.choice((0, 1, 8, 9))
        file = samples.linux(
            code,
            xloadflags=flags,
            version=dice.choice((0x202, 0x205, 0x206, 0x20B, 0x20C, 0x20F)),
            jump_offset=dice.choice((0x20, 0x66, 0x6A, 0xFF)),
            cmdline_size=dice.choice((255, 2047, 20)),
            code32_start=dice.choice((0x100000, 0x100000, 0)),
        )
        piece = Piece(1024, len(code), place, len(code), 0, C["PACK_STORED"], dice.randrange(4))
        return file, (piece,), place + dice.choice((0, 0x200))
    pieces, file = [], b""
    for number in range(dice.randrange(1, 4)):
        place = MIB + 0x800 if not number and dice.random() < 0.3 else places.pop() + dice.randrange(0, 0x3000)
        data = dice.randbytes(dice.randrange(1, 0x5000))
        pieces.append(Piece(len(file), len(data), place, len(data), dice.choice((0, 9, 0x4321)), C["PACK_STORED"]))
        file += data
    return file, tuple(pieces), pieces[0].dest + dice.randrange(pieces[0].dest_size)


def movable(dice: random.Random) -> Relocation:
    """Where else a kernel may lie: anywhere, or in parts of what find_room looks at."""
    return Relocation(
        dice.choice((0x1000, 0x10000, 0x200000)),
        dice.choice((0, 16 * MIB, 40 * MIB)),
        dice.choice((0xFFFFFFFF, 48 * MIB - 1, 30 * MIB - 1)),
    )


def world(seed: int, brought: float = 0.5) -> World:
    """An image with tables on some machine. brought: how likely a loader brings a module."""
    dice = random.Random(seed)
    found = World(seed, ranges=memory_map(dice))
    places = slots(dice)
    protocol = dice.choice(NAMES)
    number = C[f"PROTOCOL_{protocol.upper()}"]
    file, pieces, entry = kernel(dice, protocol, places)
    modules = [PlannedModule("vmlinux", C["BOOTMOD_KERNEL"], 0, dice.choice(("", "quiet é")), 0, 0, 0, 0, b"", pieces)]
    if dice.random() < 0.4:
        modules[0] = replace(modules[0], movable=movable(dice))
        if dice.random() < 0.6:  # there is something else in its place
            start = max(pieces[0].dest + dice.choice((-0x3000, 0, 0x100)), 2 * MIB)
            found.ranges.append((start, dice.choice((0x1000, MIB)), dice.choice((2, 4, 5))))
    datas = [file]
    for index in range(dice.randrange(0, 4)):
        data = dice.randbytes(dice.randrange(1, 0x4000))
        start = places.pop() if dice.random() < 0.5 else 0
        piece = Piece(0, len(data), start, len(data), 0, C["PACK_STORED"])
        kind, text = C["BOOTMOD_RAMDISK"], dice.choice(("", "x"))
        pieces2 = (piece,) if start else ()
        record = PlannedModule(f"disk{index}", kind, 0, text, 0, 0, len(data), start, b"", pieces2)
        modules.append(record)
        datas.append(data)
    taken = 0
    for index, (module, data) in enumerate(zip(modules, datas, strict=True)):
        place = places.pop()
        if dice.random() < 0.2 and pieces[0].dest >= 2 * MIB and not taken:
            place = taken = pieces[0].dest & -0x1000  # in the way
        if dice.random() < brought:
            found.files.append((place, data, f"/boot/{module.name} {index}"))
            flags = load = 0
        else:
            found.embedded.append((place, data))
            flags, load = C["MODULE_EMBEDDED"], place
        modules[index] = replace(module, size=len(data), flags=flags, load_address=load, sha256=bytes(32))
    if dice.random() < 0.2:
        found.files.append((places.pop(), b"nobody's", "left over"))
    dice.shuffle(found.files)
    hypervisor = None
    if dice.random() < 0.25 and protocol != "linux":
        if protocol == "multiboot2" and dice.random() < 0.5:
            number = C["PROTOCOL_MULTIBOOT2_EFI"]  # the same, where there is no EFI
        hypervisor = PlannedHypervisor(0, number, "xen console=com1", entry)
        number = 0
    pages = C["MEMORY_PAGES"]
    functions = C["FUNCTION_INITIAL_DOMAIN"] if dice.random() < 0.95 else 0
    sizes = [MemorySize(dice.choice((pages, 1, 2)), value) for value in (0x1800, dice.choice((0, 0x1000, 0x9000)), 0)]
    ramdisk = 1 if len(modules) > 1 and dice.random() < 0.8 else None
    handed = tuple(number for number in range(1, len(modules)) if number != ramdisk and dice.random() < 0.5)
    domain = BootDomain("dom0", 3, functions, C["MODE_LONG"], 0, *sizes, kernel=0, ramdisk=ramdisk, handed=handed)
    room = dice.choice((0, 0, 2048, 256, 9))
    found.plan = Plan(IMAGE, (PlannedDomain(domain, number, entry, room),), tuple(modules), hypervisor)
    found.contents[0] = file
    found.cmdline = dice.choice(("", "image -- extra", "-- extra", "noapic", "acpi=off noapic --   a -- b"))
    found.loader = dice.choice((None, "GRUB 2.06", "GRUB 0.97"))
    found.bios = dice.random() < 0.8
    if protocol != "linux" and dice.random() < 0.4:
        count, size = dice.randrange(1, 40), dice.choice((40, 64))
        told = Sections(count, size, dice.randrange(count), dice.randbytes(count * size))
        modules[0] = replace(modules[0], sections=told)
        found.plan = replace(found.plan, modules=tuple(modules))
    if found.loader and dice.random() < 0.5:
        found.boot_device = BootDevice(dice.choice((0, 0x80, 0xE0)), dice.choice((0, 0xFFFFFFFF)), 0xFFFFFFFF)
    if found.loader and dice.random() < 0.5:
        kind = dice.choice((C["MULTIBOOT2_FRAMEBUFFER_RGB"], C["MULTIBOOT2_FRAMEBUFFER_EGA_TEXT"]))
        address = dice.choice((0xB8000, 0xE0000000, 0x123400000000))
        found.framebuffer = Framebuffer(address, 4096, 1024, 768, 32, kind, dice.randbytes(6))
    if found.loader and dice.random() < 0.5:
        descriptors = dice.randbytes(dice.choice((0, 48, 480, C["EFI_MAP_SIZE"], C["EFI_MAP_SIZE"] + 48)))
        system = dice.choice((0x3F000018, 0x123400000000))
        found.efi = Efi(system, descriptors, descriptor_size=48, descriptor_version=dice.randrange(3))
    return found


def run(found: World) -> tuple[unicorn_machine.Machine, boot.Boot]:
    """The stub's boot of it, and the reference's."""
    blob = tables.encode(found.plan) if isinstance(found.plan, Plan) else b""
    stub = unicorn_machine.Machine(blob)
    for place, data in found.embedded:
        stub.write(place, data)
    stub.write(0xF0000, RSDP)
    if found.bios:
        stub.write(0x54, struct.pack("<HH", 0xF859, 0xF000))  # where interrupt 0x15 goes on a PC
    ranges = [MemoryRange(start, min(start + size, (1 << 64) - 1), kind) for start, size, kind in found.ranges]
    entry, rsdp = "PVH", 0xE0000
    if found.loader is None:
        pvh_info(stub, found.ranges, found.files, found.cmdline)
        stub.write(0xE0000, RSDP)
        stub.boot(C["XEN_HVM_START_MAGIC_VALUE"])
    else:
        entry, rsdp = "multiboot2", stub.symbols["rsdp_page"]
        ranges.append(MemoryRange(rsdp, rsdp + C["PAGE_SIZE"], C["XEN_HVM_MEMMAP_TYPE_ACPI"]))
        multiboot2(stub, *loader_tags(found))
        for place, data, _ in found.files:
            stub.write(place, data)
        stub.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    machine = Machine(
        entry,
        tuple(ranges),
        Range(stub.symbols["__image_start"], stub.symbols["__image_end"]),
        build=unicorn_machine.BUILD_ID.hex()[:8],
        loader=found.loader,
        cmdline=found.cmdline,
        modules=tuple(LoaderModule(place, len(data), string) for place, data, string in found.files),
        rsdp=rsdp,
        rsdp_bytes=RSDP,
        framebuffer=found.framebuffer,
        efi=kept(found.efi, stub),
        contents=found.contents,
        bios=found.bios,
        boot_device=found.boot_device,
    )
    return stub, boot.boot(machine, found.plan, len(blob))


def kept(efi: Efi | None, stub: unicorn_machine.Machine) -> Efi | None:
    """What the stub keeps of a loader's EFI: no memory map that is too long."""
    if efi is None:
        return None
    found = efi if len(efi.map) <= C["EFI_MAP_SIZE"] else Efi(efi.system)
    return replace(found, map_start=stub.symbols["efi_map"])


def loader_tags(found: World) -> list[tuple[int, bytes]]:
    """The boot information of a multiboot2 loader."""
    mmap = b"".join(struct.pack("<QQII", *part, 0) for part in found.ranges)
    tags = [
        (C["MULTIBOOT2_TAG_LOADER_NAME"], (found.loader or "").encode() + b"\0"),
        (C["MULTIBOOT2_TAG_CMDLINE"], found.cmdline.encode() + b"\0"),
        (C["MULTIBOOT2_TAG_MMAP"], struct.pack("<II", 24, 0) + mmap),
        (C["MULTIBOOT2_TAG_ACPI_NEW"], RSDP),
    ]
    for place, data, string in found.files:
        span = struct.pack("<II", place, place + len(data))
        tags.append((C["MULTIBOOT2_TAG_MODULE"], span + string.encode() + b"\0"))
    if found.framebuffer is not None:
        screen = found.framebuffer
        head = struct.pack("<Q3I", screen.address, screen.pitch, screen.width, screen.height)
        tags.append((C["MULTIBOOT2_TAG_FRAMEBUFFER"],
                     head + bytes([screen.bpp, screen.type, 0, 0]) + screen.colours))  # fmt: skip
    if (device := found.boot_device) is not None:
        content = struct.pack("<III", device.disk, device.partition, device.sub_partition)
        tags.append((C["MULTIBOOT2_TAG_BOOT_DEVICE"], content))
    if (efi := found.efi) is not None:
        head = struct.pack("<II", efi.descriptor_size, efi.descriptor_version)
        tags.append((C["MULTIBOOT2_TAG_EFI_MMAP"], head + efi.map))
        tags.append((C["MULTIBOOT2_TAG_EFI64"], struct.pack("<Q", efi.system)))
    return tags


def compare(stub: unicorn_machine.Machine, expected: boot.Boot, found: World, log: int = C["LOG_DEBUG"]) -> None:
    """Lines, information and what was loaded."""
    printed = [line for line in stub.serial.decode().replace("\r\n", "\n").splitlines()]
    cpu = next((line for line in printed if line.startswith("bootwright: cpu: ")), "")
    shown = [cpu if line.startswith("bootwright: cpu: ") else line for line in expected.shown(log)]
    if expected.failure is not None:
        shown.append(ABI.strings["M_PREFIX"] + ABI.strings["M_FAILED_HALT"])
    assert printed == shown
    if expected.failure is None:
        # The last line has its place, which the stub may be gone by now to be asked for.
        assert stub.read(expected.information_start, len(expected.information)) == expected.information
        if isinstance(found.plan, Plan):
            kernel_loaded(stub, found, expected)


def kernel_loaded(stub: unicorn_machine.Machine, found: World, expected: boot.Boot) -> None:
    """Every piece of the kernel is in its place, wherever the module was in between."""
    assert isinstance(found.plan, Plan)
    for piece, place in zip(found.plan.modules[0].pieces, expected.pieces[0], strict=True):
        data = found.contents[0][piece.source : piece.source + piece.source_size]
        assert stub.read(place.start, piece.dest_size + piece.zero_size) == data + bytes(piece.zero_size)


# --- images made by hand ---------------------------------------------------------------------------


LOW, HIGH = (0, 0x9FC00, 1), (MIB, RAM - MIB, 1)


def plan(protocol: str, file: bytes, head: int = 0, dest: int = KERNEL, at: int = 4 * MIB) -> World:
    """An image with a stored kernel: `file`, which lies at `at`, less its `head`, at `dest`, entered at its start."""
    piece = Piece(head, len(file) - head, dest, len(file) - head, 0, C["PACK_STORED"])
    kind, embedded = C["BOOTMOD_KERNEL"], C["MODULE_EMBEDDED"]
    module = PlannedModule("vmlinux", kind, embedded, "", at, len(file), len(file), 0, bytes(32), (piece,))
    size = MemorySize(C["MEMORY_PAGES"], 0)
    domain = BootDomain("dom0", 3, C["FUNCTION_INITIAL_DOMAIN"], C["MODE_LONG"], 0, size, size, size, kernel=0)
    built = PlannedDomain(domain, C[f"PROTOCOL_{protocol.upper()}"], dest)
    found = World(0, Plan(IMAGE, (built,), (module,)), [LOW, HIGH], embedded=[(at, file)])
    found.contents[0] = file
    return found


def linux(**header: int) -> World:
    """With a bzImage of 32 bits."""
    file = samples.linux(b"\xf4" * 0x400, xloadflags=0, **header)
    return plan("linux", file, head=len(file) - 0x400)


def booted(found: World, log: int = C["LOG_DEBUG"]) -> tuple[unicorn_machine.Machine, boot.Boot]:
    stub, expected = run(found)
    compare(stub, expected, found, log)
    return stub, expected


def fails(found: World, name: str, log: int = C["LOG_DEBUG"]) -> None:
    _, expected = booted(found, log)
    assert expected.failure is not None and expected.failure.name == name
