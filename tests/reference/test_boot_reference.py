"""The reference of a whole boot against the stub itself under Unicorn: on machines of all kinds, every line,
every byte that the kernel is told, and every byte that is loaded, are the same."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import C
from worlds import MIB, World, compare, memory_map, run, slots, world


@pytest.mark.slow
@given(st.integers(0, 1 << 32))
@settings(max_examples=60, deadline=None)
def test_the_stub_does_what_the_reference_says(seed: int) -> None:
    found = world(seed)
    stub, expected = run(found)
    compare(stub, expected, found)


def generic_world(seed: int) -> World:
    """The generic stub with a kernel and other modules of the loader."""
    dice = random.Random(seed)
    found = World(seed, ranges=memory_map(dice))
    places = slots(dice)
    dest = dice.choice((MIB, places.pop(), places.pop()))
    load = samples.Load(dest, dice.randbytes(0x800), memsz=dice.choice((0x800, 0x2000)))
    bits = dice.choice((32, 64))
    header = dice.choice((samples.multiboot1(), samples.multiboot2(), b""))
    headed = replace(load, data=header.ljust(64, b"\x90") + load.data[64:])
    note = dice.choice((None, samples.pvh_note(dest + 0x20, 8 if bits == 64 else 4)))
    protected = dice.randbytes(0x1234)
    reloc = dict(
        pref_address=dice.choice((MIB, dest, 80 * MIB)),
        relocatable_kernel=dice.choice((0, 1)),
        version=dice.choice((0x209, 0x20B, 0x20F, 0x20F)),
        xloadflags=dice.choice((0, 1)),
        initrd_addr_max=dice.choice((0x7FFFFFFF, 30 * MIB - 1)),
    )
    file = dice.choice((
        samples.elf([headed], b"" if note is None else note, bits=bits, entry=dest + 0x10, align=8),
        samples.elf([headed], b"" if note is None else note, bits=bits, entry=dest + 0x10, align=8),
        samples.linux(protected, **reloc, init_size=dice.choice((0x1000, 0x5000)), kernel_alignment=0x10000),
        samples.elf([replace(load, filesz=0x10000)], samples.pvh_note(dest)),
        b"no kernel at all" * 20,
        b"",
    ))  # fmt: skip
    found.contents[0] = file
    for string in ("vmlinux  a b", "initrd", "more")[: dice.randrange(1, 4)]:
        data = file if not found.files else dice.randbytes(100)
        found.files.append(
            (dice.choice((dest & -0x1000 if dest >= 2 * MIB else places.pop(), places.pop())), data, string)
        )
        if found.files[-1][0] in [place for place, _, _ in found.files[:-1]]:
            found.files[-1] = (places.pop(), *found.files[-1][1:])
    found.cmdline = dice.choice(("", "stub.elf noapic", "x -- y"))
    found.loader = dice.choice((None, "GRUB 2.06", "GRUB 0.97"))
    return found


@given(st.integers(0, 1 << 32))
@settings(max_examples=60, deadline=None)
def test_the_generic_stub_does_what_the_reference_says(seed: int) -> None:
    found = generic_world(seed)
    stub, expected = run(found)
    compare(stub, expected, found, C["LOG_NORMAL"])


@pytest.mark.parametrize("loader", [None, "GRUB 2.06"])
def test_nothing_to_boot(loader: str | None) -> None:
    found = World(0, ranges=memory_map(random.Random(1)), loader=loader)
    stub, expected = run(found)
    assert expected.failure is not None and expected.failure.name == "E_NOTHING_TO_BOOT"
    compare(stub, expected, found, C["LOG_NORMAL"])
