"""A machine for the tests of the partition launcher's resident part: Unicorn, a UART, and a small partition by hand.

Routines are called alone, in 64-bit mode. What they are given is written with the records of stub/abi.
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
from machine import ABI, RETURN, C, Machine
from project import ROOT
from unicorn import x86_const as x86

from bootwright.asm import assemble
from bootwright.link import layout, linker
from bootwright.link.linked import Linked

RAM = 128 << 20
BASE = C["PARTITION_BASE"]
PAGE = C["PAGE_SIZE"]
MIB = 1 << 20


@functools.cache
def resident() -> Linked:
    """The resident part, linked once for all tests."""
    how = layout.load("partition")
    objects = [assemble.assemble(ROOT / f"stub/{name}.asm") for names in how.files.values() for name in names]
    return linker.link(objects, how)


class Resident(Machine):
    """128 MiB of RAM with the resident part. cpuid: what the cpu answers to a leaf, zeros for what is not there."""

    def __init__(self) -> None:
        self.serial = bytearray()
        self.ports: list[tuple[int, int]] = []
        self.symbols = dict(resident().symbols)
        self.uart_ready = True
        self.cpuid: dict[int, tuple[int, int, int, int]] = {}
        self._uart, self._scratch, self._divisor_open, self._seconds = True, 0, False, 0
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self.uc.mem_map(0, RAM)
        for segment in ELFFile(io.BytesIO(resident().image)).iter_segments("PT_LOAD"):
            if segment["p_paddr"] >= C["IMAGE_LIMIT"]:
                self.uc.mem_write(segment["p_paddr"], segment.data())
        self.uc.mem_write(RETURN, b"\xf4")
        self.uc.hook_add(unicorn.UC_HOOK_INSN, self._on_in, None, 1, 0, x86.UC_X86_INS_IN)
        self.uc.hook_add(unicorn.UC_HOOK_INSN, self._on_out, None, 1, 0, x86.UC_X86_INS_OUT)
        self.uc.hook_add(unicorn.UC_HOOK_INSN, self._on_cpuid, None, 1, 0, x86.UC_X86_INS_CPUID)

    def _on_cpuid(self, uc: unicorn.Uc, data: object) -> int:
        leaf = uc.reg_read(x86.UC_X86_REG_EAX)
        for name, value in zip(("EAX", "EBX", "ECX", "EDX"), self.cpuid.get(leaf, (0, 0, 0, 0)), strict=True):
            uc.reg_write(getattr(x86, f"UC_X86_REG_{name}"), value)
        return 1

    def register(self, name: str) -> int:
        return int(self.uc.reg_read(getattr(x86, f"UC_X86_REG_{name.upper()}")))

    @property
    def carry_flag(self) -> bool:
        return bool(self.register("eflags") & 1)

    def put(self, address: int, name: str, /, **fields: Any) -> int:
        """Writes a record; gives the address behind it."""
        data = ABI.struct(name)(**fields).dumps()
        self.write(address, data)
        return address + len(data)

    def text(self, address: int, text: str) -> int:
        self.write(address, text.encode() + b"\0")
        return address

    def memory_map(self, ranges: Sequence[tuple[int, int, int]]) -> None:
        """Ranges (start, size, type), as they are kept from the start info."""
        data = b"".join(struct.pack("<QQII", *found, 0) for found in ranges)
        self.write(self.symbols["memory_map"], data)
        self.set_variable("memory_map_end", self.symbols["memory_map"] + len(data))
        for name in ("taken", "ranges"):
            self.set_variable(f"{name}_end", self.symbols[name])

    def modules(self, modules: Sequence[tuple[int, int]]) -> None:
        """Start and size of each, as they are kept."""
        data = b"".join(struct.pack("<4Q", *found, 0, 0) for found in modules)
        self.write(self.symbols["kept_modules"], data)
        self.set_variable("nr_kept_modules", len(modules), 4)

    def sealed(self, **fields: Any) -> None:
        """Writes struct partition with its checksum over `length` bytes."""
        self.put(BASE, "partition", **{"magic": C["PARTITION_MAGIC_VALUE"], "length": PAGE, **fields})
        length = fields.get("length", PAGE)
        checksum = zlib.crc32(self.read(BASE, length))
        self.write(BASE + C["PARTITION_CHECKSUM"], checksum.to_bytes(4, "little"))
