"""Operands of instructions: registers, immediates, memory and branch targets, as written and as numbers.

The same classes carry an Expression as the front end read it, and an int once addresses are known:
`Memory[Expression]` becomes `Memory[int]`. Sizes are in bits; 0 means that none was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from bootwright.asm.expression import Binary, Expression, Number, Symbol, Unary, parse, symbols
from bootwright.common.errors import AssemblyError

V = TypeVar("V")
W = TypeVar("W")

FWORD = 48
"""Bits of a far pointer: an offset of 32 and a selector."""

SIZES = {"byte": 8, "word": 16, "dword": 32, "fword": FWORD, "qword": 64, "xmmword": 128}
_MEMORY = re.compile(r"(?:(\w+)\s+ptr\s+)?(?:(\w+)\s*:\s*)?\[(.*)\]$", re.IGNORECASE | re.DOTALL)


def _registers() -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for letter in "abcd":
        found |= {f"{letter}l": ("r", 8), f"{letter}h": ("r", 8), f"{letter}x": ("r", 16)}
        found |= {f"e{letter}x": ("r", 32), f"r{letter}x": ("r", 64)}
    for name in ("si", "di", "bp", "sp"):
        found |= {f"{name}l": ("r", 8), name: ("r", 16), f"e{name}": ("r", 32), f"r{name}": ("r", 64)}
    for number in range(8, 16):
        found |= {f"r{number}{end}": ("r", size) for end, size in (("b", 8), ("w", 16), ("d", 32), ("", 64))}
    found |= {f"xmm{number}": ("x", 128) for number in range(16)}
    found |= {f"{letter}s": ("s", 16) for letter in "cdefgs"}
    found |= {f"cr{number}": ("c", 0) for number in (0, 2, 3, 4, 8)}
    found |= {f"dr{number}": ("d", 0) for number in (0, 1, 2, 3, 6, 7)}
    return found


REGISTERS = _registers()
"""Every register that may be written: its kind (see Register.kind) and its bits."""

RESERVED = frozenset({*REGISTERS, "rip", "eip", "ip", "ptr", "st", "eiz", "riz", *SIZES})
"""Words that no label may be."""

_HIGH_BYTES = frozenset({"ah", "bh", "ch", "dh"})
_REX_BYTES = frozenset({"sil", "dil", "bpl", "spl"})
_BASES_16 = frozenset({("bx", "si"), ("bx", "di"), ("bp", "si"), ("bp", "di")})
_ALONE_16 = frozenset({"si", "di", "bp", "bx"})


@dataclass(frozen=True)
class Register:
    """A register by its name in lower case."""

    name: str

    @property
    def kind(self) -> str:
        """r general, x SSE, s segment, c control, d debug."""
        return REGISTERS[self.name][0]

    @property
    def size(self) -> int:
        """Bits."""
        return REGISTERS[self.name][1]

    @property
    def is_high_byte(self) -> bool:
        """ah, bh, ch, dh: not encodable in an instruction with a REX prefix."""
        return self.name in _HIGH_BYTES

    @property
    def needs_64(self) -> bool:
        """Exists only in 64-bit code."""
        new = self.name[:1] == "r" or self.name in _REX_BYTES or self.name == "cr8"
        return new or (self.kind == "x" and int(self.name[3:]) >= 8)


@dataclass(frozen=True)
class Immediate(Generic[V]):
    """A number in the instruction. bits: its meaning once extended; low..high: the values that fit."""

    value: V
    bits: int = 0
    low: int = 0
    high: int = 0


@dataclass(frozen=True)
class Memory(Generic[V]):
    """[segment: base + index*scale + displacement], or with `rip` the address `displacement` itself."""

    size: int
    displacement: V
    segment: str = ""
    base: str = ""
    index: str = ""
    scale: int = 1
    rip: bool = False


@dataclass(frozen=True)
class Target(Generic[V]):
    """Where a branch goes: an absolute address."""

    address: V


Operand = Register | Immediate[V] | Memory[V] | Target[V]


@dataclass(frozen=True)
class Instruction(Generic[V]):
    """One instruction: mode 16, 32 or 64; prefix "" or lock, rep, ...; all names in lower case."""

    mode: int
    mnemonic: str
    operands: tuple[Operand[V], ...]
    prefix: str = ""


def convert(instruction: Instruction[V], change: Callable[[V], W]) -> Instruction[W]:
    """The same instruction with every value in it changed."""

    def convert_operand(operand: Operand[V]) -> Operand[W]:
        match operand:
            case Immediate(value, bits, low, high):
                return Immediate(change(value), bits, low, high)
            case Memory(size, displacement, segment, base, index, scale, rip):
                return Memory(size, change(displacement), segment, base, index, scale, rip)
            case Target(address):
                return Target(change(address))
            case Register():
                return operand

    operands = tuple(convert_operand(operand) for operand in instruction.operands)
    return Instruction(instruction.mode, instruction.mnemonic, operands, instruction.prefix)


def values(instruction: Instruction[V]) -> list[V]:
    """Every value in an instruction: of immediates, displacements and targets."""
    found: list[V] = []
    for operand in instruction.operands:
        if isinstance(operand, Immediate):
            found.append(operand.value)
        elif isinstance(operand, Memory):
            found.append(operand.displacement)
        elif isinstance(operand, Target):
            found.append(operand.address)
    return found


def parse_operand(text: str, mode: int, constant: Callable[[str], int | None]) -> Operand[Expression]:
    """One operand as written. `constant` gives the value of a known constant, for scales (rcx*8).

    Raises AssemblyError without a place.
    """
    if (word := text.strip().lower()) in REGISTERS:
        return _register(word, mode)
    if match := _MEMORY.match(text.strip()):
        return _memory(match, mode, constant)
    if re.match(r"\w+\s+ptr\b", text, re.IGNORECASE) or "[" in text:
        raise AssemblyError(f"{text!r}: memory is written [...] or dword ptr [...]")
    tree = parse(text)
    for name in symbols(tree):
        if name.lower() in RESERVED:
            raise AssemblyError(f"{text!r}: {name} is a register or a reserved word")
    return Immediate(tree)


def _register(name: str, mode: int) -> Register:
    register = Register(name)
    if register.needs_64 and mode != 64:
        raise AssemblyError(f"{name} exists only in 64-bit code, and this is .code{mode}")
    return register


def _memory(match: re.Match[str], mode: int, constant: Callable[[str], int | None]) -> Memory[Expression]:
    size, segment, inside = (match[1] or "").lower(), (match[2] or "").lower(), match[3]
    if size and size not in SIZES:
        raise AssemblyError(f"{size} ptr: sizes are {', '.join(SIZES)}")
    if segment and REGISTERS.get(segment, ("",))[0] != "s":
        raise AssemblyError(f"{segment}: is no segment register")
    parts = _AddressParts(constant)
    parts.add(parse(inside), 1)
    memory = Memory(SIZES.get(size, 0), parts.displacement or Number(0), segment, *parts.form())
    _check_address(memory, mode, parts.displacement)
    return replace(memory, segment=_override(memory, mode))


class _AddressParts:
    """Sorts the terms of an address into registers and the rest, which is the displacement."""

    def __init__(self, constant: Callable[[str], int | None]) -> None:
        self.displacement: Expression | None = None
        self._constant = constant
        self._plain: list[str] = []
        self._scaled: list[tuple[str, int]] = []
        self._rip = False

    def add(self, tree: Expression, sign: int) -> None:
        match tree:
            case Binary("+", left, right):
                self.add(left, sign)
                self.add(right, sign)
            case Binary("-", left, right):
                self.add(left, sign)
                self.add(right, -sign)
            case _ if not any(name.lower() in RESERVED for name in symbols(tree)):
                self._add_displacement(tree, sign)
            case _ if sign < 0:
                raise AssemblyError("a register cannot be subtracted in an address")
            case Symbol(name) if name.lower() == "rip":
                self._rip = True
            case Symbol(name):
                self._plain.append(name.lower())
            case Binary("*", Symbol(name), factor) if name.lower() in RESERVED:
                self._scaled.append((name.lower(), self._scale(factor)))
            case Binary("*", factor, Symbol(name)) if name.lower() in RESERVED:
                self._scaled.append((name.lower(), self._scale(factor)))
            case _:
                raise AssemblyError("an address is [base + index*scale + number]")

    def form(self) -> tuple[str, str, int, bool]:
        """(base, index, scale, rip)."""
        registers = len(self._plain) + len(self._scaled)
        if self._rip and registers:
            raise AssemblyError("rip takes no other register")
        if registers > 2 or len(self._scaled) > 1:
            raise AssemblyError("an address has at most a base and one scaled index")
        if self._scaled and self._scaled[0][1] == 1:
            self._plain.append(self._scaled.pop()[0])
        base = self._plain[0] if self._plain else ""
        index, scale = self._scaled[0] if self._scaled else ((self._plain[1:] or [""])[0], 1)
        if index in ("rsp", "esp") and scale == 1 and base not in ("rsp", "esp"):
            base, index = index, base  # the stack pointer can only be a base
        return base, index, scale, self._rip

    def _add_displacement(self, tree: Expression, sign: int) -> None:
        if self.displacement is None:
            self.displacement = tree if sign > 0 else Unary("-", tree)
        else:
            self.displacement = Binary("+" if sign > 0 else "-", self.displacement, tree)

    def _scale(self, factor: Expression) -> int:
        value = factor.value if isinstance(factor, Number) else None
        if isinstance(factor, Symbol):
            value = self._constant(factor.name)
        if value not in (1, 2, 4, 8):
            raise AssemblyError("a scale is 1, 2, 4 or 8")
        return value


def _override(memory: Memory[Expression], mode: int) -> str:
    """The segment that must be named in the encoding; "" where the processor takes it anyway."""
    usual = "ss" if memory.base in ("ebp", "esp", "bp") else "ds"
    if mode == 64 and memory.segment not in ("", "fs", "gs"):
        raise AssemblyError(f"{memory.segment}: in 64-bit code only fs: and gs: mean anything")
    if memory.segment == "ds" and usual == "ss":
        raise AssemblyError(f"ds:[{memory.base}]: Keystone forgets the ds: here; use another base register")
    return "" if memory.segment == usual else memory.segment


def _check_address(memory: Memory[Expression], mode: int, displacement: Expression | None) -> None:
    registers = [name for name in (memory.base, memory.index) if name]
    for name in registers:
        kind, size = REGISTERS.get(name, ("", 0))
        if kind != "r" or size not in ((16, 32) if mode == 16 else (mode,)):
            raise AssemblyError(f"{name} cannot be part of an address in .code{mode}")
    if len({REGISTERS[name][1] for name in registers}) > 1:
        raise AssemblyError(f"{memory.base} and {memory.index} differ in size")
    if memory.index in ("rsp", "esp"):
        raise AssemblyError(f"{memory.index} cannot be an index")
    if registers and REGISTERS[registers[0]][1] == 16:
        alone = len(registers) == 1 and memory.base in _ALONE_16
        if memory.scale != 1 or not (alone or (memory.base, memory.index) in _BASES_16):
            raise AssemblyError("a 16-bit address is [bx or bp + si or di + number]")
    if memory.rip and mode != 64:
        raise AssemblyError("rip-relative addresses exist only in 64-bit code")
    if memory.rip and displacement is None:
        raise AssemblyError("[rip] alone: write [rip + label]")
    if mode == 64 and not registers and not memory.rip:
        raise AssemblyError("an absolute address in 64-bit code: write [rip + label], or use a base register")
