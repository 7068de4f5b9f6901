"""What a loader hands over, damaged: the stub reads nothing but what it was given, writes nothing but what is its own
or free, ends within a bounded number of instructions, and ends in a launch or in an error of stub/abi/errors.h.

"Given" is what the damaged information itself says, cut to the limits of stub/abi/layout.h; it is worked out here from
the specifications.
"""

from __future__ import annotations

import contextlib
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence

import pytest
import samples
import trees
from booting import KERNEL, PACKED, PVH, RAMDISK, good_tables, machine_with, mmap_tag
from firmware import FIRMWARE, GRAPHICS, GRUB, IMAGE, SYSTEM, Firmware, hypervisor
from machine import LOADER, RAM, C, Machine, pvh_info
from watching import Span, Watch, outside, without

from bootwright.devicetree import fdt
from bootwright.devicetree.bindings import cells, text

CASES = 2000
BOOTED = 16  # each so many-th goes on to the launch; the others end where all is read
ROOM = 0x8000  # bytes for a loader's information
PARSE_LIMIT = 1_500_000  # instructions that no reading of information may take
BOOT_LIMIT = 30_000_000  # and no boot of so small an image
MIB = 1 << 20
NUMBERS = (
    0,
    1,
    3,
    7,
    8,
    19,
    20,
    23,
    24,
    63,
    64,
    0x400,
    0x401,
    0x7FFF,
    0x40000,
    0x40001,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFF0,
    0xFFFFFFFF,
)


class Writer:
    """Lays out a loader's information. words: where its numbers lie."""

    def __init__(self, watch: Watch) -> None:
        self.watch, self.place, self.words = watch, LOADER, list[int]()

    def put(self, data: bytes, words: bool = True) -> int:
        address = self.place
        self.watch.put(address, data)
        self.words += range(address, address + len(data) - 3, 4) if words else ()
        self.place += len(data) + 15 & ~15
        return address

    def reserve(self, size: int) -> int:
        return self.put(bytes(size), words=False)

    def fill(self, address: int, data: bytes) -> None:
        self.watch.put(address, data)
        self.words += range(address, address + len(data) - 3, 4)

    def string(self, dice: random.Random) -> int:
        return self.put(b"image " + bytes(dice.choices(b"abc /-", k=dice.randrange(40))) + b"\0", words=False)


# Looked at for what the boot before left there; written only where the memory map says that it is free.
LAST_BOOT = (C["LAST_BOOT_BASE"], C["LAST_BOOT_BASE"] + C["LAST_BOOT_SIZEOF"])


def memory(dice: random.Random) -> list[tuple[int, int, int]]:
    more = [(48 * MIB + 0x10000 * n, 0x8000, dice.randrange(1, 8)) for n in range(dice.randrange(6))]
    return [(0, 0x9FC00, 1), (MIB, 47 * MIB, 1), *more]


def modules(dice: random.Random) -> list[Span]:
    return [(0x700000 + 0x1000 * n, 0x700000 + 0x1000 * n + dice.randrange(0x1000)) for n in range(dice.randrange(4))]


