"""The one place where Keystone is called: one instruction, numbers only, into bytes.

Keystone never sees a symbol, directive, macro or comment. What it is known to encode wrongly is refused
before (`instructions`), or put right here; whatever comes out is checked by `check`.
"""

from __future__ import annotations

from functools import cache

import keystone

from bootwright.asm.operands import FWORD, SIZES, Immediate, Instruction, Memory, Operand, Register, Target
from bootwright.common.errors import AssemblyError

_MODES = {16: keystone.KS_MODE_16, 32: keystone.KS_MODE_32, 64: keystone.KS_MODE_64}
_POINTERS = {bits: f"{name} ptr " for name, bits in SIZES.items()}
_OPERAND_SIZE = 0x66

BRANCHES_SHORT_ONLY = frozenset(["loop", "loope", "loopne", "jrcxz", "jecxz", "jcxz"])
_FAR_AWAY = 0x100000
_BASE = 0x1000000


def encode(instruction: Instruction[int], address: int, near: bool = True) -> bytes:
    """The bytes of one instruction at an address. `near`: take a branch's long form.

    Raises AssemblyError (without a place).
    """
    target = next((item for item in instruction.operands if isinstance(item, Target)), None)
    if target is not None:
        return _encode_branch(instruction, target.address, address, near)
    if instruction.mnemonic == "movsd" and not instruction.operands:
        # Keystone knows only the SSE movsd.
        size = bytes([_OPERAND_SIZE]) if instruction.mode == 16 else b""
        return (b"\xf3" if instruction.prefix else b"") + size + b"\xa5"
    data = assemble_text(instruction.mode, render(instruction), _has_stray_prefix(instruction))
    sizes = [item.size for item in instruction.operands if isinstance(item, Memory)]
    if instruction.mode == 16 and FWORD in sizes:
        return bytes([_OPERAND_SIZE]) + data  # Keystone would jump through four of the six bytes
    return data


def render(instruction: Instruction[int]) -> str:
    """The instruction as Keystone's Intel syntax. rip-relative: `displacement` is from the end of it."""
    text = ", ".join(_render_operand(operand) for operand in instruction.operands)
    return " ".join(part for part in (instruction.prefix, instruction.mnemonic, text) if part)


def signed(value: int, bits: int) -> int:
    """The value that `bits` bits of two's complement hold for this number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


@cache
def assemble_text(mode: int, text: str, drop_prefix: bool = False) -> bytes:
    """Bytes of one rendered instruction. Raises AssemblyError for what Keystone does not take."""
    try:
        encoded, _ = _engine(mode).asm(text, _BASE)
    except keystone.KsError as error:
        raise AssemblyError(f"{text}: not encodable in .code{mode} ({error})") from error
    found = bytes(encoded or ())
    if not found:
        raise AssemblyError(f"{text}: not encodable in .code{mode}")
    if drop_prefix and (place := found.find(_OPERAND_SIZE, 0, 2)) >= 0:  # a segment prefix may come first
        found = found[:place] + found[place + 1 :]
    return found


@cache
def _engine(mode: int) -> keystone.Ks:
    return keystone.Ks(keystone.KS_ARCH_X86, _MODES[mode])


def _has_stray_prefix(instruction: Instruction[int]) -> bool:
    """Whether Keystone puts a 66 in front that does not belong there.

    lgdt and lidt in 32-bit code would load only 24 bits of the base, push and pop would move two bytes
    instead of four, or in 16-bit code (ret and retf too) four instead of two. A segment register stored in
    memory needs none.
    """
    mnemonic, mode, operands = instruction.mnemonic, instruction.mode, instruction.operands
    segment = any(isinstance(operand, Register) and operand.kind == "s" for operand in operands)
    if segment and mnemonic == "mov":
        return mode != 16 and isinstance(operands[0], Memory)
    if segment:
        return mode != 64 and mnemonic in ("push", "pop")
    return (mode == 32 and mnemonic in ("lgdt", "lidt", "sgdt", "sidt")) or (mode == 16 and mnemonic in ("ret", "retf"))


def _render_operand(operand: Operand[int]) -> str:
    match operand:
        case Register(name):
            return name
        case Immediate(value, bits, low):
            return _number(signed(value, bits) if low < 0 else value)
        case Target(address):
            return f"{address:#x}"
        case Memory():
            return _render_memory(operand)


def _render_memory(memory: Memory[int]) -> str:
    terms = ["rip"] if memory.rip else [name for name in (memory.base,) if name]
    if memory.index:
        terms.append(f"{memory.index}*{memory.scale}" if memory.scale != 1 or not memory.base else memory.index)
    inside = " + ".join(terms)
    displacement = memory.displacement
    if not terms:
        inside = f"{displacement:#x}"
    elif displacement or memory.rip:
        inside += f" {'-' if displacement < 0 else '+'} {abs(displacement):#x}"
    segment = f"{memory.segment}:" if memory.segment else ""
    return f"{_POINTERS.get(memory.size, '')}{segment}[{inside}]"


def _number(value: int) -> str:
    return f"-{-value:#x}" if value < 0 else f"{value:#x}"


@cache
def _branch_template(mode: int, mnemonic: str, near: bool) -> tuple[bytes, int]:
    """A branch as Keystone encodes it, and the bytes of its displacement at the end."""
    long_form = (near and mnemonic not in BRANCHES_SHORT_ONLY) or mnemonic == "call"
    target = _BASE + (_FAR_AWAY if long_form else 0)
    template, width = assemble_text(mode, f"{mnemonic} {target:#x}"), 4 if long_form else 1
    if mode == 16 and long_form:
        # Keystone's 66 prefix would make call push four bytes, where ret takes two: 16-bit displacements
        # instead.
        template, width = template[1:-2], 2
    return template, width


def _encode_branch(instruction: Instruction[int], target: int, address: int, near: bool) -> bytes:
    template, width = _branch_template(instruction.mode, instruction.mnemonic, near)
    distance = target - address - len(template)
    if not -(1 << (8 * width - 1)) <= distance < 1 << (8 * width - 1):
        raise AssemblyError(f"{instruction.mnemonic} {target:#x}: {distance:#x} bytes away, which is out of reach")
    return template[:-width] + distance.to_bytes(width, "little", signed=True)
