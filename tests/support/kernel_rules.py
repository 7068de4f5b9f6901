"""The rules by which a kernel is read, by the host and by the generic stub alike, each with files that keep or break
it; docs/kernels.md is made of them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import samples
from kernel_files import BASE, ENTRY, HEADER, NOTE, SIZE, STACK, TEXT, Header, elf, flat
from markdown_table import table
from project import ROOT

PAGE = ROOT / "docs" / "kernels.md"

Segments = tuple[tuple[int, int, int, int], ...]  # offset, bytes in the file, address, bytes in memory


@dataclass(frozen=True)
class Fits:
    """How a kernel is entered, and what of it goes where."""

    protocol: str
    entry: int
    segments: Segments


@dataclass(frozen=True)
class Rule:
    """What is asked of a kernel, and files: None for one that is entered by no protocol."""

    area: str
    text: str
    files: tuple[tuple[bytes, Fits | None], ...]


mb1, mb2, tag = samples.multiboot1, samples.multiboot2, samples.tag2
PVH = samples.pvh_note(ENTRY)
WHOLE: Segments = ((TEXT, 0x100, BASE, 0x180),)


def fits(protocol: str, entry: int = ENTRY, segments: Segments = WHOLE) -> Fits:
    return Fits(protocol, entry, segments)


def both(make: Callable[..., bytes], found: Fits | None, **more: int) -> tuple[tuple[bytes, Fits | None], ...]:
    """The same for either class, entered by multiboot1."""
    return tuple((make(bits=bits, multiboot=mb1(), **more), found) for bits in (32, 64))


def two(first: Header, second: Header) -> bytes:
    return elf(first, second, multiboot=mb2())


AT_1E0 = BASE + HEADER  # the header of an ELF file that is loaded by addresses from its first byte
ADDRESSES = (BASE + 0x40, BASE, BASE + 0x1000, BASE + 0x1800)  # of a flat file
FLAT: Segments = ((0, 0x1000, BASE, 0x1800),)


def words(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little") for value in values)


RULES: tuple[Rule, ...] = (
    Rule(
        "ELF",
        "It starts as an ELF file, and has 64 bytes at least, the header of the larger class.",
        (
            *both(elf, fits("multiboot1")),
            (elf(multiboot=mb1())[:63], None),
            (b"\x7fELG" + elf(multiboot=mb1())[4:], None),
        ),
    ),
    Rule(
        "ELF",
        "It is for x86, of 32 or 64 bits, little-endian, an executable or a shared object.",
        (
            *both(elf, fits("multiboot1"), kind=3),
            *both(elf, None, kind=1),
            *both(elf, None, kind=4),
            *both(elf, None, machine=183),
            *both(elf, None, data=2),
            *both(elf, None, class_=0),
            *both(elf, None, class_=3),
            (elf(machine=3, multiboot=mb1()), fits("multiboot1")),
            (elf(bits=32, machine=62, multiboot=mb1()), fits("multiboot1")),
        ),
    ),
    Rule(
        "ELF",
        "It has 128 program headers at most, of the size that its class has, in the file.",
        (
            *both(elf, None, phentsize=57),
            *both(elf, None, phnum=0),
            *both(elf, None, phnum=129),
            *both(elf, None, phnum=0xFFFF),
            *both(elf, None, phoff=SIZE - 31),
            (elf(multiboot=mb1(), phoff=(1 << 64) - 8), None),
            (
                elf(*(Header(paddr=BASE + 0x1000 * number) for number in range(128)), multiboot=mb1()),
                fits("multiboot1", segments=tuple((TEXT, 0x100, BASE + 0x1000 * n, 0x180) for n in range(128))),
            ),
            (elf(*(Header(paddr=BASE + 0x1000 * number) for number in range(129)), multiboot=mb1()), None),
        ),
    ),
    Rule(
        "ELF",
        "Loaded is each PT_LOAD that takes memory; there is one. Others need not be in the file.",
        (
            (two(Header(), Header(STACK, 1 << 40, 0, 1 << 40, 0)), fits("multiboot2")),
            (two(Header(), Header(offset=1 << 40, paddr=1 << 50, filesz=99, memsz=0)), fits("multiboot2")),
            (elf(Header(kind=0), multiboot=mb1()), None),
            (elf(Header(memsz=0), multiboot=mb1()), None),
        ),
    ),
    Rule(
        "ELF",
        "The bytes of a segment are in the file; where an empty one would lie there does not matter.",
        (
            (
                two(Header(), Header(offset=1 << 40, paddr=BASE + 0x1000, filesz=0)),
                fits("multiboot2", segments=(*WHOLE, (0, 0, BASE + 0x1000, 0x180))),
            ),
            (
                elf(Header(offset=SIZE - 0x100), multiboot=mb1()),
                fits("multiboot1", segments=((SIZE - 0x100, 0x100, BASE, 0x180),)),
            ),
            (elf(Header(offset=SIZE - 0xFF), multiboot=mb1()), None),
            (elf(Header(offset=(1 << 64) - 8), multiboot=mb1()), None),
        ),
    ),
    Rule(
        "ELF",
        "A segment takes as many bytes of memory as of the file, or more, and ends at 4 GiB at the latest.",
        (
            (elf(Header(memsz=0x100), multiboot=mb1()), fits("multiboot1", segments=((TEXT, 0x100, BASE, 0x100),))),
            (elf(Header(memsz=0xFF), multiboot=mb1()), None),
            (elf(Header(paddr=(1 << 32) - 0x17F), multiboot=mb1(), entry=(1 << 32) - 0x100), None),
            (elf(Header(memsz=1 << 63), multiboot=mb1()), None),
            (elf(Header(paddr=(1 << 64) - 0x100), multiboot=mb1(), entry=(1 << 64) - 0x100), None),
        ),
    ),
    Rule(
        "ELF",
        "No two segments overlap.",
        (
            (
                two(Header(), Header(paddr=BASE + 0x180)),
                fits("multiboot2", segments=(*WHOLE, (TEXT, 0x100, BASE + 0x180, 0x180))),
            ),
            (
                two(Header(), Header(paddr=BASE - 0x180)),
                fits("multiboot2", segments=((TEXT, 0x100, BASE - 0x180, 0x180), *WHOLE)),
            ),
            (two(Header(), Header(paddr=BASE + 0x17F)), None),
            (two(Header(), Header(paddr=BASE - 0x17F)), None),
            (two(Header(), Header(paddr=BASE + 0x17F, filesz=0, memsz=1)), None),
            (two(Header(), Header()), None),
        ),
    ),
    Rule(
        "ELF",
        "The file's entry is a virtual address: the first segment that has it says which physical one it is.",
        (
            (elf(Header(vaddr=1 << 40), multiboot=mb1(), entry=(1 << 40) + 8), fits("multiboot1", BASE + 8)),
            (
                elf(Header(vaddr=0), Header(paddr=BASE + 0x1000, vaddr=0), multiboot=mb1(), entry=8),
                fits("multiboot1", BASE + 8, (*WHOLE, (TEXT, 0x100, BASE + 0x1000, 0x180))),
            ),
            (elf(multiboot=mb1(), entry=BASE - 1), None),
            (elf(multiboot=mb1(), entry=BASE + 0x180), None),
        ),
    ),
    Rule(
        "ELF",
        "It is entered where something of the file was loaded, not where there are but zeros.",
        (
            (elf(multiboot=mb1(), entry=BASE + 0xFF), fits("multiboot1", BASE + 0xFF)),
            (elf(multiboot=mb1(), entry=BASE + 0x100), None),
            (elf(multiboot=mb2(tag(3, BASE + 0x100))), None),
            (elf(notes=samples.pvh_note(BASE + 0x100)), None),
        ),
    ),
    Rule(
        "PVH",
        "Its notes, of any kind, are in the file, 1 MiB at most.",
        (
            (elf(notes=PVH), fits("pvh")),
            (elf(Header(), Header(NOTE, SIZE, 0, 1, 1), multiboot=mb1()), None),
            (elf(Header(), Header(NOTE, SIZE, 0, 0, 0), multiboot=mb1()), fits("multiboot1")),
            (elf(Header(), Header(NOTE, 0, 0, 0x100001, 0), notes=PVH, size=0x110000), None),
            (elf(Header(), Header(NOTE, 1 << 63, 0, 1 << 63, 0), multiboot=mb1()), None),
        ),
    ),
    Rule(
        "PVH",
        "Of Xen's note with the entry, and of that with the places, the first counts; one that does not end in its "
        "segment is none.",
        (
            (elf(notes=PVH + samples.pvh_note(BASE)), fits("pvh")),
            (elf(notes=samples.note(17, b"1234") + PVH), fits("pvh")),
            (elf(notes=samples.pvh_note(BASE, owner=b"GNU") + PVH), fits("pvh")),
            (elf(notes=PVH[:-1]), None),
            (elf(notes=samples.pvh_note(BASE, owner=b"Xen4")), None),
            (elf(notes=struct.pack("<3I", 4, 0xFFFFFFFF, 18) + b"Xen\0" + PVH), None),
            (elf(notes=b"\1\0\0\0"), None),
            (elf(), None),
        ),
    ),
    Rule(
        "PVH",
        "The entry is a physical address of 4 or 8 bytes.",
        (
            (elf(notes=samples.pvh_note(ENTRY, 8)), fits("pvh")),
            (elf(notes=samples.pvh_note(ENTRY | 1 << 32, 8)), None),
            (elf(notes=samples.note(18, b"123")), None),
            (elf(notes=samples.note(18, b"")), None),
            (elf(multiboot=mb1(), notes=samples.note(18, b"12345")), None),
        ),
    ),
    Rule(
        "PVH",
        "Places where it may lie are an alignment, the lowest, and the last byte of the highest; the alignment is a "
        "power of two.",
        (
            (elf(notes=PVH + samples.note(19, words(0x200000, BASE, 0x3FFFFFF))), fits("pvh")),
            (elf(notes=samples.note(19, words(0x10)) + PVH), fits("pvh")),
            (elf(notes=samples.note(19, b"") + PVH), fits("pvh")),
            (elf(notes=PVH + samples.note(19, words(0x3000))), None),
            (elf(notes=PVH + samples.note(19, words(0))), None),
            (elf(Header(align=1 << 32), notes=PVH + samples.note(19, b"")), None),
            (elf(multiboot=mb2(), notes=samples.note(19, words(3))), None),
        ),
    ),
    Rule(
        "multiboot1",
        "The first header counts whose three words add up to 0; it lies in the first 8 KiB, at a multiple of 4.",
        (
            (elf(multiboot=bytes(4) + mb1()), fits("multiboot1")),
            (elf(multiboot=bytes(2) + mb1()), None),
            (elf(multiboot=mb1()[:8] + b"\1\0\0\0"), None),
            (elf(multiboot=bytes(0x1F4) + mb1()), fits("multiboot1")),
            (elf(multiboot=bytes(0x1F8) + mb1()), None),
            (elf(multiboot=mb1(1 << 3) + mb1()), None),
        ),
    ),
    Rule(
        "multiboot1",
        "Flags that must be understood are page alignment, memory and a screen; all of 0 to 15 must be.",
        (
            (elf(multiboot=mb1(7)), fits("multiboot1")),
            *((elf(multiboot=mb1(1 << bit)), None) for bit in (3, 4, 15)),
            (elf(multiboot=mb1(1 << 3), notes=PVH), fits("pvh")),
            (elf(multiboot=mb1(1 << 17 | 1 << 31)), fits("multiboot1")),
        ),
    ),
    Rule(
        "multiboot1",
        "Flag 16: addresses say what goes where, of an ELF file too. A load end of 0 is the end of the file, "
        "an end of bss of 0 that of what is loaded.",
        (
            (flat(mb1(1 << 16, *ADDRESSES, ENTRY)), fits("multiboot1", segments=FLAT)),
            (flat(mb1(1 << 16, *ADDRESSES[:2], 0, 0, ENTRY)), fits("multiboot1", segments=((0, SIZE, BASE, SIZE),))),
            (
                flat(mb1(1 << 16, BASE + 0x20, BASE, 0, BASE + SIZE, ENTRY)),
                fits("multiboot1", segments=((0x20, SIZE - 0x20, BASE, SIZE),)),
            ),
            (
                flat(mb1(1 << 16, *ADDRESSES[:3], BASE + 0x1000, ENTRY)),
                fits("multiboot1", segments=((0, 0x1000, BASE, 0x1000),)),
            ),
            (
                elf(multiboot=mb1(1 << 16, AT_1E0, BASE, 0, 0, ENTRY)),
                fits("multiboot1", segments=((0, SIZE, BASE, SIZE),)),
            ),
            (flat(mb1(0)), None),
            (flat(b""), None),
        ),
    ),
    Rule(
        "multiboot1",
        "Addresses fit together: load <= header, load < load end <= bss end, and what is loaded is in the file, "
        "and ends at 4 GiB at the latest.",
        (
            (flat(mb1(1 << 16, BASE - 1, BASE, 0, 0, ENTRY)), None),
            (flat(mb1(1 << 16, BASE + 0x41, BASE, 0, 0, ENTRY)), None),
            (flat(mb1(1 << 16, *ADDRESSES[:2], BASE, 0, ENTRY)), None),
            (flat(mb1(1 << 16, *ADDRESSES[:3], BASE + 0xFFF, ENTRY)), None),
            (
                flat(mb1(1 << 16, *ADDRESSES[:2], BASE + SIZE, 0, ENTRY)),
                fits("multiboot1", segments=((0, SIZE, BASE, SIZE),)),
            ),
            (flat(mb1(1 << 16, *ADDRESSES[:2], BASE + SIZE + 1, 0, ENTRY)), None),
            (flat(mb1(1 << 16, 0xFFFFC041, 0xFFFFC001, 0, 0, 0xFFFFC010)), None),
        ),
    ),
    Rule(
        "multiboot1",
        "Its entry is the one beside the addresses, and the header with them ends in the first 8 KiB.",
        (
            (flat(mb1(1 << 16, *ADDRESSES, BASE + 0xFFF)), fits("multiboot1", BASE + 0xFFF, FLAT)),
            (flat(mb1(1 << 16, *ADDRESSES, BASE + 0x1000)), None),
            (flat(mb1(1 << 16, *ADDRESSES, BASE - 1)), None),
            (
                flat(mb1(1 << 16, BASE, BASE, 0, 0, BASE), at=0x1FE0),
                fits("multiboot1", BASE, ((0x1FE0, 0x2020, BASE, 0x2020),)),
            ),
            (flat(mb1(1 << 16, BASE, BASE, 0, 0, BASE), at=0x1FE4), None),
            (flat(mb1(1 << 16, *ADDRESSES, ENTRY)[:28], size=0x5C), None),
        ),
    ),
    Rule(
        "multiboot2",
        "The first header for i386 counts whose four words add up to 0; it ends in the first 32 KiB, and lies at "
        "a multiple of 8.",
        (
            (elf(multiboot=bytes(8) + mb2()), fits("multiboot2")),
            (elf(multiboot=bytes(4) + mb2()), None),
            (
                elf(multiboot=struct.pack("<4I", 0xE85250D6, 4, 16, -(0xE85250D6 + 20) & 0xFFFFFFFF) + mb2()),
                fits("multiboot2"),
            ),
            (elf(multiboot=mb2(length=SIZE - HEADER)), fits("multiboot2")),
            (elf(multiboot=mb2(length=SIZE - HEADER + 1)), None),
            (elf(multiboot=mb2(length=0x7000), size=0xA000), None),
            (elf(multiboot=mb2(length=15)), None),
            (elf(multiboot=mb2(length=16)), fits("multiboot2")),
        ),
    ),
    Rule(
        "multiboot2",
        "Each tag ends in the header, and is as long as its type is.",
        tuple(
            (elf(multiboot=mb2(struct.pack("<HHI", kind, flags, size) + bytes(24))), None)
            for kind, size in ((4, 4), (4, 4096), (2, 23), (3, 11), (9, 11))
            for flags in (0, 1)
        ),
    ),
    Rule(
        "multiboot2",
        "Required tags are done: 1 to 6 and 8 to 10. Others, unless they are optional, are not.",
        (
            *((elf(multiboot=mb2(tag(kind, 0))), fits("multiboot2")) for kind in (4, 5, 6, 8, 9, 10)),
            *((elf(multiboot=mb2(tag(kind, 0))), None) for kind in (7, 11, 99, 0xFFFF)),
            *((elf(multiboot=mb2(tag(kind, 0, optional=True))), fits("multiboot2")) for kind in (7, 11, 99)),
            (elf(multiboot=mb2(tag(99)), notes=PVH), fits("pvh")),
        ),
    ),
    Rule(
        "multiboot2",
        "Information that is required is one that the specification knows, 0 to 21.",
        (
            (elf(multiboot=mb2(tag(1, *range(22)))), fits("multiboot2")),
            (elf(multiboot=mb2(tag(1, 22))), None),
            (elf(multiboot=mb2(tag(1, 4, 99))), None),
            (elf(multiboot=mb2(tag(1, 99, optional=True))), fits("multiboot2")),
        ),
    ),
    Rule(
        "multiboot2",
        "Tag 3 is the entry, a physical address, in place of the file's; of several the last counts.",
        (
            (elf(multiboot=mb2(tag(3, BASE + 0x20))), fits("multiboot2", BASE + 0x20)),
            (elf(multiboot=mb2(tag(3, BASE), tag(3, BASE + 4)), entry=0), fits("multiboot2", BASE + 4)),
            (elf(multiboot=mb2(tag(3, 0x1000))), None),
        ),
    ),
    Rule(
        "multiboot2",
        "Tag 2 has the addresses, with the meaning that they have in multiboot1; a load address of -1 is the first "
        "byte of the file. Then there is an entry as well.",
        (
            (flat(mb2(tag(2, *ADDRESSES), tag(3, ENTRY))), fits("multiboot2", segments=FLAT)),
            (flat(mb2(tag(3, ENTRY), tag(2, *ADDRESSES, optional=True))), fits("multiboot2", segments=FLAT)),
            (
                flat(mb2(tag(2, BASE + 0x40, 0xFFFFFFFF, 0, 0), tag(3, ENTRY))),
                fits("multiboot2", segments=((0, SIZE, BASE, SIZE),)),
            ),
            (flat(mb2(tag(2, 0x3F, 0xFFFFFFFF, 0, 0), tag(3, ENTRY))), None),
            (flat(mb2(tag(2, *ADDRESSES))), None),
            (elf(multiboot=mb2(tag(2, *ADDRESSES))), None),
            (flat(mb2(tag(3, ENTRY))), None),
            (flat(mb2(tag(2, BASE - 1, BASE, 0, 0), tag(3, ENTRY))), None),
            (
                elf(multiboot=mb2(tag(2, AT_1E0, BASE, 0, 0), tag(3, ENTRY))),
                fits("multiboot2", segments=((0, SIZE, BASE, SIZE),)),
            ),
        ),
    ),
    Rule(
        "choice",
        "The first protocol counts that fits, in the order multiboot2, multiboot1, Linux, PVH. What a header requires "
        "and is not done leaves the kernel to the next one; what is broken ends it.",
        (
            (elf(multiboot=mb2() + mb1(), notes=PVH), fits("multiboot2")),
            (elf(multiboot=mb2(tag(99)) + mb1(), notes=PVH), fits("multiboot1")),
            (elf(multiboot=mb2(tag(99)) + mb1(8), notes=PVH), fits("pvh")),
            (elf(multiboot=mb2(tag(3, 0)) + mb1()), None),
        ),
    ),
    Rule(
        "Linux",
        "A bzImage has its magic and the mark of a boot sector, all of its header, and is loaded high.",
        (
            (samples.linux(pref_address=BASE), Fits("linux", BASE + 0x200, ((1024, 0x400, BASE, 0x400),))),
            (samples.linux(boot_flag=0), None),
            (samples.linux(header=0), None),
            (samples.linux(loadflags=0), None),
            (samples.linux()[:0x260], None),
        ),
    ),
    Rule(
        "Linux",
        "All that its header counts is in the file, but for the last paragraph's rest, and the 64-bit entry too.",
        (
            (samples.linux(pref_address=BASE, syssize=0x41), None),
            (
                samples.linux(b"\x90" * 0x3F1, pref_address=BASE),
                Fits("linux", BASE + 0x200, ((1024, 0x3F1, BASE, 0x3F1),)),
            ),
            (
                samples.linux(version=0x203, syssize=0x10041, code32_start=0x100000),
                Fits("linux", 0x100000, ((1024, 0x400, 0x100000, 0x400),)),
            ),
            (samples.linux(b"\x90" * 0x200, pref_address=BASE), None),
            (
                samples.linux(b"\x90" * 0x201, pref_address=BASE),
                Fits("linux", BASE + 0x200, ((1024, 0x201, BASE, 0x201),)),
            ),
            (samples.linux()[:1024], None),
        ),
    ),
    Rule(
        "Linux",
        "It lies from 1 MiB to 4 GiB; one that may be moved has an alignment that is a power of two of a page or more.",
        (
            (samples.linux(pref_address=0xFF000), None),
            (samples.linux(pref_address=0xFFFFE000), None),
            (samples.linux(pref_address=(1 << 64) - 0x1000), None),
            (samples.linux(kernel_alignment=0x3000), None),
            (samples.linux(kernel_alignment=0x800), None),
            (samples.linux(kernel_alignment=0), None),
            (
                samples.linux(kernel_alignment=0, relocatable_kernel=0, pref_address=BASE),
                Fits("linux", BASE + 0x200, ((1024, 0x400, BASE, 0x400),)),
            ),
        ),
    ),
    Rule(
        "Linux",
        "Setup code that is run in real mode has its room below the heap, 0x8a00 bytes.",
        (
            (
                samples.linux(code32_start=0, setup_sects=68, pref_address=BASE),
                Fits("linux", BASE + 0x200, ((0x8A00, 0x400, BASE, 0x400),)),
            ),
            (samples.linux(code32_start=0, setup_sects=69, pref_address=BASE), None),
        ),
    ),
)

HEAD = """\
# How a kernel is read

The host looks into the kernels of a description, and the generic stub into those that a loader brings, by the same
rules: tests/support/kernel_rules.py has them, each with files that keep it and files that break it, and this page is
made of it by `invoke docs`. `test_kernel_rules.py` reads every file with the host, the reference and the stub under
Unicorn, and then many files more, made by chance: all three must enter a kernel by the same protocol, at the same
address, with the same bytes in the same places, or not at all.

What the host does beyond: it unpacks gzip, and a bzImage for PVH, and checks a bzImage's payload. Its words for what is
wrong are its own; those of the stub are E0608 to E0612 in [errors.md](errors.md).

"""


def render() -> str:
    """The page."""
    rows = []
    for rule in RULES:
        good = sum(found is not None for _, found in rule.files)
        rows.append((rule.area, rule.text, f"{good} entered, {len(rule.files) - good} not"))
    return HEAD + table(("of", "rule", "files"), rows)
