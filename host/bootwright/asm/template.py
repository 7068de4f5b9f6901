"""Instructions as bytes before their addresses are known: what stays the same, and where the linker writes.

    forms(instruction, evaluate)            # mov eax, 5: its bytes; jne .next: a short form and a long one

Most instructions depend on no address, and have one form without a field. A branch and a rip-relative operand are
templates: all that moves with the address is the distance to the target, in a field that two encodings with different
distances have shown. Each form is read back with Capstone when it is made (`check`); instructions that say the same
share it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

from bootwright.asm.check import check
from bootwright.asm.encode import BRANCHES_SHORT_ONLY, encode
from bootwright.asm.expression import Expression, Value
from bootwright.asm.operands import Immediate, Instruction, Memory, Operand, Register, Target
from bootwright.common.errors import AssemblyError

V = TypeVar("V")
Evaluate = Callable[[Expression], Value]
# Distances to make templates with: no byte of one is that of the other, nor one of an opcode that stands before it.
_SAMPLES = (0x13572468, -0x2468ACE1)
_SHORT_SAMPLES = (0x35, -0x4B)
# Far enough from 0 that no sample leaves the address space.
_SAMPLE_ADDRESS = 0x4000_0000
_FIELD = 4  # bytes of a distance in memory operands


class UnknownError(Exception):
    """A value is not known before the link."""


@dataclass(frozen=True)
class Form:
    """One encoding: its bytes, and `width` bytes at `field` that hold the distance from its end to a target.

    Width 0: the bytes are complete.
    """

    data: bytes
    field: int = 0
    width: int = 0

    def filled(self, distance: int) -> bytes:
        """The bytes for a target that far behind the instruction's end. Raises OverflowError if it is out of reach."""
        number = distance.to_bytes(self.width, "little", signed=True)
        return self.data[: self.field] + number + self.data[self.field + self.width :]

    def reaches(self, distance: int) -> bool:
        """Whether the field can hold this distance."""
        half = 1 << (8 * self.width - 1)
        return -half <= distance < half


def forms(instruction: Instruction[Expression], evaluate: Evaluate) -> tuple[Form, ...]:
    """The forms of an instruction, the shortest first; none where its size depends on what only the linker knows.

    evaluate raises UnknownError for an expression of that kind. Raises AssemblyError, without a place.
    """
    if any(isinstance(operand, Target) for operand in instruction.operands):
        if len(instruction.operands) > 1:
            return ()
        return _branch(instruction.mode, instruction.mnemonic)
    try:
        return (_complete(resolve(instruction, evaluate)),)
    except UnknownError:
        pass
    try:
        return (_relative(resolve(instruction, evaluate, skip_rip=True)),)
    except UnknownError:
        return ()


def target_of(instruction: Instruction[V]) -> V:
    """What the field of a form is counted to: a branch's target, or a rip-relative place.

    Raises ValueError for an instruction that has neither.
    """
    for operand in instruction.operands:
        match operand:
            case Target(address) | Memory(displacement=address, rip=True):
                return address
    raise ValueError(f"{instruction.mnemonic} has no target")


@cache
def _complete(numbers: Instruction[int]) -> Form:
    data = encode(numbers, 0)
    check(numbers, data, 0)
    return Form(data)


@cache
def _branch(mode: int, mnemonic: str) -> tuple[Form, ...]:
    if mnemonic == "call":
        return (_sampled_branch(mode, mnemonic, near=True),)
    short = _sampled_branch(mode, mnemonic, near=False)
    return (short,) if mnemonic in BRANCHES_SHORT_ONLY else (short, _sampled_branch(mode, mnemonic, near=True))


def _sampled_branch(mode: int, mnemonic: str, near: bool) -> Form:
    def made(distance: int) -> bytes:
        size = len(encode(Instruction(mode, mnemonic, (Target(base),)), base, near))
        numbers = Instruction(mode, mnemonic, (Target(base + size + distance),))
        data = encode(numbers, base, near)
        check(numbers, data, base)
        return data

    base = 0x4000 if mode == 16 else _SAMPLE_ADDRESS
    width = 1 if not near else 2 if mode == 16 else 4
    samples = _SHORT_SAMPLES if width == 1 else _SAMPLES if width == 4 else (0x1357, -0x2468)
    return _form(made, samples, width)


