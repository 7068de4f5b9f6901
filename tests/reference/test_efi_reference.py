"""The reference of a whole boot against the stub's EFI entry under Unicorn: wherever the firmware puts the stub,
whatever its memory map says, every line and every byte that the kernel is told are the same."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import machine as unicorn_machine
import pytest
from booting import multiboot2
from firmware import FIRMWARE, GRUB, SCREEN, SYSTEM, Firmware, descriptors
from firmware import RSDP as RSDP_PLACE
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import LOADER, RAM, C
from unicorn import x86_const as x86
from worlds import MIB, RSDP, World, compare, loader_tags, world

from bootwright.common.ranges import Range
from bootwright.plan import tables
from bootwright.plan.records import Plan
from bootwright.reference import boot
from bootwright.reference.machine import Efi, Framebuffer, LoaderModule, Machine

HANDLE = 0x77
TWO_WAYS = C["PROTOCOL_MULTIBOOT2"], C["PROTOCOL_MULTIBOOT2_EFI"]
# Pixel formats of the firmware that are linear, with position and size of red, green and blue.
COLOURS = {0: bytes([0, 8, 8, 8, 16, 8]), 1: bytes([16, 8, 8, 8, 0, 8])}
FAR = 22 * MIB  # behind everything that the worlds load


def memory_map(dice: random.Random) -> bytes:
    """RAM in pieces of all its types, the firmware's own, and pieces of any type over the end of it."""
    top = dice.randrange(43 * MIB, RAM + 1, 0x1000)
    found, start = [(7, 0, 0xA0)], MIB
    while start < top:
        size = min(dice.choice((0x10000, MIB, 16 * MIB, RAM)), top - start)
        found.append((dice.choice((1, 2, 3, 4, 7)), start, size >> 12))
        start += size
    found.append((6, FIRMWARE, 0x10))
    for _ in range(dice.choice((0, 0, 2, 200))):
        pages = dice.randrange(0x20)
        found.append((dice.randrange(17), dice.randrange(42 * MIB, RAM - (pages << 12), 0x1000), pages))
    return descriptors(found)


def efi_world(seed: int, dice: random.Random) -> World:
    """An image whose hypervisor, if it has one by multiboot2, may be entered with boot services running: then all
    of its bytes stop, and a loader may have started it. Otherwise it is NAME.efi, with its modules in it.
    """
    found = world(seed, brought=0)
    assert isinstance(found.plan, Plan)
    hypervisor = found.plan.hypervisor
    if hypervisor is None or hypervisor.protocol not in TWO_WAYS or dice.random() < 0.2:
        found.files = []
        return found
    found = world(seed, brought=dice.choice((0, 0.5)))
    assert isinstance(found.plan, Plan)
    piece = found.plan.modules[0].pieces[0]
    entry = piece.dest + dice.randrange(-1, piece.dest_size + 1)
    hypervisor = replace(hypervisor, protocol=C["PROTOCOL_MULTIBOOT2_EFI"], efi_entry=entry)
    found.plan = replace(found.plan, hypervisor=hypervisor)
    stops = b"\xf4" * len(found.contents[0])
    for data in (found.embedded, found.files):
        data[:] = [(at, stops if was == found.contents[0] else was, *more) for at, was, *more in data]
    found.contents[0] = stops
    return found


