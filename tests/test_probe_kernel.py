"""The probe kernel under Unicorn, on machines that QEMU has not got: the firmware's tables are made here, some
of them wrong. What comes out is always a whole report."""

from __future__ import annotations

import functools
import io
import random
import struct
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
import unicorn
from elftools.elf.elffile import ELFFile
from screen import Screen
from unicorn import x86_const as x86

from bootwright import abi, assemble, layout, link, probe

ABI = abi.load()
C = ABI.constants
RAM = 16 << 20
RETURN, INFO, TABLES, SMBIOS, EFI = 0x9000, 0x20000, 0x900000, 0xA00000, 0xB00000
RANGES = ((0, 0x9FC00, 1), (0x100000, RAM - 0x100000, 1))
SMBIOS3_GUID = uuid.UUID("f2fd1544-9794-4a2c-992e-e5bbcf20e394").bytes_le
SMBIOS_GUID = uuid.UUID("eb9d2d31-2d88-11d3-9a16-0090273fc14d").bytes_le
NAMES = (
    (0, "ACME", "1.0", "", "01/02/2026"),
    (1, "ACME", 'Lab "One"\\', "v2", "S\x01é"),
    (2, "ACME", "Board"),
)


@functools.cache
def kernel() -> link.Linked:
    """The probe as it is built."""
    source = assemble.assemble(abi.stub_directory() / "kernels/probe.asm")
    return link.link([source], layout.load("kernel"))


class Machine:
    """Memory, and a serial port whose number is `port`."""

    def __init__(self, port: int = 0x3F8) -> None:
        self.symbols, self.port, self.serial, self._scratch = kernel().symbols, port, bytearray(), 0
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self.uc.mem_map(0, RAM)
        for segment in ELFFile(io.BytesIO(kernel().image)).iter_segments("PT_LOAD"):
            self.uc.mem_write(segment["p_paddr"], segment.data())
        self.uc.hook_add(unicorn.UC_HOOK_INSN, self._on_in, None, 1, 0, x86.UC_X86_INS_IN)
        self.uc.hook_add(unicorn.UC_HOOK_INSN, self._on_out, None, 1, 0, x86.UC_X86_INS_OUT)

    def _on_in(self, uc: unicorn.Uc, port: int, size: int, data: object) -> int:
        known = {C["UART_SCRATCH"]: self._scratch, C["UART_LSR"]: C["UART_LSR_THRE"]}
        return known.get(port - self.port, 0 if 0 <= port - self.port < 8 else 0xFF)

    def _on_out(self, uc: unicorn.Uc, port: int, size: int, value: int, data: object) -> None:
        if port == self.port + C["UART_SCRATCH"]:
            self._scratch = value
        elif port == self.port:
            self.serial.append(value)

    def write(self, address: int, data: bytes) -> None:
        self.uc.mem_write(address, data)

    def call(self, routine: str) -> None:
        stack = self.symbols["stack_end"] - 8
        self.write(stack, struct.pack("<Q", RETURN))
        self.uc.reg_write(x86.UC_X86_REG_RSP, stack)
        self.uc.reg_write(x86.UC_X86_REG_RBP, INFO)
        self.uc.emu_start(self.symbols[routine], RETURN, count=100_000_000)
        assert self.uc.reg_read(x86.UC_X86_REG_RIP) == RETURN, f"{routine} did not return"

    def report(self, info: bytes) -> dict[str, Any]:
        """What the probe says, told `info`."""
        self.write(INFO, info)
        for routine in ("read_information", "read_words", "console_start", "emit_document", "print_document"):
            self.call(routine)
        return probe.extract(bytes(self.serial)).document


