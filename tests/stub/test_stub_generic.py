"""The generic stub under Unicorn: no tables in the image, so the loader's modules say what to boot."""

from __future__ import annotations

import struct

import pytest
from booting import PVH, check, line, mmap_tag, multiboot2
from generic_kernel import ENTRY, FIRST, KERNEL, SECOND, elf
from machine import ABI, LOADER, RAM, C, Machine, pvh_info


def boot(*modules: tuple[bytes, str], loader: str = "PVH", cmdline: str = "", **changes: int) -> Machine:
    """A boot of the generic stub with these modules, the first ones at FIRST and SECOND."""
    machine = Machine()
    machine.write(0xE0000, b"RSD PTR " + bytes(28))
    places = [(FIRST + 0x100000 * i, data, string) for i, (data, string) in enumerate(modules)]
    if loader == "PVH":
        pvh_info(machine, modules=places, cmdline=cmdline)
        machine.boot(PVH)
        return machine
    tags = [
        (C["MULTIBOOT2_TAG_LOADER_NAME"], loader.encode() + b"\0"),
        (C["MULTIBOOT2_TAG_CMDLINE"], cmdline.encode() + b"\0"),
        mmap_tag((0, 0x9FC00, 1), (0x100000, RAM - 0x100000, 1)),
    ]
    for start, data, string in places:
        machine.write(start, data)
        tags.append(
            (
                C["MULTIBOOT2_TAG_MODULE"],
                struct.pack("<II", start, start + len(data)) + string.encode() + b"\0",
            )
        )
    multiboot2(machine, *tags)
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    return machine


@pytest.mark.parametrize("bits", [32, 64])
def test_the_first_module_is_the_kernel_and_the_next_the_ramdisk(bits: int) -> None:
    machine = boot((elf(bits, segments=2), "quiet"), (b"files", ""))
    assert line("M_FALLBACK") in machine.transcript
    assert line("M_PROBED", 0, "dom0", "PVH", ENTRY) in machine.transcript
    megabytes = ((0x9FC00 + RAM - 0x100000) >> 12) * 4096 >> 20
    assert line("M_DOMAIN", 0, "dom0", "module0", "module1", megabytes) in machine.transcript
    assert line("M_CMDLINE", 0, "quiet") in machine.transcript
    assert machine.read(KERNEL, 96) == b"\1" * 64 + bytes(32)
    assert machine.read(KERNEL + 0x1000, 96) == b"\2" * 64 + bytes(32)
    info = machine.record("hvm_start_info", machine.information[0])
    ramdisk = machine.record("hvm_modlist_entry", info.modlist_paddr)
    assert (info.nr_modules, ramdisk.paddr, ramdisk.size) == (1, SECOND, 5)


def test_several_candidates_for_the_ramdisk_are_warned_of() -> None:
    machine = boot((elf(), ""), (b"a", ""), (b"b", ""))
    assert line("M_RAMDISKS", 2, 1) in machine.transcript
    assert "ramdisk module1," in machine.transcript and not machine.failed
    assert "could be the ramdisk" not in boot((elf(), ""), (b"a", "")).transcript


MODULES = [(FIRST + 0x100000 * number, f"file {number}".encode(), f"string {number}") for number in (1, 2, 3)]


def told(machine: Machine, protocol: str) -> list[tuple[int, bytes, str]]:
    """The modules that the kernel is told of: start, bytes, string."""
    start, end = machine.information
    found: list[tuple[int, int, int]] = []
    if protocol == "pvh":
        info = machine.record("hvm_start_info", start)
        for number in range(info.nr_modules):
            one = machine.record("hvm_modlist_entry", info.modlist_paddr + number * C["HVM_MODLIST_ENTRY_SIZEOF"])
            found.append((one.paddr, one.paddr + one.size, one.cmdline_paddr))
    elif protocol == "multiboot1":
        info = machine.record("multiboot1_info", start)
        for number in range(info.mods_count):
            entry = machine.record("multiboot1_module", info.mods_addr + number * C["MULTIBOOT1_MODULE_SIZEOF"])
            found.append((entry.mod_start, entry.mod_end, entry.string))
    else:
        place = start + C["MULTIBOOT2_INFO_SIZEOF"]
        while place < end:
            kind, size, first, last = struct.unpack("<4I", machine.read(place, 16))
            if kind == C["MULTIBOOT2_TAG_MODULE"]:
                found.append((first, last, place + 16))
            place += size + 7 & ~7
    return [(first, machine.read(first, last - first), machine.read_string(text)) for first, last, text in found]


