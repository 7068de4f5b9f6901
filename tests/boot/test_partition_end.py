"""Domains of a partition that end, start again, and try what they may not, on a whole cpu: kernels of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from project import ROOT

from bootwright.common import abi, paths
from bootwright.emulate import qemu, run
from bootwright.image import build

pytestmark = pytest.mark.slow

C = abi.load().constants
HEAD = """
.include "lib/macros.inc"
.include "lib/long_mode.asm"
.include "lib/descriptors.asm"
.include "lib/console.asm"
.include "lib/panic.asm"
.global start
        pvh_note start
.section .text
.code32
start:
        cli
        cld
        mov  esp, stack_end
        xor  ebp, ebp
        call check_long_mode
        call enter_long_mode
.code64
        call load_descriptors
        call console_start
"""
CRASH = """
        lea  rdi, [rip + line]
        call print
        lea  rax, [rip + nothing]
        lidt [rax]
        ud2
.section .rodata
line:   .asciz "crash: as told\\n"
.align 8
nothing: .space 10
"""
# Restarts domain 1 RESTARTS times, waits for the others' ends, and powers off.
RESTARTS = 100
CONTROL = f"""
        mov  r12d, {RESTARTS}
.again:
        mov  edi, 1
        mov  esi, MONITOR_RESTART
        call ask
        test eax, eax
        jnz  .again
.wait:
        mov  esi, MONITOR_STATE
        call ask
        cmp  eax, DOMAIN_RUNS
        jne  .wait
        dec  r12d
        jnz  .again
        mov  esi, MONITOR_RESTARTS
        call ask
        mov  r13d, eax
        mov  edi, 2
.crash:
        mov  esi, MONITOR_STATE
        call ask
        cmp  eax, DOMAIN_ENDED
        jne  .crash
        mov  edi, 3
.hostile:
        mov  esi, MONITOR_STATE
        call ask
        cmp  eax, DOMAIN_ENDED
        jne  .hostile
        lea  rdi, [rip + line]
        mov  esi, r13d
        call print
        mov  edx, PORT_SLEEP_CONTROL
        mov  al, SLEEP_CONTROL_SLP_EN
        out  dx, al
        jmp  halt

; in: edi = domain, esi = command; out: eax
ask:
        mov  edx, PORT_MONITOR_DOMAIN
        mov  eax, edi
        out  dx, ax
        mov  edx, PORT_MONITOR_COMMAND
        mov  eax, esi
        out  dx, ax
        mov  edx, PORT_MONITOR_RESULT
        in   ax, dx
        movzx eax, ax
        ret
.section .rodata
line:   .asciz "control: %u restarts\\n"
"""
# What has to be refused with an exception, by its number; and what may be done and has no effect on others.
REFUSED = [
    ("vmmcall", 6),
    ("mov eax, 0x5000; vmrun rax", 6),
    ("mov eax, 0x5000; vmload rax", 6),
    ("mov eax, 0x5000; vmsave rax", 6),
    ("stgi", 6),
    ("clgi", 6),
    ("invlpga rax, ecx", 6),
    ("mov ecx, MSR_EFER; mov eax, EFER_LME | EFER_SVME; wrmsr", 13),
    ("mov ecx, MSR_EFER; xor eax, eax; wrmsr", 13),
    ("mov ecx, MSR_VM_CR; rdmsr", 13),
    ("mov ecx, MSR_VM_HSAVE_PA; wrmsr", 13),
    ("mov ecx, MSR_X2APIC_ICR; wrmsr", 13),
    ("mov ecx, MSR_KVM_SYSTEM_TIME_NEW; mov eax, 0x20000001; wrmsr", 13),
    ("mov ecx, MSR_KVM_SYSTEM_TIME_NEW; mov eax, 0x10ff1; wrmsr", 13),
    ("mov ecx, MSR_KVM_WALL_CLOCK_NEW; mov eax, 0xffffffff; wrmsr", 13),
    ("xor ecx, ecx; mov eax, 6; xsetbv", 6),
]
HARMLESS = [
    "wbinvd",
    "invd",
    "mov ecx, MSR_APIC_BASE; xor eax, eax; xor edx, edx; wrmsr",
    *(f"mov dword ptr [rbx + LAPIC_ICR_HIGH], {to} << 24" for to in (0, 1, 2, 255)),
    *(
        f"mov dword ptr [rbx + LAPIC_ICR], {mode} << 8 | {short} << 18 | {flags}"
        for mode in range(8)
        for short in (0, 2, 3)
        for flags in (0x30, 0x4030, 0x8030, 0xC030, 0x4830)
        if (mode, short) not in ((5, 2), (5, 0), (6, 0), (0, 2), (1, 2))  # its own INIT; a vector to itself
    ),
    *(
        f"mov dword ptr [rbx + {register}], {mode} << 8"
        for register in range(0x320, 0x380, 16)
        for mode in (2, 4, 5, 7)
    ),
    "lock or dword ptr [rbx + LAPIC_TPR], 0x10",
    "lea rdi, [rbx + LAPIC_EOI]; mov ecx, 1; rep stosd",
    "mov ecx, 1000; .e: mov dword ptr [rbx + LAPIC_EOI], 0; dec ecx; jnz .e",
    "xor edx, edx; .p: in al, dx; inc edx; cmp edx, 0x10000; jb .p",
    "mov edx, 0x60; .o: mov eax, 0x0101ffff; out dx, eax; inc edx; cmp edx, 0x64; jb .o",
]


def hostile() -> str:
    """A kernel that tries all of it, says how much, and reaches for memory that it does not have."""
    tries = []
    for number, (code, vector) in enumerate([*REFUSED, *((code, 0) for code in HARMLESS)]):
        body = "\n        ".join(
            line.strip().replace(".e", f".e{number}").replace(".p", f".p{number}").replace(".o", f".o{number}")
            for line in code.split(";")
        )
        tries.append(
            f"""
        lea  r15, [rip + .behind{number}]
        xor  r14d, r14d
        {body}
