"""The probe kernel on a machine of Unicorn's, and the tables that a firmware puts there."""

from __future__ import annotations

import functools
import io
import struct
import uuid
from collections.abc import Sequence
from typing import Any

import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import x86_const as x86

from bootwright.asm import assemble
from bootwright.common import abi
from bootwright.lab import report
from bootwright.link import layout, linker
from bootwright.link.linked import Linked

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
def kernel() -> Linked:
    """The probe as it is built."""
    source = assemble.assemble(abi.stub_directory() / "kernels/probe.asm")
    return linker.link([source], layout.load("kernel"))


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
        return report.extract(bytes(self.serial)).document


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
            struct.pack("<4sBBHHB5s5sBHIHB", b"_SM_", 0, 31, 0x802, 0, 0, b"", b"_DMI_", 0, size, address, 9, 0x28)
        )
    made[5 if version == 3 else 4] = -sum(made) & 0xFF
    return bytes(made)
