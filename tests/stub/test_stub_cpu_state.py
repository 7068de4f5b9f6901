"""Whatever a loader or a firmware leaves in flags, control registers, EFER and the units for floating point: the boot
says the same, and the kernel finds the same cpu. Under Unicorn, one bit at a time, at every way in."""

from __future__ import annotations

import dataclasses
import functools
import struct
from collections.abc import Callable

import lz4.block
import pytest
import samples
import unicorn
from booting import KERNEL, PACKED, PVH, RAMDISK, good_tables, mmap_tag, multiboot2
from firmware import FIRMWARE, GRUB, SYSTEM, Firmware, hypervisor
from machine import LOADER, C, Machine, pvh_info
from test_stub_modes import HALTS, MAP, Cpu, by_multiboot2
from unicorn import x86_const as x86

FILES = b"files of a ramdisk, " * 40
UNPACKED = 0xA00000
FIRMWARE_TABLES = FIRMWARE + 0x10000

# SDM 1, 3.4.3, less TF and VM: with the one no loader gets as far as its jump, with the other it is not protected mode;
# and less VIF and VIP, which POPF clears, but not in Unicorn
FLAGS = (0, 2, 4, 6, 7, 9, 10, 11, 12, 13, 14, 16, 18, 21)
MP, EM, TS, NE, WP, AM, NW, CD = 1, 2, 3, 5, 16, 18, 29, 30  # SDM 3, 2.5
LA57, PCIDE, CET = 12, 17, 23
NOT_KEPT = 21, 22  # by Unicorn, whose cpu has neither SMAP nor PKE
CR4 = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, LA57, 13, 14, 16, PCIDE, 18, 19, 20, 21, 22, CET, 24)
CR0 = ((MP,), (EM,), (TS,), (NE,), (WP,), (AM,), (NW, CD), (CD,))
SCE, LME, NXE = 0, 8, 11
PAE, MCE, OSFXSR, OSXMMEXCPT = 5, 6, 9, 10


def bits(*numbers: int) -> int:
    return sum(1 << number for number in numbers)


@dataclasses.dataclass(frozen=True)
class State:
    """What is not promised at an entry, as the tests begin: all as after a reset, but for what `base` says."""

    eflags: int = 2
    cr0: int = 0
    cr4: int = 0
    efer: int = 0
    mxcsr: int = 0x1F80
    fpcw: int = 0x37F
    fpsw: int = 0


def flipped(entry: Entry) -> list[State]:
    """The states that differ from an entry's in one thing."""
    base = entry.base
    found = [dataclasses.replace(base, eflags=base.eflags ^ 1 << bit) for bit in FLAGS]
    found += [dataclasses.replace(base, cr0=base.cr0 ^ bits(*some)) for some in CR0]
    found += [dataclasses.replace(base, cr4=base.cr4 ^ 1 << bit) for bit in CR4 if bit not in entry.never]
    found += [dataclasses.replace(base, efer=base.efer ^ 1 << bit) for bit in entry.efer]
    found += [dataclasses.replace(base, mxcsr=value) for value in (0, 0xFFFF)]
    found += [dataclasses.replace(base, fpcw=value) for value in (0, 0x340, 0xF7F)]
    found += [dataclasses.replace(base, fpcw=0, fpsw=0x80FF)]  # an exception that waits
    return found


REGISTERS = "eax ebx ecx edx esi edi ebp esp eflags cr0 cr3 cs ds es ss fs gs"  # a Cpu has no other names


def tables() -> bytes:
    """A bzImage with a 64-bit entry, and a ramdisk that is unpacked by LZ4, for which SSE has to work."""
    file = samples.linux(bytes(0x200) + HALTS, version=0x20F)
    head = len(file) - 0x200 - len(HALTS)
    files = lz4.block.compress(FILES, store_size=False)
    made = good_tables(protocol=C["PROTOCOL_LINUX"], entry=KERNEL + 0x200)
    made.modules[0] |= dict(flags=C["MODULE_EMBEDDED"], size=len(file), unpacked_size=len(file))
    made.modules[1] |= dict(flags=C["MODULE_EMBEDDED"], size=len(files), unpacked_size=len(FILES))
    made.modules[1] |= dict(start=UNPACKED, first_piece=1, nr_pieces=1)
    size = len(file) - head
    made.pieces = [
        dict(source=head, source_size=size, dest=KERNEL, dest_size=size, method=C["PACK_STORED"]),
        dict(source_size=len(files), dest=UNPACKED, dest_size=len(FILES), method=C["PACK_LZ4"]),
    ]
    return made.encode()


