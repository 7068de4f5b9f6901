"""What ordinary boots by EFI never come to: firmware that says odd things, and loaders that speak of it."""

from __future__ import annotations

import struct
from typing import Any

import firmware as efi
import pytest
from booting import check, good_tables, line, mmap_tag, multiboot2
from machine import LOADER, SCRATCH, C, Machine
from worlds import HIGH, LOW, World, linux, plan

from bootwright.plan import tables
from bootwright.plan.records import Plan

# --- behind a loader that ended boot services -------------------------------------------------------


def efi_map(size: int) -> tuple[int, bytes]:
    """A memory map tag of the firmware's, whose descriptors take `size` bytes."""
    data = bytes(number * 7 & 0xFF for number in range(size))
    return C["MULTIBOOT2_TAG_EFI_MMAP"], struct.pack("<II", 48, 1) + data


def by_grub(found: World, *tags: tuple[int, bytes]) -> Machine:
    """A boot with EFI's system table at 0x1_23456780 and these tags."""
    assert isinstance(found.plan, Plan)
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


# --- the firmware -----------------------------------------------------------------------------------


@pytest.mark.provokes("E_STRING_TOO_LONG")
@pytest.mark.parametrize("length", [2047, 2048, 5000])
def test_load_options_are_kept_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    options = "".join(chr(ord("a") + number % 26) for number in range(length))

    def handle_protocol(self: efi.Firmware, handle: int, guid: int, interface: int, rest: int) -> int:
        image = struct.pack("<IIQ", 2 * length + 2, 0, SCRATCH + 0x100000)
        self.machine.write(efi.IMAGE + C["EFI_LOADED_IMAGE_LOAD_OPTIONS_SIZE"], image)
        self.machine.write(SCRATCH + 0x100000, (options + "\0").encode("utf-16-le"))
        self.machine.write(interface, struct.pack("<Q", efi.IMAGE))
        return 0

    monkeypatch.setattr(efi.Firmware, "handle_protocol", handle_protocol)
    machine, _ = efi.boot()
    if length > 2047:
        check(machine, "E_STRING_TOO_LONG", SCRATCH + 0x100000, 2047)
        return
    info = machine.record("boot_info", machine.symbols["boot_info"])
    assert machine.read_string(info.cmdline) == options and not machine.failed


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


