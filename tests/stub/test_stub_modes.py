"""The whole way through the stub, from a loader's jump to a kernel's first instruction, through every mode of the cpu
between them; what a kernel finds in its registers is compared with what each protocol promises."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
import samples
import unicorn
from booting import KERNEL, PACKED, PVH, RAMDISK, failure, good_tables, line, mmap_tag, multiboot2, stub_place
from machine import LOADER, RAM, C, Machine, pvh_info
from unicorn import x86_const as x86

GDT = 0x8000  # the loader's: code is 0x10, data 0x18, as Linux has them
FLAT_CODE32, FLAT_DATA = 0x00CF9A000000FFFF, 0x00CF92000000FFFF
ACCESSED = 1 << 40  # what a cpu sets in a descriptor that it has loaded
FLAT_CODE64 = 0x00AF9A000000FFFF
EFER_LMA = 1 << 10
FORBIDDEN = 1 << 17 | 1 << 9 | 1 << 8  # of EFLAGS: VM, IF, TF
MAP = ((0, 0x9FC00, 1), (0x100000, RAM - 0x100000, 1))
HALTS = b"\xf4" * 64


class Cpu(Machine):
    """A machine as a loader leaves it: 32-bit protected mode, flat segments, paging off, no stack."""

    def __init__(self, tables: bytes = b"", base: int = C["IMAGE_BASE"]) -> None:
        super().__init__(tables, base=base, mode=unicorn.UC_MODE_32)
        self.write(GDT, struct.pack("<4Q", 0, 0, FLAT_CODE32, FLAT_DATA))
        self.uc.reg_write(x86.UC_X86_REG_GDTR, (0, GDT, 31, 0))
        self.put(ds=0x18, es=0x18, ss=0x18, fs=0x18, gs=0x18, cs=0x10, esp=0xBAD0BAD0, ebp=0xBAD1BAD1, eflags=0x202)

    def put(self, **registers: int) -> None:
        for name, value in registers.items():
            self.uc.reg_write(getattr(x86, f"UC_X86_REG_{name.upper()}"), value)

    def get(self, *registers: str) -> tuple[int, ...]:
        return tuple(self.uc.reg_read(getattr(x86, f"UC_X86_REG_{name.upper()}")) for name in registers)

    def enter(self, place: int | str, limit: int = 50_000_000, **registers: int) -> None:
        """Runs until a hlt."""
        self.put(**registers)
        self.uc.emu_start(self.symbols[place] if isinstance(place, str) else place, 0, count=limit)
        assert self.read(self.stopped, 1) == b"\xf4", f"at {self.stopped:#x}"

    @property
    def stopped(self) -> int:
        """The address of the hlt."""
        eip, cs, cr0 = self.get("eip", "cs", "cr0")
        return eip - 1 + (0 if cr0 & C["CR0_PE"] else cs << 4)

    def descriptor(self, selector: int) -> int:
        base = self.uc.reg_read(x86.UC_X86_REG_GDTR)[1]
        return int(struct.unpack("<Q", self.read(base + selector, 8))[0])

    def segments(self, *registers: str) -> set[int]:
        """Their descriptors."""
        return {self.descriptor(selector) & ~ACCESSED for selector in self.get(*registers)}

    @property
    def long_mode(self) -> bool:
        return bool(self.uc.msr_read(C["MSR_EFER"]) & EFER_LMA)


def cpu_with(file: bytes = HALTS, dest: int = KERNEL, head: int = 0, base: int = C["IMAGE_BASE"], **domain: int) -> Cpu:
    """One with an image: a stored kernel, `file` at `dest` but for its first `head` bytes, and a ramdisk."""
    tables, size = good_tables(**domain), len(file) - head
    tables.modules[0] |= dict(flags=C["MODULE_EMBEDDED"], size=len(file), unpacked_size=len(file))
    tables.pieces = [dict(source=head, source_size=size, dest=dest, dest_size=size, method=C["PACK_STORED"])]
    machine = Cpu(tables.encode(), base)
    machine.write(PACKED, file)
    machine.write(RAMDISK, b"files")
    pvh_info(machine)
    return machine


def flat_and_32_bits(machine: Cpu) -> None:
    """What PVH, multiboot and Linux's 32-bit protocol have in common."""
    cr0, eflags = machine.get("cr0", "eflags")
    assert cr0 & (C["CR0_PE"] | C["CR0_PG"]) == C["CR0_PE"] and not machine.long_mode
    assert not eflags & FORBIDDEN
    assert machine.segments("cs") == {FLAT_CODE32}
    assert machine.segments("ds", "es", "ss", "fs", "gs") == {FLAT_DATA}


# --- ways in ---------------------------------------------------------------------------------------


def by_multiboot2(machine: Cpu) -> int:
    multiboot2(machine, mmap_tag(*MAP))
    return int(C["MULTIBOOT2_LOADER_MAGIC"])