def run(seed: int) -> tuple[unicorn_machine.Machine, boot.Boot, World]:
    """The stub's boot, and the reference's."""
    dice = random.Random(seed)
    found = efi_world(seed, dice)
    assert isinstance(found.plan, Plan)
    services = found.plan.hypervisor and found.plan.hypervisor.protocol == C["PROTOCOL_MULTIBOOT2_EFI"]
    by_grub = bool(found.files)
    blob = tables.encode(found.plan)
    far = services or dice.random() < 0.7
    base = FAR + dice.randrange(0, MIB, 0x1000) if far else C["IMAGE_BASE"]
    stub = unicorn_machine.Machine(blob, base=base)
    for place, data in found.embedded:
        stub.write(place + base - C["IMAGE_BASE"], data)
    stub.write(RSDP_PLACE, RSDP)
    graphics = dice.choice((None, 0, 1, 2, 3))
    firmware = Firmware(stub, graphics=graphics, options=found.cmdline, memory_map=memory_map(dice))
    stub.write(stub.symbols["handover_code.enter"], b"\xf4")
    if by_grub:
        for place, data, _ in found.files:
            stub.write(place, data)
        found.loader, found.efi = "GRUB 2.06", None
        multiboot2(stub, *loader_tags(found), *GRUB)
        stub.call("start_multiboot2_efi", rax=C["MULTIBOOT2_LOADER_MAGIC"], rbx=LOADER)
    else:
        stub.call("efi_start", rcx=HANDLE, rdx=SYSTEM)
    assert ("exit_boot_services" in firmware.calls) != bool(services)
    screen = found.framebuffer if by_grub else None
    if screen is None and graphics in COLOURS:
        kind = C["MULTIBOOT2_FRAMEBUFFER_RGB"]
        screen = Framebuffer(SCREEN, 4352, 1024, 768, 32, kind, COLOURS[graphics])
    given = tuple(firmware.given) if services else None
    efi = Efi(SYSTEM, firmware.memory_map, stub.symbols["efi_map"], 48, 1, HANDLE, given)
    machine = Machine(
        "multiboot2" if by_grub else "EFI",
        efi.ranges,
        Range(stub.symbols["__image_start"], stub.symbols["__image_end"]),
        build=unicorn_machine.BUILD_ID.hex()[:8],
        loader=found.loader if by_grub else "EDK ?",
        cmdline=found.cmdline,
        modules=tuple(LoaderModule(place, len(data), string) for place, data, string in found.files),
        rsdp=stub.symbols["rsdp_page"] if by_grub else RSDP_PLACE,  # GRUB brings a copy
        rsdp_bytes=RSDP,
        framebuffer=screen,
        efi=efi,
        boot_device=found.boot_device if by_grub else None,
        contents=found.contents,
    )
    return stub, boot.boot(machine, found.plan, len(blob)), found


@pytest.mark.slow
@given(st.integers(0, 1 << 32))
@settings(max_examples=60, deadline=None)
def test_the_efi_entry_does_what_the_reference_says(seed: int) -> None:
    stub, expected, found = run(seed)
    compare(stub, expected, found)


def test_a_memory_map_of_entries_that_are_too_small() -> None:
    with pytest.raises(boot.BootFailure) as caught:
        _ = Efi(SYSTEM, bytes(80), descriptor_size=39).ranges
    assert caught.value.name == "E_EFI_MEMORY_MAP"


# --- the map that Linux is handed ------------------------------------------------------------------

pages = st.integers(0, 40)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 2, 4, 7, 7]), pages, st.integers(1, 12)), max_size=8), pages, pages)
def test_the_hand_over_area_is_not_free_in_it(found: list[tuple[int, int, int]], first: int, size: int) -> None:
    """Against a map page by page. KASLR takes what is conventional memory, and nothing else."""

    def free(data: bytes) -> set[int]:
        entries = (data[start : start + 48] for start in range(0, len(data), 48))
        fields = (struct.unpack_from("<IIQQQ", entry) for entry in entries)
        return {start // 0x1000 + n for kind, _, start, _, count in fields if kind == 7 for n in range(count)}

    whole = descriptors([(kind, start << 12, count) for kind, start, count in found])
    area = set(range(first, first + size + 1))
    changed = Efi(SYSTEM, whole, 0, 48).without(Range.sized(first << 12, (size + 1) << 12))
    assert not free(changed) & area
    twice = sum(start < first and start + count > first + size + 1 for kind, start, count in found if kind == 7) > 1
    assert twice or free(changed) == free(whole) - area, "and all the rest is as it was"
    assert len(changed) - len(whole) in (0, 48)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1, 7, 7]), st.integers(0, 20), st.integers(1, 20)), max_size=6),
    st.integers(0, 16),
    st.integers(0, 47),
)
def test_the_stub_takes_it_out_as_the_reference_does(found: list[tuple[int, int, int]], first: int, tail: int) -> None:
    """In units of a quarter of the area, so that their ends meet; tail: bytes behind the last descriptor."""
    unit = C["HANDOVER_SIZE"] // 4
    whole = descriptors([(kind, start * unit, count * unit >> 12) for kind, start, count in found]) + b"\xee" * tail
    machine = unicorn_machine.Machine()
    machine.set_variable("handover", first * unit)
    machine.set_variable("handover_size", 4 * unit)
    machine.set_variable("efi_descriptor_size", 48)
    machine.write(unicorn_machine.SCRATCH, whole + b"\xdd" * 48)
    machine.call("keep_handover", rax=unicorn_machine.SCRATCH, rdi=unicorn_machine.SCRATCH + len(whole))
    end = machine.uc.reg_read(x86.UC_X86_REG_RDI)
    expected = Efi(SYSTEM, whole, 0, 48).without(Range.sized(first * unit, 4 * unit))
    assert machine.read(unicorn_machine.SCRATCH, end - unicorn_machine.SCRATCH) == expected