@cache
def _relative(numbers: Instruction[int]) -> Form:
    """numbers: with anything as the place of its rip-relative operand."""

    def made(distance: int) -> bytes:
        data = encode(_with_place(numbers, distance), 0)
        check(_with_place(numbers, _SAMPLE_ADDRESS + len(data) + distance), data, _SAMPLE_ADDRESS)
        return data

    return _form(made, _SAMPLES, _FIELD)


def _form(made: Callable[[int], bytes], samples: tuple[int, int], width: int) -> Form:
    """The form of which two encodings are given. Raises AssemblyError if they differ in more than one field."""
    first, second = made(samples[0]), made(samples[1])
    field = first.find(samples[0].to_bytes(width, "little", signed=True))
    form = Form(first, field, width)
    if field < 0 or form.filled(samples[1]) != second:
        raise AssemblyError(f"{first.hex()} and {second.hex()} differ in more than the distance")
    return form


def _with_place(numbers: Instruction[int], place: int) -> Instruction[int]:
    operands = tuple(
        replace(operand, displacement=place) if isinstance(operand, Memory) and operand.rip else operand
        for operand in numbers.operands
    )
    return replace(numbers, operands=operands)


def resolve(instruction: Instruction[Expression], evaluate: Evaluate, skip_rip: bool = False) -> Instruction[int]:
    """The instruction in numbers; of a rip-relative operand the absolute address, or 0 with skip_rip.

    Raises AssemblyError without a place for values that do not fit.
    """
    operands = tuple(
        _resolve_operand(operand, instruction.mode, evaluate, skip_rip) for operand in instruction.operands
    )
    return Instruction(instruction.mode, instruction.mnemonic, operands, instruction.prefix)


def relative(instruction: Instruction[int], end: int) -> Instruction[int]:
    """The same with rip-relative displacements counted from `end`, the address behind the instruction."""
    operands = tuple(
        replace(operand, displacement=operand.displacement - end)
        if isinstance(operand, Memory) and operand.rip
        else operand
        for operand in instruction.operands
    )
    return replace(instruction, operands=operands)


def _resolve_operand(operand: Operand[Expression], mode: int, evaluate: Evaluate, skip_rip: bool) -> Operand[int]:
    match operand:
        case Register():
            return operand
        case Immediate(tree, bits, low, high):
            return Immediate(_fit(_plain(evaluate(tree)), bits, low, high), bits, low, high)
        case Target(tree):
            return Target(_plain(evaluate(tree)))
        case Memory(size, _, segment, base, index, scale, True) if skip_rip:
            return Memory(size, 0, segment, base, index, scale, True)
        case Memory(size, tree, segment, base, index, scale, rip):
            value = evaluate(tree)
            number = _place(value) if rip else _displacement(_plain(value), mode, base)
            return Memory(size, number, segment, base, index, scale, rip)


def _plain(value: Value) -> int:
    """The number of a value that is one, or one address. Raises AssemblyError without a place."""
    if value.addresses not in (0, 1):
        raise AssemblyError("addresses are added or negated: only label + number and label - label are right")
    return value.number


def _place(value: Value) -> int:
    """The address of a rip-relative operand. Raises AssemblyError without a place for what is none."""
    if value.addresses != 1:
        raise AssemblyError(f"[rip + {value.number:#x}]: write [rip + label], a number alone is no place")
    return value.number


def _fit(value: int, bits: int, low: int, high: int) -> int:
    if bits == 64 and high < 1 << 32 and (1 << 64) - (1 << 31) <= value < 1 << 64:
        return value - (1 << 64)  # written unsigned, and what sign extension gives
    if not low <= value <= high:
        raise AssemblyError(f"{value} ({value:#x}) does not fit: from {low:#x} to {high:#x} is possible here")
    return value


def _displacement(value: int, mode: int, base: str) -> int:
    bits = 16 if mode == 16 and not base.startswith("e") else 32
    high = (1 << 31) if mode == 64 else (1 << bits)
    if not -(1 << (bits - 1)) <= value < high:
        raise AssemblyError(f"displacement {value:#x} does not fit into {bits} bits")
    if base and value >> (bits - 1) > 0:
        return value - (1 << bits)  # the same address, in the form that encodes shortest
    return value