def multiboot1(writer: Writer, dice: random.Random) -> int:
    info = writer.reserve(C["MULTIBOOT1_INFO_SIZEOF"])
    mods = b"".join(struct.pack("<4I", *span, writer.string(dice), 0) for span in modules(dice))
    entries = b""
    for start, size, kind in memory(dice):
        pad = dice.choice((0, 0, 4))
        entries += struct.pack("<IQQI", 20 + pad, start, size, kind) + bytes(pad)
    flags = sum(C[f"MULTIBOOT1_INFO_FLAG_{name}"] for name in ("CMDLINE", "MODS", "MMAP", "LOADER_NAME"))
    fields = [flags, 640, 0x10000, 0, writer.string(dice), len(mods) // 16, writer.put(mods), 0, 0, 0, 0]
    fields += [len(entries), writer.put(entries), 0, 0, 0, writer.string(dice)]
    writer.fill(info, struct.pack("<17I", *fields))
    return C["MULTIBOOT1_LOADER_MAGIC"]


def pvh(writer: Writer, dice: random.Random) -> int:
    info = writer.reserve(C["HVM_START_INFO_SIZEOF"])
    mods = b"".join(struct.pack("<4Q", start, end - start, writer.string(dice), 0) for start, end in modules(dice))
    entries = b"".join(struct.pack("<QQII", *entry, 0) for entry in memory(dice))
    head = struct.pack("<4I", PVH, 1, 0, len(mods) // 32)
    head += struct.pack("<3Q", writer.put(mods), writer.string(dice), dice.choice((0, 0xE0000)))
    writer.fill(info, head + struct.pack("<QII", writer.put(entries), len(entries) // 24, 0))
    return PVH


def multiboot2_tags(dice: random.Random) -> list[tuple[int, bytes]]:
    tags = [(C["MULTIBOOT2_TAG_CMDLINE"], b"image -- single\0"), (C["MULTIBOOT2_TAG_LOADER_NAME"], b"GRUB 2.06\0")]
    tags += [mmap_tag(*memory(dice)), (77, b"unknown")]
    tags += [(C["MULTIBOOT2_TAG_MODULE"], struct.pack("<II", *span) + b"thing\0") for span in modules(dice)]
    screen = struct.pack("<QIIIBBH", 0xE0000000, 4096, 1024, 768, 32, 1, 0) + bytes(6)
    tags += [(C["MULTIBOOT2_TAG_FRAMEBUFFER"], screen), (C["MULTIBOOT2_TAG_ACPI_OLD"], b"RSD PTR " + bytes(12))]
    tags += [(C["MULTIBOOT2_TAG_ACPI_NEW"], b"RSD PTR " + bytes(28))]
    tags += [
        (C["MULTIBOOT2_TAG_EFI64"], bytes(8)),
        (C["MULTIBOOT2_TAG_EFI_MMAP"], struct.pack("<II", 48, 1) + bytes(96)),
    ]
    return [*dice.sample(tags, dice.randrange(len(tags))), mmap_tag(*memory(dice))]


def multiboot2_information(writer: Writer, dice: random.Random, more: Sequence[tuple[int, bytes]] = ()) -> int:
    body = b""
    for kind, content in (*multiboot2_tags(dice), *more, (C["MULTIBOOT2_TAG_END"], b"")):
        tag = struct.pack("<II", kind, 8 + len(content)) + content
        body += tag + bytes(-len(tag) % 8)
    writer.put(struct.pack("<II", 8 + len(body), 0) + body)
    return C["MULTIBOOT2_LOADER_MAGIC"]


# --- what was given --------------------------------------------------------------------------------


def string_at(machine: Machine, address: int, room: int = C["MAX_STRING"]) -> Span:
    return address, min(address + min(room, C["MAX_STRING"]), 1 << 32) if address else 0


def given_by_multiboot1(machine: Machine) -> Iterator[Span]:
    words = struct.unpack("<17I", machine.read(LOADER, 68))
    yield LOADER, LOADER + 68
    flags, count, mods, length, mmap = words[0], min(words[5], C["MAX_MODULES"]), words[6], words[11], words[12]
    if flags & 1 << 2:
        yield string_at(machine, words[4])
    if flags & 1 << 9:
        yield string_at(machine, words[16])
    if flags & 1 << 3:
        yield mods, mods + 16 * count
        for place in range(mods, mods + 16 * count, 16):
            if place + 16 <= RAM:
                yield string_at(machine, struct.unpack("<I", machine.read(place + 8, 4))[0])
    if flags & 1 << 6 and length <= C["MAX_INFORMATION"]:
        yield mmap, mmap + length


def given_by_pvh(machine: Machine) -> Iterator[Span]:
    _, _, _, count, mods, cmdline, _, memmap, entries = struct.unpack("<4I4QI", machine.read(LOADER, 52))
    yield LOADER, LOADER + 56
    yield string_at(machine, cmdline)
    if count <= C["MAX_MODULES"]:
        yield mods, mods + 32 * count
        for place in range(mods, mods + 32 * count, 32):
            if place + 32 <= RAM:
                yield string_at(machine, struct.unpack("<Q", machine.read(place + 16, 8))[0])
    if 24 * entries <= C["MAX_INFORMATION"]:
        yield memmap, memmap + 24 * entries


def given_by_multiboot2(machine: Machine) -> Iterator[Span]:
    (total,) = struct.unpack("<I", machine.read(LOADER, 4))
    yield LOADER, LOADER + (max(total, 8) if total <= C["MAX_INFORMATION"] else 8)


Given = Callable[[Machine], Iterator[Span]]
LOADERS: dict[str, tuple[Callable[[Writer, random.Random], int], Given]] = {
    "multiboot1": (multiboot1, given_by_multiboot1),
    "multiboot2": (multiboot2_information, given_by_multiboot2),
    "PVH": (pvh, given_by_pvh),
}


def damage(writer: Writer, dice: random.Random) -> None:
    """One to three numbers replaced, or bits of them flipped; now and then none."""
    for _ in range(dice.choice((0, 1, 1, 2, 3))):
        place = dice.choice(writer.words)
        (old,) = struct.unpack("<I", writer.watch.machine.read(place, 4))
        new = dice.choice(
            (
                dice.choice(NUMBERS),
                old ^ 1 << dice.randrange(32),
                old + dice.randrange(-40, 40),
                dice.randrange(1 << 32),
                LOADER + dice.randrange(ROOM),
            )
        )
        writer.watch.put(place, struct.pack("<I", new % (1 << 32)))


def own(machine: Machine) -> list[Span]:
    """What outside of its data the stub writes: the records of its tables."""
    return [(machine.symbols["__start_tables"], machine.symbols["__end_tables"])]


def ram(machine: Machine) -> list[Span]:
    """What the map that the stub has read calls RAM and nothing else claims; not the stub itself."""
    size = C["MEMORY_RANGE_SIZEOF"]
    count = machine.record("boot_info", machine.symbols["boot_info"]).nr_ranges
    raw = machine.read(machine.symbols["loader_ranges"], size * count)
    ranges = [struct.unpack_from("<QQI", raw, size * number) for number in range(count)]
    spans = [(start, min(start + length, 1 << 64), kind) for start, length, kind in ranges]
    stub = machine.symbols["__image_start"], machine.symbols["__image_end"]
    return without((s[:2] for s in spans if s[2] == 1), [*(s[:2] for s in spans if s[2] != 1), stub])


def boot(watch: Watch, magic: int, given: Given, launch: bool) -> None:
    """A boot by damaged information, up to the hand-over area, which is long to clear, or to the launch."""
    machine = watch.machine
    allowed = [*given(machine), LAST_BOOT]
    machine.set_variable("entry_magic", magic, 4)
    machine.set_variable("entry_info", LOADER, 4)
    watch.stop_at("handover_code.enter")
    if not launch:
        watch.stop_at("open_handover")
    watch.run("load_descriptors", PARSE_LIMIT)
    watch.run("apply_settings", PARSE_LIMIT)
    watch.run("parse_loader", PARSE_LIMIT)
    assert not outside(watch.reads, allowed), "read"
    assert not outside(watch.writes, []), "written"
    if not machine.failed:
        free = ram(machine)
        watch.run("keep_bios_data", PARSE_LIMIT)
        watch.run("main", BOOT_LIMIT)
        assert not outside(watch.reads, [*allowed, *free]), "read by main"
        assert not outside(watch.writes, [*free, *own(machine)]), "written by main"


@contextlib.contextmanager
def case(name: str, seed: int, ends: dict[int, int], machine: Machine) -> Iterator[None]:
    """Names the case that fails, and counts how the others end."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{name}, case {seed}: {error}") from error
    end = int(machine.error()[1:5], 16) if machine.failed else 0
    ends[end] = ends.get(end, 0) + 1


def check_ends(ends: dict[int, int]) -> None:
    assert C["E_EXCEPTION"] not in ends
    assert ends[0] > CASES / 10 and len(ends) > 3, "some are harmless, others not, in several ways"


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADERS)
def test_damaged_information_of_a_loader(name: str) -> None:
    sound, given = LOADERS[name]
    watch = Watch(machine_with(good_tables()))
    ends: dict[int, int] = {}
    for seed in range(CASES):
        dice = random.Random(f"{name} {seed}")
        watch.begin()
        writer = Writer(watch)
        magic = sound(writer, dice)
        damage(writer, dice)
        with case(name, seed, ends, watch.machine):
            boot(watch, magic, given, not seed % BOOTED)
    check_ends(ends)


# --- EFI -------------------------------------------------------------------------------------------


def damaged_firmware(watch: Watch, dice: random.Random) -> None:
    """Some numbers and pointers of what is read by EFI's application are replaced; services are where they are."""
    system = {name: SYSTEM + C[f"EFI_SYSTEM_TABLE_{name}"] for name in
              ("FIRMWARE_VENDOR", "NUMBER_OF_TABLE_ENTRIES", "CONFIGURATION_TABLE")}  # fmt: skip
    image = {name: IMAGE + C[f"EFI_LOADED_IMAGE_{name}"] for name in ("LOAD_OPTIONS", "LOAD_OPTIONS_SIZE")}
    screen = {"INFO": GRAPHICS + 0x48, **{f"GRAPHICS {n}": GRAPHICS + 0x80 + 4 * n for n in range(9)}}
    for place in dice.sample([*system.values(), *image.values(), *screen.values()], dice.choice((0, 1, 1, 2))):
        new = dice.choice((dice.choice(NUMBERS), dice.randrange(RAM), FIRMWARE + dice.randrange(0x1000)))
        watch.put(place, struct.pack("<I", new))


def given_by_firmware(machine: Machine) -> Iterator[Span]:
    def number(place: int, size: int = 8) -> int:
        return int.from_bytes(machine.read(place, size), "little")

    yield FIRMWARE, FIRMWARE + 0x2000
    vendor = number(SYSTEM + C["EFI_SYSTEM_TABLE_FIRMWARE_VENDOR"])
    yield vendor, vendor + 2 * C["MAX_NAME"]
    tables = number(SYSTEM + C["EFI_SYSTEM_TABLE_CONFIGURATION_TABLE"])
    count = number(SYSTEM + C["EFI_SYSTEM_TABLE_NUMBER_OF_TABLE_ENTRIES"])
    yield tables, tables + 24 * (count if count <= C["EFI_MAX_TABLES"] else 0)
    options = number(IMAGE + C["EFI_LOADED_IMAGE_LOAD_OPTIONS"])
    size = number(IMAGE + C["EFI_LOADED_IMAGE_LOAD_OPTIONS_SIZE"], 4)
    yield options, options + min(size, 2 * C["MAX_STRING"])
    info = number(GRAPHICS + 0x48)
    yield info, info + C["EFI_GRAPHICS_INFO_SIZEOF"]


class LyingFirmware(Firmware):
    """GetMemoryMap answers with damaged descriptors, and with sizes that may not be theirs."""

    dice = random.Random()

    def get_memory_map(self, size: int, buffer: int, key: int, descriptor_size: int) -> int:
        changed = bytearray(self.memory_map)
        for _ in range(self.dice.randrange(3)):
            struct.pack_into("<I", changed, self.dice.randrange(len(changed) // 4) * 4, self.dice.choice(NUMBERS))
        kept, self.memory_map = self.memory_map, bytes(changed)
        status = super().get_memory_map(size, buffer, key, descriptor_size)
        self.memory_map = kept
        for place in (size, descriptor_size):
            if self.dice.random() < 0.2:
                self.machine.write(place, struct.pack("<Q", self.dice.choice((*NUMBERS, 48, 96, (1 << 64) - 48))))
        return status


@pytest.mark.slow
def test_a_firmware_that_lies() -> None:
    machine = machine_with(good_tables())
    LyingFirmware(machine)
    watch = Watch(machine, reach=1 << 33)  # the firmware has mapped more
    ends: dict[int, int] = {}
    for seed in range(CASES):
        LyingFirmware.dice = dice = random.Random(f"EFI {seed}")
        watch.begin()
        watch.stop_at("find_modules")
        damaged_firmware(watch, dice)
        allowed = [*given_by_firmware(machine), LAST_BOOT]
        with case("EFI", seed, ends, machine):
            watch.run("efi_start", PARSE_LIMIT, rcx=0x77, rdx=SYSTEM)
            assert not outside(watch.reads, allowed), "read"
            assert not outside(watch.writes, [LAST_BOOT]), "written"
    check_ends(ends)


@pytest.mark.slow
def test_damaged_information_of_a_loader_that_leaves_boot_services_running() -> None:
    machine, _ = hypervisor(log=C["LOG_QUIET"])  # each character on the firmware's console is a call of ours
    watch = Watch(machine, reach=1 << 33)
    ends: dict[int, int] = {}
    for seed in range(CASES):
        dice = random.Random(f"services {seed}")
        watch.begin()
        watch.stop_at("find_modules")
        writer = Writer(watch)
        multiboot2_information(writer, dice, GRUB)
        # No damaged pointer to the firmware itself: of what it has mapped nobody knows.
        writer.words = [place for place in writer.words if place < LOADER + len_of(machine) - OF_EFI]
        damage(writer, dice)
        searched = min(len_of(machine), C["MAX_INFORMATION"])
        allowed = [*given_by_multiboot2(machine), (LOADER, LOADER + searched), *given_by_firmware(machine), LAST_BOOT]
        with case("services", seed, ends, machine):
            watch.run("start_multiboot2_efi", PARSE_LIMIT, rax=C["MULTIBOOT2_LOADER_MAGIC"], rbx=LOADER)
            foreign = system_table(machine)  # a pointer of a tag, taken if what lies there begins as one
            assert not outside(watch.reads, [*allowed, foreign]), "read"
            assert not outside(watch.writes, []), "written"
    check_ends(ends)


OF_EFI = sum(8 + len(content) for _, content in (*GRUB, (0, b"")))


def len_of(machine: Machine) -> int:
    return int(struct.unpack("<I", machine.read(LOADER, 4))[0])


def system_table(machine: Machine) -> Span:
    place = machine.variable("efi_system")
    return place, place + 8


# --- what is in the image, and what lies in modules ----------------------------------------------------


SMALL = [(PACKED, 0x10000), (KERNEL, 0x10000), (RAMDISK, 0x10000), (RAM - 0x60000, 0x60000)]


def damaged_tables(dice: random.Random) -> bytes:
    """Good tables with some words replaced, and a checksum that is right."""
    blob = bytearray(good_tables().encode())
    for _ in range(dice.choice((0, 1, 1, 2))):
        place = dice.randrange(len(blob) // 4) * 4
        (old,) = struct.unpack_from("<I", blob, place)
        new = dice.choice((dice.choice(NUMBERS), old ^ 1 << dice.randrange(32), dice.randrange(len(blob))))
        struct.pack_into("<I", blob, place, new)
    struct.pack_into("<I", blob, C["TABLES_CHECKSUM"], 0)
    struct.pack_into("<I", blob, C["TABLES_CHECKSUM"], zlib.crc32(blob))
    return bytes(blob)


@pytest.mark.slow
def test_damaged_tables_with_a_right_checksum() -> None:
    machine = machine_with(good_tables())
    # Little RAM: all of it may become one module, and is hashed then.
    pvh_info(machine, [(start, size, 1) for start, size in ((0, 0x9FC00), (MIB, MIB), *SMALL)])
    watch = Watch(machine)
    ends: dict[int, int] = {}
    for seed in range(CASES):
        watch.begin()
        watch.put(machine.symbols["__start_tables"], damaged_tables(random.Random(f"tables {seed}")))
        with case("tables", seed, ends, machine):
            boot(watch, PVH, given_by_pvh, not seed % BOOTED)
    check_ends(ends)


NOTE = samples.pvh_note(KERNEL)
KERNELS = [
    samples.elf([samples.Load(KERNEL, b"\xf4" * 64), samples.Load(KERNEL + 0x1000, b"data", memsz=0x100)], NOTE),
    samples.elf([samples.Load(KERNEL, b"\xf4" * 64)], NOTE, bits=32),
    samples.headed(samples.multiboot1()),
    samples.headed(samples.multiboot2(samples.tag2(1, 4, 6))),
    samples.linux(),
]
FIRST = {"functions": cells(C["FUNCTION_INITIAL_DOMAIN"]), "mode": cells(C["MODE_LONG"])}
TREE = fdt.write(
    trees.hyperlaunch(
        trees.domain(trees.module(), memory=text("1M"), **FIRST),
        trees.domain(trees.module("module,ramdisk", module_index=cells(2)), name="dom1"),
    )
)


def damaged_file(dice: random.Random, file: bytes) -> bytes:
    """A file with some bytes or words of its beginning replaced, or cut short."""
    changed = bytearray(file)
    for _ in range(dice.choice((0, 1, 1, 2, 3))):
        place = dice.randrange(min(len(changed), 0x400) - 8)
        if dice.random() < 0.4:
            changed[place] = dice.randrange(256)
            continue
        order = dice.choice("<>")
        struct.pack_into(f"{order}I", changed, place & ~3, dice.choice((*NUMBERS, len(file), KERNEL)))
    return bytes(changed[: dice.choice((len(changed), len(changed), dice.randrange(len(changed))))])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kernel", "device tree"])
def test_damaged_modules_of_the_generic_stub(kind: str) -> None:
    machine = Machine()
    ranges = [(start, size, 1) for start, size in ((0, 0x9FC00), (MIB, 15 * MIB), (RAM - MIB, MIB))]
    machine.write(KERNEL, b"\xff" * 0x2000)
    watch = Watch(machine)
    ends: dict[int, int] = {}
    for seed in range(CASES):
        dice = random.Random(f"{kind} {seed}")
        watch.begin()
        files = [damaged_file(dice, TREE)] if kind == "device tree" else []
        files += [damaged_file(dice, dice.choice(KERNELS)) if not files else KERNELS[0], b"a ramdisk"]
        places = [0x300000 + 0x10000 * number for number in range(len(files))]
        for place, file in zip(places, files, strict=True):
            watch.put(place, file)
        watch.put(LOADER, bytes(0x2000))
        pvh_info(machine, ranges, [(place, file, "") for place, file in zip(places, files, strict=True)])
        with case(kind, seed, ends, machine):
            boot(watch, PVH, given_by_pvh, not seed % BOOTED)
    check_ends(ends)
