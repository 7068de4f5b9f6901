"""What loaders hand over, under Unicorn: it becomes boot_info, or the boot ends in an error that says what was wrong.
Corners that no loader comes to are here, too: where the reference has the same decision, the stub does what it does."""

from __future__ import annotations

import struct

import pytest
from booting import KERNEL, PVH, check, good_tables, line, machine_with, mmap_tag, multiboot2, stub_place
from machine import ABI, LOADER, RAM, C, Machine, pvh_info
from unicorn import x86_const as x86
from worlds import HIGH, LOW, MIB, booted, fails, plan


def test_multiboot2_tags_become_boot_info() -> None:
    machine = machine_with(good_tables())
    rsdp = b"RSD PTR " + bytes(28)
    multiboot2(
        machine,
        (C["MULTIBOOT2_TAG_CMDLINE"], b"image -- single\0"),
        (C["MULTIBOOT2_TAG_LOADER_NAME"], b"GRUB 2.06\0"),
        mmap_tag((0, 0x9FC00, 1), (0x100000, RAM - 0x100000, 1)),
        (C["MULTIBOOT2_TAG_MODULE"], struct.pack("<II", 0x700000, 0x700010) + b"thing\0"),
        (C["MULTIBOOT2_TAG_FRAMEBUFFER"], struct.pack("<QIIIBBH", 0xE0000000, 4096, 1024, 768, 32, 1, 0)),
        (C["MULTIBOOT2_TAG_ACPI_OLD"], rsdp[:20]),
        (C["MULTIBOOT2_TAG_ACPI_NEW"], rsdp),
        (77, b"unknown"),
    )
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    assert line("M_ENTRY", "test", *stub_place(machine), "multiboot2", "GRUB 2.06") in machine.transcript
    assert line("M_MODULE_LEFT", 0, "thing") in machine.transcript
    assert line("M_CMDLINE", 0, "quiet single") in machine.transcript
    page = machine.symbols["rsdp_page"]
    assert line("M_RANGE", page, page + 0x1000, C["XEN_HVM_MEMMAP_TYPE_ACPI"]) in machine.transcript
    assert machine.read(machine.record("hvm_start_info", machine.information[0]).rsdp_paddr, 36) == rsdp
    assert not machine.variable("console_sinks", 1) & C["CONSOLE_VGA"], "no text on a graphics screen"


@pytest.mark.provokes("E_EFI_ENDED")
@pytest.mark.parametrize("protocol", ["MULTIBOOT2", "MULTIBOOT2_EFI"])
def test_a_hypervisor_behind_a_loader_that_has_ended_boot_services(protocol: str) -> None:
    tables = good_tables()
    tables.modules[0] |= dict(name="xen", kind=C["BOOTMOD_XEN"])
    fields = dict(hypervisor=0, hypervisor_protocol=C[f"PROTOCOL_{protocol}"], hypervisor_entry=KERNEL + 8)
    machine = machine_with(tables, **fields, hypervisor_cmdline=0)
    ram = mmap_tag((0, 0x9FC00, 1), (0x100000, RAM - 0x100000, 1))
    efi = (C["MULTIBOOT2_TAG_EFI64"], struct.pack("<Q", 0x123000))
    multiboot2(machine, (C["MULTIBOOT2_TAG_LOADER_NAME"], b"GRUB 2.06\0"), ram, efi)
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    check(machine, "E_EFI_ENDED", "xen", "GRUB 2.06")


def multiboot1(machine: Machine, flags: int, **fields: int) -> None:
    machine.write(LOADER, ABI.struct("multiboot1_info")(flags=flags, **fields).dumps())


