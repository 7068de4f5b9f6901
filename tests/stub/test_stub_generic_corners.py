"""What ordinary boots of the generic stub never come to, under Unicorn: kernels, command lines and device trees that no
host has looked into. The stub must do what the reference does."""

from __future__ import annotations

import struct
from typing import Any

import blobs
import pytest
import samples
from booting import KERNEL, line
from machine import RAM, C
from worlds import HIGH, LOW, MIB, World, booted, fails

# --- kernels ---------------------------------------------------------------------------------------


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
    fails(generic(patched(samples.elf([TEXT], NOTE), field, value)), "E_KERNEL_BROKEN", C["LOG_NORMAL"])


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


LONG = ["x acpi=" + "y" * length for length in (2014, 2040)]


@pytest.mark.parametrize("cmdline", ["noapic x", "no noapic", "-- noapic", "acpi=off", "acpi= -- b -- a", *LONG])
@pytest.mark.parametrize("string", ["vmlinux", "vmlinux ", "", "a noapic", "k -- noapic", "k " + "z" * 30])
@pytest.mark.parametrize("loader", ["GRUB 0.97", "GRUBx", "GRUB 2"])
def test_command_lines(cmdline: str, string: str, loader: str) -> None:
    found = generic(samples.elf([TEXT], NOTE), cmdline=cmdline, loader=loader)
    found.files = [(4 * MIB, found.contents[0], string)]
    booted(found, C["LOG_NORMAL"])


# --- device trees ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8, 39])
def test_a_device_tree_shorter_than_its_own_header(size: int) -> None:
    tree = struct.pack(">10I", 0xD00DFEED, size, 0, 0, 0, 17, 16, 0, 0, 0)
    found = World(0, ranges=[LOW, HIGH], contents={0: tree}, files=[(4 * MIB, tree, "")])
    fails(found, "E_FDT_CUT_SHORT", C["LOG_NORMAL"])


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
        blobs.tree(blobs.domain(compatible=b"xen,domai")),
        blobs.tree(blobs.domain(compatible=b"x\0xen,domain")),
        blobs.tree(blobs.domain(memory=b"17000000000t\0")),
        {"chosen@0": blobs.tree(blobs.domain())["chosen"]},
    ],
)
def test_odd_trees(found: dict[str, Any]) -> None:
    blob, kernel = blobs.blob(found), samples.elf([TEXT], NOTE)
    files = [(4 * MIB, blob, ""), (5 * MIB, kernel, "vmlinux"), (6 * MIB, b"files", "")]
    booted(World(0, ranges=[LOW, HIGH], contents={0: blob, 1: kernel}, files=files), C["LOG_NORMAL"])
