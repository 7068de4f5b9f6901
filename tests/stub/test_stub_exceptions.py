"""A cpu exception in the stub: it is reported with all registers, and a report that raises the next one does not go
round for ever. Under Unicorn, which does not take an exception itself: the tests do what a cpu does."""

from __future__ import annotations

import struct

import pytest
import unicorn
from booting import failure, line
from machine import SCRATCH, C, Machine
from unicorn import x86_const as x86

# SDM 3, table 6-1, and for 28 to 30 APM 2, 8.2; "---" for what has no short name
NAMES = (
    "#DE #DB NMI #BP #OF #BR #UD #NM #DF --- #TS #NP #SS #GP #PF --- "
    "#MF #AC #MC #XM #VE #CP --- --- --- --- --- --- #HV #VC #SX ---"
)
REGISTERS = "rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15"
WITH_ERROR_CODE = {8, 10, 11, 12, 13, 14, 17, 21, 29, 30}


def raised(vector: int) -> Machine:
    """What a cpu does for an exception: through the gate, on the stack that the gate asks for (SDM 3, 6.14)."""
    machine = Machine()
    machine.call("load_descriptors")
    idt, limit = machine.uc.reg_read(x86.UC_X86_REG_IDTR)[1:3]
    assert limit == 32 * 16 - 1
    low, selector, ist, kind, middle, high = struct.unpack("<HHBBHI4x", machine.read(idt + 16 * vector, 16))
    assert (selector, ist, kind) == (C["GDT_CODE64"], 1, 0x8E)
    tss = machine.uc.reg_read(x86.UC_X86_REG_TR)[1]
    (stack,) = struct.unpack("<Q", machine.read(tss + 0x24, 8))
    assert stack == machine.symbols["exception_stack_end"] and not stack % 16
    frame = [0x1122334455, 8, 0x10002, 0x66778899, 16]
    if vector in WITH_ERROR_CODE:
        frame.insert(0, 0xABCD)
    machine.write(stack - 8 * len(frame), struct.pack(f"<{len(frame)}Q", *frame))
    for number, name in enumerate(REGISTERS.split()):
        machine.uc.reg_write(getattr(x86, f"UC_X86_REG_{name.upper()}"), 0x1000 + number)
    machine.uc.reg_write(x86.UC_X86_REG_RSP, stack - 8 * len(frame))
    machine.run(low | middle << 16 | high << 32, 50_000_000)
    return machine


@pytest.mark.parametrize("vector", range(32))
def test_an_exception_is_named_with_all_registers(vector: int) -> None:
    machine = raised(vector)
    code = 0xABCD if vector in WITH_ERROR_CODE else 0
    assert machine.error() == failure("E_EXCEPTION", vector, NAMES.split()[vector], 0x1122334455, code)
    said = machine.transcript
    assert all(f"{name} {0x1000 + number:#x}" in said for number, name in enumerate(REGISTERS.split()))
    assert "rsp 0x66778899 rflags 0x10002 cs 0x8" in said
    control = (machine.uc.reg_read(getattr(x86, f"UC_X86_REG_CR{number}")) for number in (0, 2, 3, 4))
    assert line("M_REGISTERS_5", *control) in said


FAULT = SCRATCH  # code that raises a page fault at 0xBAD


def fault(machine: Machine) -> None:
    """As the cpu would: what it pushes, and on to the vector."""
    vector = machine.symbols["exception_vectors"] + 14 * C["EXCEPTION_VECTOR_SIZE"]
    pushed = b"\x6a\x10\x54\x9c\x6a\x08\x68\xad\x0b\0\0\x6a\x02"
    machine.write(FAULT, pushed + b"\xb8" + struct.pack("<I", vector) + b"\xff\xe0")


@pytest.mark.parametrize("console", ["framebuffer_console", "firmware_console"])
def test_a_screen_that_faults_is_left_out_of_the_report(console: str) -> None:
    machine = Machine()
    fault(machine)
    machine.call("console_start")
    machine.set_variable(console, FAULT)
    machine.call("put_char", ord("x"))
    assert machine.error() == failure("E_EXCEPTION", 14, "#PF", 0xBAD, 2)
    assert machine.transcript.count("rflags") == 1, "the first report ends where the screen does"


def test_what_faults_in_every_report_ends_as_the_description_asks_for() -> None:
    machine = Machine()
    fault(machine)
    machine.call("console_start")
    machine.set_variable("on_failure", C["ON_FAILURE_REBOOT"], 4)
    machine.write(machine.symbols["print_line"], b"\xb8" + struct.pack("<I", FAULT) + b"\xff\xe0")
    with pytest.raises(unicorn.UcError):  # the reset's last resort
        machine.run(FAULT, 10_000_000)
    assert machine.variable("exceptions_seen", 1) == 3
    assert (C["PORT_RESET"], C["RESET_HARD"]) in machine.ports