def test_multiboot1_information_becomes_boot_info() -> None:
    machine = machine_with(good_tables())
    machine.write(LOADER + 0x100, b"image -- single\0")
    machine.write(LOADER + 0x200, b"qemu\0")
    machine.write(LOADER + 0x300, struct.pack("<4I", 0x700000, 0x700010, LOADER + 0x400, 0))
    machine.write(LOADER + 0x400, b"thing\0")
    entries = struct.pack("<IQQI", 20, 0, 0x9FC00, 1) + struct.pack("<IQQII", 24, 0x100000, RAM - 0x100000, 1, 0)
    machine.write(LOADER + 0x500, entries)
    multiboot1(
        machine,
        C["MULTIBOOT1_INFO_FLAG_CMDLINE"]
        | C["MULTIBOOT1_INFO_FLAG_MODS"]
        | C["MULTIBOOT1_INFO_FLAG_MMAP"]
        | C["MULTIBOOT1_INFO_FLAG_LOADER_NAME"],
        cmdline=LOADER + 0x100,
        boot_loader_name=LOADER + 0x200,
        mods_count=1,
        mods_addr=LOADER + 0x300,
        mmap_addr=LOADER + 0x500,
        mmap_length=len(entries),
    )
    machine.boot(C["MULTIBOOT1_LOADER_MAGIC"])
    assert line("M_ENTRY", "test", *stub_place(machine), "multiboot1", "qemu") in machine.transcript
    assert line("M_MODULE_LEFT", 0, "thing") in machine.transcript
    assert line("M_CMDLINE", 0, "quiet single") in machine.transcript
    assert line("M_RANGE", 0x100000, RAM, 1) in machine.transcript


NONE = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (0x8000FFFF, (0x80, 0, NONE)),  # what QEMU says
        (0x00FFFFFF, (0, NONE, NONE)),
        (0x810203FF, (0x81, 2, 3)),
    ],
)
@pytest.mark.parametrize("protocol", ["multiboot1", "multiboot2"])
def test_the_boot_device_is_handed_on(packed: int, said: tuple[int, int, int], protocol: str) -> None:
    """Multiboot 0.6.96, 3.3, boot_device; Multiboot2 2.0, 3.6.4."""
    tables = good_tables(protocol=C[f"PROTOCOL_{protocol.upper()}"])
    machine = machine_with(tables)
    machine.write(LOADER + 0x500, struct.pack("<IQQI", 20, 0, RAM, 1))
    flags = C["MULTIBOOT1_INFO_FLAG_MMAP"] | C["MULTIBOOT1_INFO_FLAG_BOOT_DEVICE"]
    multiboot1(machine, flags, mmap_addr=LOADER + 0x500, mmap_length=24)
    machine.write(LOADER + 12, struct.pack("<I", packed))
    machine.boot(C["MULTIBOOT1_LOADER_MAGIC"])
    assert line("M_BOOT_DEVICE", *said) in machine.transcript
    start, end = machine.information
    if protocol == "multiboot1":
        given, told = struct.unpack("<I8xI", machine.read(start, 16))
        assert told == packed and given & 2
    else:
        tag = struct.pack("<5I", 5, 20, *said)
        assert tag in machine.read(start, end - start)


@pytest.mark.parametrize("low", [(0x1000, 0x9EC00, 1), (0, 0x9FC00, 2)])
@pytest.mark.parametrize("protocol", ["multiboot1", "multiboot2"])
def test_no_memory_from_address_0(protocol: str, low: tuple[int, int, int]) -> None:
    found = plan(protocol, b"\xf4" * 64)
    found.ranges = [low, HIGH]
    booted(found)


def test_the_first_rsdp_that_counts_is_the_new_one() -> None:
    machine = machine_with(good_tables())
    new, old = b"RSD PTR new......2..........................", b"RSD PTR old........."
    tags = [(C["MULTIBOOT2_TAG_ACPI_NEW"], new[:36]), (C["MULTIBOOT2_TAG_ACPI_OLD"], old)]
    multiboot2(machine, mmap_tag(LOW, HIGH), *tags)
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    assert machine.read(machine.symbols["rsdp_page"], 36) == new[:36] and not machine.failed


@pytest.mark.parametrize("ebda", [0, 0x9FC0])
@pytest.mark.parametrize("place", [0x9FC00, 0x9FFE0, 0xE0000, 0xFFFE0, None])
def test_pvh_information_without_rsdp(place: int | None, ebda: int) -> None:
    # ACPI 6.5, 5.2.5.1: in the first KiB of the EBDA or from 0xE0000 on, in steps of 16, with bytes that add up to 0
    machine = machine_with(good_tables())
    machine.write(0xE0000, bytes(0x20000))
    machine.write(0x40E, struct.pack("<H", ebda))
    wrong = b"RSD PTR " + bytes(12)
    right = wrong[:8] + bytes([-sum(wrong) & 0xFF]) + wrong[9:]
    machine.write(0xF0000, wrong)
    if place is not None:
        machine.write(place, right)
    info = machine.record("hvm_start_info", LOADER)
    info.rsdp_paddr = 0
    machine.write(LOADER, info.dumps())
    machine.boot(PVH)
    found = place or 0 if ebda or place is None or place >= 0xE0000 else 0
    assert line("M_MEMORY", 2, (0x9FC00 + RAM - MIB) >> 20, found) in machine.transcript


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.provokes("E_LOADER")
def test_an_unknown_magic() -> None:
    machine = Machine(good_tables().encode())
    machine.boot(0x12345678)
    check(machine, "E_LOADER", 0x12345678)


