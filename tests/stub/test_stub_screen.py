"""Text on a screen without text mode: stub/lib/framebuffer.asm under Unicorn, read back by tests/support/screen.py."""

from __future__ import annotations

import struct

import pytest
from booting import good_tables, mmap_tag, multiboot2
from booting import machine_with as machine_of_tables
from machine import RAM, SCRATCH, C, Machine
from screen import Screen

WINDOW = 1 << 32  # where the stub maps the screen
ROOM = 64 << 20
RGB = C["MULTIBOOT2_FRAMEBUFFER_RGB"]
FIRMWARE_COLOUR = b"\x12\x34\x56\x78"  # what the screen is full of before
SIZES = [
    (640, 480, 2560, 1),
    (800, 600, 3328, 1),
    (1024, 768, 4096, 2),
    (1280, 800, 5120, 2),
    (1920, 1080, 7680, 3),
    (800, 1280, 3200, 3),
    (3840, 2160, 15360, 6),
]


def description(address: int, width: int, height: int, pitch: int, bpp: int = 32, kind: int = RGB) -> bytes:
    return struct.pack("<QIIIBBH6BH", address, pitch, width, height, bpp, kind, 0, 16, 8, 8, 8, 0, 8, 0)


def machine_with(screen: bytes) -> Machine:
    machine = Machine(uart=False)
    machine.uc.mem_map(WINDOW, ROOM)
    machine.write(SCRATCH, screen)
    return machine