def by_multiboot1(machine: Cpu) -> int:
    entries = b"".join(struct.pack("<IQQI", 20, *part) for part in MAP)
    machine.write(LOADER + 0x500, entries)
    machine.write(LOADER, struct.pack("<I40xII", C["MULTIBOOT1_INFO_FLAG_MMAP"], len(entries), LOADER + 0x500))
    return int(C["MULTIBOOT1_LOADER_MAGIC"])


def by_pvh(machine: Cpu) -> int:
    return 0xBAD2BAD2  # PVH says nothing of EAX


@pytest.mark.parametrize(
    ("entry", "name", "loader"),
    [
        ("start_pvh", "PVH", by_pvh),
        ("start", "multiboot1", by_multiboot1),
        ("start", "multiboot2", by_multiboot2),
        ("start_multiboot2", "multiboot2", by_multiboot2),
    ],
)
def test_a_loader_jumps_and_a_kernel_by_pvh_is_entered(entry: str, name: str, loader: Callable[[Cpu], int]) -> None:
    machine = cpu_with(dest=0x100000, entry=0x100010)  # where the stub is: it is overwritten at last
    machine.enter(entry, eax=loader(machine), ebx=LOADER)
    assert line("M_ENTRY", "test", *stub_place(machine), name, "-") in machine.transcript
    assert machine.stopped == 0x100010 and machine.read(0x100000, 64) == HALTS
    # Xen, docs/misc/pvh.pandoc
    flat_and_32_bits(machine)
    cr0, cr4, ebx = machine.get("cr0", "cr4", "ebx")
    assert (cr0 & ~C["CR0_ET"], cr4) == (C["CR0_PE"], 0)
    selector, base, limit, _ = machine.uc.reg_read(x86.UC_X86_REG_TR)
    assert (base, limit) == (0, 0x67) and machine.descriptor(selector) >> 40 & 0x1F == 0xB, "a busy 32-bit TSS"
    info = machine.record("hvm_start_info", ebx)
    assert (info.magic, info.nr_modules) == (PVH, 1)


def test_a_stub_that_the_loader_put_elsewhere_knows_where_it_is() -> None:
    machine = cpu_with(base=0x2000000, entry=KERNEL + 16)
    for place in (PACKED, RAMDISK):  # the image's modules lie behind it there as well
        machine.write(place + 0x1F00000, machine.read(place, 0x1000))
    machine.enter("start_multiboot2", eax=by_multiboot2(machine), ebx=LOADER)
    assert machine.stopped == KERNEL + 16
    flat_and_32_bits(machine)


# --- ways out --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
def test_a_multiboot_kernel_is_entered(number: int) -> None:
    machine = cpu_with(entry=KERNEL + 16, protocol=C[f"PROTOCOL_MULTIBOOT{number}"])
    machine.enter("start_pvh", ebx=LOADER)
    assert machine.stopped == KERNEL + 16
    flat_and_32_bits(machine)
    # Multiboot 0.6.96 and Multiboot2 2.0, "Machine state"
    assert machine.get("eax", "ebx") == ({1: 0x2BADB002, 2: 0x36D76289}[number], machine.information[0])


def linux(code: bytes = HALTS, **header: int) -> Cpu:
    """One with a bzImage, whose protected-mode part goes to KERNEL."""
    file = samples.linux(code, version=0x20F, **header)
    entry = KERNEL + 0x200 * (header.get("xloadflags", 1) & 1)
    return cpu_with(file, head=len(file) - len(code), protocol=C["PROTOCOL_LINUX"], entry=entry)


def mapped(machine: Cpu, address: int, table: int) -> int:
    """Where page tables map it: SDM 3, 4.5.4, pages of 2 MiB."""
    for shift in (39, 30, 21):
        (entry,) = struct.unpack("<Q", machine.read((table & ~0xFFF) + (address >> shift & 511) * 8, 8))
        assert entry & 3 == 3, "present and writable"
        table = entry
    assert table & 1 << 7
    return (table & ~0x1FFFFF) + (address & 0x1FFFFF)


def test_linux_is_entered_in_64_bits() -> None:
    # Documentation/arch/x86/boot.rst, "64-bit Boot Protocol"
    machine = linux(bytes(0x200) + HALTS)
    machine.enter("start_pvh", ebx=LOADER)
    assert machine.stopped == KERNEL + 0x200 and machine.long_mode
    cr0, eflags, esi = machine.get("cr0", "eflags", "esi")
    assert cr0 & C["CR0_PG"] and not eflags & FORBIDDEN
    assert machine.get("cs", "ds", "es", "ss") == (0x10, 0x18, 0x18, 0x18)
    assert machine.segments("cs") == {FLAT_CODE64} and machine.segments("ds", "es", "ss") == {FLAT_DATA}
    assert esi == machine.information[0] and machine.record("boot_params", esi).boot_flag == 0xAA55
    for address in (0, KERNEL, esi, RAM - 1, 0x40000000, 0x80000000, 0xC0000000, 0xFFFFFFFF):
        assert mapped(machine, address, machine.get("cr3")[0]) == address


