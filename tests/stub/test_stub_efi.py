"""The EFI entry under Unicorn, with a firmware of a few lines: what it says becomes boot_info, boot services end."""

from __future__ import annotations

import struct
from collections.abc import Callable

import lz4.block
import pytest
from booting import KERNEL, PACKED, RAMDISK, TEXT, check, good_tables, line, mmap_tag, multiboot2, stub_place
from firmware import GRUB, INVALID_PARAMETER, MAP, RSDP, SCREEN, SERVICES, SYSTEM, Firmware, boot, hypervisor, xen
from machine import LOADER, RAM, C, Machine
from screen import Screen
from unicorn import x86_const as x86


def test_what_the_firmware_says_becomes_boot_info() -> None:
    machine, firmware = boot()
    entry = line("M_ENTRY", "test", *stub_place(machine), "EFI", "EDK ?")
    assert firmware.console == entry + "\r\n"
    assert machine.transcript.startswith(entry + "\n"), "and again on the serial port"
    assert line("M_CMDLINE", 0, "quiet b") in machine.transcript
    assert machine.read(KERNEL, len(TEXT)) == TEXT
    assert "set_watchdog_timer" in firmware.calls and firmware.calls[-1] == "exit_boot_services"
    info = machine.record("boot_info", machine.symbols["boot_info"])
    assert info.rsdp == RSDP, "of revision 2, though one of revision 1 comes first"
    assert (info.framebuffer, info.framebuffer_pitch, info.framebuffer_width, info.framebuffer_height) == (
        SCREEN,
        4352,
        1024,
        768,
    )
    assert bytes(info.framebuffer_colours) == bytes([16, 8, 8, 8, 0, 8])


def test_the_memory_map_is_what_is_free_once_boot_services_have_ended() -> None:
    transcript = boot()[0].transcript
    for start, end, kind in [
        (0, 0xA0000, 1),
        (0x100000, 0x780000, 1),
        (0x780000, 0x790000, 4),
        (0x790000, 0x3800000, 1),
        (0x3800000, 0x3900000, 2),
        (0x3900000, 0x3F00000, 1),
        (0x3F00000, 0x4000000, 2),
    ]:
        assert line("M_RANGE", start, end, kind) in transcript


@pytest.mark.parametrize("stale", [1, C["EFI_EXIT_TRIES"] - 1])
def test_a_stale_map_key_is_tried_again(stale: int) -> None:
    machine, firmware = boot(stale=stale)
    assert firmware.calls.count("get_memory_map") == stale + 1 and not machine.failed


@pytest.mark.provokes("E_EFI_EXIT")
def test_a_firmware_that_never_lets_go() -> None:
    machine, firmware = boot(stale=1000)
    check(machine, "E_EFI_EXIT", INVALID_PARAMETER, C["EFI_EXIT_TRIES"])
    assert "E0209" in firmware.console, "on its own screen too: there may be no other"


@pytest.mark.provokes("E_EFI_MEMORY_MAP")
def test_a_firmware_without_memory_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Firmware, "get_memory_map", lambda *arguments: C["EFI_BUFFER_TOO_SMALL"])
    check(boot()[0], "E_EFI_MEMORY_MAP", C["EFI_BUFFER_TOO_SMALL"], C["EFI_MAP_SIZE"])


def test_once_boot_services_have_ended_the_text_is_on_the_screen() -> None:
    machine, firmware = boot(console=C["CONSOLE_SERIAL"] | C["CONSOLE_VGA"])
    size = Screen(1024, 768, 1088 * 4, 2)
    shown = size.read(lambda y: machine.read(SCREEN + y * size.pitch, size.width * 4))
    assert shown == size.shown(machine.transcript)
    assert firmware.console == line("M_ENTRY", "test", *stub_place(machine), "EFI", "EDK ?") + "\r\n"


@pytest.mark.provokes("E_EFI_PAGING")
def test_a_firmware_with_page_tables_of_5_levels() -> None:
    machine, firmware = boot(levels=5)
    check(machine, "E_EFI_PAGING", 1 << C["CR4_LA57_BIT"] | C["CR4_OSFXSR"] | C["CR4_OSXMMEXCPT"])
    assert "E0213" in firmware.console and "exit_boot_services" not in firmware.calls


def test_no_screen() -> None:
    machine, _ = boot(graphics=None)
    assert not machine.record("boot_info", machine.symbols["boot_info"]).has_framebuffer
    assert not machine.variable("console_sinks", 1) & C["CONSOLE_VGA"] and not machine.failed