def kernel_for(protocol: str) -> bytes:
    if protocol == "pvh":
        return elf()
    head = MULTIBOOT1_HEADER if protocol == "multiboot1" else MULTIBOOT2_HEADER
    return elf(32, note=False, entry=KERNEL, head=head)


@pytest.mark.parametrize("loader", ["PVH", "GRUB 2.06"])
@pytest.mark.parametrize("protocol", ["pvh", "multiboot1", "multiboot2"])
def test_a_kernel_is_told_of_all_modules_of_the_loader(protocol: str, loader: str) -> None:
    """In the loader's order, each with its string: the Hurd's servers, or Linux and its ramdisk for tboot."""
    machine = boot((kernel_for(protocol), ""), *[(data, text) for _, data, text in MODULES], loader=loader)
    assert told(machine, protocol) == MODULES


@pytest.mark.parametrize(
    "loader, expected",
    [
        ("GRUB 2.06", "vmlinux a  b"),
        ("PVH", "vmlinux a  b"),
        ("qemu", "a  b"),
        ("GRUB 0.97", "a  b"),
        ("x GRUB 2", "vmlinux a  b"),
    ],
)
def test_the_image_name_is_left_out_where_the_loader_puts_one(loader: str, expected: str) -> None:
    assert line("M_CMDLINE", 0, expected) in boot((elf(), "  vmlinux a  b"), loader=loader).transcript


@pytest.mark.parametrize(
    "own, kernel, expected",
    [
        ("x --  more", "a", "a more"),
        ("noapic", "a", "a noapic"),
        ("noapic", "a xnoapicx", "a xnoapicx noapic"),
        ("noapic", "noapictimer", "noapictimer noapic"),
        ("acpi=ht", "pnpacpi=off", "pnpacpi=off acpi=ht"),
        ("noapic", "a noapic", "a noapic"),
        ("noapic acpi=ht", "a -- single", "a noapic acpi=ht -- single"),
        ("noapic acpi=ht", "a -- noapic acpi=off", "a noapic acpi=ht -- noapic acpi=off"),
        ("noapic acpi=ht -- b -- single", "a", "a b noapic acpi=ht -- single"),
        ("noapic", "-- single", " noapic -- single"),
        ("x", "a --  single", "a --  single"),
        ("noapic", "a --", "a noapic --"),
        ("noapic", "a --b x--", "a --b x-- noapic"),
        ("acpi=off noapic", "a", "a noapic acpi=off"),
        ("acpi=ht -- b", "a", "a b acpi=ht"),
        ("acpi=ht", "acpi=off", "acpi=off"),
        ("xnoapic xacpi=1 noapicx", "a", "a"),
        ("-- noapic", "a", "a noapic"),
        ("", "", ""),
    ],
)
def test_the_command_line_is_composed_word_by_word(own: str, kernel: str, expected: str) -> None:
    assert line("M_CMDLINE", 0, expected) in boot((elf(), kernel), cmdline=own).transcript


def test_a_kernel_where_the_stub_is_comes_last() -> None:
    data = bytearray(elf(note=False, entry=0x100010, dest=0x100000, head=MULTIBOOT2_HEADER))
    machine = boot((bytes(data), ""), (b"files", ""))
    assert line("M_PROBED", 0, "dom0", "multiboot2", 0x100010) in machine.transcript
    assert machine.read(0x100000, 96) == b"\1" * 64 + bytes(32), "over the stub, by code that is not there any more"


MULTIBOOT2_HEADER = struct.pack("<4I", 0xE85250D6, 0, 24, -(0xE85250D6 + 24) & 0xFFFFFFFF) + struct.pack(
    "<HHI", 0, 0, 8
)
MULTIBOOT1_HEADER = struct.pack("<3I", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF)


