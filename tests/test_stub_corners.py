"""What ordinary boots never come to: limits that are reached, firmware and loaders that say odd things. `invoke test
--coverage` shows which corners are left. Where the reference has the same decision, the stub must do what it does."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import Any

import lz4.block
import pytest
import samples
import test_stub_device_tree as trees
import unicorn
from machine import LOADER, RAM, SCRATCH, C, Machine, Tables, pvh_info
from test_boot_reference import IMAGE, MIB, World, compare, run
from test_stub_boot import (
    KERNEL,
    PVH,
    check,
    failure,
    good_tables,
    line,
    machine_with,
    mmap_tag,
    multiboot2,
    stub_place,
)
from unicorn import x86_const as x86

from bootwright import boot as reference
from bootwright.machine import Framebuffer
from bootwright.model import BootDomain, MemorySize
from bootwright.pack import Piece
from bootwright.planned import Plan, PlannedDomain, PlannedHypervisor, PlannedModule
from bootwright.ranges import Movable

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


def booted(found: World, log: int = C["LOG_DEBUG"]) -> tuple[Machine, reference.Boot]:
    stub, expected = run(found)
    compare(stub, expected, found, log)
    return stub, expected


def fails(found: World, name: str, log: int = C["LOG_DEBUG"]) -> None:
    _, expected = booted(found, log)
    assert expected.failure is not None and expected.failure.name == name


# --- what the loader says ---------------------------------------------------------------------------


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


@pytest.mark.parametrize("low", [(0x1000, 0x9EC00, 1), (0, 0x9FC00, 2)])
@pytest.mark.parametrize("protocol", ["multiboot1", "multiboot2"])
def test_no_memory_from_address_0(protocol: str, low: tuple[int, int, int]) -> None:
    found = plan(protocol, b"\xf4" * 64)
    found.ranges = [low, HIGH]
    booted(found)


def test_modules_of_a_loader_have_names_of_two_digits() -> None:
    file = samples.linux(xloadflags=0, pref_address=KERNEL)
    found = World(0, ranges=[LOW, HIGH], contents={0: file})
    found.files = [((2 + number) * MIB, file if not number else b"x" * number, "") for number in range(12)]
    stub, _ = booted(found, C["LOG_NORMAL"])
    assert line("M_MODULE", 11, "unknown", "module11", 13 * MIB, 13 * MIB + 11) in stub.transcript


def test_a_bzimage_that_does_not_say_how_long_its_setup_code_is() -> None:
    file = samples.linux(b"\x01" * 0x500, xloadflags=0, setup_sects=0, relocatable_kernel=0)
    found = World(0, ranges=[LOW, HIGH], contents={0: file}, files=[(4 * MIB, file, "")])
    stub, _ = booted(found, C["LOG_NORMAL"])
    assert stub.read(16 * MIB, 0x500) == b"\x01" * 0x500, "its 5 sectors before that are not code"


def test_a_bzimage_that_may_be_moved_and_has_no_room() -> None:
    file = samples.linux(xloadflags=0, init_size=RAM)
    found = World(0, ranges=[LOW, HIGH], contents={0: file}, files=[(4 * MIB, file, "")])
    fails(found, "E_NO_FREE_ROOM", C["LOG_NORMAL"])


@pytest.mark.parametrize("size", [8, 39])
def test_a_device_tree_shorter_than_its_own_header(size: int) -> None:
    tree = struct.pack(">10I", 0xD00DFEED, size, 0, 0, 0, 17, 16, 0, 0, 0)
    found = World(0, ranges=[LOW, HIGH], contents={0: tree}, files=[(4 * MIB, tree, "")])
    fails(found, "E_FDT_CUT_SHORT", C["LOG_NORMAL"])


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


def test_the_first_rsdp_that_counts_is_the_new_one() -> None:
    machine = machine_with(good_tables())
    new, old = b"RSD PTR new......2..........................", b"RSD PTR old........."
    tags = [(C["MULTIBOOT2_TAG_ACPI_NEW"], new[:36]), (C["MULTIBOOT2_TAG_ACPI_OLD"], old)]
    multiboot2(machine, mmap_tag(LOW, HIGH), *tags)
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    assert machine.read(machine.symbols["rsdp_page"], 36) == new[:36] and not machine.failed


def test_pvh_information_of_the_first_version_has_no_map() -> None:
    machine = machine_with(good_tables())
    machine.write(LOADER + 4, struct.pack("<I", 0))
    machine.boot(PVH)
    check(machine, "E_NO_MEMORY_MAP", "-")


@pytest.mark.parametrize("ebda", [0, 0x9FC0])
@pytest.mark.parametrize("place", [0x9FC00, 0x9FFF0, 0xE0000, 0xFFFE0, None])
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


# --- tables -----------------------------------------------------------------------------------------


def test_tables_without_anything() -> None:
    machine = machine_with(Tables())
    machine.boot(PVH)
    check(machine, "E_NO_INITIAL_DOMAIN", 0)


def test_tables_whose_last_string_does_not_end() -> None:
    blob = bytearray(good_tables().encode())
    blob[-1] = ord("x")
    blob[C["TABLES_CHECKSUM"] : C["TABLES_CHECKSUM"] + 4] = bytes(4)
    struct.pack_into("<I", blob, C["TABLES_CHECKSUM"], zlib.crc32(blob))
    machine = Machine(bytes(blob))
    pvh_info(machine)
    machine.boot(PVH)
    check(machine, "E_TABLES_OFFSET", len(blob), len(blob))


def test_tables_with_too_many_modules() -> None:
    machine = machine_with(good_tables(), nr_modules=64)
    machine.boot(PVH)
    check(machine, "E_TABLES_COUNT", 1, 64, 64, 63)


def test_an_array_of_the_tables_that_is_not_aligned() -> None:
    domains = C["TABLES_SIZEOF"] + 4
    machine = machine_with(good_tables(), domains=domains)
    machine.boot(PVH)
    check(machine, "E_TABLES_OFFSET", domains + C["BOOT_DOMAIN_SIZEOF"], len(good_tables().encode(domains=domains)))


def test_tables_whose_name_lies_outside_still_say_so() -> None:
    machine = machine_with(good_tables(), name=0x10000)
    machine.boot(PVH)
    check(machine, "E_TABLES_OFFSET", 0x10000, len(good_tables().encode()))
    assert machine.transcript.startswith(line("M_ENTRY", "-", *stub_place(machine), "PVH", "-"))


# --- kernels of all kinds, where no host has looked into them ---------------------------------------


def generic(file: bytes, *more: tuple[int, bytes, str], **fields: Any) -> World:
    """The generic stub with a kernel at 4 MiB."""
    return World(0, ranges=[LOW, HIGH], contents={0: file}, files=[(4 * MIB, file, ""), *more], **fields)


NOTE = samples.pvh_note(KERNEL)
TEXT = samples.Load(KERNEL, b"\xf4" * 64)
EMPTY = samples.Load(2 * KERNEL, b"", memsz=0)


def patched(file: bytes, offset: int, value: int) -> bytes:
    return file[:offset] + struct.pack("<Q", value) + file[offset + 8 :]


E_PHOFF, FIRST_OFFSET, FIRST_PADDR, FIRST_FILESZ, FIRST_MEMSZ = 0x20, 0x48, 0x58, 0x60, 0x68  # of ELF64


@pytest.mark.parametrize(
    "file",
    [
        samples.elf([TEXT, EMPTY], NOTE),
        samples.elf([TEXT], samples.note(17, b"1234") + NOTE),
        samples.elf([TEXT], samples.note(18, b"1234", b"Xen4") + NOTE),
        samples.elf([TEXT], samples.note(18, b"1234", b"Xem") + NOTE),
        samples.elf([TEXT], samples.note(18, b"123") + NOTE),
        samples.elf([TEXT], NOTE + b"\1\0\0\0"),
        samples.elf([TEXT], NOTE[:-4]),
        samples.elf([TEXT], samples.note(17, b"1234")),
        samples.elf([TEXT], struct.pack("<3I", 4, 0xFFFFFFFF, 18) + b"Xen\0" + bytes(64)),
        patched(samples.elf([TEXT], NOTE), E_PHOFF, (1 << 64) - 8),
        patched(samples.elf([TEXT], NOTE), FIRST_OFFSET, (1 << 64) - 8),
        patched(samples.elf([TEXT], NOTE), FIRST_FILESZ, (1 << 64) - 8),
        samples.headed(samples.multiboot1(), entry=KERNEL),  # entered outside of what it loads
        samples.headed(samples.multiboot1(), entry=0x1000),
        samples.headed(samples.multiboot1()[:8] + b"\1\0\0\0"),
        samples.headed(samples.multiboot2()[:12] + b"\1\0\0\0"),
        samples.headed(struct.pack("<4I", 0xE85250D6, 4, 16, -(0xE85250D6 + 20) & 0xFFFFFFFF)),  # for MIPS
        samples.linux(loadflags=0),
        samples.linux(version=0x20B),
        samples.linux()[:0x260],
        b"\x7fELF" + bytes(40),
    ],
)
def test_odd_kernels_are_taken_as_the_reference_takes_them(file: bytes) -> None:
    booted(generic(file), C["LOG_NORMAL"])


@pytest.mark.parametrize("field", [FIRST_PADDR, FIRST_MEMSZ])
@pytest.mark.parametrize("value", [(1 << 64) - 8, (1 << 32) - 8, 1 << 63])
def test_a_kernel_that_wants_to_lie_beyond_what_there_is(field: int, value: int) -> None:
    fails(generic(patched(samples.elf([TEXT], NOTE), field, value)), "E_NO_ROOM", C["LOG_NORMAL"])


LONG = ["x acpi=" + "y" * length for length in (990, 1016)]


@pytest.mark.parametrize("cmdline", ["noapic x", "no noapic", "noapicx", "acpi=off", "acpi= -- a", *LONG])
@pytest.mark.parametrize("string", ["vmlinux", "vmlinux ", "", "a noapic", "k " + "z" * 30])
@pytest.mark.parametrize("loader", ["GRUB 0.97", "GRUBx", "GRUB 2"])
def test_command_lines(cmdline: str, string: str, loader: str) -> None:
    found = generic(samples.elf([TEXT], NOTE), cmdline=cmdline, loader=loader)
    found.files = [(4 * MIB, found.contents[0], string)]
    booted(found, C["LOG_NORMAL"])


# --- device trees ----------------------------------------------------------------------------------


def tree(structure: bytes) -> bytes:
    """A blob around a structure, with one name."""
    names = b"name\0"
    size, end = len(structure), 56 + len(structure)
    head = (0xD00DFEED, end + len(names), 56, end, 40, 17, 16, 0, len(names), size)
    return struct.pack(">10I", *head) + bytes(16) + structure + names


@pytest.mark.parametrize(
    "structure",
    [
        struct.pack(">3I", 3, 0, 0) + struct.pack(">4I", 1, 0, 2, 9),  # a property in front of all nodes
        struct.pack(">4I", 1, 0, 3, 0),  # one that ends in its own header
        struct.pack(">3I", 1, 0, 3),
    ],
)
def test_properties_out_of_place(structure: bytes) -> None:
    blob = tree(structure)
    found = World(0, ranges=[LOW, HIGH], contents={0: blob}, files=[(4 * MIB, blob, "")])
    fails(found, "E_FDT_STRUCTURE", C["LOG_NORMAL"])


@pytest.mark.parametrize(
    "found",
    [
        trees.tree(trees.domain(compatible=b"xen,domai")),
        trees.tree(trees.domain(compatible=b"x\0xen,domain")),
        trees.tree(trees.domain(memory=b"17000000000t\0")),
        {"chosen@0": trees.tree(trees.domain())["chosen"]},
    ],
)
def test_odd_trees(found: dict[str, Any]) -> None:
    blob, kernel = trees.blob(found), samples.elf([TEXT], NOTE)
    files = [(4 * MIB, blob, ""), (5 * MIB, kernel, "vmlinux"), (6 * MIB, b"files", "")]
    booted(World(0, ranges=[LOW, HIGH], contents={0: blob, 1: kernel}, files=files), C["LOG_NORMAL"])


# --- room, loading and launching --------------------------------------------------------------------


def test_room_is_clear_of_modules_that_nobody_wants() -> None:
    found = plan("pvh", b"\xf4" * 64)
    found.files = [(RAM - 0x1000, b"left over", "x"), (RAM - 0x50000, b"y" * 0x2000, "y")]
    booted(found)


def test_room_for_what_goes_to_the_stubs_place_is_clear_of_more_of_it() -> None:
    found = plan("pvh", b"\xf4" * 0x3000, dest=MIB)
    assert found.plan is not None
    sizes = (0x1000, 0x1800, 0x800)
    starts = (0, 0x1000, 0x2800)
    pieces = [
        Piece(start, size, MIB + start, size, 0, C["PACK_STORED"]) for start, size in zip(starts, sizes, strict=True)
    ]
    module = replace(found.plan.modules[0], pieces=tuple(pieces))
    found.plan = replace(found.plan, modules=(module,))
    booted(found)


def test_room_above_what_waits_for_the_stubs_place() -> None:
    found = plan("pvh", b"\xf4" * 0x3000, dest=MIB)
    assert found.plan is not None
    pieces = (Piece(0, 0x2000, MIB, 0x2000, 0, 0), Piece(0x2000, 0x1000, MIB + 0x2000, 0x1000, 0, 0))
    found.plan = replace(found.plan, modules=(replace(found.plan.modules[0], pieces=pieces),))
    found.ranges = [LOW, (MIB, 20 * MIB, 1), (RAM - 0x1000, 0x1000, 1)]  # the smaller one fits there
    booted(found)


def test_a_kernel_that_may_be_moved_and_has_nothing_to_move() -> None:
    found = plan("pvh", b"\xf4" * 64)
    assert found.plan is not None
    module = replace(found.plan.modules[0], pieces=(), movable=Movable(0x1000, 0, 0xFFFFFFFF))
    found.plan = replace(found.plan, modules=(module,))
    fails(found, "E_ENTRY")


def test_no_room_for_what_goes_to_the_stubs_place() -> None:
    found = plan("pvh", b"\xf4" * 0x1000, dest=MIB, at=2 * MIB)
    found.ranges = [LOW, (MIB, MIB + 0x1000, 1)]  # all of it taken
    fails(found, "E_NO_FREE_ROOM")


def test_the_hardware_domain_need_not_be_the_initial_one() -> None:
    domains = good_tables(permissions=0, functions=0)
    permissions = C["PERMISSION_HARDWARE"]
    domains.domains.append(dict(domains.domains[0], name="driver", domid=7, permissions=permissions))
    machine = machine_with(domains)
    machine.set_variable("tables", machine.symbols["__start_tables"])
    first = machine.symbols["__start_tables"] + C["TABLES_SIZEOF"]
    machine.set_variable("domains", first)
    for number in range(2):  # both built, one with the permission
        built = first + number * C["BOOT_DOMAIN_SIZEOF"] + C["BOOT_DOMAIN_CONSTRUCTED"]
        machine.write(built, b"\1\0")
    machine.call("apply_settings")
    machine.call("builder_get_hwdom")
    assert machine.transcript == line("M_HWDOM", 7, "driver") + "\n"


def test_a_hypervisor_without_efi() -> None:
    found = plan("multiboot2", b"\xf4" * 64)
    assert found.plan is not None
    xen = PlannedHypervisor(0, C["PROTOCOL_MULTIBOOT2"], "xen console=com1", KERNEL)
    found.plan = replace(found.plan, hypervisor=xen)
    booted(found)


def test_setup_code_has_no_place() -> None:
    found = linux(code32_start=0)
    found.ranges = [(0, 0x98000, 1), HIGH]
    fails(found, "E_NO_ROOM")


@pytest.mark.parametrize("ranges", [128, 129, 400])
def test_linux_gets_a_long_memory_map_in_two_parts(ranges: int) -> None:
    # Documentation/arch/x86/boot.rst, "setup_data": next, type, len, and SETUP_E820_EXT is 1
    found = linux()
    odd = [(48 * MIB + 0x1000 * number, 0x1000, 2 + number % 2) for number in range(ranges - 3)]
    found.ranges = [LOW, (MIB, 47 * MIB, 1), *odd, (odd[-1][0] + 0x1000, 0x1000, 1)]
    stub, _ = booted(found)
    params = stub.record("boot_params", stub.information[0])
    told = bytes(params.e820_table)[: 20 * params.e820_entries]
    assert params.e820_entries == min(ranges, 128)
    if ranges > 128:
        following, kind, size = struct.unpack("<QII", stub.read(params.setup_data, 16))
        assert (following, kind) == (0, 1)
        told += stub.read(params.setup_data + 16, size)
    assert told == b"".join(struct.pack("<QQI", *part) for part in found.ranges)


@pytest.mark.parametrize("address", [0xB8000, 0xE0000000, 0x123400000000])
@pytest.mark.parametrize("kind", ["RGB", "EGA_TEXT"])
def test_linux_is_told_of_the_screen(address: int, kind: str) -> None:
    found, number = linux(), C[f"MULTIBOOT2_FRAMEBUFFER_{kind}"]
    colours = bytes([16, 8, 8, 8, 0, 8])
    found.framebuffer = Framebuffer(address, 5120, 1280, 800, 32, number, colours)
    found.loader = "GRUB 2.06"
    stub, _ = booted(found)
    params = stub.record("boot_params", stub.information[0])
    if kind == "RGB":
        assert params.lfb_base + (params.ext_lfb_base << 32) == address
        assert params.capabilities >> 1 & 1 == (address >= 1 << 32)
        assert (params.red_pos, params.green_pos, params.blue_pos) == (16, 8, 0)


# --- the cpu, and the end ---------------------------------------------------------------------------


# SDM 2, CPUID: EAX, EBX, ECX, EDX of each leaf; a vendor's name is in EBX, EDX, ECX
VENDOR = (1, *struct.unpack("<3I", b"CentaulsaurH"))
BRAND = struct.unpack("<12I", b"      VIA C7".ljust(48, b"\0"))


@pytest.mark.parametrize(
    ("leaves", "name"),
    [
        ({0x80000000: (0x80000001, 0, 0, 0), 0: VENDOR}, "CentaurHauls"),
        (
            {0x80000000: (0x80000004, 0, 0, 0)}
            | {0x80000002 + number: BRAND[4 * number : 4 * number + 4] for number in range(3)},
            "VIA C7",
        ),
    ],
)
def test_what_a_cpu_calls_itself(leaves: dict[int, tuple[int, ...]], name: str) -> None:
    machine = machine_with(good_tables())

    def cpuid(uc: unicorn.Uc, data: object) -> int:
        values = leaves[uc.reg_read(x86.UC_X86_REG_EAX)]
        for register, value in zip(("RAX", "RBX", "RCX", "RDX"), values, strict=True):
            uc.reg_write(getattr(x86, f"UC_X86_REG_{register}"), value)
        return 1

    machine.uc.hook_add(unicorn.UC_HOOK_INSN, cpuid, None, 1, 0, x86.UC_X86_INS_CPUID)
    machine.boot(PVH)
    assert line("M_CPU", name) in machine.transcript and not machine.failed


class StoppedClock(Machine):
    """The clock stands still."""

    reads = 0

    def _on_in(self, uc: unicorn.Uc, port: int, size: int, data: object) -> int:
        if port != C["PORT_CMOS_DATA"]:
            return super()._on_in(uc, port, size, data)
        self.reads += 1
        return 0x59


def test_a_clock_that_stands_still_is_given_up() -> None:
    machine = StoppedClock(Tables().encode(on_failure=C["ON_FAILURE_REBOOT"], reboot_seconds=3))
    tries = machine.symbols["wait_second.wait"] - 4  # the operand in front of the loop
    assert machine.read(tries, 4) == struct.pack("<I", C["CMOS_TRIES"])
    machine.write(tries, struct.pack("<I", 50))  # a try takes long here
    machine.write(machine.symbols["reset"], b"\xf4")
    machine.boot(0x1234)
    assert machine.error() == failure("E_LOADER", 0x1234)
    assert machine.transcript.endswith(line("M_FAILED_REBOOT", 3) + "\n") and machine.reads == 3 * 51


@pytest.mark.parametrize("seconds", [0, 2])
def test_a_reboot_waits_for_so_many_seconds(seconds: int) -> None:
    machine = Machine(Tables().encode(on_failure=C["ON_FAILURE_REBOOT"], reboot_seconds=seconds))
    machine.write(machine.symbols["reset"], b"\xf4")
    machine.boot(0x1234)
    assert [port for port, _ in machine.ports].count(C["PORT_CMOS_INDEX"]) == 2 * seconds


@pytest.mark.parametrize(
    "block",
    [
        b"\x10a\x00\x00\x00",  # from where it is itself
        b"\x10a\x02\x00\x00",  # from in front of all
        b"\x1fa\x01\x00\xff\xff\x00\x00",  # longer than what is left
        b"\x40abcd" + b"\x01\x00" + bytes(20),
    ],
)
def test_damaged_lz4(block: bytes) -> None:
    machine = Machine()
    machine.write(SCRATCH, block)
    machine.write(SCRATCH + 0x1000, b"\xee" * 64)
    with pytest.raises(lz4.block.LZ4BlockError):
        lz4.block.decompress(block, uncompressed_size=16)
    machine.call("lz4_unpack", SCRATCH + 0x1000, SCRATCH, 16, len(block))
    assert not machine.zero_flag and machine.read(SCRATCH + 0x1010, 48) == b"\xee" * 48
