"""Domains of a partition that end and start again, on a whole cpu: kernels of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from project import ROOT

from bootwright.common import paths
from bootwright.emulate import qemu, run
from bootwright.image import build

pytestmark = pytest.mark.slow

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
        to_long_mode
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
# Restarts domain 1 RESTARTS times, waits for the end of domain 2, and powers off.
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
"""


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One boot of all of them, until the control domain has powered itself off."""
    folder = tmp_path_factory.mktemp("ends")
    for name, text in (("control", HEAD + CONTROL), ("crash", HEAD + CRASH)):
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
    assert lines(transcript, "bootwright: d1: ended") == ["bootwright: d1: ended: restarted by the monitor"] * RESTARTS


def test_a_domain_that_crashes_is_restarted_as_often_as_told(transcript: str) -> None:
    assert lines(transcript, "d2: ") == ["d2: crash: as told"] * 4
    ends = [re.sub(r"at 0x\w+", "at X", line) for line in lines(transcript, "bootwright: d2: ended")]
    start = "bootwright: d2: ended: triple fault at X; "
    assert ends == [*(f"{start}restarted ({n} of 3)" for n in (1, 2, 3)), f"{start}not restarted (3 of 3 are used)"]