def put_modules(machine: Machine) -> None:
    machine.write(PACKED, samples.linux(bytes(0x200) + HALTS, version=0x20F))
    machine.write(RAMDISK, lz4.block.compress(FILES, store_size=False))


def put_state(machine: Machine, state: State) -> None:
    write = machine.uc.reg_write
    write(x86.UC_X86_REG_FPCW, state.fpcw)
    write(x86.UC_X86_REG_FPSW, state.fpsw)
    write(x86.UC_X86_REG_MXCSR, state.mxcsr)
    machine.uc.msr_write(C["MSR_EFER"], state.efer)
    write(x86.UC_X86_REG_CR4, state.cr4)
    write(x86.UC_X86_REG_CR0, state.cr0)
    write(x86.UC_X86_REG_EFLAGS, state.eflags)


Outcome = tuple[str, dict[str, int]]


def outcome(machine: Machine) -> Outcome:
    """What was said, and what the kernel finds."""
    found = {name: machine.uc.reg_read(getattr(x86, f"UC_X86_REG_{name.upper()}")) for name in REGISTERS.split()}
    found["efer"] = machine.uc.msr_read(C["MSR_EFER"])
    return machine.transcript, found


def on_bios(entry: str, loader: Callable[[Cpu], int]) -> Callable[[State], Outcome]:
    """Entered by a loader in 32 bits."""

    def run(state: State) -> Outcome:
        machine = Cpu(tables())
        put_modules(machine)
        pvh_info(machine, MAP)
        magic = loader(machine)
        put_state(machine, state)
        machine.enter(entry, eax=magic, ebx=LOADER)
        assert machine.stopped == KERNEL + 0x200 and machine.read(UNPACKED, len(FILES)) == FILES
        assert machine.get("cr4")[0] == bits(PAE, OSFXSR, OSXMMEXCPT) | state.cr4 & bits(MCE)
        return outcome(machine)

    return run


def put_tables(machine: Machine) -> None:
    """A firmware's page tables: 4 GiB as they are."""
    at = FIRMWARE_TABLES
    machine.write(at, struct.pack("<Q", at + 0x1003))
    machine.write(at + 0x1000, struct.pack("<4Q", *(at + 0x2003 + 0x1000 * number for number in range(4))))
    machine.write(at + 0x2000, struct.pack("<2048Q", *(number << 21 | 0x83 for number in range(2048))))
    machine.uc.reg_write(x86.UC_X86_REG_CR3, at)


def watch(machine: Machine, firmware: Firmware, state: State) -> None:
    """As long as boot services run, their state is theirs, but for what lets SSE instructions work."""
    called = firmware.on_call

    def on_call(uc: unicorn.Uc, address: int, size: int, data: object) -> None:
        read = uc.reg_read
        assert not read(x86.UC_X86_REG_EFLAGS) & 1 << 10, "UEFI 2.10, 2.3.4.2"
        assert read(x86.UC_X86_REG_EFLAGS) & 1 << 9 == state.eflags & 1 << 9
        assert (read(x86.UC_X86_REG_MXCSR), read(x86.UC_X86_REG_FPCW)) == (state.mxcsr, state.fpcw)
        assert read(x86.UC_X86_REG_CR3) == FIRMWARE_TABLES and uc.msr_read(C["MSR_EFER"]) == state.efer
        check_borrowed(machine, state)
        called(uc, address, size, data)

    firmware.on_call = on_call  # type: ignore[method-assign]
    machine.uc.hook_add(unicorn.UC_HOOK_CODE, on_call, None, FIRMWARE + 0x1000, FIRMWARE + 0x1900)