def test_multiboot2_information() -> None:
    machine = boot((elf(note=False, entry=KERNEL, head=MULTIBOOT2_HEADER), "line"), (b"files", "disk"))
    start, end = machine.information
    total, _ = struct.unpack("<II", machine.read(start, 8))
    assert total == end - start
    tags, place = {}, start + 8
    while place < end:
        kind, size = struct.unpack("<II", machine.read(place, 8))
        tags[kind] = machine.read(place + 8, size - 8)
        place += size + 7 & ~7
    assert tags[1] == b"line\0" and tags[2] == b"bootwright\0"
    assert tags[3] == struct.pack("<II", SECOND, SECOND + 5) + b"disk\0"
    assert struct.unpack("<II", tags[4]) == (0x9FC00 >> 10, (RAM - 0x100000) >> 10)
    assert tags[6] == struct.pack("<II", 24, 0) + struct.pack("<QQII", 0, 0x9FC00, 1, 0) + struct.pack(
        "<QQII", 0x100000, RAM - 0x100000, 1, 0
    )
    assert tags[14] == machine.read(0xE0000, 20)
    assert tags[0] == b""


def test_multiboot1_information() -> None:
    machine = boot((elf(32, note=False, entry=KERNEL, head=MULTIBOOT1_HEADER), "line"), (b"files", "disk"))
    assert line("M_PROBED", 0, "dom0", "multiboot1", KERNEL) in machine.transcript
    info = machine.record("multiboot1_info", machine.information[0])
    assert machine.read_string(info.cmdline) == "line" and machine.read_string(info.boot_loader_name) == "bootwright"
    module = machine.record("multiboot1_module", info.mods_addr)
    assert (info.mods_count, module.mod_start, module.mod_end) == (1, SECOND, SECOND + 5)
    assert machine.read_string(module.string) == "disk"
    mmap = machine.read(info.mmap_addr, info.mmap_length)
    assert mmap == struct.pack("<IQQI", 20, 0, 0x9FC00, 1) + struct.pack("<IQQI", 20, 0x100000, RAM - 0x100000, 1)
    assert (info.mem_lower, info.mem_upper) == (0x9FC00 >> 10, (RAM - 0x100000) >> 10)


def bzimage(
    version: int = 0x20F, xloadflags: int = 1, init_size: int = 0x10000, relocatable: int = 1, **more: int
) -> bytes:
    """A bzImage with two setup sectors and 1000 bytes of kernel."""
    fields = dict(
        setup_sects=2,
        boot_flag=0xAA55,
        jump=0xEB,
        jump_offset=0x66,
        header=C["LINUX_HEADER_MAGIC"],
        version=version,
        loadflags=1,
        code32_start=0x100000,
        kernel_alignment=0x200000,
        relocatable_kernel=relocatable,
        cmdline_size=255,
        xloadflags=xloadflags,
        pref_address=KERNEL,
        init_size=init_size,
    )
    params = ABI.struct("boot_params")(**(fields | more))
    return bytes(params.dumps()[:0x290].ljust(3 * 512, b"\0") + b"\x90" * 1000)


def test_linux_boot_params() -> None:
    machine = boot((bzimage(), "console=ttyS0"), (b"files", ""))
    assert line("M_PROBED", 0, "dom0", "the Linux boot protocol", KERNEL + 0x200) in machine.transcript
    assert machine.read(KERNEL, 1000) == b"\x90" * 1000
    params = machine.record("boot_params", machine.information[0])
    assert (params.header, params.version, params.type_of_loader) == (C["LINUX_HEADER_MAGIC"], 0x20F, 0xFF)
    assert (params.ramdisk_image, params.ramdisk_size) == (SECOND, 5)
    assert machine.read_string(params.cmd_line_ptr) == "console=ttyS0"
    assert params.code32_start == KERNEL and params.acpi_rsdp_addr == 0xE0000
    assert params.e820_entries == 2
    assert bytes(params.e820_table)[:40] == struct.pack("<QQI", 0, 0x9FC00, 1) + struct.pack(
        "<QQI", 0x100000, RAM - 0x100000, 1
    )
    assert (params.orig_video_isvga, params.orig_video_cols, params.orig_video_lines) == (0x22, 80, 25)


def test_a_relocatable_kernel_goes_elsewhere_if_its_place_is_taken() -> None:
    machine = boot((bzimage(pref_address=FIRST), ""), (b"files", ""))
    place = (RAM - 0x10000 - 0x200000 + 0x1FFFFF) & ~0x1FFFFF
    assert line("M_PROBED", 0, "dom0", "the Linux boot protocol", place + 0x200) in machine.transcript
    assert machine.read(place, 1000) == b"\x90" * 1000