.behind{number}:
        cmp  r14d, {vector}
        jne  .wrong
        inc  r13d"""
        )
    return f"""
        lea  rdi, [rip + idt + 6 * IDT_GATE_SIZEOF]
        lea  rax, [rip + undefined]
        call put_gate
        lea  rdi, [rip + idt + 13 * IDT_GATE_SIZEOF]
        lea  rax, [rip + protection]
        call put_gate
        xor  r13d, r13d
        mov  ebx, LAPIC_ADDRESS
        mov  eax, 1
        {"".join(tries)}
        lea  rdi, [rip + line]
        mov  esi, r13d
        call print
        mov  eax, 0x20000000
        mov  dword ptr [rax], eax
.wrong:
        lea  rdi, [rip + wrong_line]
        mov  esi, r13d
        mov  edx, r14d
        call print
        jmp  halt

put_gate:
        mov  word ptr [rdi + IDT_GATE_OFFSET_LOW], ax
        shr  eax, 16
        mov  word ptr [rdi + IDT_GATE_OFFSET_MIDDLE], ax
        ret
undefined:
        mov  r14d, 6
        mov  qword ptr [rsp], r15
        iretq
protection:
        mov  r14d, 13
        add  rsp, 8
        mov  qword ptr [rsp], r15
        iretq
.section .rodata
line:       .asciz "hostile: %u tries\\n"
wrong_line: .asciz "hostile: try %u had exception %u\\n"
"""


DESCRIPTION = """
[image]
name = "ends"
launcher = "partition"
console = ["com1,115200"]

[[domain]]
name = "control"
permissions = ["control", "hardware"]
functions = ["console", "xenstore", "initial-domain"]
memory = "32M"
kernel = "control.asm"

[[domain]]
name = "ticks"
memory = "32M"
kernel = "ticks.asm"
on-end = "restart"
restarts = 1000

[[domain]]
name = "crash"
memory = "32M"
kernel = "crash.asm"
on-end = "restart"
restarts = 3

[[domain]]
name = "hostile"
memory = "32M"
kernel = "hostile.asm"
"""


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One boot of all of them, until the control domain has powered itself off."""
    folder = tmp_path_factory.mktemp("ends")
    for name, text in (("control", HEAD + CONTROL), ("crash", HEAD + CRASH), ("hostile", HEAD + hostile())):
        (folder / f"{name}.asm").write_text(text)
    (folder / "ticks.asm").write_text((ROOT / "stub/kernels/ticks.asm").read_text())
    (folder / "ends.toml").write_text(DESCRIPTION)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: folder)
        built = build.build(folder / "ends.toml", lambda stage: None)
        result = run.boot(
            built, run.Options(expect="bootwright: d0: ended: powered off", timeout=180), lambda text: None
        )
    assert result.outcome is qemu.Outcome.AS_EXPECTED, result
    yield result.transcript


def lines(transcript: str, start: str) -> list[str]:
    return [line for line in transcript.splitlines() if line.startswith(start)]


def test_a_domain_is_restarted_from_outside_a_hundred_times(transcript: str) -> None:
    assert lines(transcript, "d0: ") == [f"d0: control: {RESTARTS} restarts"]
    assert lines(transcript, "bootwright: d1: ended") == ["bootwright: d1: ended: stopped by the monitor"] * RESTARTS


def test_a_domain_that_crashes_is_restarted_as_often_as_told(transcript: str) -> None:
    assert lines(transcript, "d2: ") == ["d2: crash: as told"] * 4
    ends = [re.sub(r"at 0x\w+", "at X", line) for line in lines(transcript, "bootwright: d2: ended")]
    start = "bootwright: d2: ended: triple fault at X; "
    assert ends == [*(f"{start}restarted ({n} of 3)" for n in (1, 2, 3)), f"{start}not restarted (3 of 3 are used)"]


def test_what_a_hostile_domain_tries_is_refused_or_stays_its_own(transcript: str) -> None:
    assert lines(transcript, "d3: ") == [f"d3: hostile: {len(REFUSED) + len(HARMLESS)} tries"]
    (end,) = lines(transcript, "bootwright: d3: ended")
    assert end.startswith("bootwright: d3: ended: access to 0x20000000, which is not its own, at 0x")