def check_borrowed(machine: Machine, state: State) -> None:
    cr0, cr4 = (machine.uc.reg_read(register) for register in (x86.UC_X86_REG_CR0, x86.UC_X86_REG_CR4))
    assert cr0 == state.cr0 & ~bits(EM, TS) | bits(MP)
    wanted = state.cr4 & ~bits(CET) | bits(OSFXSR, OSXMMEXCPT)
    assert cr4 & ~bits(*NOT_KEPT) == wanted & ~bits(*NOT_KEPT)


def as_application(state: State) -> Outcome:
    """Entered by EFI; boot services end."""
    machine = Machine(tables())
    put_modules(machine)
    firmware = Firmware(machine, graphics=None)
    put_tables(machine)
    put_state(machine, state)
    machine.call("efi_start", rcx=0x77, rdx=SYSTEM)
    assert machine.uc.reg_read(x86.UC_X86_REG_RIP) == KERNEL + 0x201
    assert machine.read(UNPACKED, len(FILES)) == FILES and firmware.calls[-1] == "exit_boot_services"
    assert machine.uc.reg_read(x86.UC_X86_REG_CR4) == bits(PAE, OSFXSR, OSXMMEXCPT) | state.cr4 & bits(MCE)
    return outcome(machine)


def for_xen(entry: str) -> Callable[[State], Outcome]:
    """Entered by EFI, or by GRUB on it, for a hypervisor that wants boot services: it finds the firmware's state."""

    def run(state: State) -> Outcome:
        machine, _ = hypervisor()
        put_tables(machine)
        multiboot2(machine, mmap_tag(*MAP), *GRUB)
        put_state(machine, state)
        if entry == "efi_start":
            machine.call(entry, rcx=0x77, rdx=SYSTEM)
        else:
            machine.call(entry, rax=C["MULTIBOOT2_LOADER_MAGIC"], rbx=LOADER)
        assert machine.uc.reg_read(x86.UC_X86_REG_RIP) == KERNEL + 9
        check_borrowed(machine, state)
        said, found = outcome(machine)
        flags = found.pop("eflags")
        assert flags & bits(9, 10) == state.eflags & bits(9), "interrupts are the firmware's"
        return said, {name: value for name, value in found.items() if name not in ("cr0", "efer")}

    return run


@dataclasses.dataclass(frozen=True)
class Entry:
    """A way in. base: a state to begin with; never: bits of CR4 that cannot be so there; efer: bits that can be any."""

    run: Callable[[State], Outcome]
    base: State = State(cr0=bits(0, 4))  # SDM 3, table 10-1, with PE set
    never: tuple[int, ...] = (PCIDE,)  # SDM 3, 2.5: only in long mode
    efer: tuple[int, ...] = (SCE, LME, NXE)

    @functools.cached_property
    def usual(self) -> Outcome:
        return self.run(self.base)


# What OVMF leaves, but for the bits that U-Boot's UEFI leaves clear; 5 levels of page tables are E_EFI_PAGING's.
EFI = dict(base=State(cr0=bits(0, 4, 31), cr4=bits(PAE), efer=0x500), never=(PAE, LA57), efer=(SCE, NXE))
ENTRIES = {
    "PVH": Entry(on_bios("start_pvh", lambda machine: PVH)),
    "multiboot": Entry(on_bios("start", by_multiboot2)),
    "multiboot2, wherever it lies": Entry(on_bios("start_multiboot2", by_multiboot2)),
    "EFI": Entry(as_application, **EFI),  # type: ignore[arg-type]
    "EFI, for Xen": Entry(for_xen("efi_start"), **EFI),  # type: ignore[arg-type]
    "multiboot2 on EFI, for Xen": Entry(for_xen("start_multiboot2_efi"), **EFI),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", ENTRIES)
def test_no_bit_that_is_left_over_changes_a_boot(name: str) -> None:
    entry = ENTRIES[name]
    for state in flipped(entry):
        assert entry.run(state) == entry.usual, state
