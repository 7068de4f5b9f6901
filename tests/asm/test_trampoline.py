"""The way of another cpu from a SIPI to 64-bit code, in one page below 1 MiB: 16-bit, 32-bit and 64-bit code in a row.

The code is a boot sector: it puts the page where a SIPI would look for it, and goes there as a SIPI does, with CS
for the page and IP 0. Where the page lies is known at run time alone, so all far pointers are in memory.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from assembling import contents, link_text
from gnu_as import compare

PAGE = 0x9000
SUCCESS = 0x2A
SOURCE = f"""
.set PAGE, {PAGE:#x}
.set SECTOR, 0x7c00             ; where a BIOS puts it
.set MAP, 0x1000                ; page tables: one entry each
.set POINTERS, 0x2000
.set DIRECTORY, 0x3000
.set PORT_EXIT, 0xf4            ; QEMU's isa-debug-exit
.code16
start:
        cli
        cld
        xor  ax, ax
        mov  ds, ax
        mov  es, ax
        mov  dword ptr [MAP], POINTERS | PTE_PRESENT | PTE_WRITABLE
        mov  dword ptr [POINTERS], DIRECTORY | PTE_PRESENT | PTE_WRITABLE
        mov  dword ptr [DIRECTORY], PTE_PRESENT | PTE_WRITABLE | PTE_LARGE
        mov  si, SECTOR + trampoline - start
        mov  di, PAGE
        mov  cx, trampoline_end - trampoline
        rep movsb
        ljmp [SECTOR + sipi - start]    ; a selector and 16 bits
sipi:   .word 0, PAGE >> 4

trampoline:
        cli
        mov  ax, cs
        mov  ds, ax
        lgdt [gdt_pointer - trampoline] ; 24 bits of the base
        mov  eax, cr0
        or   eax, CR0_PE
        mov  cr0, eax
        ljmp fword ptr [to_32 - trampoline]     ; a selector and 32 bits
.code32
entry_32:
        mov  eax, GDT_DATA
        mov  ds, ax
        mov  ss, ax
        mov  eax, CR4_PAE
        mov  cr4, eax
        mov  eax, MAP
        mov  cr3, eax
        mov  ecx, MSR_EFER
        rdmsr
        or   eax, EFER_LME
        wrmsr
        mov  eax, cr0
        or   eax, CR0_PG
        mov  cr0, eax
        ljmp [PAGE + to_64 - trampoline]
.code64
entry_64:
        mov  rax, 0x123456789abcdef
        mov  r15, rax
        lea  rcx, [rip + entry_64]
        mov  eax, 1
        mov  ebx, {SUCCESS:#x}
        cmp  rcx, PAGE + entry_64 - trampoline
        cmove eax, ebx
        out  PORT_EXIT, al
.stop:  hlt
        jmp  .stop

.align 8
gdt:    .quad 0, 0xaf9b000000ffff, 0xcf93000000ffff, 0xcf9b000000ffff      ; GDT_CODE64, GDT_DATA, GDT_CODE32
gdt_end:
gdt_pointer:
        .word gdt_end - gdt - 1
        .long PAGE + gdt - trampoline
to_32:  .long PAGE + entry_32 - trampoline
        .word GDT_CODE32
to_64:  .long PAGE + entry_64 - trampoline
        .word GDT_CODE64
trampoline_end:
.assert trampoline_end - start <= 510, "all of it fits into a boot sector"
"""


def test_gnu_as_agrees_on_every_instruction(tmp_path: Path) -> None:
    if not shutil.which("as"):
        pytest.skip("needs binutils")
    linked = link_text(tmp_path, SOURCE)
    assert {each.instruction.mode for each in linked.instructions} == {16, 32, 64}
    assert [str(difference) for difference in compare(linked.instructions)] == []


@pytest.mark.slow
def test_it_arrives_in_64_bit_code(tmp_path: Path) -> None:
    """The 64-bit code says through a port where it runs: (value << 1) + 1 is QEMU's exit status."""
    sector = contents(link_text(tmp_path, SOURCE), ".text").ljust(510, b"\0") + b"\x55\xaa"
    (tmp_path / "sector").write_bytes(sector)
    command = ["qemu-system-x86_64", "-m", "16", "-display", "none", "-no-reboot", "-net", "none"]
    command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    command += ["-drive", f"file={tmp_path / 'sector'},format=raw,if=floppy"]
    assert subprocess.run(command, timeout=120).returncode == SUCCESS << 1 | 1