def started(size: Screen, offset: int = 0) -> Machine:
    """A machine whose screen lies at 0x38000000000 and an offset, filled with a colour, the console started."""
    screen = description(0x38000000000 + offset, size.width, size.height, size.pitch)
    machine = machine_with(screen)
    machine.write(WINDOW, FIRMWARE_COLOUR * ((size.pitch * size.height + offset) // 4 + 0x1000))
    machine.call("framebuffer_start", rsi=SCRATCH)
    machine.call("console_start")
    return machine


def show(machine: Machine, text: str) -> None:
    machine.write(SCRATCH, text.encode() + b"\0")
    machine.call("print_string", SCRATCH)


def read(machine: Machine, size: Screen, offset: int = 0) -> list[str]:
    return size.read(lambda y: machine.read(WINDOW + offset + y * size.pitch, size.width * 4))


@pytest.mark.parametrize(("width", "height", "pitch", "scale"), SIZES)
def test_text_is_drawn(width: int, height: int, pitch: int, scale: int) -> None:
    size = Screen(width, height, pitch, scale)
    machine = started(size)
    printing = "".join(map(chr, range(0x20, 0x7F)))
    show(machine, f"{printing[:40]}\n{printing[40:80]}\n{printing[80:]}\n\nbootwright: E0404: domain")
    rows = [size.row(n, lambda y: machine.read(WINDOW + y * pitch, width * 4)) for n in range(6)]
    assert rows == [printing[:40], printing[40:80], printing[80:], "", "bootwright: E0404: domain", ""]
    assert size.rows >= 40


def test_a_long_line_goes_on_in_the_next_row() -> None:
    size = Screen(640, 480, 2560, 1)
    machine = started(size)
    show(machine, "x" * (size.columns + 3) + "\nend")
    rows = [size.row(n, lambda y: machine.read(WINDOW + y * size.pitch, size.width * 4)) for n in range(4)]
    assert rows == ["x" * size.columns, "xxx", "end", ""]


def test_behind_the_last_row_comes_the_first_and_nothing_else_is_written() -> None:
    """With what the screen does not show kept as it was: the pixels below its last row, and all around it."""
    size, offset = Screen(640, 487, 2560, 1), 0x1000
    machine = started(size, offset)
    text = "\n".join(f"line {number} \x01" + "." * number for number in range(size.rows + 20))
    show(machine, text)
    assert read(machine, size, offset) == size.shown(text)
    drawn = size.rows * 9 * size.pitch
    for start, count in ((WINDOW, offset), (WINDOW + offset + drawn, 0x4000)):
        assert machine.read(start, count) == FIRMWARE_COLOUR * (count // 4)


@pytest.mark.parametrize("address", [0xC0000000, 0x38000000000, 0xFD123000])
def test_the_screen_is_mapped_wherever_it_lies(address: int) -> None:
    machine = machine_with(description(address, 1024, 768, 4096))
    machine.call("framebuffer_start", rsi=SCRATCH)
    symbols = machine.symbols
    (pointer,) = struct.unpack("<Q", machine.read(symbols["page_directory_pointers"] + 4 * 8, 8))
    present = C["PTE_PRESENT"] | C["PTE_WRITABLE"]
    assert pointer == symbols["framebuffer_directory"] | present
    entries = struct.unpack("<512Q", machine.read(symbols["framebuffer_directory"], 0x1000))
    assert [entry & ~0xFFF for entry in entries] == [(address & -0x200000) + 0x200000 * n for n in range(512)]
    assert {entry & 0xFFF for entry in entries} == {present | C["PTE_LARGE"]}
    state = machine.record("framebuffer", symbols["framebuffer"])
    assert state.start == state.cursor == WINDOW + address % 0x200000


@pytest.mark.parametrize(
    "screen",
    [
        description(0xC0000000, 1024, 768, 3072, bpp=24),
        description(0xC0000000, 1024, 768, 1024, bpp=8, kind=0),
        description(0xC0000000, 5, 768, 20),
        description(0xC0000000, 1024, 17, 4096),
        description(0xC0000000, 0, 0, 0),
        description(0xC0000000, 0x80000000, 0x80000000, 0x80000000),
        description(0xC0100000, 1024, 768, 0x40000000 // 768),
        description(0xC0000000, 1024, 768, 2048),
        description(0xC0000000, 1024, 768, 0),
    ],
    ids=["24 bits", "indexed", "narrow", "low", "nothing", "huge", "past the window", "half a line", "no pitch"],
)
def test_a_screen_that_cannot_be_drawn_on_is_left_alone(screen: bytes) -> None:
    machine = machine_with(screen)
    machine.call("framebuffer_start", rsi=SCRATCH)
    assert machine.variable("framebuffer_console") == 0
    assert not machine.variable("console_sinks", 1) & C["CONSOLE_VGA"], "no text on a graphics screen"


def test_a_text_screen_stays_one() -> None:
    machine = machine_with(description(C["VGA_TEXT"], 80, 25, 160, bpp=16, kind=C["MULTIBOOT2_FRAMEBUFFER_EGA_TEXT"]))
    machine.call("framebuffer_start", rsi=SCRATCH)
    assert machine.variable("framebuffer_console") == 0
    assert machine.variable("console_sinks", 1) & C["CONSOLE_VGA"]


def test_a_description_without_screen_leaves_it_dark() -> None:
    machine = machine_with(description(0xC0000000, 1024, 768, 4096))
    machine.set_variable("console_sinks", C["CONSOLE_SERIAL"], 1)
    machine.call("framebuffer_start", rsi=SCRATCH)
    assert machine.variable("framebuffer_console") == 0


def test_the_firmwares_screen_is_left_to_it() -> None:
    machine = machine_with(description(0xC0000000, 1024, 768, 4096))
    machine.set_variable("firmware_console", machine.symbols["put_firmware_char"])
    machine.call("framebuffer_start", rsi=SCRATCH)
    assert machine.variable("framebuffer_console") == 0


@pytest.mark.parametrize("damage", [{}, {"checksum": 1}], ids=["a boot", "a failure"])
def test_the_transcript_of_a_boot_is_on_the_screen(damage: dict[str, int]) -> None:
    size = Screen(1024, 768, 4096, 2)
    console = C["CONSOLE_SERIAL"] | C["CONSOLE_VGA"]
    machine = machine_of_tables(good_tables(), console=console, **damage)
    machine.uc.mem_map(WINDOW, ROOM)
    screen = (C["MULTIBOOT2_TAG_FRAMEBUFFER"], description(0xE0000000, 1024, 768, 4096))
    multiboot2(machine, mmap_tag((0, 0x9FC00, 1), (0x100000, RAM - 0x100000, 1)), screen)
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    assert machine.failed == bool(damage)
    assert read(machine, size) == size.shown(machine.transcript)


def test_before_the_stub_goes_it_lets_the_screen_go() -> None:
    """The last instructions run on page tables that map 4 GiB and no screen."""
    machine = machine_of_tables(good_tables(), console=C["CONSOLE_VGA"])
    machine.uc.mem_map(WINDOW, ROOM)
    screen = (C["MULTIBOOT2_TAG_FRAMEBUFFER"], description(0xE0000000, 1024, 768, 4096))
    multiboot2(machine, mmap_tag((0, 0x9FC00, 1), (0x100000, RAM - 0x100000, 1)), screen)
    machine.boot(C["MULTIBOOT2_LOADER_MAGIC"])
    assert machine.variable("framebuffer_console") == 0