@pytest.mark.parametrize("lowest", [0, 16 << 20, 1 << 30])
def test_the_firmware_is_asked_for_a_low_place_first(lowest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what the hypervisor is told: below 16 MiB, then below 1 GiB. lowest: of what is free."""
    claim, asked = efi.Firmware.allocate_pages, list[int]()

    def allocate_pages(self: efi.Firmware, how: int, kind: int, pages: int, address: int) -> int:
        if how == C["EFI_ALLOCATE_MAX_ADDRESS"]:
            asked.append(int.from_bytes(self.machine.read(address, 8), "little") + 1)
            if asked[-1] <= lowest:
                return 1 << 63 | 9
        return claim(self, how, kind, pages, address)

    monkeypatch.setattr(efi.Firmware, "allocate_pages", allocate_pages)
    machine = efi.xen()[0]
    assert asked == [16 << 20, 1 << 30][: 1 if not lowest else 2]
    assert bool(machine.error()) == (lowest == 1 << 30)


@pytest.mark.parametrize(("pixels", "positions"), [(0, (0, 8, 16)), (1, (16, 8, 0)), (2, None), (3, None)])
def test_the_screen_in_each_of_efis_formats(pixels: int, positions: tuple[int, int, int] | None) -> None:
    # UEFI 2.10, 12.9.2.1: 0 has red in the lowest byte, 1 blue; others have masks, or no linear framebuffer
    machine, _ = efi.boot(graphics=pixels)
    info = machine.record("boot_info", machine.symbols["boot_info"])
    assert bool(info.has_framebuffer) == (positions is not None) and not machine.failed
    if positions:
        assert tuple(info.framebuffer_colours) == (positions[0], 8, positions[1], 8, positions[2], 8)


def test_memory_of_a_type_that_nobody_knows_is_reserved() -> None:
    unknown = [(15, 0x5000000, 0x80), (0x80000000, 0x5080000, 0x80)]
    machine, _ = efi.boot(memory_map=efi.descriptors([*efi.MAP, *unknown]))
    assert line("M_RANGE", 0x5000000, 0x5100000, 2) in machine.transcript


@pytest.mark.parametrize("size", [0, 39, 47])
def test_a_memory_map_without_anything(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    whole = efi.Firmware.get_memory_map

    def get_memory_map(self: efi.Firmware, place: int, buffer: int, key: int, descriptor_size: int) -> int:
        whole(self, place, buffer, key, descriptor_size)
        self.machine.write(place, struct.pack("<Q", size))
        return 0

    monkeypatch.setattr(efi.Firmware, "get_memory_map", get_memory_map)
    check(efi.boot()[0], "E_EFI_MEMORY_MAP", 0, size)


@pytest.mark.parametrize("half", [slice(0, 8), slice(8, 16)])
def test_tables_of_the_firmware_that_look_like_acpis(monkeypatch: pytest.MonkeyPatch, half: slice) -> None:
    for name in ("ACPI1", "ACPI2"):
        guid = bytearray(getattr(efi, name))
        guid[half] = b"\xee" * 8
        monkeypatch.setattr(efi, name, bytes(guid))
    assert "RSDP at 0x0\n" in efi.boot()[0].transcript


def test_a_firmware_of_nobody() -> None:
    machine, _ = efi.hypervisor()
    machine.write(efi.SYSTEM + C["EFI_SYSTEM_TABLE_FIRMWARE_VENDOR"], bytes(8))
    machine.call("efi_start", rcx=0x77, rdx=efi.SYSTEM)
    assert "entered by EFI from \n" in machine.transcript and not machine.failed


def test_a_firmware_without_console(monkeypatch: pytest.MonkeyPatch) -> None:
    start = efi.Firmware.__init__

    def silent(self: efi.Firmware, machine: Machine) -> None:
        start(self, machine)
        machine.write(efi.SYSTEM + C["EFI_SYSTEM_TABLE_CON_OUT"], bytes(8))

    monkeypatch.setattr(efi.Firmware, "__init__", silent)
    machine, firmware = efi.boot()
    assert not machine.failed and not firmware.console


def test_a_hypervisor_that_does_not_want_boot_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efi, "C", C | {"PROTOCOL_MULTIBOOT2_EFI": C["PROTOCOL_MULTIBOOT2"]})
    machine, firmware = efi.xen()
    assert firmware.calls[-1] == "exit_boot_services"
    check(machine, "E_EFI_ENDED", "xen", "EDK ?")


def test_a_hypervisor_by_a_protocol_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efi, "C", C | {"PROTOCOL_MULTIBOOT2_EFI": 99})
    machine, firmware = efi.xen()
    assert firmware.calls[-1] == "exit_boot_services"
    check(machine, "E_PROTOCOL", "xen", 99)


def test_the_generic_stub_by_efi() -> None:
    machine = Machine()
    machine.uc.mem_map(efi.SCREEN, 4 << 20)
    firmware = efi.Firmware(machine)
    machine.call("efi_start", rcx=0x77, rdx=efi.SYSTEM)
    check(machine, "E_NOTHING_TO_BOOT")
    assert firmware.calls[-1] == "exit_boot_services"


def test_a_tag_of_no_size_in_front_of_efis() -> None:
    machine, _ = efi.hypervisor()
    machine.write(LOADER, struct.pack("<4I", 0x100, 0, 0x77, 0))
    machine.call("start_multiboot2_efi", rax=C["MULTIBOOT2_LOADER_MAGIC"], rbx=LOADER)
    check(machine, "E_EFI_TAGS", 0, 0, 0)


@pytest.mark.parametrize("place", [0x3300000, 1 << 32, 5 << 32])
def test_an_rsdp_above_4_gib_is_not_looked_at(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    """Nothing maps it. A kernel by multiboot2 would get a copy of its bytes; without one it looks for it by EFI."""
    monkeypatch.setattr(efi, "RSDP", place)
    monkeypatch.setattr(efi, "good_tables", lambda: good_tables(protocol=C["PROTOCOL_MULTIBOOT2"]))
    machine, _ = efi.boot()
    assert machine.record("boot_info", machine.symbols["boot_info"]).rsdp == place
    start, end = machine.information
    kinds, tag = set(), start + 8
    while tag < end:
        kind, size = struct.unpack("<II", machine.read(tag, 8))
        kinds.add(kind)
        tag += size + 7 & ~7
    acpi = {C["MULTIBOOT2_TAG_ACPI_OLD"], C["MULTIBOOT2_TAG_ACPI_NEW"]}
    assert bool(kinds & acpi) == (place < 1 << 32) and C["MULTIBOOT2_TAG_EFI64"] in kinds
    assert "launch by multiboot2" in machine.transcript


@pytest.mark.provokes("E_EFI_TABLES")
@pytest.mark.parametrize("count", [C["EFI_MAX_TABLES"] + 1, (1 << 64) - 1])
def test_a_firmware_with_more_configuration_tables_than_can_be(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    begin = efi.Firmware.__init__

    def lying(self: efi.Firmware, machine: Machine, **settings: Any) -> None:
        begin(self, machine, **settings)
        machine.write(efi.SYSTEM + C["EFI_SYSTEM_TABLE_NUMBER_OF_TABLE_ENTRIES"], struct.pack("<Q", count))

    monkeypatch.setattr(efi.Firmware, "__init__", lying)
    machine, firmware = efi.boot()
    check(machine, "E_EFI_TABLES", count, C["EFI_MAX_TABLES"])
    assert "E0215" in firmware.console


@pytest.mark.provokes("E_EFI_MEMORY_MAP")
@pytest.mark.parametrize(("size", "descriptor"), [(C["EFI_MAP_SIZE"] + 48, 48), (96, 97), (96, (1 << 64) - 48)])
def test_a_firmware_whose_memory_map_is_longer_than_what_it_was_given(
    monkeypatch: pytest.MonkeyPatch, size: int, descriptor: int
) -> None:
    answer = efi.Firmware.get_memory_map

    def lying(self: efi.Firmware, at: int, buffer: int, key: int, descriptor_at: int) -> int:
        status = answer(self, at, buffer, key, descriptor_at)
        self.machine.write(at, struct.pack("<Q", size))
        self.machine.write(descriptor_at, struct.pack("<Q", descriptor))
        return status

    monkeypatch.setattr(efi.Firmware, "get_memory_map", lying)
    check(efi.boot()[0], "E_EFI_MEMORY_MAP", 0, size)