@pytest.mark.provokes("E_NO_MEMORY_MAP")
def test_a_loader_without_memory_map() -> None:
    machine = machine_with(good_tables())
    multiboot2(machine, (C["MULTIBOOT2_TAG_LOADER_NAME"], b"GRUB\0"))
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    check(machine, "E_NO_MEMORY_MAP", "GRUB")
    machine = machine_with(good_tables())
    multiboot1(machine, 0)
    machine.boot(C["MULTIBOOT1_LOADER_MAGIC"])
    check(machine, "E_NO_MEMORY_MAP", "-")
    machine = machine_with(good_tables())
    pvh_info(machine, ranges=[])
    machine.boot(PVH)
    check(machine, "E_NO_MEMORY_MAP", "-")


@pytest.mark.provokes("E_TOO_MANY_RANGES")
def test_a_memory_map_of_513_entries() -> None:
    machine = machine_with(good_tables())
    pvh_info(machine, ranges=[(index << 12, 1 << 12, 1 + index % 2) for index in range(513)])
    machine.boot(PVH)
    check(machine, "E_TOO_MANY_RANGES", 512)


@pytest.mark.provokes("E_TOO_MANY_MODULES")
def test_64_modules_of_a_loader() -> None:
    machine = machine_with(good_tables())
    pvh_info(machine, modules=[(0x700000, b"x", f"m{index}") for index in range(64)])
    machine.boot(PVH)
    check(machine, "E_TOO_MANY_MODULES", 63)


@pytest.mark.provokes("E_STRING_TOO_LONG")
def test_a_command_line_of_2048_characters() -> None:
    machine = machine_with(good_tables())
    pvh_info(machine, cmdline="x" * 2048)
    machine.boot(PVH)
    address = machine.record("hvm_start_info", LOADER).cmdline_paddr
    check(machine, "E_STRING_TOO_LONG", address, 2047)


@pytest.mark.provokes("E_LOADER_TAGS")
@pytest.mark.parametrize("size", [0, 7, 1000])
def test_multiboot2_tags_that_end_early(size: int) -> None:
    machine = machine_with(good_tables())
    machine.write(LOADER, struct.pack("<4I", 100, 0, 1, size))
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    check(machine, "E_LOADER_TAGS", LOADER, LOADER + 8, size)


@pytest.mark.provokes("E_LOADER_ADDRESS")
def test_a_module_above_4_gib() -> None:
    machine = machine_with(good_tables())
    machine.write(machine.record("hvm_start_info", LOADER).memmap_paddr + 256, struct.pack("<4Q", 2**32, 1, 0, 0))
    info = machine.record("hvm_start_info", LOADER)
    info.modlist_paddr, info.nr_modules = info.memmap_paddr + 256, 1
    machine.write(LOADER, info.dumps())
    machine.boot(PVH)
    check(machine, "E_LOADER_ADDRESS", 2**32)


# --- odd information -------------------------------------------------------------------------------


def test_pvh_information_with_another_magic() -> None:
    machine = machine_with(good_tables())
    machine.write(LOADER, struct.pack("<I", 0x11223344))
    machine.boot(PVH)
    check(machine, "E_LOADER", 0x11223344)


def test_a_module_that_ends_beyond_4_gib() -> None:
    machine = machine_with(good_tables())
    pvh_info(machine, modules=[(0x700000, b"x", "")])
    info = machine.record("hvm_start_info", LOADER)
    machine.write(info.modlist_paddr + 8, struct.pack("<Q", (1 << 32) - 0x700000))
    machine.boot(PVH)
    check(machine, "E_LOADER_ADDRESS", 0x700000)


