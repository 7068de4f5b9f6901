"""The probe kernel under Unicorn, on machines that QEMU has not got: the firmware's tables are ours, some of them
wrong. What comes out is always a whole report."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
import unicorn
from probe_machine import (
    ABI,
    EFI,
    NAMES,
    RANGES,
    RETURN,
    SMBIOS,
    SMBIOS3_GUID,
    SMBIOS_GUID,
    TABLES,
    C,
    Machine,
    entry,
    rsdp,
    structures,
    table,
    told,
)
from screen import Screen
from unicorn import x86_const as x86

# --- SMBIOS ---


def check_names(found: dict[str, Any]) -> None:
    assert (found["manufacturer"], found["product"]) == ("ACME", 'Lab "One"\\')
    assert (found["product_version"], found["serial"]) == ("v2", "S\x01é")
    assert (found["bios_vendor"], found["bios_version"], found["bios_date"]) == ("ACME", "1.0", "01/02/2026")
    assert (found["board_vendor"], found["board_product"]) == ("ACME", "Board")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("place", [0xF0000, 0xF1230, 0xFFFE0])
def test_smbios_in_the_bios_area(version: int, place: int) -> None:
    machine, data = Machine(), structures()
    machine.write(SMBIOS, data)
    machine.write(0xF0000, b"_SM_" + bytes(28))  # no checksum: not this one
    machine.write(place, entry(version, SMBIOS, len(data)))
    found = machine.report(told())["smbios"]
    assert found["entry"] == hex(place)
    check_names(found)


def efi(machine: Machine, *tables: tuple[bytes, int], count: int | None = None) -> tuple[int, bytes]:
    """An EFI system table with these configuration tables, and the tag that tells of it."""
    machine.write(EFI + 0x100, b"".join(guid + struct.pack("<Q", place) for guid, place in tables))
    head = bytes(C["EFI_SYSTEM_TABLE_NUMBER_OF_TABLE_ENTRIES"])
    machine.write(EFI, head + struct.pack("<QQ", len(tables) if count is None else count, EFI + 0x100))
    return C["MULTIBOOT2_TAG_EFI64"], struct.pack("<Q", EFI)


def test_smbios_by_way_of_efi() -> None:
    machine, data = Machine(), structures()
    machine.write(SMBIOS, data)
    machine.write(SMBIOS - 0x100, entry(3, SMBIOS, len(data)))
    machine.write(SMBIOS - 0x200, entry(2, SMBIOS, len(data)))
    tables = (bytes(16), 5), (SMBIOS_GUID, SMBIOS - 0x200), (SMBIOS3_GUID, SMBIOS - 0x100), (bytes(16), 7)
    document = machine.report(told(efi(machine, *tables)))
    assert document["booted"]["efi"] == hex(EFI)
    assert document["smbios"]["entry"] == hex(SMBIOS - 0x100), "that of version 3 is preferred"
    check_names(document["smbios"])


@pytest.mark.parametrize(
    ("tables", "count"),
    [
        ((), None),
        (((SMBIOS3_GUID, 1 << 40),), None),
        (((SMBIOS3_GUID, 0),), None),
        (((SMBIOS3_GUID, 0x300000),), None),
        (((SMBIOS3_GUID, 0x300000),), 1 << 50),
    ],
)
def test_efi_without_smbios(tables: tuple[tuple[bytes, int], ...], count: int | None) -> None:
    machine = Machine()
    assert machine.report(told(efi(machine, *tables, count=count)))["smbios"] is None


@pytest.mark.parametrize(
    ("address", "size"), [(SMBIOS, 0x200000), (1 << 40, 100), ((1 << 32) - 10, 100), (SMBIOS, 0xFFFFFFFF)]
)
def test_an_smbios_table_that_cannot_be(address: int, size: int) -> None:
    machine = Machine()
    machine.write(0xF0000, entry(3, address, size))
    assert machine.report(told())["smbios"] is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x00\x00\x00" * 9,  # a length of 0
        b"\x01\xff\x00\x00\x01",  # ends in the formatted part
        b"\x02\x04\x00\x00" + b"x" * 90,  # strings that do not end
        b"\x01\x08\x00\x00\x09\x09\x09\x09a\0b\0\0",  # numbers of strings that are not there
        b"\x01\x05\x00\x00\x01a\0\0",  # too short for the rest
    ],
)
def test_smbios_structures_gone_wrong(data: bytes) -> None:
    machine = Machine()
    machine.write(SMBIOS, data + b"\xff" * 64)
    machine.write(0xF0000, entry(3, SMBIOS, len(data)))
    found = machine.report(told())["smbios"]
    assert found["product"] == "" and found["serial"] == ""


@pytest.mark.parametrize("seed", range(20))
def test_random_structures_end_in_a_report(seed: int) -> None:
    dice, machine = random.Random(seed), Machine()
    data = bytearray(structures(NAMES * 3))
    for _ in range(dice.randrange(1, 30)):
        data[dice.randrange(len(data))] = dice.choice((0, 1, 4, 127, 255, dice.randrange(256)))
    machine.write(SMBIOS, bytes(data))
    machine.write(0xF0000, entry(3, SMBIOS, dice.randrange(len(data) + 1)))
    assert machine.report(told())["smbios"] is not None


# --- ACPI ---


def madt(*entries: bytes) -> bytes:
    return table(b"APIC", bytes(8) + b"".join(entries))


def local(flags: int, number: int = 0, uid: int = 0) -> bytes:
    return struct.pack("<BBBBI", 0, 8, uid, number, flags)


def x2apic(flags: int, number: int = 0, uid: int = 0) -> bytes:
    return struct.pack("<BBHIII", 9, 16, 0, number, flags, uid)


def with_madt(machine: Machine, cpus: bytes) -> dict[str, Any]:
    machine.write(TABLES, table(b"RSDT", struct.pack("<I", TABLES + 0x1000)))
    machine.write(TABLES + 0x1000, cpus)
    return machine.report(told(rsdp()))


def test_tables_and_processors() -> None:
    machine = Machine()
    fadt = table(b"FACP", struct.pack("<II", 0, TABLES + 0x4000) + bytes(70))
    cpus = madt(local(1), local(0), struct.pack("<BBHII", 1, 12, 0, 0, 0), x2apic(1), x2apic(2), local(3))
    addresses = [TABLES + 0x1000, 0, 1 << 40, TABLES + 0x2000]
    machine.write(TABLES, table(b"XSDT", struct.pack("<4Q", *addresses)))
    machine.write(TABLES + 0x1000, fadt)
    machine.write(TABLES + 0x2000, cpus)
    machine.write(TABLES + 0x4000, table(b"DSDT"))
    document = machine.report(told(rsdp(xsdt=TABLES)))
    acpi = document["acpi"]
    assert (acpi["revision"], acpi["oem"], acpi["xsdt"]) == (2, "ACME", hex(TABLES))
    assert [(t["signature"], t["address"]) for t in acpi["tables"]] == [
        ("XSDT", hex(TABLES)),
        ("FACP", hex(TABLES + 0x1000)),
        ("DSDT", hex(TABLES + 0x4000)),
        (None, hex(1 << 40)),
        ("APIC", hex(TABLES + 0x2000)),
    ]
    assert (acpi["tables"][1]["oem"], acpi["tables"][1]["length"]) == ("ACME\xff", 36 + 78)
    assert document["cpus"] == 3 and len(document["processors"]) == 5


def test_every_processor_is_listed_with_its_id_and_flags() -> None:
    other = struct.pack("<BBHII", 1, 12, 0, 0, 0)
    cpus = madt(local(1, 4, 7), local(0, 255), other, x2apic(1, 0x12345, 9), local(2, 5), x2apic(0xFFFFFFFF, 1))
    document = with_madt(Machine(), cpus)
    found = [(one["apic_id"], one["uid"], one["flags"]) for one in document["processors"]]
    assert found == [(4, 7, "0x1"), (255, 0, "0x0"), (0x12345, 9, "0x1"), (5, 0, "0x2"), (1, 0, "0xffffffff")]
    assert document["cpus"] == 3


def test_an_entry_that_reaches_behind_the_table_is_not_read() -> None:
    for cut in range(1, 16):
        document = with_madt(Machine(), madt(local(1), x2apic(1, 1)[:-cut]))
        assert [one["apic_id"] for one in document["processors"]] == [0] and document["cpus"] == 1
    assert len(with_madt(Machine(), madt(local(1)[:-1]))["processors"]) == 0


def test_the_old_root_table() -> None:
    machine = Machine()
    machine.write(TABLES, table(b"RSDT", struct.pack("<I", TABLES + 0x1000)))
    machine.write(TABLES + 0x1000, madt(local(1)))
    document = machine.report(told(rsdp()))
    assert [t["signature"] for t in document["acpi"]["tables"]] == ["RSDT", "APIC"]
    assert (document["acpi"]["rsdt"], document["acpi"]["xsdt"], document["cpus"]) == (hex(TABLES), "0x0", 1)


@pytest.mark.parametrize("length", [0, 35, 36, 39, 0x10000, 0xFFFFFFFF])
def test_a_root_table_of_a_length_that_cannot_be(length: int) -> None:
    machine = Machine()
    machine.write(TABLES, table(b"RSDT", struct.pack("<I", TABLES + 0x1000), length))
    assert len(machine.report(told(rsdp()))["acpi"]["tables"]) == 1


def test_a_root_table_out_of_reach() -> None:
    document = Machine().report(told(rsdp(xsdt=1 << 40)))
    assert document["acpi"]["tables"] == [{"signature": None, "address": hex(1 << 40)}]


@pytest.mark.parametrize(
    "cpus",
    [
        madt(b"\x00\x00" + bytes(50)),
        madt(b"\x00\x01" + bytes(50)),
        table(b"APIC", bytes(8) + local(1), 0xFFFFFFFF),
        table(b"APIC", b"", 10),
    ],
)
def test_a_list_of_processors_gone_wrong(cpus: bytes) -> None:
    document = with_madt(Machine(), cpus)
    assert document["cpus"] == 0 and document["processors"] == []


# --- the cpu ---


Cpuid = Callable[[int, int], tuple[int, int, int, int]]


def answer_cpuid(machine: Machine, answer: Cpuid) -> None:
    """Makes the machine's cpu another one: what it answers to a leaf and a subleaf."""
    registers = (x86.UC_X86_REG_RAX, x86.UC_X86_REG_RBX, x86.UC_X86_REG_RCX, x86.UC_X86_REG_RDX)

    def on_cpuid(uc: unicorn.Uc, data: object) -> bool:
        leaf, subleaf = (uc.reg_read(register) & 0xFFFFFFFF for register in registers[::2])
        for register, value in zip(registers, answer(leaf, subleaf), strict=True):
            uc.reg_write(register, value)
        return True

    machine.uc.hook_add(unicorn.UC_HOOK_INSN, on_cpuid, None, 1, 0, x86.UC_X86_INS_CPUID)