def test_linux_gets_what_it_needs_for_runtime_services() -> None:
    machine, _ = boot()
    params = 0x1000000
    machine.uc.reg_write(x86.UC_X86_REG_RBP, params)
    machine.write(params, bytes(0x1000))
    machine.call("fill_efi_info", rbp=params)
    info = machine.record("efi_info", params + C["BOOT_PARAMS_EFI_INFO"])
    assert (info.loader_signature, info.systab, info.memdesc_size) == (
        C["EFI_LOADER_SIGNATURE64"],
        SYSTEM,
        48,
    )
    told = [struct.unpack("<IIQQQ", machine.read(info.memmap + at, 32)) for at in range(0, info.memmap_size, 48)]
    found = [(kind, start, pages) for kind, _, start, _, pages in told]
    # The first has the hand-over area in it: what lies behind that is one more.
    area, size = machine.variable("handover"), machine.variable("handover_size")
    kind, start, pages = MAP[0]
    end = area + size >> 12
    assert found == [(kind, start, area >> 12), *MAP[1:], (kind, end << 12, pages - end)]


# --- a hypervisor, with boot services running ------------------------------------------------------


def xen_by_grub(
    *tags: tuple[int, bytes], efi: list[tuple[int, bytes]] = GRUB, magic: int = C["MULTIBOOT2_LOADER_MAGIC"]
) -> tuple[Machine, Firmware]:
    """It, by GRUB's multiboot2 with boot services running: no memory map, EFI's tags behind the others."""
    machine, firmware = hypervisor()
    multiboot2(machine, (C["MULTIBOOT2_TAG_LOADER_NAME"], b"GRUB 2.06\0"), *tags, *efi)
    machine.call("start_multiboot2_efi", rax=magic, rbx=LOADER)
    return machine, firmware


@pytest.mark.parametrize("way", [xen, xen_by_grub])
def test_a_hypervisor_is_entered_with_boot_services_running(way: Callable[[], tuple[Machine, Firmware]]) -> None:
    machine, firmware = way()
    assert "exit_boot_services" not in firmware.calls
    assert firmware.claimed == [(KERNEL, 2)], "all of it at once, whole pages"
    assert machine.uc.reg_read(x86.UC_X86_REG_RIP) == KERNEL + 9
    assert machine.uc.reg_read(x86.UC_X86_REG_EAX) == C["MULTIBOOT2_LOADER_MAGIC"]
    info = machine.uc.reg_read(x86.UC_X86_REG_EBX)
    assert (info, info) == (machine.information[0], 0x3000000 + 7 * C["PAGE_SIZE"])
    total, _ = struct.unpack("<II", machine.read(info, 8))
    tags, place = {}, info + 8
    while place < info + total:
        kind, size = struct.unpack("<II", machine.read(place, 8))
        tags[kind] = machine.read(place + 8, size - 8)
        place += size + 7 & ~7
    assert tags[3] == struct.pack("<II", RAMDISK, RAMDISK + 5) + b"root=/dev/ram\0"
    assert tags[12] == struct.pack("<Q", SYSTEM) and tags[20] == struct.pack("<Q", 0x77)
    assert tags[18] == b"" and tags[21] == struct.pack("<I", KERNEL)
    assert 6 not in tags, "the map is the firmware's to give, later"


def test_a_loader_that_leaves_boot_services_running() -> None:
    """The firmware's memory map counts, and the loader's modules, command line and name."""
    left = (C["MULTIBOOT2_TAG_MODULE"], struct.pack("<II", 0x700000, 0x700010) + b"thing\0")
    stale = mmap_tag((0, 0x9FC00, 1), (0x5000000, 0x1000000, 1))
    machine, firmware = xen_by_grub((C["MULTIBOOT2_TAG_CMDLINE"], b"image\0"), stale, left)
    entry = line("M_ENTRY", "test", *stub_place(machine), "multiboot2", "GRUB 2.06")
    assert firmware.console.startswith(entry) and machine.transcript.startswith(entry + "\n")
    assert "set_watchdog_timer" in firmware.calls and "exit_boot_services" not in firmware.calls
    assert line("M_MODULE_LEFT", 0, "thing") in machine.transcript
    assert line("M_RANGE", 0x780000, 0x790000, 4) in machine.transcript
    assert "0x5000000" not in machine.transcript
    info = machine.record("boot_info", machine.symbols["boot_info"])
    assert machine.read_string(info.cmdline) == "image" and (info.rsdp, info.framebuffer_width) == (RSDP, 1024)


@pytest.mark.provokes("E_EFI_TAGS")
@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (GRUB[1:], (0, SYSTEM, 0x77)),
        ([GRUB[0], GRUB[2]], (1, 0, 0x77)),
        (GRUB[:2], (1, SYSTEM, 0)),
        ([GRUB[0], (GRUB[1][0], struct.pack("<Q", SERVICES)), GRUB[2]], (1, SERVICES, 0x77)),
        ([], (0, 0, 0)),
    ],
)
def test_a_loader_that_says_too_little_of_efi(tags: list[tuple[int, bytes]], said: tuple[int, ...]) -> None:
    machine, firmware = xen_by_grub(efi=tags)
    check(machine, "E_EFI_TAGS", *said)
    assert firmware.calls == [""], "nothing of it was called"