def test_a_map_that_is_too_long_only_when_it_is_sorted_out() -> None:
    holes = [(32 * MIB + 0x2000 * number, 0x1000, 2) for number in range(300)]
    found = plan("pvh", b"\xf4" * 64)
    found.ranges = [LOW, HIGH, *holes]  # two and 300 of the loader's, 602 without overlaps
    fails(found, "E_TOO_MANY_RANGES")


@pytest.mark.parametrize(
    ("ranges", "name"),
    [
        ([(0, 0, 1), (MIB, 0, 2)], "E_NO_RAM"),
        ([(0, 0x9FC00, 1), (MIB, RAM - MIB, 1), (1 << 63, 1 << 63, 2), (1 << 32, 1 << 63, 2)], ""),
        ([LOW, HIGH, (1 << 32, 0x1000, 2), ((1 << 32) + 0x1000, (1 << 64) - (1 << 32), 2)], ""),
    ],
)
def test_maps_at_the_edge(ranges: list[tuple[int, int, int]], name: str) -> None:
    found = plan("pvh", b"\xf4" * 64)
    found.ranges = ranges
    if name:
        fails(found, name)
    else:
        booted(found)


def test_multiboot1_with_an_empty_map() -> None:
    machine = machine_with(good_tables())
    machine.write(LOADER, struct.pack("<I40xII", C["MULTIBOOT1_INFO_FLAG_MMAP"], 0, LOADER + 0x500))
    machine.boot(C["MULTIBOOT1_LOADER_MAGIC"])
    check(machine, "E_NO_MEMORY_MAP", "-")


@pytest.mark.parametrize(
    "tag",
    [
        (C["MULTIBOOT2_TAG_MODULE"], b"1234567"),
        (C["MULTIBOOT2_TAG_MMAP"], b"1234567"),
        (C["MULTIBOOT2_TAG_MMAP"], struct.pack("<II", 23, 0) + bytes(48)),
        (C["MULTIBOOT2_TAG_FRAMEBUFFER"], bytes(23)),
        (C["MULTIBOOT2_TAG_EFI64"], bytes(7)),
        (C["MULTIBOOT2_TAG_BOOT_DEVICE"], bytes(11)),
    ],
)
def test_multiboot2_tags_that_are_too_short(tag: tuple[int, bytes]) -> None:
    machine = machine_with(good_tables())
    multiboot2(machine, tag, mmap_tag(LOW, HIGH))
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    check(machine, "E_LOADER_TAGS", LOADER, LOADER + 8, 8 + len(tag[1]))


@pytest.mark.parametrize("total", [8, 12, 15])
def test_multiboot2_information_that_ends_in_front_of_a_tag(total: int) -> None:
    machine = machine_with(good_tables())
    multiboot2(machine, mmap_tag(LOW, HIGH), total=total)
    machine.uc.reg_write(x86.UC_X86_REG_R14, 0x1234)
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    check(machine, "E_LOADER_TAGS", LOADER, LOADER + 8, 0)


def test_pvh_information_of_the_first_version_has_no_map() -> None:
    machine = machine_with(good_tables())
    machine.write(LOADER + 4, struct.pack("<I", 0))
    machine.boot(PVH)
    check(machine, "E_NO_MEMORY_MAP", "-")


@pytest.mark.parametrize("same", [True, False])
def test_the_rsdp_itself_is_taken_where_a_bios_has_it(same: bool) -> None:
    """The loader's copy would take a page of the stub's place from a kernel; but no chance find is believed."""

    def rsdp(tables: int) -> bytes:
        data = bytearray(struct.pack("<8sB6sBI", b"RSD PTR ", 0, b"BOCHS ", 0, tables))
        data[8] = -sum(data) & 0xFF
        return bytes(data)

    machine = machine_with(good_tables())
    machine.write(0xF5A00, rsdp(0x3F00000))
    copy = (C["MULTIBOOT2_TAG_ACPI_OLD"], rsdp(0x3F00000 if same else 0x3E00000))
    multiboot2(machine, mmap_tag((0, 0x9FC00, 1), (0x100000, RAM - 0x100000, 1)), copy)
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    page = machine.symbols["rsdp_page"]
    told = machine.record("hvm_start_info", machine.information[0]).rsdp_paddr
    assert told == (0xF5A00 if same else page)
    acpi = line("M_RANGE", page, page + 0x1000, C["XEN_HVM_MEMMAP_TYPE_ACPI"])
    assert (acpi in machine.transcript) != same


