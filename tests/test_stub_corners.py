"""What ordinary boots never come to: limits that are reached, firmware and loaders that say odd things. `invoke test
--coverage` shows which corners are left. Where the reference has the same decision, the stub must do what it does."""

from __future__ import annotations

import struct

import pytest
import samples
import test_stub_efi as efi
import unicorn
from machine import LOADER, RAM, SCRATCH, C, Machine, Tables, pvh_info
from test_boot_reference import IMAGE, MIB, World, compare, run
from test_stub_boot import KERNEL, PVH, check, failure, good_tables, line, machine_with, mmap_tag, multiboot2
from unicorn import x86_const as x86

from bootwright import boot as reference
from bootwright import tables
from bootwright.machine import Framebuffer
from bootwright.model import BootDomain, MemorySize
from bootwright.pack import Piece
from bootwright.planned import Plan, PlannedDomain, PlannedModule

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


# --- what the loader says --------------------------------------------------------------------------


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


# --- EFI, behind a loader that ended boot services -------------------------------------------------


def efi_map(size: int) -> tuple[int, bytes]:
    """A memory map tag of the firmware's, whose descriptors take `size` bytes."""
    data = bytes(number * 7 & 0xFF for number in range(size))
    return C["MULTIBOOT2_TAG_EFI_MMAP"], struct.pack("<II", 48, 1) + data


def by_grub(found: World, *tags: tuple[int, bytes]) -> Machine:
    """A boot with EFI's system table at 0x1_23456780 and these tags."""
    assert found.plan is not None
    machine = Machine(tables.encode(found.plan))
    for place, data in found.embedded:
        machine.write(place, data)
    system = (C["MULTIBOOT2_TAG_EFI64"], struct.pack("<Q", 0x123456780))
    multiboot2(machine, mmap_tag(LOW, HIGH), system, *tags)
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    assert not machine.failed
    return machine


@pytest.mark.parametrize("size", [48, 0x10000])
def test_linux_gets_the_firmwares_memory_map(size: int) -> None:
    # UEFI: Documentation/arch/x86/zero-page.rst, struct efi_info
    tag = efi_map(size)
    machine = by_grub(linux(), tag)
    info = machine.record("efi_info", machine.information[0] + 0x1C0)
    assert info.loader_signature.to_bytes(4, "little") == b"EL64"
    assert (info.systab, info.systab_hi) == (0x23456780, 1)
    assert (info.memdesc_size, info.memdesc_version, info.memmap_size, info.memmap_hi) == (48, 1, size, 0)
    assert machine.read(info.memmap, size) == tag[1][8:]


@pytest.mark.parametrize("tags", [[], [efi_map(0x10001)], [(C["MULTIBOOT2_TAG_EFI_MMAP"], b"")]])
def test_linux_is_not_told_of_efi_without_its_memory_map(tags: list[tuple[int, bytes]]) -> None:
    machine = by_grub(linux(), *tags)
    assert machine.read(machine.information[0] + 0x1C0, 32) == bytes(32)


def test_a_multiboot2_kernel_is_told_of_efi() -> None:
    machine = by_grub(plan("multiboot2", b"\xf4" * 64))
    start, end = machine.information
    tags, place = {}, start + 8
    while place < end:
        kind, size = struct.unpack("<II", machine.read(place, 8))
        tags[kind] = machine.read(place + 8, size - 8)
        place += size + 7 & -8
    assert tags[12] == struct.pack("<Q", 0x123456780) and place == end and list(tags)[-1] == 0


# --- EFI -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1023, 1024, 3000])
def test_load_options_are_kept_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    options = "".join(chr(ord("a") + number % 26) for number in range(length))

    def handle_protocol(self: efi.Firmware, handle: int, guid: int, interface: int, rest: int) -> int:
        image = struct.pack("<IIQ", 2 * length + 2, 0, SCRATCH + 0x100000)
        self.machine.write(efi.IMAGE + C["EFI_LOADED_IMAGE_LOAD_OPTIONS_SIZE"], image)
        self.machine.write(SCRATCH + 0x100000, (options + "\0").encode("utf-16-le"))
        self.machine.write(interface, struct.pack("<Q", efi.IMAGE))
        return 0

    monkeypatch.setattr(efi.Firmware, "handle_protocol", handle_protocol)
    machine, _ = efi.boot()
    info = machine.record("boot_info", machine.symbols["boot_info"])
    assert machine.read_string(info.cmdline) == options[:1023] and not machine.failed


def test_an_image_that_the_firmware_knows_nothing_of(monkeypatch: pytest.MonkeyPatch) -> None:
    unsupported = 1 << 63 | 3
    monkeypatch.setattr(efi.Firmware, "handle_protocol", lambda *arguments: unsupported)
    machine, _ = efi.boot()
    assert line("M_CMDLINE", 0, "quiet") in machine.transcript and not machine.failed


def test_a_firmware_without_acpi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efi, "ACPI1", bytes(16))
    monkeypatch.setattr(efi, "ACPI2", bytes(16))
    machine, _ = efi.boot()
    assert "RSDP at 0x0\n" in machine.transcript and not machine.failed
    assert machine.record("hvm_start_info", machine.information[0]).rsdp_paddr == 0


def test_a_memory_map_of_descriptors_that_are_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = efi.Firmware.get_memory_map

    def get_memory_map(self: efi.Firmware, size: int, buffer: int, key: int, descriptor_size: int) -> int:
        whole(self, size, buffer, key, descriptor_size)
        self.machine.write(descriptor_size, struct.pack("<Q", 39))
        return 0

    monkeypatch.setattr(efi.Firmware, "get_memory_map", get_memory_map)
    check(efi.boot()[0], "E_EFI_MEMORY_MAP", 0, 48 * len(efi.MAP))


def test_a_firmware_that_has_no_room_left(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = efi.Firmware.allocate_pages

    def allocate_pages(self: efi.Firmware, how: int, kind: int, pages: int, address: int) -> int:
        return 1 << 63 | 9 if how == C["EFI_ALLOCATE_MAX_ADDRESS"] else claim(self, how, kind, pages, address)

    monkeypatch.setattr(efi.Firmware, "allocate_pages", allocate_pages)
    check(efi.xen()[0], "E_HANDOVER_ROOM", C["HANDOVER_SIZE"])


# --- loading and launching -------------------------------------------------------------------------


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


# --- the cpu, and the end --------------------------------------------------------------------------


def test_a_cpu_without_a_name_is_called_by_its_vendor() -> None:
    machine = machine_with(good_tables())

    def cpuid(uc: unicorn.Uc, data: object) -> int:
        # SDM 2, CPUID: the vendor's name is in EBX, EDX, ECX
        words = {0: struct.unpack("<4x3I", b"....CentaulsaurH"), 0x80000000: (0, 0, 0)}
        leaf = uc.reg_read(x86.UC_X86_REG_EAX)
        ebx, ecx, edx = words[leaf]
        uc.reg_write(x86.UC_X86_REG_RAX, 0x80000001 if leaf else 1)
        for register, value in (("RBX", ebx), ("RCX", ecx), ("RDX", edx)):
            uc.reg_write(getattr(x86, f"UC_X86_REG_{register}"), value)
        return 1

    machine.uc.hook_add(unicorn.UC_HOOK_INSN, cpuid, None, 1, 0, x86.UC_X86_INS_CPUID)
    machine.boot(PVH)
    assert line("M_CPU", "CentaurHauls") in machine.transcript and not machine.failed


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
