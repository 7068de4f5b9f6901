"""check: bytes that do not say what was written are refused, whatever made them."""

from __future__ import annotations

import pytest

from bootwright.asm.check import check
from bootwright.asm.operands import Immediate, Instruction, Memory, Operand, Register, Target
from bootwright.common.errors import AssemblyError

AT = 0x100000
EAX, ECX, RAX, RCX = (Register(name) for name in ("eax", "ecx", "rax", "rcx"))


def written(mnemonic: str, *operands: Operand[int], mode: int = 64, prefix: str = "") -> Instruction[int]:
    return Instruction(mode, mnemonic, operands, prefix)


def number(value: int, bits: int = 32) -> Immediate[int]:
    return Immediate(value, bits, -(1 << 31), (1 << 32) - 1)


RIGHT = [
    (written("mov", EAX, ECX), "89c8"),
    (written("mov", EAX, ECX), "8bc1"),
    (written("mov", EAX, number(-1)), "b8ffffffff"),
    (written("mov", EAX, number(0xFFFFFFFF)), "b8ffffffff"),
    (written("jnae", Target(AT + 0x10)), "720e"),
    (written("sete", Register("al")), "0f94c0"),
    (written("cmpsb", prefix="repz"), "f3a6"),
    (written("mov", RAX, Memory(64, AT + 0x10, rip=True)), "488b0509000000"),
    (written("mov", EAX, Memory(32, -4, base="rbx", index="rcx", scale=8)), "8b44cbfc"),
    (written("mov", EAX, Memory(32, 0, segment="gs", base="rcx")), "658b01"),
    (written("test", EAX, ECX), "85c1"),
    (written("xchg", EAX, ECX), "91"),
    (written("ljmp", Memory(0, 0, base="rax")), "ff28"),
    (written("jmp", Memory(64, 0, base="rax")), "ff20"),
    (written("ljmp", Memory(48, 0, base="bx"), mode=16), "66ff2f"),
    (written("vmrun", RAX), "0f01d8"),
]


@pytest.mark.parametrize(("instruction", "data"), RIGHT)
def test_what_is_right_passes(instruction: Instruction[int], data: str) -> None:
    check(instruction, bytes.fromhex(data), AT)


@pytest.mark.parametrize(
    ("instruction", "data", "reason"),
    [
        (written("mov", EAX, ECX), "89c1", "operand eax is different"),
        (written("mov", EAX, ECX), "01c8", "the mnemonic is different"),
        (written("mov", EAX, ECX), "4889c8", "operand eax is different"),
        (written("mov", EAX, ECX), "89c890", "reads back as mov eax, ecx; nop"),
        (written("mov", EAX, ECX), "89", "reads back as no instruction"),
        (written("mov", EAX, number(300)), "b82b010000", "operand 0x12c is different"),
        (written("mov", Register("al"), number(300, 64)), "b02c", "operand 0x12c is different"),
        (written("jz", Target(AT + 0x10)), "7410", "operand 0x100010 is different"),
        (written("jz", Target(AT + 0x10)), "750e", "the mnemonic is different"),
        (written("mov", RAX, Memory(64, AT + 0x10, rip=True)), "488b0510000000", "by rip is different"),
        (written("mov", RAX, Memory(64, 0x10)), "488b0510000000", "is different"),
        (written("mov", EAX, Memory(32, 4, base="rbx")), "8b4308", "is different"),
        (written("mov", EAX, Memory(32, 4, base="rbx")), "8b4104", "is different"),
        (written("mov", EAX, Memory(32, 4, base="rbx")), "678b4304", "is different"),
        (written("mov", EAX, Memory(32, 0, base="rbx", index="rcx", scale=8)), "8b048b", "is different"),
        (written("mov", EAX, Memory(32, 0, segment="gs", base="rcx")), "8b01", "is different"),
        (written("mov", EAX, Memory(32, 0, base="rcx")), "658b01", "is different"),
        (written("movzx", EAX, Memory(8, 0, base="rcx")), "0fb701", "is different"),
        (written("ljmp", Memory(0, 0, base="rax")), "48ff28", "the size of the far pointer is different"),
        (written("ljmp", Memory(0, 0, base="rax")), "ff20", "the mnemonic is different"),
        (written("ljmp", Memory(48, 0, base="bx"), mode=16), "ff2f", "the operand size is different"),
        (written("ljmp", Memory(0, 0, base="bx"), mode=16), "66ff2f", "the operand size is different"),
        (written("vmrun", RAX), "0f01da", "the mnemonic is different"),
        (written("jmp", Memory(64, 0, base="rax")), "ff28", "the mnemonic is different"),
        (written("lgdt", Memory(0, 0, base="eax"), mode=32), "660f0110", "the operand size is different"),
        (written("push", Register("ds"), mode=32), "661e", "the operand size is different"),
        (written("retf", mode=32), "66cb", "the operand size is different"),
        (written("retf", mode=64), "48cb", "the mnemonic is different"),
        (written("movsb", prefix="rep"), "a4", "the mnemonic is different"),
        (written("movsb"), "f3a4", "the mnemonic is different"),
        (written("movsb"), "67a4", "the address size is different"),
        (written("movsd"), "66a5", "the mnemonic is different"),
        (written("add", Memory(32, 0, base="rax"), ECX, prefix="lock"), "0108", "the mnemonic is different"),
    ],
)
def test_what_is_wrong_is_refused(instruction: Instruction[int], data: str, reason: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        check(instruction, bytes.fromhex(data), AT)
    assert reason in str(caught.value)
    assert data in str(caught.value)


# The processor ignores the register field of setcc, and REX.B and REX.X where there is no base or index.
IGNORED_BITS = {"0f94c8", "0f94d0", "0f94e0", "498b0509000000", "4a8b0509000000"}


def test_every_changed_bit_of_an_instruction_is_noticed() -> None:
    """Flip each bit: the result may not pass for what was written, but for bits that mean nothing."""
    passed = set()
    for instruction, data in RIGHT:
        original = bytes.fromhex(data)
        for bit in range(len(original) * 8):
            changed = bytearray(original)
            changed[bit // 8] ^= 1 << bit % 8
            try:
                check(instruction, bytes(changed), AT)
            except AssemblyError:
                continue
            passed.add(changed.hex())
    assert passed == IGNORED_BITS
