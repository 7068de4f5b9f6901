"""What the resident part reaches once domains run: its page tables are walked by the words of the manual (AMD64 APM
volume 2, 5.3), and hold what stays, each page with its rights, and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
import unicorn
from resident import BASE, MIB, PAGE, C, Resident
from unicorn import x86_const as x86

PRESENT, WRITE, PWT, PCD, LARGE, NX = 1 << 0, 1 << 1, 1 << 3, 1 << 4, 1 << 7, 1 << 63
ADDRESS = 0x000F_FFFF_FFFF_F000
CODE, DATA, UNCACHED = PRESENT, PRESENT | WRITE | NX, PRESENT | WRITE | NX | PWT | PCD
VCPUS, WINDOWS = BASE + 0x10000, 0xFFE00000
Map = dict[int, tuple[int, int]]


def leaves(machine: Resident, table: int, level: int = 4, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Address, entry and size of all that a table of this level maps."""
    size = 1 << 12 + 9 * (level - 1)
    for index, entry in enumerate(struct.unpack("<512Q", machine.read(table, PAGE))):
        if not entry & PRESENT:
            assert entry == 0
        elif level == 1 or entry & LARGE:
            assert level < 3, "pages of 1 GiB: not every cpu has them"
            assert not (level == 1 and entry & LARGE), "another PAT entry"
            yield start + index * size, entry & ~LARGE, size
        else:
            assert entry & ~ADDRESS == PRESENT | WRITE, "rights are those of the leaves"
            yield from leaves(machine, entry & ADDRESS, level - 1, start + index * size)


def reached(machine: Resident) -> Map:
    """Machine address and rights of every page of 4 KiB that is reached."""
    found: Map = {}
    for address, entry, size in leaves(machine, machine.symbols["host_map"]):
        for offset in range(0, size, PAGE):
            found[address + offset] = ((entry & ADDRESS) + offset, entry & ~ADDRESS)
    return found


def pages(start: int, end: int, rights: int) -> Map:
    """Pages at their own addresses, as many as have a byte of a range."""
    return {page: (page, rights) for page in range(start - start % PAGE, end, PAGE)}


def made(length: int = PAGE, vcpus: int = 3, x2apic: bool = False, sinks: int = 1) -> Resident:
    machine = Resident()
    machine.put(BASE, "partition", length=length, nr_vcpus=vcpus, vcpus=VCPUS)
    machine.set_variable("x2apic", int(x2apic), 4)
    machine.set_variable("console_sinks", sinks, 1)
    machine.call("make_reach")
    return machine


LENGTHS = [
    1,
    PAGE,
    PAGE + 1,
    4 * MIB - BASE - 1,
    4 * MIB - BASE,
    4 * MIB - BASE + 1,
    6 * MIB - BASE,
    8 * MIB - BASE + PAGE,
    C["MAX_PARTITION"],
]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("x2apic", [False, True])
@pytest.mark.parametrize("sinks", [C["CONSOLE_SERIAL"], C["CONSOLE_SERIAL"] | C["CONSOLE_VGA"]])
def test_code_data_partition_apic_and_screen_are_reached_and_nothing_else(
    length: int, x2apic: bool, sinks: int
) -> None:
    machine = made(length, x2apic=x2apic, sinks=sinks)
    s = machine.symbols
    expected = pages(s["__start_text"], s["__end_fixups"], CODE)
    expected |= pages(s["__start_data"], s["__image_end"], DATA)
    expected |= pages(BASE, BASE + length, DATA)
    if not x2apic:
        expected |= pages(C["LAPIC_ADDRESS"], C["LAPIC_ADDRESS"] + 1, UNCACHED)
    if sinks & C["CONSOLE_VGA"]:
        expected |= pages(C["VGA_TEXT"], C["VGA_TEXT"] + 2 * C["VGA_COLUMNS"] * C["VGA_ROWS"], DATA)
    assert reached(machine) == expected
    assert machine.variable("host_tables_used", 4) <= 5, "the tables that there are"


def test_what_was_for_the_boot_alone_is_not_reached() -> None:
    machine = made()
    s = machine.symbols
    assert s["__start_boot"] % PAGE == 0 and s["__start_data"] >= s["__end_boot"]
    boot = pages(s["__start_boot"], s["__end_boot"], 0)
    assert boot and not set(boot) & set(reached(machine))


@pytest.mark.parametrize("number", [0, 1, C["MAX_CPUS"] - 1])
@pytest.mark.parametrize("address", [0x1000000, 0x1234560, 0xFFFFF000, 1 << 32, (1 << 40) + 0x123])
def test_a_window_shows_one_page_to_one_cpu_until_it_is_closed(number: int, address: int) -> None:
    machine = made(vcpus=C["MAX_CPUS"])
    before = reached(machine)
    vcpu = VCPUS + number * C["VCPU_SIZEOF"]
    window = WINDOWS + number * PAGE
    machine.call("open_window", rdi=address, rbp=vcpu)
    assert machine.register("rdi") == window + address % PAGE
    assert reached(machine) == before | {window: (address - address % PAGE, DATA)}
    machine.call("close_window", rbp=vcpu)
    assert reached(machine) == before


# --- on a cpu that translates by these tables ---

READS, WRITES = bytes.fromhex("8a0690"), bytes.fromhex("880690")  # mov al, [rsi] or mov [rsi], al; nop


def happens(machine: Resident, code: bytes, address: int) -> bool:
    """Whether an access by code of the resident part is carried out."""
    place, uc = machine.symbols["reach_all"], machine.uc  # a routine that is not called here
    uc.reg_write(x86.UC_X86_REG_CR0, C["CR0_PE"])
    machine.write(place, code)
    uc.reg_write(x86.UC_X86_REG_MSR, (C["MSR_EFER"], 1 << C["EFER_NXE_BIT"] | C["EFER_LMA"] | C["EFER_LME"]))
    uc.reg_write(x86.UC_X86_REG_CR4, C["CR4_PAE"])
    uc.reg_write(x86.UC_X86_REG_CR3, machine.symbols["host_map"])
    uc.reg_write(x86.UC_X86_REG_CR0, C["CR0_OURS"])
    uc.reg_write(x86.UC_X86_REG_RSI, address)
    try:
        uc.emu_start(place, place + 2)
    except unicorn.UcError:
        return False
    return bool(uc.reg_read(x86.UC_X86_REG_RIP) == place + 2)


@pytest.mark.parametrize(
    ("name", "reads", "writes"),
    [
        ("BASE", True, True),
        ("text", True, False),
        ("data", True, True),
        ("boot", False, False),
        ("bank", False, False),
        ("first page", False, False),
        ("behind the partition", False, False),
        ("window", False, False),
        ("open window", True, True),
    ],
)
def test_a_cpu_does_what_the_tables_say(name: str, reads: bool, writes: bool) -> None:
    machine = made(length=5 * PAGE)
    s = machine.symbols
    places = {"BASE": BASE, "text": s["__start_text"], "data": s["__start_data"], "boot": s["__start_boot"]}
    places |= {"bank": 0x1000000, "first page": 0, "behind the partition": BASE + 5 * PAGE, "window": WINDOWS}
    if name == "open window":
        machine.call("open_window", rdi=0x1000123, rbp=VCPUS)
        places[name] = machine.register("rdi")
    assert (happens(machine, READS, places[name]), happens(machine, WRITES, places[name])) == (reads, writes)
