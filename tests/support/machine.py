"""A machine for the stub's own tests: Unicorn, a UART that listens, and all that a loader hands over.

The stub runs from `parse_loader` on, in 64-bit mode, until it launches a kernel or halts. Routines can
also be called alone. The stub is assembled and linked by host/bootwright, and records are those of stub/abi;
what it does is judged by Unicorn, pyelftools and this module alone.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import unicorn
from elftools.elf.elffile import ELFFile
from project import ROOT
from unicorn import x86_const as x86

from bootwright.asm import assemble
from bootwright.common import abi
from bootwright.link import layout, linker
from bootwright.link.linked import Linked

ABI = abi.load()
C = ABI.constants

RAM = 64 << 20
TABLES_ROOM = 0x10000  # bytes reserved for tables in the stub under test
BUILD_ID = bytes(range(9, 29))  # of the stub under test; its first digit is a zero
RETURN = 0x9000  # a hlt that routines return to
SCRATCH = 0x3000000  # buffers of tests, up to the end of RAM
LOADER = 0x80000  # the loader's information
REGISTERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")


@functools.cache
def stub() -> Linked:
    """The real stub, linked once for all tests."""
    how = layout.load("stub")
    names = [name for reason, found in how.files.items() if reason != "application" for name in found]
    objects = [assemble.assemble(ROOT / f"stub/{name}.asm") for name in names]
    return linker.link(objects, how, reserve={"tables": TABLES_ROOM})


class Machine:
    """64 MiB of RAM with the stub loaded at its link address, or at another. mode: what the cpu starts in."""

    def __init__(
        self,
        tables: bytes = b"",
        uart: bool = True,
        base: int = C["IMAGE_BASE"],
        mode: int = unicorn.UC_MODE_64,
    ) -> None:
        moved = base - C["IMAGE_BASE"]
        self.serial = bytearray()
        self.ports: list[tuple[int, int]] = []
        self.symbols = {name: address + moved for name, address in stub().symbols.items()}
        self.uart_ready = True
        self.tick = 0  # that the time-stamp counter goes on each time that it is read
        self._tsc = 0
        self._uart = uart
        self._scratch = 0
        self._divisor_open = False
        self._seconds = 0
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, mode)
        self.uc.mem_map(0, RAM)
        self.uc.msr_write(C["MSR_MTRR_DEF_TYPE"], C["MTRR_DEF_TYPE_ENABLED"] | C["MEMORY_WRITE_BACK"])
        for segment in ELFFile(io.BytesIO(stub().image)).iter_segments("PT_LOAD"):
            self.uc.mem_write(segment["p_paddr"] + moved, segment.data())
        self.uc.mem_write(self.symbols["__start_tables"], tables)
        self.uc.mem_write(self.symbols["__end_note_gnu_build_id"] - len(BUILD_ID), BUILD_ID)
        self.uc.mem_write(RETURN, b"\xf4")
        self.uc.hook_add(unicorn.UC_HOOK_INSN, self._on_in, None, 1, 0, x86.UC_X86_INS_IN)
        behind_rdtsc = self.symbols["read_tsc"] + 2
        self.uc.hook_add(unicorn.UC_HOOK_CODE, self._on_tsc, None, behind_rdtsc, behind_rdtsc)
        self.uc.hook_add(unicorn.UC_HOOK_INSN, self._on_out, None, 1, 0, x86.UC_X86_INS_OUT)

    def _on_in(self, uc: unicorn.Uc, port: int, size: int, data: object) -> int:
        register = port - C["UART_COM1"]
        if port == C["PORT_CMOS_DATA"]:
            self._seconds += 1
            return self._seconds & 0xFF
        if not self._uart or not 0 <= register < 8:
            return 0xFF
        if register == C["UART_SCRATCH"]:
            return self._scratch
        return C["UART_LSR_THRE"] if register == C["UART_LSR"] and self.uart_ready else 0

    def _on_tsc(self, uc: unicorn.Uc, address: int, size: int, data: object) -> None:
        self._tsc += self.tick
        self.uc.reg_write(x86.UC_X86_REG_EAX, self._tsc & 0xFFFFFFFF)
        self.uc.reg_write(x86.UC_X86_REG_EDX, self._tsc >> 32)

    def _on_out(self, uc: unicorn.Uc, port: int, size: int, value: int, data: object) -> None:
        self.ports.append((port, value))
        if not self._uart:
            return
        if port == C["UART_COM1"] + C["UART_SCRATCH"]:
            self._scratch = value
        elif port == C["UART_COM1"] + C["UART_LCR"]:
            self._divisor_open = bool(value & C["UART_LCR_DLAB"])
        elif port == C["UART_COM1"] and not self._divisor_open:
            self.serial.append(value)

    # --- memory ---

    def write(self, address: int, data: bytes) -> None:
        self.uc.mem_write(address, data)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.uc.mem_read(address, size))

    def read_string(self, address: int) -> str:
        return self.read(address, C["MAX_STRING"]).split(b"\0")[0].decode()

    def variable(self, name: str, size: int = 8) -> int:
        return int.from_bytes(self.read(self.symbols[name], size), "little")

    def set_variable(self, name: str, value: int, size: int = 8) -> None:
        self.write(self.symbols[name], value.to_bytes(size, "little"))

    def record(self, name: str, address: int) -> Any:
        return ABI.struct(name)(self.read(address, C[f"{name.upper()}_SIZEOF"]))

    # --- running ---

    def call(self, routine: str, *values: int, limit: int = 50_000_000, **registers: int) -> int:
        """Calls a routine with System V arguments and returns rax; a halt of the stub ends it as well."""
        for register, value in [*zip(REGISTERS, values, strict=False), *registers.items()]:
            self.uc.reg_write(getattr(x86, f"UC_X86_REG_{register.upper()}"), value & (2**64 - 1))
        stack = self.symbols["stack_end"] - 8
        self.write(stack, struct.pack("<Q", RETURN))
        self.uc.reg_write(x86.UC_X86_REG_RSP, stack)
        self.run(self.symbols[routine], limit)
        return int(self.uc.reg_read(x86.UC_X86_REG_RAX))

    def run(self, start: int, limit: int) -> None:
        """Runs until a hlt; more than `limit` instructions are a failure."""
        self.uc.emu_start(start, 0, count=limit)
        pc = self.uc.reg_read(x86.UC_X86_REG_RIP)
        assert self.read(pc - 1, 1) == b"\xf4", f"no end after {limit} instructions, at {pc:#x}"

    @property
    def zero_flag(self) -> bool:
        return bool(self.uc.reg_read(x86.UC_X86_REG_EFLAGS) >> 6 & 1)

    @property
    def transcript(self) -> str:
        return self.serial.decode("latin-1").replace("\r\n", "\n")

    def boot(self, magic: int, info: int = LOADER) -> str:
        """Runs from behind the long-mode switch to the launch or the failure; returns the transcript."""
        self.set_variable("entry_magic", magic, 4)
        self.set_variable("entry_info", info, 4)
        self.write(self.symbols["handover_code.enter"], b"\xf4")
        self.call("load_descriptors")
        self.call("apply_settings")
        self.call("parse_loader")
        self.call("keep_bios_data")
        if not self.failed:
            self.call("main")
        return self.transcript

    @property
    def enter_state(self) -> Any:
        """What the last instructions are told, in their copy."""
        code = self.variable("handover") + C["PAGE_TABLES"] * C["PAGE_SIZE"]
        return self.record("enter_state", code + self.symbols["enter_state"] - self.symbols["handover_code"])

    @property
    def information(self) -> tuple[int, int]:
        """Start and end of what the kernel is told."""
        return self.variable("handover") + C["HANDOVER_INFORMATION"], self.variable("information_end")

    @property
    def failed(self) -> bool:
        return f"{ABI.strings['M_PREFIX']}E" in self.transcript

    def error(self) -> str:
        """The number and sentence of the failure, "" for none."""
        for line in self.transcript.splitlines():
            if line.startswith(f"{ABI.strings['M_PREFIX']}E"):
                return line.removeprefix(ABI.strings["M_PREFIX"])
        return ""


def pvh_info(
    machine: Machine,
    ranges: Sequence[tuple[int, int, int]] = ((0, 0x9FC00, 1), (0x100000, RAM - 0x100000, 1)),
    modules: Sequence[tuple[int, bytes, str]] = (),
    cmdline: str = "",
) -> None:
    """Writes an hvm_start_info to LOADER: ranges (start, size, type), modules (start, bytes, string)."""
    place = LOADER + 0x100

    def put(data: bytes) -> int:
        nonlocal place
        address, place = place, place + (len(data) + 15 & ~15)
        machine.write(address, data)
        return address

    entries = []
    for start, data, string in modules:
        machine.write(start, data)
        entries.append(struct.pack("<4Q", start, len(data), put(string.encode() + b"\0"), 0))
    machine.write(
        LOADER,
        ABI.struct("hvm_start_info")(
            magic=C["XEN_HVM_START_MAGIC_VALUE"],
            version=1,
            nr_modules=len(entries),
            modlist_paddr=put(b"".join(entries) or b"\0"),
            cmdline_paddr=put(cmdline.encode() + b"\0"),
            rsdp_paddr=0xE0000,
            memmap_paddr=put(b"".join(struct.pack("<QQII", *r, 0) for r in ranges) or b"\0"),
            memmap_entries=len(ranges),
        ).dumps(),
    )


class Tables:
    """Tables written by hand, good or bad: keyword arguments of encode replace fields of struct tables."""

    def __init__(self) -> None:
        self.domains: list[dict[str, Any]] = []
        self.modules: list[dict[str, Any]] = []
        self.pieces: list[dict[str, Any]] = []

    def encode(self, **overrides: int) -> bytes:
        strings = bytearray(b"\0")
        header = C["TABLES_SIZEOF"]
        arrays = {
            "domains": ("boot_domain", self.domains),
            "modules": ("module_record", self.modules),
            "pieces": ("piece", self.pieces),
        }
        area = header + sum(C[f"{name.upper()}_SIZEOF"] * len(rows) for name, rows in arrays.values())

        def encode_row(name: str, row: dict[str, Any]) -> bytes:
            fields = dict(row)
            for key in ("name", "string"):
                if isinstance(fields.get(key), str):
                    text = fields[key]
                    fields[key] = area + len(strings)
                    strings.extend(text.encode() + b"\0")
            for key in ("mem_size", "mem_min", "mem_max"):
                if key in fields:
                    fields[key] = ABI.struct("memory_size")(value=fields[key])
            return bytes(ABI.struct(name)(**fields).dumps())

        body, offsets = b"", {}
        for key, (name, rows) in arrays.items():
            offsets[key] = header + len(body)
            body += b"".join(encode_row(name, row) for row in rows)
        image_name = area + len(strings)
        strings += b"test\0"
        fields = {
            "magic": C["TABLES_MAGIC_VALUE"],
            "version": C["TABLES_VERSION_VALUE"],
            "length": area + len(strings),
            "console": C["CONSOLE_SERIAL"],
            "serial_port": C["UART_COM1"],
            "serial_divisor": 1,
            "log": C["LOG_DEBUG"],
            "name": image_name,
            "hypervisor": C["NO_MODULE"],
            **{f"nr_{key}": len(rows) for key, (_, rows) in arrays.items()},
            **offsets,
            **overrides,
        }
        blob = ABI.struct("tables")(**(fields | {"checksum": 0})).dumps() + body + strings
        checksum = overrides.get("checksum", zlib.crc32(blob))
        return bytes(ABI.struct("tables")(**(fields | {"checksum": checksum})).dumps() + body + strings)