def test_an_old_kernel_is_entered_in_32_bits_at_1_mib() -> None:
    machine = boot((bzimage(version=0x205), ""), (b"files", ""))
    assert line("M_PROBED", 0, "dom0", "the Linux boot protocol", 0x100000) in machine.transcript
    assert machine.read(0x100000, 1000) == b"\x90" * 1000


@pytest.mark.provokes("E_CMDLINE_TOO_LONG")
def test_a_kernel_that_takes_only_a_short_command_line() -> None:
    for version in (0x205, 0x206, 0x20F):  # before 2.06 none says its limit
        fields = {"version": version, "cmdline_size": 400}
        limit = 255 if version == 0x205 else 400
        assert not boot((bzimage(**fields), "x" * limit)).failed
        for added in ("noapic", "-- y"):
            failed = boot((bzimage(**fields), "x" * limit), cmdline=added)
            check(failed, "E_CMDLINE_TOO_LONG", "dom0", limit, "module0")


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.provokes("E_NOTHING_TO_BOOT")
def test_no_tables_and_no_modules() -> None:
    check(boot(), "E_NOTHING_TO_BOOT")


@pytest.mark.provokes("E_KERNEL_UNKNOWN")
@pytest.mark.parametrize("file", [b"", b"text", bytes(5000), elf(note=False)])
def test_a_module_that_is_no_kernel(file: bytes) -> None:
    check(boot((file, "")), "E_KERNEL_UNKNOWN", "dom0", "module0")


@pytest.mark.provokes("E_KERNEL_SHORT")
@pytest.mark.parametrize(
    "file, end",
    [
        (elf()[:100], 64 + 2 * 56),
        (elf()[:0x4010], 0x4040),
        (elf(32)[:0x3F10], 0x4040),
        (bzimage()[: 3 * 512], 3 * 512),
    ],
)
def test_a_kernel_that_ends_early(file: bytes, end: int) -> None:
    check(boot((file, "")), "E_KERNEL_SHORT", "dom0", len(file), end)


@pytest.mark.provokes("E_TOO_MANY_SEGMENTS")
def test_a_kernel_of_129_program_headers() -> None:
    check(boot((elf(segments=128), "")), "E_TOO_MANY_SEGMENTS", "dom0", 129, 128)
    machine = boot((elf(segments=127), ""))
    assert not machine.failed and machine.read(KERNEL + 126 * 0x1000, 96) == b"\x7f" * 64 + bytes(32)


@pytest.mark.provokes("E_TOO_MANY_DEFERRED")
def test_17_segments_where_the_stub_is() -> None:
    file = elf(note=False, segments=17, entry=0x100010, dest=0x100000, head=MULTIBOOT2_HEADER)
    check(boot((file, "")), "E_TOO_MANY_DEFERRED", "module0", 16)


@pytest.mark.provokes("E_HANDOVER_ROOM")
def test_no_room_for_what_the_kernel_is_told() -> None:
    machine = Machine()
    pvh_info(
        machine,
        ranges=[(0x100000, 0x100000, 1), (FIRST, 0x5000, 1), (KERNEL, 0x1000, 1)],
        modules=[(FIRST, elf(), "")],
    )
    machine.boot(PVH)
    check(machine, "E_HANDOVER_ROOM", C["HANDOVER_SIZE"])


@pytest.mark.provokes("E_MODULE_RAM")
def test_a_module_beyond_this_machines_memory() -> None:
    machine = Machine()
    pvh_info(machine, ranges=[(0x100000, 0x200000, 1)], modules=[(FIRST, b"kernel", "")])
    machine.boot(PVH)
    check(machine, "E_MODULE_RAM", "module0", FIRST, FIRST + 6)


@pytest.mark.provokes("E_STRING_SPACE")
def test_more_strings_than_there_is_space_for() -> None:
    machine = Machine()
    machine.set_variable("string_space_used", C["STRING_SPACE_SIZE"] - C["MAX_STRING"] + 1)
    machine.write(LOADER, b"text\0")
    machine.call("keep_string", LOADER)
    check(machine, "E_STRING_SPACE", C["STRING_SPACE_SIZE"])