def told(
    *more: tuple[int, bytes],
    cmdline: str = "",
    ranges: Sequence[tuple[int, int, int]] = RANGES,
    entry: int = 24,
) -> bytes:
    """Boot information of multiboot2."""
    entries = b"".join(struct.pack("<QQII", *part, 0) for part in ranges)
    tags = [
        (C["MULTIBOOT2_TAG_CMDLINE"], cmdline.encode() + b"\0"),
        (C["MULTIBOOT2_TAG_LOADER_NAME"], b"test\0"),
        (C["MULTIBOOT2_TAG_MMAP"], struct.pack("<II", entry, 0) + entries),
        *more,
        (C["MULTIBOOT2_TAG_END"], b""),
    ]
    body = b""
    for kind, content in tags:
        body += struct.pack("<II", kind, 8 + len(content)) + content + bytes(-len(content) % 8)
    return struct.pack("<II", 8 + len(body), 0) + body


def table(signature: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    """An ACPI table."""
    length = 36 + len(body) if length is None else length
    return struct.pack("<4sIBB6s8sIII", signature, length, 1, 0, b"ACME\xff", b"LAB", 1, 0, 0) + body


def rsdp(xsdt: int = 0, rsdt: int = TABLES) -> tuple[int, bytes]:
    """The tag of an RSDP."""
    if not xsdt:
        return C["MULTIBOOT2_TAG_ACPI_OLD"], struct.pack("<8sB6sBI", b"RSD PTR ", 0, b"ACME", 0, rsdt)
    head = struct.pack("<8sB6sBIIQ4x", b"RSD PTR ", 0, b"ACME", 2, rsdt, 36, xsdt)
    return C["MULTIBOOT2_TAG_ACPI_NEW"], head


def structures(names: Sequence[tuple[Any, ...]] = NAMES) -> bytes:
    """SMBIOS structures: type, and the strings at offset 4 and behind."""
    found = b""
    for number, (kind, *texts) in enumerate(names):
        strings = [text.encode("latin-1") + b"\0" for text in texts if text]
        numbers, count = [], 0
        for text in texts:
            count += bool(text)
            numbers.append(count if text else 0)
        if kind == 0:
            numbers[2:3] = [0, 0]  # the BIOS's segment
        found += struct.pack("<BBH", kind, 4 + len(numbers), number) + bytes(numbers)
        found += b"".join(strings) + (b"\0" if strings else b"\0\0")
    return found + struct.pack("<BBH", 127, 4, 99) + b"\0\0"


def entry(version: int, address: int, size: int) -> bytes:
    """An SMBIOS entry point, with its checksum."""
    if version == 3:
        made = bytearray(struct.pack("<5sBBBBBBBIQ", b"_SM3_", 0, 24, 3, 7, 0, 1, 0, size, address))
    else:
        made = bytearray(
            struct.pack(
                "<4sBBHHB5s5sBHIHB", b"_SM_", 0, 31, 0x802, 0, 0, b"", b"_DMI_", 0, size, address, 9, 0x28
            )
        )
    made[5 if version == 3 else 4] = -sum(made) & 0xFF
    return bytes(made)


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


def local(flags: int) -> bytes:
    return struct.pack("<BBBBI", 0, 8, 0, 0, flags)


def x2apic(flags: int) -> bytes:
    return struct.pack("<BBHIII", 9, 16, 0, 0, flags, 0)


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
    assert document["cpus"] == 3


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
    machine = Machine()
    machine.write(TABLES, table(b"RSDT", struct.pack("<I", TABLES + 0x1000)))
    machine.write(TABLES + 0x1000, cpus)
    assert machine.report(told(rsdp()))["cpus"] == 0


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
    machine.write(TABLES, table(b"XSDT", struct.pack("<Q", TABLES + 0x8000) * count))
    machine.write(TABLES + 0x8000, table(b"\xff" * 4, b"", 0xFFFFFFFF))
    machine.write(SMBIOS, data := structures([(1, "\xff" * 64, "\xff" * 64, "x", "\xff" * 64)]))
    machine.write(0xF0000, entry(3, SMBIOS, len(data)))
    document = machine.report(told(rsdp(xsdt=TABLES), ranges=high, cmdline="\xff" * 500))
    assert len(document["memory"]) == C["MAX_RANGES"]
    assert len(document["acpi"]["tables"]) == 1 + count
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