def test_linux_is_entered_in_32_bits() -> None:
    # the same, "32-bit Boot Protocol"
    machine = linux(xloadflags=0)
    machine.enter("start_pvh", ebx=LOADER)
    assert machine.stopped == KERNEL
    flat_and_32_bits(machine)
    assert machine.get("cs", "ds", "es", "ss") == (0x10, 0x18, 0x18, 0x18)
    assert machine.get("esi", "ebp", "edi", "ebx") == (machine.information[0], 0, 0, 0)


SETUP = 0x90000


@pytest.mark.parametrize("jump_offset", [0x66, 0x6A, 0xFF])
@pytest.mark.parametrize("sectors", [0, 1, 4, 63, 255])
def test_setup_code_is_entered_in_real_mode(sectors: int, jump_offset: int) -> None:
    # the same, "The Real-Mode Kernel Header" and "Running the kernel"
    machine = linux(xloadflags=0, code32_start=0, setup_sects=sectors, jump_offset=jump_offset)
    size = 512 * ((sectors or 4) + 1)
    file = bytearray(machine.read(PACKED, size))
    file[0x26C:size] = (bytes(range(1, 251)) * 600)[: size - 0x26C]  # behind the header that boot_params has
    file[0x200] = 0xF4
    machine.write(PACKED, bytes(file))
    machine.write(0x54, struct.pack("<HH", 0xF859, 0xF000))  # a BIOS' interrupt 0x15
    machine.enter("start_pvh", ebx=LOADER)
    cr0, eflags, sp = machine.get("cr0", "eflags", "sp")
    assert not cr0 & C["CR0_PE"] and not eflags & FORBIDDEN and not machine.long_mode
    assert (*machine.get("cs", "eip"), machine.stopped) == (0x9020, 1, SETUP + 0x200)
    assert machine.get("ds", "es", "fs", "gs", "ss") == (0x9000,) * 5
    assert machine.uc.reg_read(x86.UC_X86_REG_IDTR)[1:3] == (0, 0x3FF), "the BIOS's vectors"
    params = machine.record("boot_params", machine.information[0])
    copied = machine.read(SETUP, 0x9000)
    header_end = min(0x202 + jump_offset, 0x26C)
    assert copied[0x1F1:header_end] == params.dumps()[0x1F1:header_end]
    heap_end = params.heap_end_ptr + 0x200
    assert params.loadflags & 0x80 and heap_end <= sp <= params.cmd_line_ptr - SETUP
    length = min(size, params.heap_end_ptr)
    assert copied[:0x1F1] == file[:0x1F1] and copied[header_end:length] == file[header_end:length]
    assert copied[length:heap_end] == bytes(heap_end - length)
    assert machine.read_string(params.cmd_line_ptr) == "quiet"


# --- no long mode ----------------------------------------------------------------------------------


class Busy(Cpu):
    """Its UART is ready every third time that it is asked."""

    asked = 0

    def _on_in(self, uc: unicorn.Uc, port: int, size: int, data: object) -> int:
        self.asked += 1
        return super()._on_in(uc, port, size, data) if self.asked % 3 == 0 else 0


class Dead(Cpu):
    """Its UART is never ready; the stub gives up soon, for a try takes long here."""

    def __init__(self) -> None:
        super().__init__()
        self.uart_ready = False
        tries = self.symbols["panic32.wait"] - 4
        assert self.read(tries, 4) == struct.pack("<I", C["UART_TRIES"])
        self.write(tries, struct.pack("<I", 9))


@pytest.mark.parametrize("kind", [Cpu, Busy, Dead])
@pytest.mark.parametrize(
    "leaves",
    [
        {0x80000000: 0x02000000},  # what old cpus answer: no extended leaves
        {0x80000000: 0x80000004, 0x80000001: ~(1 << 29) & 0xFFFFFFFF},
    ],
)
def test_a_cpu_without_long_mode(kind: type[Cpu], leaves: dict[int, int]) -> None:
    machine = kind()

    def cpuid(uc: unicorn.Uc, data: object) -> int:
        value = leaves[machine.get("eax")[0]]
        machine.put(eax=value, ebx=0, ecx=0, edx=value)
        return 1

    machine.uc.hook_add(unicorn.UC_HOOK_INSN, cpuid, None, 1, 0, x86.UC_X86_INS_CPUID)
    machine.enter("start_pvh", ebx=LOADER)
    said = "bootwright: " + failure("E_NO_LONG_MODE")
    assert machine.transcript == said + "\n"
    assert machine.read(C["VGA_TEXT"], 2 * len(said))[::2].decode() == said
    machine.enter(machine.stopped + 1, limit=10)  # woken, it halts again
    assert machine.transcript == said + "\n"


def test_a_halted_machine_that_is_woken_halts_again() -> None:
    machine = Machine()
    machine.call("halt")
    machine.run(machine.uc.reg_read(x86.UC_X86_REG_RIP), 10)
