"""The stub from the loader's hand-over to the launch, under Unicorn: what a good boot says and does, and that
every error of stub/abi/errors.h has a boot that ends in it. (E_NO_LONG_MODE and E_EXCEPTION: test_stub_modes.py,
and with a whole cpu tests/boot/test_cpu.py.)"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from typing import Any

import lz4.block
import pytest
import unicorn
from machine import ABI, LOADER, RAM, C, Machine, Tables, pvh_info

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


def stub_place(machine: Machine) -> tuple[int, int]:
    """Where the stub lies."""
    return machine.symbols["__image_start"], machine.symbols["__image_end"]


def test_a_boot_prints_its_stages_and_hands_over_what_was_planned() -> None:
    machine = boot(good_tables())
    packed = lz4.block.compress(TEXT, store_size=False)
    printed = machine.transcript.splitlines()
    cpu = printed.pop(1)
    start_info, end = machine.information
    crc = zlib.crc32(machine.read(start_info, end - start_info))
    assert cpu.startswith("bootwright: cpu: ") and cpu.endswith(", long mode")
    assert printed == [
        line("M_ENTRY", "test", *stub_place(machine), "PVH", "-"),
        line("M_TABLES", len(good_tables().encode()), 1, 2),
        line("M_RANGE", 0, 0x9FC00, 1),
        line("M_RANGE", 0x100000, RAM, 1),
        line("M_MEMORY", 2, (0x9FC00 + RAM - 0x100000) >> 20, 0xE0000),
        line("M_MODULE", 0, "kernel", "dom0.kernel", PACKED, PACKED + len(packed)),
        line("M_MODULE", 1, "ramdisk", "dom0.ramdisk", RAMDISK, RAMDISK + 5),
        line("M_BUILDER", 1),
        line("M_DOMAIN", 0, "dom0", "dom0.kernel", "dom0.ramdisk", 16),
        line("M_CMDLINE", 0, "quiet extra  words"),
        line("M_BUILT", 0, 1, 1),
        line("M_HWDOM", 0, "dom0"),
        line("M_LAUNCH", "PVH", KERNEL + 16, start_info, end, crc),
    ]
    assert machine.read(KERNEL, len(TEXT) + 100) == TEXT + b"\0" * 99 + b"\xff", (
        "unpacked, cleared, and no further"
    )
    info = machine.record("hvm_start_info", start_info)
    assert (info.magic, info.version, info.rsdp_paddr) == (PVH, 1, 0xE0000)
    assert info.flags == C["SIF_PRIVILEGED"] | C["SIF_INITDOMAIN"]
    assert machine.read_string(info.cmdline_paddr) == "quiet extra  words"
    ramdisk = machine.record("hvm_modlist_entry", info.modlist_paddr)
    assert (info.nr_modules, ramdisk.paddr, ramdisk.size) == (1, RAMDISK, 5)
    memmap = machine.read(info.memmap_paddr, 24 * info.memmap_entries)
    assert memmap == struct.pack("<QQII", 0, 0x9FC00, 1, 0) + struct.pack(
        "<QQII", 0x100000, RAM - 0x100000, 1, 0
    )


def test_the_pieces_of_a_stored_module_are_copied() -> None:
    tables = good_tables()
    tables.modules[0] |= dict(flags=C["MODULE_EMBEDDED"])
    tables.pieces = [dict(source=3, source_size=17, dest=KERNEL, dest_size=17, method=C["PACK_STORED"])]
    machine = boot(tables)
    assert machine.read(KERNEL, 18) == machine.read(PACKED + 3, 17) + b"\xff"


def test_other_domains_are_named_and_not_built() -> None:
    tables = good_tables()
    tables.domains.insert(0, dict(tables.domains[0], name="other", functions=0))
    machine = boot(tables)
    assert line("M_SKIPPED", "other") in machine.transcript
    assert line("M_HWDOM", 0, "dom0") in machine.transcript and not machine.failed


def test_a_loaders_modules_are_matched_by_name_and_moved_out_of_the_way() -> None:
    tables = good_tables()
    packed = lz4.block.compress(TEXT, store_size=False)
    for module in tables.modules:
        module |= dict(flags=C["MODULE_VERIFY"], load_address=0)
    machine = machine_with(tables)
    pvh_info(
        machine,
        modules=[
            (RAMDISK, b"files", "/boot/dom0.ramdisk"),
            (0x700000, b"?", "/boot/left"),
            (KERNEL + 0x20, packed, "x/vmlinuz dom0.kernel"),
        ],
    )
    machine.boot(PVH)
    assert machine.read(KERNEL, len(TEXT)) == TEXT
    moved = RAM - 0x1000
    assert line("M_MODULE_LEFT", 1, "/boot/left") in machine.transcript
    assert (
        line("M_MODULE_MOVED", 0, KERNEL + 0x20, KERNEL + 0x20 + len(packed), moved, moved + len(packed))
        in machine.transcript
    )


@pytest.mark.parametrize("level, lines", [("LOG_QUIET", 0), ("LOG_NORMAL", 12), ("LOG_DEBUG", 14)])
def test_the_log_level_says_how_much_is_printed(level: str, lines: int) -> None:
    assert len(boot(good_tables(), log=C[level]).transcript.splitlines()) == lines


def test_a_boot_without_uart_goes_on() -> None:
    machine = Machine(good_tables().encode(), uart=False)
    machine.write(PACKED, lz4.block.compress(TEXT, store_size=False))
    machine.write(RAMDISK, b"files")
    pvh_info(machine)
    machine.boot(PVH)
    assert machine.read(KERNEL, len(TEXT)) == TEXT


# --- loaders ---------------------------------------------------------------------------------------


def multiboot2(machine: Machine, *tags: tuple[int, bytes], total: int | None = None) -> None:
    body = b""
    for kind, content in (*tags, (C["MULTIBOOT2_TAG_END"], b"")):
        tag = struct.pack("<II", kind, 8 + len(content)) + content
        body += tag + b"\0" * (-len(tag) % 8)
    machine.write(LOADER, struct.pack("<II", total or 8 + len(body), 0) + body)


def mmap_tag(*ranges: tuple[int, int, int]) -> tuple[int, bytes]:
    return C["MULTIBOOT2_TAG_MMAP"], struct.pack("<II", 24, 0) + b"".join(
        struct.pack("<QQII", *r, 0) for r in ranges
    )


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
    entries = struct.pack("<IQQI", 20, 0, 0x9FC00, 1) + struct.pack(
        "<IQQII", 24, 0x100000, RAM - 0x100000, 1, 0
    )
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


# --- errors ----------------------------------------------------------------------------------------


def failure(name: str, *values: int | str) -> str:
    """The line, less its prefix, that a failure prints."""
    return f"E{C[name]:04x}: " + ABI.format(f"{name}_TEXT", *values)


def check(machine: Machine, name: str, *values: int | str) -> None:
    assert machine.error() == failure(name, *values)
    assert machine.transcript.endswith(line("M_FAILED_HALT") + "\n")


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
def test_a_command_line_of_1024_characters() -> None:
    machine = machine_with(good_tables())
    pvh_info(machine, cmdline="x" * 1024)
    machine.boot(PVH)
    address = machine.record("hvm_start_info", LOADER).cmdline_paddr
    check(machine, "E_STRING_TOO_LONG", address, 1023)


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
    machine.write(
        machine.record("hvm_start_info", LOADER).memmap_paddr + 256, struct.pack("<4Q", 2**32, 1, 0, 0)
    )
    info = machine.record("hvm_start_info", LOADER)
    info.modlist_paddr, info.nr_modules = info.memmap_paddr + 256, 1
    machine.write(LOADER, info.dumps())
    machine.boot(PVH)
    check(machine, "E_LOADER_ADDRESS", 2**32)


@pytest.mark.provokes("E_TABLES_MAGIC")
def test_tables_with_another_magic() -> None:
    machine = boot(good_tables(), magic=0x1122)
    check(machine, "E_TABLES_MAGIC", machine.symbols["__start_tables"], 0x1122)


@pytest.mark.provokes("E_TABLES_VERSION")
def test_tables_of_another_version() -> None:
    check(boot(good_tables(), version=9), "E_TABLES_VERSION", 9, C["TABLES_VERSION_VALUE"])


@pytest.mark.provokes("E_TABLES_LENGTH")
@pytest.mark.parametrize("length", [10, 0x10001])
def test_tables_cut_short(length: int) -> None:
    check(boot(good_tables(), length=length), "E_TABLES_LENGTH", length, 0x10000)


@pytest.mark.provokes("E_TABLES_CHECKSUM")
def test_tables_with_a_wrong_checksum() -> None:
    good = ABI.struct("tables")(good_tables().encode()).checksum
    check(boot(good_tables(), checksum=good ^ 1), "E_TABLES_CHECKSUM", good, good ^ 1)


@pytest.mark.provokes("E_TABLES_COUNT")
def test_tables_with_too_many_domains() -> None:
    check(boot(good_tables(), nr_domains=65), "E_TABLES_COUNT", 65, 2, 64, 63)


@pytest.mark.provokes("E_TABLES_OFFSET")
@pytest.mark.parametrize("field", ["domains", "modules", "pieces", "name"])
def test_tables_that_refer_outside(field: str) -> None:
    length = len(good_tables().encode())
    machine = boot(good_tables(), **{field: length})
    sizes = {
        "domains": C["BOOT_DOMAIN_SIZEOF"],
        "modules": 2 * C["MODULE_RECORD_SIZEOF"],
        "pieces": C["PIECE_SIZEOF"],
        "name": 0,
    }
    check(machine, "E_TABLES_OFFSET", length + sizes[field], length)


@pytest.mark.provokes("E_TABLES_INDEX")
@pytest.mark.parametrize(
    "change, values",
    [
        (lambda t: t.domains[0].update(kernel=2), ("module", 2, 2)),
        (lambda t: t.domains[0].update(ramdisk=9), ("module", 9, 2)),
        (lambda t: t.modules[0].update(first_piece=1), ("piece", 2, 1)),
        (lambda t: t.modules[1].update(kind=9), ("module kind", 9, 9)),
    ],
)
def test_tables_with_a_reference_to_nothing(
    change: Callable[[Tables], None], values: tuple[str, int, int]
) -> None:
    tables = good_tables()
    change(tables)
    check(boot(tables), "E_TABLES_INDEX", *values)


@pytest.mark.provokes("E_NO_RAM")
def test_a_memory_map_without_ram() -> None:
    machine = machine_with(good_tables())
    pvh_info(machine, ranges=[(0, RAM, 2), (0, 0x100000, 1)])
    machine.boot(PVH)
    check(machine, "E_NO_RAM", 2)


@pytest.mark.provokes("E_NO_ROOM")
@pytest.mark.parametrize("dest, size", [(RAM - 0x100, len(TEXT)), (0xA0000, len(TEXT)), (2**32, len(TEXT))])
def test_a_kernel_that_does_not_fit_this_machine(dest: int, size: int) -> None:
    tables = good_tables()
    tables.pieces[0]["dest"] = dest
    check(boot(tables), "E_NO_ROOM", "dom0.kernel", dest, dest + size + 99)


@pytest.mark.provokes("E_NO_ROOM")
@pytest.mark.parametrize(
    "ranges",
    [
        [(0x100000, 0xE00000, 1), (0x1000000, RAM - 0x1000000, 1)],  # a hole at 15 MiB, as for ISA cards
        [(0x100000, 0xF00000, 1), (0x1000000, 0x1000000, 2), (0x2000000, 0x1000000, 1)],  # nothing at 16 MiB
        [(0x100000, 0xF80000, 1), (0xF00000, 0x100000, 4), (0x1080000, 0x1000000, 1)],  # firmware in RAM
    ],
)
def test_odd_memory_maps_are_named_and_not_written_to(ranges: list[tuple[int, int, int]]) -> None:
    tables = good_tables()
    tables.pieces[0]["dest"] = dest = 0xFFFFF0
    machine = machine_with(tables)
    machine.write(dest, b"\xee" * len(TEXT))
    pvh_info(machine, ranges=ranges)
    machine.boot(PVH)
    check(machine, "E_NO_ROOM", "dom0.kernel", dest, dest + len(TEXT) + 99)
    assert machine.read(dest, len(TEXT)) == b"\xee" * len(TEXT)


@pytest.mark.provokes("E_NO_FREE_ROOM")
def test_no_room_to_move_a_module_to() -> None:
    tables = good_tables()
    packed = lz4.block.compress(TEXT, store_size=False)
    tables.modules[0] |= dict(flags=0, load_address=0)
    machine = machine_with(tables)
    pvh_info(
        machine,
        ranges=[(0x100000, 0x100000, 1), (KERNEL, 0x1000, 1), (RAMDISK, 0x1000, 1)],
        modules=[(KERNEL, packed, "dom0.kernel")],
    )
    machine.boot(PVH)
    check(machine, "E_NO_FREE_ROOM", len(packed), "dom0.kernel")


@pytest.mark.provokes("E_TOO_LITTLE_MEMORY")
def test_a_domain_that_needs_more_memory_than_there_is() -> None:
    kib = (0x9FC00 + RAM - 0x100000) >> 10
    check(boot(good_tables(mem_min=RAM >> 12)), "E_TOO_LITTLE_MEMORY", "dom0", RAM >> 10, kib)


@pytest.mark.provokes("E_MODULE_MISSING")
def test_a_module_that_the_loader_did_not_bring() -> None:
    tables = good_tables()
    tables.modules[1] |= dict(flags=0)
    check(boot(tables), "E_MODULE_MISSING", "dom0.ramdisk", 0)


@pytest.mark.provokes("E_MODULE_SIZE")
def test_a_module_of_the_wrong_size() -> None:
    tables = good_tables()
    tables.modules[1] |= dict(flags=0)
    machine = machine_with(tables)
    pvh_info(machine, modules=[(RAMDISK, b"file", "dom0.ramdisk")])
    machine.boot(PVH)
    check(machine, "E_MODULE_SIZE", "dom0.ramdisk", 4, 5)


@pytest.mark.provokes("E_MODULE_HASH")
def test_a_module_that_was_damaged() -> None:
    machine = machine_with(good_tables())
    machine.write(RAMDISK + 2, b"L")
    machine.boot(PVH)
    check(machine, "E_MODULE_HASH", "dom0.ramdisk", RAMDISK, RAMDISK + 5)


@pytest.mark.provokes("E_MODULE_PIECE")
@pytest.mark.parametrize("change", [dict(source=9), dict(source=2**64 - 1), dict(method=0, dest_size=2**20)])
def test_a_piece_outside_of_its_module(change: dict[str, int]) -> None:
    tables = good_tables()
    tables.pieces[0] |= change
    piece, size = tables.pieces[0], tables.modules[0]["size"]
    end = (piece["source"] + piece["source_size"]) % 2**64
    check(boot(tables), "E_MODULE_PIECE", "dom0.kernel", piece["source"], end, size)


@pytest.mark.provokes("E_MODULE_UNPACK")
def test_a_piece_that_does_not_unpack() -> None:
    tables = good_tables()
    tables.pieces[0]["dest_size"] += 1
    check(boot(tables), "E_MODULE_UNPACK", "dom0.kernel", PACKED, len(TEXT) + 1)


@pytest.mark.provokes("E_NO_INITIAL_DOMAIN")
def test_no_initial_domain() -> None:
    check(boot(good_tables(functions=0)), "E_NO_INITIAL_DOMAIN", 1)


@pytest.mark.provokes("E_NO_KERNEL")
def test_an_initial_domain_without_kernel() -> None:
    check(boot(good_tables(kernel=C["NO_MODULE"])), "E_NO_KERNEL", "dom0")


@pytest.mark.provokes("E_CMDLINE_TOO_LONG")
@pytest.mark.parametrize(
    "length, fits", [(1023 - len(" extra  words"), True), (1024 - len(" extra  words"), False)]
)
def test_a_command_line_that_grows_too_long(length: int, fits: bool) -> None:
    tables = good_tables()
    tables.modules[0]["string"] = "x" * length
    machine = boot(tables)
    if fits:
        assert (
            line("M_CMDLINE", 0, "x" * length + " extra  words") in machine.transcript and not machine.failed
        )
    else:
        check(machine, "E_CMDLINE_TOO_LONG", "dom0", 1023)


@pytest.mark.provokes("E_NO_GUEST_INTERFACE")
@pytest.mark.parametrize("mode", ["MODE_PARAVIRTUALIZED", "MODE_DEVICE_MODEL"])
def test_a_mode_that_needs_a_hypervisor(mode: str) -> None:
    check(
        boot(good_tables(mode=C[mode] | C["MODE_LONG"])),
        "E_NO_GUEST_INTERFACE",
        "dom0",
        C[mode] | C["MODE_LONG"],
    )


@pytest.mark.provokes("E_NO_HARDWARE_DOMAIN")
def test_no_hardware_domain_was_built() -> None:
    machine = machine_with(good_tables())
    routine = machine.symbols["builder_get_hwdom"]
    code = machine.read(routine, 1)
    machine.write(routine, b"\xf4")
    machine.boot(PVH)  # up to there; then the domain is taken away
    machine.write(routine, code)
    machine.uc.ctl_flush_tb()
    machine.write(machine.variable("domains") + C["BOOT_DOMAIN_CONSTRUCTED"], b"\0\0")
    machine.call("builder_get_hwdom")
    check(machine, "E_NO_HARDWARE_DOMAIN", 1)


@pytest.mark.provokes("E_DOMID")
def test_an_initial_domain_with_another_domid() -> None:
    check(boot(good_tables(domid=5)), "E_DOMID", "dom0", 5, 0)


@pytest.mark.provokes("E_VCPU")
def test_two_initial_domains() -> None:
    tables = good_tables()
    tables.domains.append(dict(tables.domains[0], name="dom0b"))
    check(boot(tables), "E_VCPU", "dom0b", 2, 1)


@pytest.mark.provokes("E_PROTOCOL")
def test_a_launch_protocol_that_is_not_there() -> None:
    check(boot(good_tables(protocol=99)), "E_PROTOCOL", "dom0", 99)


@pytest.mark.provokes("E_ENTRY")
@pytest.mark.parametrize("entry", [0, KERNEL - 1, KERNEL + len(TEXT)])
def test_an_entry_outside_of_the_kernel(entry: int) -> None:
    check(boot(good_tables(entry=entry)), "E_ENTRY", "dom0", entry)


def test_a_failure_reboots_after_the_seconds_that_were_asked_for() -> None:
    machine = Machine(good_tables().encode(on_failure=C["ON_FAILURE_REBOOT"], reboot_seconds=3))
    pvh_info(machine)
    machine.write(machine.symbols["reset"], b"\xf4")
    machine.boot(0x1234)
    assert machine.error() == failure("E_LOADER", 0x1234)
    assert line("M_FAILED_REBOOT", 3) in machine.transcript


def test_reset_tries_every_way() -> None:
    machine = Machine()
    with pytest.raises(unicorn.UcError, match="INSN_INVALID"):
        machine.call("reset")
    assert (C["PORT_RESET"], C["RESET_HARD"]) in machine.ports
    assert (C["PORT_KEYBOARD"], C["KEYBOARD_RESET"]) in machine.ports
