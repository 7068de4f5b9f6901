"""Every instruction's bytes are read back with Capstone and must say exactly what was written.

Keystone miscompiles in silence, so nothing that it makes is believed: the bytes must be one instruction, with
the mnemonic, registers, immediates, memory operand, branch target and prefixes that the source asked for.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import capstone
from capstone import x86

from bootwright.asm.encode import signed
from bootwright.asm.instructions import STRINGS
from bootwright.asm.operands import FWORD, Immediate, Instruction, Memory, Operand, Register, Target
from bootwright.common.errors import AssemblyError

_MODES = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}
_OPERAND_SIZE, _ADDRESS_SIZE = 0x66, 0x67
_REX_W = 8

# One condition has several names; Capstone uses the first.
_CONDITIONS = "b c nae/ae nb nc/e z/ne nz/be na/a nbe/p pe/np po/l nge/ge nl/le ng/g nle"
_ALIASES = {
    f"{head}{other}": f"{head}{names.split()[0]}"
    for names in _CONDITIONS.split("/")
    for other in names.split()[1:]
    for head in ("j", "set", "cmov")
}
_ALIASES |= {"movabs": "mov", "repz": "repe", "repnz": "repne", "sal": "shl"}
_SWAPPABLE = frozenset({"xchg", "test"})  # the two operands mean the same in either order
_FAR = {3: "lcall", 5: "ljmp"}  # by the register field of opcode ff; Capstone calls both by their near names
# Without operands to show it: what works on 16 bits, and what on 32 bits, by its name alone.
_WORD_NAMES = frozenset("movsw stosw lodsw insw outsw cmpsw scasw cbw cwd pushf popf iret".split())  # noqa: SIM905
_DWORD_NAMES = frozenset("movsd stosd lodsd insd outsd cmpsd scasd cwde cdq pushfd popfd iretd".split())  # noqa: SIM905
# Their operand has one size in any mode, without a prefix.
_ONE_SIZE = frozenset({"lldt", "ltr", "lmsw", "movnti", "ldmxcsr", "stmxcsr", "skinit"})
_STORED_WORDS = frozenset({"str", "sldt", "smsw"})  # in memory always 16 bits
_SECOND_DECIDES = frozenset({"out", "crc32"})
_JUMPS_ON_COUNT = {"jecxz": 32, "jcxz": 16}
# Where an instruction goes or reaches, as Capstone writes it: a number alone, or rip with a number.
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")
_RIP = re.compile(r"\[rip(?: ([+-]) (0x[0-9a-f]+|\d+))?\]")


def check(instruction: Instruction[int], data: bytes, address: int) -> None:
    """Compare bytes at an address with what was written. Raises AssemblyError with both readings, no place.

    instruction: in numbers; of a rip-relative operand the absolute address.
    """
    found = list(_engine(instruction.mode).disasm(data, address, 2))
    if len(found) != 1 or found[0].size != len(data):
        reading = "; ".join(f"{each.mnemonic} {each.op_str}" for each in found) or "no instruction"
        raise AssemblyError(f"{_describe(instruction)}: {data.hex()} reads back as {reading}")
    difference = _Comparison(instruction, found[0]).run()
    if difference:
        reading = f"{found[0].mnemonic} {found[0].op_str}".strip()
        raise AssemblyError(
            f"{_describe(instruction)}: {data.hex()} reads back as {reading!r}: {difference} is different"
        )


def check_target(mode: int, data: bytes, address: int, target: int) -> None:
    """Read back one instruction that was checked with another target: a branch to `target`, or a rip-relative operand
    there. Raises AssemblyError with both, no place.
    """
    for _, size, mnemonic, operands in _engine(mode).disasm_lite(data, address, 1):
        by_rip = _RIP.search(operands)
        if by_rip:
            found = address + size + int((by_rip[1] or "+") + (by_rip[2] or "0"), 0)
        elif _NUMBER.fullmatch(operands):
            found = int(operands, 0)
        else:
            break
        if size == len(data) and (found ^ target) & ((1 << mode) - 1) == 0:
            return
        raise AssemblyError(f"{data.hex()} reads back as {mnemonic} {operands}, and not with the target {target:#x}")
    raise AssemblyError(f"{data.hex()} reads back as no instruction with a target")


@cache
def _engine(mode: int) -> capstone.Cs:
    engine = capstone.Cs(capstone.CS_ARCH_X86, _MODES[mode])
    engine.detail = True
    return engine


def _describe(instruction: Instruction[int]) -> str:
    words = [
        instruction.prefix,
        instruction.mnemonic,
        ", ".join(map(_describe_operand, instruction.operands)),
    ]
    return " ".join(word for word in words if word)


def _describe_operand(operand: Operand[int]) -> str:
    match operand:
        case Register(name):
            return name
        case Immediate(value) | Target(value):
            return f"{value:#x}"
        case Memory(size, displacement, segment, base, index, scale, rip):
            registers = [base] if base else []
            registers += [f"{index}*{scale}"] if index else []
            inside = " + ".join([*registers, f"{displacement:#x}"])
            return f"{size} bits at {segment}{':' if segment else ''}[{inside}]{' by rip' if rip else ''}"


class _Comparison:
    def __init__(self, written: Instruction[int], read: Any) -> None:
        self._written = written
        self._read = read

    def run(self) -> str:
        """What differs, or ""."""
        if self._names() != self._written_names():
            return "the mnemonic"
        return self._operands() or self._prefixes()

    def _written_names(self) -> list[str]:
        names = [self._written.prefix, self._written.mnemonic]
        return [self._plain_name(name) for name in names if name]

    def _plain_name(self, name: str) -> str:
        if self._written.mode == 16:
            # In 16-bit code Capstone gives both the name of the 32-bit one; the prefix tells them apart.
            name = {"cbw": "cwde", "cwd": "cdq"}.get(name, name)
        return _ALIASES.get(name, name)

    def _names(self) -> list[str]:
        names = [self._plain_name(name) for name in self._read.mnemonic.split()]
        field = self._read.modrm >> 3 & 7
        if self._read.opcode[0] == 0xFF and field in _FAR:
            names[-1] = _FAR[field]
        return names

    def _operands(self) -> str:
        written, read = self._written.operands, list(self._read.operands)
        if self._written.mnemonic in STRINGS:
            return ""  # their operands are implied; name and prefixes say it all
        if self._written.mnemonic == "sha256rnds2":
            written = written[:2]  # the third is always xmm0
        if len(written) != len(read):
            return "the number of operands"
        pairs = list(zip(written, read, strict=True))
        if self._written.mnemonic in _SWAPPABLE and not all(self._same(*pair) for pair in pairs):
            pairs = list(zip(written, reversed(read), strict=True))
        for operand, other in pairs:
            if not self._same(operand, other):
                return f"operand {_describe_operand(operand)}"
        return ""

    def _same(self, written: Operand[int], read: Any) -> bool:
        match written:
            case Register(name):
                return read.type == x86.X86_OP_REG and self._name(read.reg) == name
            case Immediate(value, bits):
                return read.type == x86.X86_OP_IMM and signed(read.imm, bits) == signed(value, bits)
            case Target(address):
                return read.type == x86.X86_OP_IMM and self._wrap(read.imm) == self._wrap(address)
            case Memory():
                return read.type == x86.X86_OP_MEM and self._same_memory(written, read)

    def _same_memory(self, written: Memory[int], read: Any) -> bool:
        memory = read.mem
        base = self._name(memory.base)
        displacement = memory.disp + (self._read.address + self._read.size if base == "rip" else 0)
        bits = 64 if self._written.mode == 64 else 16 if self._address_bits(written) == 16 else 32
        return (
            base == ("rip" if written.rip else written.base)
            and self._name(memory.index) == written.index
            and (not written.index or memory.scale == written.scale)
            and signed(displacement, bits) == signed(written.displacement, bits)
            and self._name(memory.segment) == written.segment
            and written.size in (0, FWORD, read.size * 8)  # Capstone counts far pointers otherwise in each mode
        )

    def _prefixes(self) -> str:
        """Prefixes must be there when the operands need them and only then: some show in nothing else."""
        operand_size, address_size = self._read.prefix[2], self._read.prefix[3]
        if (address_size == _ADDRESS_SIZE) != self._needs_address_size():
            return "the address size"
        if not self._is_sse() and (operand_size == _OPERAND_SIZE) != self._needs_operand_size():
            return "the operand size"
        if self._written.mnemonic in _FAR.values() and self._read.rex & _REX_W:
            return "the size of the far pointer"
        return ""

    def _needs_address_size(self) -> bool:
        mode = self._written.mode
        if self._written.mnemonic in _JUMPS_ON_COUNT:
            return _JUMPS_ON_COUNT[self._written.mnemonic] != mode
        memory = [operand for operand in self._written.operands if isinstance(operand, Memory)]
        return any(self._address_bits(operand) != mode for operand in memory)

    def _address_bits(self, memory: Memory[int]) -> int:
        name = memory.base or memory.index
        return Register(name).size if name else self._written.mode

    def _needs_operand_size(self) -> bool:
        mode, mnemonic, operands = self._written.mode, self._written.mnemonic, self._written.operands
        if not operands:
            return mnemonic in (_DWORD_NAMES if mode == 16 else _WORD_NAMES)
        decisive = operands[1 if mnemonic in _SECOND_DECIDES else 0]
        kinds = {operand.kind for operand in operands if isinstance(operand, Register)}
        special = kinds & {"c", "d"} or ("s" in kinds and isinstance(decisive, Memory))
        stored = mnemonic in _STORED_WORDS and isinstance(decisive, Memory)
        if special or stored or mnemonic in _ONE_SIZE or not isinstance(decisive, Register | Memory):
            return False
        general = isinstance(decisive, Memory) or decisive.kind == "r"
        return general and decisive.size in ((32, FWORD) if mode == 16 else (16,))

    def _is_sse(self) -> bool:
        return any(isinstance(operand, Register) and operand.kind == "x" for operand in self._written.operands)

    def _name(self, register: int) -> str:
        return str(self._read.reg_name(register)) if register else ""

    def _wrap(self, address: int) -> int:
        return address & ((1 << self._written.mode) - 1)
