"""Kernels are read by the same rules on the host and by the generic stub: rule by rule, and files made by chance."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import kernel_rules
import pytest
import samples
from booting import line
from kernel_files import BASE, ENTRY, HEADER, LOAD, NOTE, NOTES, SIZE, STACK, TEXT, Header, elf, flat
from kernel_rules import RULES, Fits
from machine import C
from worlds import HIGH, LOW, MIB, World, booted

from bootwright.common.errors import KernelError
from bootwright.common.messages import BootFailure
from bootwright.common.ranges import Range, Relocation
from bootwright.kernels import protocols
from bootwright.kernels.kernel import Kernel
from bootwright.reference import kernel_probe

CASES = [
    pytest.param(file, found, id=f"{rule.area}-{number}.{case}")
    for number, rule in enumerate(RULES)
    for case, (file, found) in enumerate(rule.files)
]


def by_host(file: bytes, folder: Path) -> Kernel | None:
    path = folder / "kernel"
    path.write_bytes(file)
    try:
        return protocols.choose("auto", path, folder)
    except KernelError:
        return None


def by_reference(file: bytes) -> kernel_probe.Probed | None:
    def stays(wanted: Range, movable: Relocation) -> int:
        return wanted.start

    try:
        return kernel_probe.probe(file, "dom0", "module0", stays)
    except BootFailure:
        return None


def host_facts(kernel: Kernel | None) -> tuple[object, ...] | None:
    if kernel is None:
        return None
    segments = sorted((s.p_paddr, s.p_filesz, s.p_memsz, s.p_filesz and s.p_offset) for s in kernel.segments)
    movable = kernel.movable if kernel.protocol == "pvh" else None
    room = min(kernel.max_cmdline + 1, 1 << 32) % (1 << 32) if kernel.max_cmdline is not None else 0
    return kernel.protocol, kernel.entry, segments, kernel.reserve_pages, movable, room


def reference_facts(found: kernel_probe.Probed | None) -> tuple[object, ...] | None:
    if found is None:
        return None
    segments = sorted((p.dest, p.dest_size, p.dest_size + p.zero_size, p.source) for p in found.pieces)
    return found.protocol, found.entry, segments, found.pieces[-1].reserve_pages, found.movable, found.cmdline_room


def world(file: bytes) -> World:
    """The generic stub, and a loader that brings this kernel."""
    return World(0, ranges=[LOW, HIGH], contents={0: file}, files=[(4 * MIB, file, "")])


@pytest.mark.parametrize(("file", "found"), CASES)
def test_host_and_reference_keep_the_rules(file: bytes, found: Fits | None, tmp_path: Path) -> None:
    kernel, probed = by_host(file, tmp_path), by_reference(file)
    assert host_facts(kernel) == reference_facts(probed)
    assert (kernel is None) == (found is None)
    if kernel is not None and found is not None:
        segments = tuple((s.p_offset if s.p_filesz else 0, s.p_filesz, s.p_paddr, s.p_memsz) for s in kernel.segments)
        assert (kernel.protocol, kernel.entry, segments) == (found.protocol, found.entry, found.segments)


@pytest.mark.provokes("E_KERNEL_BROKEN", "E_KERNEL_REQUIRES")
@pytest.mark.parametrize(("file", "found"), CASES)
def test_the_stub_keeps_the_rules(file: bytes, found: Fits | None) -> None:
    stub, expected = booted(world(file), C["LOG_NORMAL"])
    assert (expected.failure is None) == (found is not None)
    if found is not None:
        name = {"pvh": "PVH", "linux": "the Linux boot protocol"}.get(found.protocol, found.protocol)
        assert line("M_PROBED", 0, "dom0", name, found.entry) in stub.transcript
        for offset, size, place, whole in found.segments:
            assert stub.read(place, whole) == file[offset : offset + size] + bytes(whole - size)


def test_the_page_is_up_to_date() -> None:
    assert kernel_rules.PAGE.read_text(encoding="utf-8") == kernel_rules.render(), "run: invoke docs"


def test_a_pvh_kernel_goes_elsewhere_where_it_may_and_its_place_is_none() -> None:
    """As one that the host looked into does."""
    note = samples.note(19, kernel_rules.words(0x200000, 0, 0x2FFFFFF))
    file = elf(notes=kernel_rules.PVH + note)
    found = replace(world(file), ranges=[LOW, HIGH, (BASE, 0x1000, 2)])
    stub, expected = booted(found, C["LOG_NORMAL"])
    (place,) = expected.pieces[0]
    assert line("M_KERNEL_MOVED", 0, BASE, BASE + 0x180, place.start, place.end) in stub.transcript
    assert place.start % 0x200000 == 0 and place.end <= 0x3000000
    assert stub.read(place.start, 0x100) == file[TEXT : TEXT + 0x100]


# --- by chance -------------------------------------------------------------------------------------

EDGES = (0, 1, 8, 0x100, 0x180, SIZE - 0x100, SIZE, 1 << 31, (1 << 32) - 0x100, 1 << 32, (1 << 64) - 0x180)
PLACES = (BASE - 0x180, BASE - 1, BASE, BASE + 0x10, BASE + 0xFF, BASE + 0x100, BASE + 0x180, BASE + 0x1000)


def number(dice: random.Random, *usual: int, bits: int = 64) -> int:
    """One of the usual ones, as a rule."""
    if dice.random() < 0.97:
        return dice.choice(usual)
    return (dice.choice((*EDGES, *PLACES)) + dice.randrange(-1, 2)) & (1 << bits) - 1


def program_header(dice: random.Random, index: int) -> Header:
    kind = dice.choice((LOAD, LOAD, LOAD, LOAD, NOTE, STACK))
    size = number(dice, 0x100, 0x100, 0, 0x40)
    place = number(dice, *[BASE + 0x1000 * index] * 10, BASE, BASE + 0x80)
    virtual = None if dice.random() < 0.8 else number(dice, BASE, 0, 1 << 40)
    offset = number(dice, TEXT, TEXT + 0x40) if kind != NOTE else 0x3800
    memory = size + number(dice, 0, 0, 0x80) if dice.random() < 0.95 else number(dice, 0, 1)
    return Header(kind, offset, place, size, memory & (1 << 64) - 1, virtual, number(dice, 0x1000, 0x200000, 1))


def notes(dice: random.Random) -> bytes:
    made = b""
    for _ in range(dice.choice((0, 0, 1, 1, 2, 3))):
        owner = dice.choice((b"Xen", b"Xen", b"Xen", b"GNU", b"Xe"))
        desc = dice.choice((4, 4, 8, 8, 8, 12, 3, 0))
        entry = number(dice, *[BASE + 0x10] * 8, *PLACES).to_bytes(8, "little")[:desc].ljust(desc, b"\0")
        places = kernel_rules.words(dice.choice((0x1000, 0x200000, 0x200000, 0x10, 3)), 0, 0xFFFFFFFF)[:desc]
        kind = dice.choice((18, 18, 19, 17))
        made += samples.note(kind, places if kind == 19 else entry, owner)
    return made[: len(made) - dice.choice((0,) * 12 + (1, 4))]


def addresses(dice: random.Random, at: int) -> tuple[int, ...]:
    start = number(dice, BASE, BASE, BASE, BASE - 0x1000, bits=32)
    header = number(dice, *[start + at] * 6, start, start + at - 0x20, bits=32)
    load_end = number(dice, 0, 0, start + 0x1000, start + SIZE, bits=32)
    bss_end = number(dice, 0, 0, 0, start + SIZE + 0x100, start + 0x1000, bits=32)
    return tuple(value & 0xFFFFFFFF for value in (header, start, load_end, bss_end))


def multiboot(dice: random.Random, at: int) -> bytes:
    entry = number(dice, *[BASE + 0x10] * 8, *PLACES, bits=32)
    if dice.random() < 0.5:
        flags = dice.choice((0, 1, 3, 3, 3, 7, 8, 1 << 17)) | (1 << 16 if dice.random() < 0.5 else 0)
        made = samples.multiboot1(flags, *addresses(dice, at), entry)
    else:
        tags = []
        for _ in range(dice.randrange(4)):
            kind = dice.choice((1, 2, 3, 3, 3, 4, 5, 6, 8, 9, 10, 7, 77))
            content = {2: addresses(dice, at), 1: (dice.choice((4, 6, 21, 22)),)}.get(kind, (entry,))
            tags.append(samples.tag2(kind, *content, optional=dice.random() < 0.5))
        made = samples.multiboot2(*tags)
    if dice.random() < 0.1:
        changed = bytearray(made)
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        return bytes(changed)
    return made


ODD = {  # of a bzImage's header
    "version": (0x202, 0x203, 0x204, 0x205, 0x206, 0x20A, 0x20B, 0x20C),
    "xloadflags": (0, 8),
    "loadflags": (0x81, 0),
    "boot_flag": (0xAA54,),
    "code32_start": (0,),
    "setup_sects": (0, 4, 68, 69),
    "syssize": (0, 0x41, 1 << 31),
    "relocatable_kernel": (0,),
    "kernel_alignment": (0x1000, 0x800, 0x3000),
    "pref_address": (0x100000, 0xFF000, 1 << 32),
    "init_size": (0, 0x3001, 1 << 31),
    "cmdline_size": (2047, 0xFFFFFFFF, 0),
}


def bzimage(dice: random.Random) -> bytes:
    fields = {"pref_address": BASE}
    for name in dice.sample(list(ODD), dice.choice((0, 1, 2, 3))):
        fields[name] = dice.choice(ODD[name])
    made = samples.linux(dice.randbytes(dice.choice((0x400, 0x400, 0x201, 0x200))), **fields)
    return made if dice.random() < 0.9 else made[: dice.randrange(len(made))]


def kernel(seed: int) -> bytes:
    """Any kernel: most are sound but for a thing or two."""
    dice = random.Random(seed)
    sort = dice.random()
    if sort < 0.2:
        return bzimage(dice)
    if sort < 0.4:
        at = dice.choice((0, 0x40, 0x40, 0x40, 0x1FE0, 0x1FF4))
        return flat(multiboot(dice, at), at=at)
    bits = dice.choice((32, 64))
    headers = [program_header(dice, index) for index in range(dice.choice((1, 1, 2, 3, 5)))]
    if dice.random() < 0.8:
        headers[0] = Header()
    wrong = {"kind": 1, "machine": 40, "data": 2, "class_": 3, "phentsize": 40, "phnum": 129, "phoff": SIZE - 64}
    ident = dict([dice.choice(list(wrong.items()))]) if dice.random() < 0.1 else {}
    made = elf(
        *headers,
        bits=bits,
        entry=number(dice, *[BASE + 0x10] * 8, *PLACES, bits=32),
        multiboot=multiboot(dice, HEADER) if dice.random() < 0.6 else b"",
        notes=notes(dice),
        size=dice.choice((*[SIZE] * 6, SIZE - 0xFC0)),
        **ident,
    )
    return made


@pytest.mark.parametrize("part", range(8))
def test_host_and_reference_read_any_kernel_alike(part: int, tmp_path: Path) -> None:
    entered = 0
    for seed in range(part * 500, part * 500 + 500):
        file = kernel(seed)
        host, reference = host_facts(by_host(file, tmp_path)), reference_facts(by_reference(file))
        assert host == reference, f"seed {seed}"
        entered += host is not None
    assert 80 < entered < 420, "enough of both"


@pytest.mark.parametrize("part", range(6))
def test_the_stub_reads_any_kernel_as_the_reference_does(part: int) -> None:
    for seed in range(part * 40, part * 40 + 40):
        booted(world(kernel(seed)), C["LOG_NORMAL"])


def test_damage_of_any_byte_of_a_header_is_read_alike(tmp_path: Path) -> None:
    """One byte of a sound kernel's headers changed, or two."""
    sound = (
        elf(Header(), Header(paddr=BASE + 0x1000), notes=kernel_rules.PVH),
        elf(bits=32, multiboot=samples.multiboot2(samples.tag2(3, BASE), samples.tag2(1, 3, 6))),
        flat(samples.multiboot1(1 << 16, *kernel_rules.ADDRESSES, ENTRY)),
    )
    dice = random.Random(12)
    for _ in range(3000):
        changed = bytearray(dice.choice(sound))
        for _ in range(dice.choice((1, 1, 2))):
            start, size = dice.choice(((0, 64 + 3 * 56), (HEADER, 0x40), (NOTES, 0x20), (0x40, 32)))
            changed[start + dice.randrange(size)] = dice.choice((0, 1, 2, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        file = bytes(changed)
        assert host_facts(by_host(file, tmp_path)) == reference_facts(by_reference(file)), file[:0x200].hex()