LOW = [(0, 0), (1, 0), (7, 0), (0xB, 0), (0xB, 1), (0x15, 0), (0x16, 0)]
HYPERVISOR = [(0x40000000, 0), (0x40000010, 0)]
HIGH = [(0x80000000, 0), *((leaf, 0) for leaf in (0x80000001, 0x80000007, 0x80000008, 0x8000000A, 0x8000001E))]


@pytest.mark.parametrize(
    ("low", "hypervisor", "high", "expected"),
    [
        (0x1F, 0x40000010, 0x80000021, [*LOW, *HYPERVISOR, *HIGH]),
        (0x16, 0x40000001, 0x8000001E, [*LOW, *HYPERVISOR[:1], *HIGH]),
        (0x15, None, 0x8000001D, [*LOW[:-1], *HIGH[:-1]]),
        (0xA, None, 0x80000008, [*LOW[:3], *HIGH[:4]]),
        (1, 0, 0x80000001, [*LOW[:2], *HIGH[:2]]),
    ],
)
def test_the_leaves_of_cpuid_that_there_are(
    low: int, hypervisor: int | None, high: int, expected: list[tuple[int, int]]
) -> None:
    """Each part has a highest leaf of its own; a hypervisor's part is there if leaf 1 says so, whatever it answers."""
    tops = {0: low, 0x40000000: 0x40000010 if hypervisor is None else hypervisor, 0x80000000: high}

    def answer(leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        if leaf in tops:
            return tops[leaf], 0, 0, 0
        ecx = 0x80000000 if leaf == 1 and hypervisor is not None else subleaf
        return leaf ^ 0xFFFF, leaf + subleaf, ecx, 0x12345678

    machine = Machine()
    answer_cpuid(machine, answer)
    found = machine.report(told())["cpuid"]
    assert [(int(one["leaf"], 16), one["subleaf"]) for one in found] == expected
    for one in found:
        registers = tuple(int(one[name], 16) for name in ("eax", "ebx", "ecx", "edx"))
        assert registers == answer(int(one["leaf"], 16), one["subleaf"])


def refused(machine: Machine, place: int) -> None:
    """Raise #GP at `place`, as a cpu does: the gate's routine runs with the frame and the error code on its stack."""
    uc, frame = machine.uc, TABLES + 0x10000
    machine.call("load_descriptors")
    machine.call("catch_protection")
    gate = bytes(uc.mem_read(machine.symbols["idt"] + 13 * 16, 12))
    low, _, _, middle, high = struct.unpack("<HHHHI", gate)
    rsp = machine.symbols["stack_end"] - 8  # as Machine.call leaves its return address
    machine.write(rsp, struct.pack("<Q", RETURN))
    machine.write(frame, struct.pack("<6Q", 0, place, C["GDT_CODE64"], 2, rsp, C["GDT_DATA"]))
    uc.reg_write(x86.UC_X86_REG_RSP, frame)
    uc.emu_start(low | middle << 16 | high << 32, RETURN, count=1_000_000)


def test_an_msr_that_the_cpu_refuses_is_null_and_nothing_else_is_forgiven() -> None:
    machine = Machine()
    refused(machine, machine.symbols["read_msr"])
    assert machine.uc.reg_read(x86.UC_X86_REG_RIP) == RETURN
    assert machine.uc.reg_read(x86.UC_X86_REG_EFLAGS) & 1, "CF: it was refused"
    machine.write(machine.symbols["read_msr"], bytes.fromhex("f9c390"))  # stc; ret, in place of rdmsr
    document = machine.report(told())
    assert document["msrs"] == [{"msr": msr, "value": None} for msr in ("0x1b", "0x3a", "0xc0010114")]
    machine = Machine()
    refused(machine, machine.symbols["read_msr"] + 2)
    assert b"E0110" in machine.serial and machine.uc.reg_read(x86.UC_X86_REG_RIP) != RETURN


# --- what it is told ---


def test_without_anything_it_still_reports() -> None:
    document = Machine().report(struct.pack("<II", 8, 0))
    assert document["memory"] == [] and document["acpi"] is None and document["smbios"] is None
    assert document["booted"] == {"protocol": "multiboot2", "loader": "", "cmdline": "", "efi": "0x0"}


def test_memory_loader_and_framebuffer() -> None:
    screen = struct.pack("<QIIIBBH6BH", 0xC0000000, 5120, 1280, 800, 32, 1, 0, 16, 8, 8, 8, 0, 8, 0)
    machine = Machine()
    machine.uc.mem_map(1 << 32, 4 << 20)  # where it maps the screen
    document = machine.report(told((C["MULTIBOOT2_TAG_FRAMEBUFFER"], screen), cmdline='a "b" \\ c\t'))
    assert document["memory"] == [{"start": hex(s), "size": hex(n), "type": t} for s, n, t in RANGES]
    assert document["booted"]["cmdline"] == 'a "b" \\ c\t' and document["booted"]["loader"] == "test"
    assert document["framebuffer"] == {
        "address": "0xc0000000",
        "pitch": 5120,
        "width": 1280,
        "height": 800,
        "bpp": 32,
        "type": 1,
        "colours": [16, 8, 8, 8, 0, 8],
    }
    size = Screen(1280, 800, 5120, 2)
    shown = size.read(lambda y: bytes(machine.uc.mem_read((1 << 32) + y * 5120, 5120)))
    settings = b"\1"  # of the port: its divisor
    said = machine.serial.removeprefix(settings).decode().replace("\r", "")
    assert shown == size.shown(said), "the report is on the screen as well"


def test_entries_of_another_size_are_not_taken_for_memory() -> None:
    assert Machine().report(told(entry=20))["memory"] == []


def test_the_longest_report_there_is() -> None:
    """All ranges that the stub can hand over, all tables, the longest strings: nothing is cut off."""
    machine = Machine()
    high = [((1 << 63) + (number << 40), 0xFFFF_FFFF_F000, 2) for number in range(C["MAX_RANGES"])]
    count = C["PROBE_MAX_TABLES"]
    places = struct.pack("<Q", TABLES + 0x8000) * (count - 1) + struct.pack("<Q", TABLES + 0x10000)
    machine.write(TABLES, table(b"XSDT", places))
    cpus = [x2apic(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF)] * (C["PROBE_MAX_PROCESSORS"] + 2)
    machine.write(TABLES + 0x10000, madt(*cpus))
    machine.write(TABLES + 0x8000, table(b"\xff" * 4, b"", 0xFFFFFFFF))
    machine.write(SMBIOS, data := structures([(1, "\xff" * 64, "\xff" * 64, "x", "\xff" * 64)]))
    machine.write(0xF0000, entry(3, SMBIOS, len(data)))
    document = machine.report(told(rsdp(xsdt=TABLES), ranges=high, cmdline="\xff" * 500))
    assert len(document["memory"]) == C["MAX_RANGES"]
    assert len(document["acpi"]["tables"]) == 1 + count
    assert len(document["processors"]) == C["PROBE_MAX_PROCESSORS"] and document["cpus"] == len(cpus)
    assert len(document["booted"]["cmdline"]) == 1000  # two bytes of UTF-8 each


@pytest.mark.parametrize(
    ("cmdline", "port", "halt"),
    [
        ("", 0x3F8, 0),
        ("serial=0x2f8", 0x2F8, 0),
        ("x serial=0x2E8 halt", 0x2E8, 1),
        ("halt", 0x3F8, 1),
        ("asphalt  serial", 0x3F8, 0),
    ],
)
def test_words_of_the_command_line(cmdline: str, port: int, halt: int) -> None:
    machine = Machine(port)
    assert machine.report(told(cmdline=cmdline))["booted"]["cmdline"] == cmdline
    assert machine.uc.mem_read(machine.symbols["word_halt"], 1)[0] == halt


def test_it_is_entered_by_pvh_too() -> None:
    machine = Machine()
    machine.write(0x30000, b"".join(struct.pack("<QQII", *part, 0) for part in RANGES))
    machine.write(0x31000, b"hello\0")
    info = ABI.struct("hvm_start_info")(
        magic=C["XEN_HVM_START_MAGIC_VALUE"],
        version=1,
        cmdline_paddr=0x31000,
        rsdp_paddr=1 << 40,
        memmap_paddr=0x30000,
        memmap_entries=len(RANGES),
    )
    document = machine.report(info.dumps())
    assert len(document["memory"]) == len(RANGES) and document["acpi"] is None
    assert document["booted"]["protocol"] == "PVH" and document["booted"]["cmdline"] == "hello"