# --- lengths that cannot be ------------------------------------------------------------------------


def with_map(entries: bytes, length: int | None = None, at: int = LOADER + 0x500) -> Machine:
    """A boot by multiboot1 with this memory map."""
    machine = machine_with(good_tables())
    machine.write(LOADER + 0x500, entries)
    length = len(entries) if length is None else length
    multiboot1(machine, C["MULTIBOOT1_INFO_FLAG_MMAP"], mmap_addr=at, mmap_length=length)
    machine.boot(C["MULTIBOOT1_LOADER_MAGIC"])
    return machine


@pytest.mark.provokes("E_LOADER_SIZE")
def test_information_that_is_too_long_to_be_true() -> None:
    limit = C["MAX_INFORMATION"]
    check(with_map(b"", limit + 1), "E_LOADER_SIZE", "loader's memory map", LOADER + 0x500, limit + 1, limit)
    machine = machine_with(good_tables())
    multiboot2(machine, mmap_tag(LOW, HIGH), total=limit + 8)
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    check(machine, "E_LOADER_SIZE", "loader's information", LOADER, limit + 8, limit)
    machine = machine_with(good_tables())
    info = machine.record("hvm_start_info", LOADER)
    info.memmap_entries = 0xFFFFFFFF
    machine.write(LOADER, info.dumps())
    machine.boot(PVH)
    check(machine, "E_LOADER_SIZE", "loader's memory map", info.memmap_paddr, 24 * 0xFFFFFFFF, limit)


@pytest.mark.provokes("E_LOADER_TAGS")
@pytest.mark.parametrize("size", [0, 4, 19, 45, 0xFFFFFFFF])
def test_a_multiboot1_map_with_an_entry_of_a_size_that_cannot_be(size: int) -> None:
    sound = struct.pack("<IQQI", 20, *LOW)
    machine = with_map(sound + struct.pack("<IQQI", size, *HIGH) + sound)
    check(machine, "E_LOADER_TAGS", LOADER + 0x500, LOADER + 0x500 + len(sound), size)


@pytest.mark.provokes("E_TOO_MANY_RANGES")
def test_a_map_of_more_entries_than_are_read_though_they_are_one_range() -> None:
    count = C["MAX_MAP_ENTRIES"]
    for more, name in ((0, ""), (1, "E_TOO_MANY_RANGES")):
        neighbours = [(HIGH[0] + 0x1000 * number, 0x1000, 1) for number in range(count - 1 + more)]
        machine = with_map(b"".join(struct.pack("<IQQI", 20, *entry) for entry in (LOW, *neighbours)))
        if name:
            check(machine, name, count)
        else:
            assert not machine.failed


@pytest.mark.provokes("E_LOADER_ADDRESS")
def test_parts_of_the_information_that_reach_beyond_4_gib() -> None:
    at = 0xFFFFFFF0
    check(with_map(b"", 24, at), "E_LOADER_ADDRESS", at)
    for flag, field in (("CMDLINE", "cmdline"), ("LOADER_NAME", "boot_loader_name"), ("MODS", "mods_addr")):
        machine = machine_with(good_tables())
        multiboot1(machine, C[f"MULTIBOOT1_INFO_FLAG_{flag}"], **{field: at}, mods_count=1)
        machine.boot(C["MULTIBOOT1_LOADER_MAGIC"])
        check(machine, "E_LOADER_ADDRESS", at)


@pytest.mark.provokes("E_STRING_TOO_LONG")
@pytest.mark.parametrize("tag", ["CMDLINE", "LOADER_NAME", "MODULE"])
def test_a_string_that_does_not_end_in_its_tag(tag: str) -> None:
    machine = machine_with(good_tables())
    head = struct.pack("<II", 0x700000, 0x700010) if tag == "MODULE" else b""
    multiboot2(machine, (C[f"MULTIBOOT2_TAG_{tag}"], head + b"12345678"), mmap_tag(LOW, HIGH))
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    check(machine, "E_STRING_TOO_LONG", LOADER + 16 + len(head), 7)