def test_another_magic_at_the_entry_for_efi() -> None:
    check(xen_by_grub(magic=0x2BADB002)[0], "E_LOADER", 0x2BADB002)


def test_damaged_information_is_said_on_the_firmwares_console() -> None:
    machine, firmware = xen_by_grub((77, b"x" * 8), (C["MULTIBOOT2_TAG_MODULE"], b""))
    assert "E0205" in firmware.console and machine.failed


@pytest.mark.provokes("E_ENTRY")
def test_an_entry_for_efi_outside_of_the_hypervisor() -> None:
    check(xen(hypervisor_efi_entry=KERNEL - 1)[0], "E_ENTRY", "xen", KERNEL - 1)


def test_what_the_loaders_modules_lie_in_is_not_asked_for() -> None:
    """The firmware would refuse: it has given that to the loader. KERNEL takes 0x1810 bytes."""
    for start, size, asked in [
        (KERNEL - 0x1000, 1, [(KERNEL, 2)]),
        (KERNEL - 0x1000, 0x1001, [(KERNEL + 0x1000, 1)]),
        (KERNEL + 0x1000, 5, [(KERNEL, 1)]),
        (KERNEL, 0x4000, []),
        (KERNEL + 0x2000, 0x1000, [(KERNEL, 2)]),
    ]:
        module = struct.pack("<II", start, start + size) + b"left\0"
        machine, firmware = xen_by_grub((C["MULTIBOOT2_TAG_MODULE"], module))
        assert firmware.claimed == asked and not machine.failed


@pytest.mark.provokes("E_EFI_CLAIM")
def test_a_place_that_the_firmware_does_not_give() -> None:
    machine, _ = xen(refuse=1 << 63 | 14)
    check(machine, "E_EFI_CLAIM", "xen", KERNEL, KERNEL + 0x1810, 1 << 63 | 14)


# --- an image that the firmware puts beyond 4 GiB --------------------------------------------------


HIGH, COPY = 5 << 30, 0x1800000


def boot_high(room: int | None = COPY) -> tuple[Machine, Firmware]:
    """As boot, with the stub, its tables and modules at HIGH, and traps at its link address. The firmware has room
    below 4 GiB there, or none."""

    def allocate_pages(how: int, kind: int, pages: int, address: int) -> int:
        assert (how, machine.read(address, 8)) == (C["EFI_ALLOCATE_MAX_ADDRESS"], b"\xff\xff\xff\xff\0\0\0\0")
        machine.write(address, struct.pack("<Q", room or 0))
        return 0 if room else 1 << 63 | 9

    machine = Machine(good_tables().encode())
    machine.write(PACKED, lz4.block.compress(TEXT, store_size=False))
    machine.write(RAMDISK, b"files")
    firmware = Firmware(machine)
    firmware.services["allocate_pages"] = allocate_pages
    start, end, size = machine.symbols["__image_start"], machine.symbols["__image_end"], 0x900000
    assert end < PACKED < RAMDISK < start + size
    machine.set_variable("efi_image_size", size)
    machine.write(machine.symbols["handover_code.enter"], b"\xf4")
    machine.uc.mem_map(HIGH, size)
    machine.write(HIGH, machine.read(start, size))
    machine.write(start, b"\xf4" * size)
    symbols = machine.symbols.items()
    machine.symbols = {name: at - start + HIGH if start <= at <= end else at for name, at in symbols}
    machine.call("efi_start", rcx=0x77, rdx=SYSTEM)
    return machine, firmware


def test_an_image_beyond_4_gib_goes_on_in_a_copy_below() -> None:
    machine, firmware = boot_high()
    assert firmware.calls[1] == "allocate_pages", "before anything else"
    moved = COPY - 0x100000
    size = len(lz4.block.compress(TEXT, store_size=False))
    kernel = line("M_MODULE", 0, "kernel", "dom0.kernel", PACKED + moved, PACKED + moved + size)
    assert kernel in machine.transcript and not machine.failed
    assert f"bootwright: launch by PVH: entry {KERNEL + 16:#x}" in machine.transcript
    assert machine.read(KERNEL, len(TEXT)) == TEXT
    assert machine.uc.reg_read(x86.UC_X86_REG_RIP) < RAM, "the last instructions lie below as well"


def test_no_room_for_it_is_said_on_the_firmwares_console() -> None:
    machine, firmware = boot_high(room=None)
    check(machine, "E_NO_FREE_ROOM", 0x900000, "the stub")
    assert "E0403" in firmware.console
