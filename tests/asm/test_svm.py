"""SVM's instructions and the record of a VMCB, as QEMU's cpu takes them: a kernel of ours runs a small guest.

At each exit the kernel sends the whole VMCB through a port; here it is read as stub/abi/svm.h declares it.
"""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from bootwright.asm import assemble
from bootwright.common import abi
from bootwright.link import layout, linker

pytestmark = pytest.mark.slow

C = abi.load().constants
PORT, VALUE, SUCCESS = 0x42, 0x1234, 0x2A
SOURCE = f"""
.include "lib/macros.inc"
.include "lib/long_mode.asm"
.include "lib/descriptors.asm"
.include "lib/console.asm"
.include "lib/panic.asm"

.set PORT_DEBUG, 0xe9           ; QEMU's isa-debugcon and isa-debug-exit
.set PORT_EXIT, 0xf4

.global start

        pvh_note start

.section .text
.code32
start:
        to_long_mode
        mov  ecx, MSR_EFER
        rdmsr
        or   eax, EFER_SVME
        wrmsr
        mov  ecx, MSR_VM_HSAVE_PA
        lea  rax, [rip + host_save]
        xor  edx, edx
        wrmsr

        lea  rdi, [rip + bitmap]        ; of ports and of MSRs: all exit
        mov  ecx, IOPM_SIZE
        mov  eax, -1
        rep stosb
        lea  rbx, [rip + vmcb]
        lea  rax, [rip + bitmap]
        mov  qword ptr [rbx + VMCB_IOPM_BASE_PA], rax
        mov  qword ptr [rbx + VMCB_MSRPM_BASE_PA], rax
        mov  dword ptr [rbx + VMCB_INTERCEPT_MISC1], INTERCEPT_CPUID | INTERCEPT_IOIO | INTERCEPT_MSR
        mov  dword ptr [rbx + VMCB_INTERCEPT_MISC2], INTERCEPT_VMRUN | INTERCEPT_VMMCALL
        mov  dword ptr [rbx + VMCB_GUEST_ASID], 1
        mov  word ptr [rbx + VMCB_CS_ATTRIBUTES], VMCB_SEGMENT_CODE16
        mov  dword ptr [rbx + VMCB_CS_LIMIT], 0xffff
        lea  rax, [rip + guest]
        mov  qword ptr [rbx + VMCB_CS_BASE], rax
        mov  word ptr [rbx + VMCB_DS_ATTRIBUTES], VMCB_SEGMENT_DATA16
        mov  word ptr [rbx + VMCB_SS_ATTRIBUTES], VMCB_SEGMENT_DATA16
        mov  word ptr [rbx + VMCB_ES_ATTRIBUTES], VMCB_SEGMENT_DATA16
        mov  qword ptr [rbx + VMCB_EFER], EFER_SVME
        mov  qword ptr [rbx + VMCB_CR0], CR0_ET
        mov  qword ptr [rbx + VMCB_RFLAGS], EFLAGS_FIXED
        mov  rax, rbx
        vmsave rax                      ; the host's own: TR is shown
.run:
        call run_guest
        add  qword ptr [rbx + VMCB_RIP], 2
        cmp  qword ptr [rbx + VMCB_EXITCODE], SVM_EXIT_VMMCALL
        jne  .run

        mov  qword ptr [rbx + VMCB_RIP], 0
        mov  qword ptr [rbx + VMCB_NP_ENABLE], NP_ENABLE
        mov  rax, cr3                   ; lets no guest in: no user bit anywhere
        mov  qword ptr [rbx + VMCB_N_CR3], rax
        call run_guest
        mov  qword ptr [rbx + VMCB_EFER], 0
        call run_guest
        mov  eax, {SUCCESS:#x}
        out  PORT_EXIT, al
        jmp  halt

; in:  rbx = VMCB
; clobbers: rax, rcx, rdx, rsi
run_guest:
        mov  rax, rbx
        vmrun rax
        mov  rsi, rbx
        mov  ecx, VMCB_SIZEOF
        mov  edx, PORT_DEBUG
        rep outsb
        ret

.code16
guest:
        mov  ax, {VALUE:#x}
.leaf:  cpuid
.port:  out  {PORT:#x}, al
.msr:   wrmsr
.call:  vmmcall

.section .bss
.align 4096
vmcb:           .space VMCB_SIZEOF
host_save:      .space PAGE_SIZE
bitmap:         .space IOPM_SIZE
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], dict[str, int]]:
    """The VMCB at each exit, and the kernel's symbols."""
    folder = tmp_path_factory.mktemp("svm")
    (folder / "svm.asm").write_text(SOURCE)
    linked = linker.link([assemble.assemble(folder / "svm.asm")], layout.load("kernel"))
    (folder / "svm.elf").write_bytes(linked.image)
    command = ["qemu-system-x86_64", "-m", "32", "-cpu", "qemu64,+svm,+npt", "-display", "none", "-no-reboot"]
    command += ["-net", "none", "-debugcon", f"file:{folder / 'exits'}"]
    command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", str(folder / "svm.elf")]
    assert subprocess.run(command, timeout=300).returncode == SUCCESS << 1 | 1
    sent, size = (folder / "exits").read_bytes(), C["VMCB_SIZEOF"]
    assert len(sent) % size == 0
    record = abi.load().struct("vmcb")
    return [record(sent[at : at + size]) for at in range(0, len(sent), size)], dict(linked.symbols)


def test_exits_come_with_their_code_and_what_belongs_to_it(ran: tuple[list[Any], dict[str, int]]) -> None:
    exits, symbols = ran
    guest = symbols["guest"]
    place = {name: symbols[f"guest.{name}"] - guest for name in ("leaf", "port", "msr", "call")}
    assert [each.exitcode for each in exits[:5]] == [
        C[f"SVM_EXIT_{name}"] for name in ("CPUID", "IOIO", "MSR", "VMMCALL", "NPF")
    ]
    assert exits[5].exitcode & 0xFFFFFFFF == C["SVM_EXIT_INVALID"] & 0xFFFFFFFF, "QEMU 7.2 sets half of it"
    assert [each.rip for each in exits[:5]] == [place["leaf"], place["port"], place["msr"], place["call"], 0]
    assert exits[1].exitinfo1 & ~C["IOIO_ADDRESS_16"] == PORT << C["IOIO_PORT_SHIFT"] | C["IOIO_SIZE_8"]
    assert exits[1].exitinfo2 == place["msr"], "behind the instruction"
    assert exits[2].exitinfo1 == C["MSR_EXIT_WRITE"]
    assert exits[4].exitinfo2 == guest, "the first fetch"
    assert exits[4].exitinfo1 & C["NPF_USER"]


def test_the_state_is_the_guests(ran: tuple[list[Any], dict[str, int]]) -> None:
    exits, symbols = ran
    assert [each.rax & 0xFFFF for each in exits[:4]] == [VALUE] * 4
    for each in exits[:4]:
        assert (each.cs.base, each.cs.limit) == (symbols["guest"], 0xFFFF)
        assert (each.cpl, each.cr0, each.efer) == (0, C["CR0_ET"], C["EFER_SVME"])
        assert each.rflags == C["EFLAGS_FIXED"]


def test_vmsave_keeps_the_hosts_task_register(ran: tuple[list[Any], dict[str, int]]) -> None:
    tr = ran[0][0].tr
    assert (tr.selector, tr.limit) == (C["GDT_TSS64"], C["TSS64_SIZEOF"] - 1)
    assert tr.attributes in (C["VMCB_SEGMENT_TSS"], C["GDT_TYPE_TSS"]), "QEMU 7.2 marks it busy in memory alone"
