"""The instructions that may be written, with the forms of their operands; all others are refused.

A form is a string of operand kinds. In the order of the table's use:

    r m rm      general register, memory, either; all such operands of a form have one size (its group)
    r8 rm32 ... the same with a size of its own; a trailing ? lets the size of memory be left out
    rn mn in    of the mode's own size (64 bits in 64-bit code): stack and branches
    rc          of the size of control registers: 64 bits in 64-bit code, else 32
    x x/m128?   SSE register; or memory of that many bits
    i           immediate of the group's size: what fits signed or unsigned, sign-extended from 32 bits at 64
    i64 i16 i8  immediate of its own size, unsigned but for i64; `shift` is below the group's number of bits
    t           branch target · any: memory without a size · s c d: segment, control, debug register
    al cl dx eax ecx rax acc xmm0   this register; acc is al, ax or eax of the group

`2+` in front of a form excludes 8-bit groups, `4+` 16-bit ones too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from types import MappingProxyType

from bootwright.asm.expression import Expression
from bootwright.asm.operands import SIZES, Immediate, Instruction, Memory, Operand, Register, Target
from bootwright.common.errors import AssemblyError

_CONDITIONS = "o no b nae c ae nb nc e z ne nz be na a nbe s ns p pe np po l nge ge nl le ng g nle"
_FORMS = {
    "mov": "r64 i64|rm r|r m|rm i|rm16 s|r32 s|r64 s|s rm16|s r32|s r64|rc c|c rc|rc d|d rc",
    "movabs": "r64 i64",
    "movzx": "r16 rm8|r32 rm8|r64 rm8|r32 rm16|r64 rm16",
    "movsx": "r16 rm8|r32 rm8|r64 rm8|r32 rm16|r64 rm16",
    "movsxd": "r64 rm32",
    "lea": "2+r any",
    "add or adc sbb and sub xor cmp": "rm r|r m|rm i",
    "test": "rm r|r m|rm i",
    "inc dec neg not mul div idiv": "rm",
    "imul": "rm|2+r rm|2+r rm i",
    "shl shr sar sal rol ror rcl rcr": "rm cl|rm shift",
    "shld shrd": "2+rm r cl|2+rm r shift",
    "bt bts btr btc": "2+rm r|2+rm shift",
    "bsf bsr tzcnt lzcnt popcnt": "2+r rm",
    "bswap": "r32|r64",
    "xchg": "rm r|r m",
    "cmpxchg xadd": "rm r",
    "cmpxchg8b": "m64?",
    "cmpxchg16b": "m128?",
    "push": "rn|mn|in|s",
    "pop": "rn|mn|s",
    "call jmp": "t|rn|mn",
    "ljmp lcall": "any|m48",  # an fword: an offset of 32 bits in 16-bit code too
    "ret retf retfq": "|i16",
    "loop loope loopne jrcxz jecxz jcxz": "t",
    "int": "i8",
    "in": "acc i8|acc dx",
    "out": "i8 acc|dx acc",
    "lgdt lidt sgdt sidt invlpg prefetcht0 prefetcht1 prefetcht2 prefetchnta fxsave fxrstor xsave xrstor": "any",
    "lldt ltr": "rm16?",
    "str sldt": "r16|r32|m16?",
    "lmsw": "rm16?",
    "smsw": "r16|r32|m16?",
    "clflush": "m8?",
    "rdrand rdseed": "2+r",
    "vmrun vmload vmsave": "rax",
    "invlpga": "rax ecx",
    "skinit": "eax",
    "movnti": "m32? r32|m64? r64",
    "crc32": "r32 rm8|r32 rm16|r32 rm32|r64 rm8|r64 rm64",
    "ldmxcsr stmxcsr": "m32?",
    "movd": "x rm32?|rm32? x",
    "movq": "x r64|r64 x|x x/m64?|m64? x",
    "movdqa movdqu movaps movups": "x x/m128?|m128? x",
    "movntdq": "m128? x",
    "pinsrb": "x r32 i8|x m8? i8",
    "pinsrd": "x rm32? i8",
    "pinsrq": "x rm64? i8",
    "pextrd": "rm32? x i8",
    "pextrq": "rm64? x i8",
    "pmovmskb": "r32 x",
    "pshufd pshufhw pshuflw palignr pblendw": "x x/m128? i8",
    "pslld pslldq psrld psrldq psllq psrlq psllw psrlw psrad psraw": "x i8",
    "sha256rnds2": "x x/m128? xmm0",
}
_SSE = (
    "paddb paddw paddd paddq psubb psubw psubd psubq pand pandn por pxor pshufb ptest xorps andps orps "
    "punpcklbw punpcklwd punpckldq punpcklqdq punpckhbw punpckhwd punpckhdq punpckhqdq "
    "pcmpeqb pcmpeqw pcmpeqd pcmpgtb pcmpgtw pcmpgtd pminub pmaxub pmulld pmuludq sha256msg1 sha256msg2"
)
_ALONE = (
    "nop hlt pause cld std cli sti clc stc cmc cwd cdq cqo cbw cwde cdqe lahf sahf leave ud2 int1 int3 into "
    "pushf popf pushfd popfd pushfq popfq iret iretd iretq "
    "cpuid rdtsc rdtscp rdmsr wrmsr rdpmc wbinvd invd clts swapgs "
    "lfence mfence sfence fninit emms xgetbv xsetbv syscall sysenter monitor mwait monitorx mwaitx clac stac "
    "vmmcall stgi clgi vmcall vmlaunch vmresume vmxoff"
)
_MOVING = "movsb movsw movsd movsq stosb stosw stosd stosq lodsb lodsw lodsd lodsq insb insw insd outsb outsw outsd"
_COMPARING = "cmpsb cmpsw cmpsd cmpsq scasb scasw scasd scasq"
STRINGS = MappingProxyType(
    {
        **dict.fromkeys(_MOVING.split(), ("rep",)),
        **dict.fromkeys(_COMPARING.split(), ("repe", "repz", "repne", "repnz")),
    }
)
"""String instructions and the repeat prefixes that mean something with them."""

LOCKABLE = frozenset(
    [
        "add",
        "or",
        "adc",
        "sbb",
        "and",
        "sub",
        "xor",
        "inc",
        "dec",
        "neg",
        "not",
        "bts",
        "btr",
        "btc",
        "xchg",
        "cmpxchg",
        "cmpxchg8b",
        "cmpxchg16b",
        "xadd",
    ]
)
"""Instructions that may be locked, where their first operand is memory."""

_REFUSED = {
    "iret": {32: "iretd", 64: "iretq"},  # Keystone encodes the 16-bit one
    "pushf": {32: "pushfd", 64: "pushfq"},
    "popf": {32: "popfd", 64: "popfq"},
}
_ONLY_IN = {"swapgs": (64,), "into": (16, 32)}  # Keystone would take both anywhere
PREFIXES = frozenset({"lock", "rep", "repe", "repz", "repne", "repnz"})


def _table() -> Mapping[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for names, forms in _FORMS.items():
        table |= dict.fromkeys(names.split(), tuple(forms.split("|")))
    table |= dict.fromkeys(_SSE.split(), ("x x/m128?",))
    for name in ["pslld", "psrld", "psllq", "psrlq", "psllw", "psrlw", "psrad", "psraw"]:
        table[name] = ("x x/m128?", "x i8")
    table |= dict.fromkeys([*_ALONE.split(), *STRINGS], ("",))
    for condition in _CONDITIONS.split():
        table |= {f"j{condition}": ("t",), f"set{condition}": ("rm8?",), f"cmov{condition}": ("2+r rm",)}
    return MappingProxyType(table)


INSTRUCTIONS = _table()
"""Every mnemonic that may be written, with its forms."""

_KIND = re.compile(r"(rm|r|m|x/m|x|i)(8|16|32|48|64|128|n|c)?(\?)?$")
_NAMES = {bits: f"{name} ptr" for name, bits in SIZES.items()}
_GENERAL_SIZES = (8, 16, 32, 64)


class _Misfit(Exception):
    """A form does not fit. rank: how near it came, so that the most helpful reason is shown."""

    def __init__(self, rank: int, reason: str = "") -> None:
        super().__init__(reason)
        self.rank = rank
        self.reason = reason


def select_form(
    mode: int, prefix: str, mnemonic: str, operands: Sequence[Operand[Expression]]
) -> Instruction[Expression]:
    """The instruction with the size of every memory operand and the range of every immediate settled.

    Raises AssemblyError (without a place) for what is not allowed, with the reason that comes nearest.
    """
    if mnemonic not in INSTRUCTIONS:
        near = get_close_matches(mnemonic, INSTRUCTIONS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise AssemblyError(f"{mnemonic} is no known directive, macro or allowed instruction{hint}")
    if mode in _REFUSED.get(mnemonic, {}):
        raise AssemblyError(f"{mnemonic} in .code{mode} would be the 16-bit one: write {_REFUSED[mnemonic][mode]}")
    if mode not in (modes := _ONLY_IN.get(mnemonic, (mode,))):
        raise AssemblyError(f"{mnemonic} exists only in {' and '.join(f'{bits}-bit' for bits in modes)} code")
    worst = _Misfit(-1)
    for form in INSTRUCTIONS[mnemonic]:
        try:
            settled = _fit(form, mode, operands)
        except _Misfit as misfit:
            worst = misfit if misfit.rank > worst.rank else worst
            continue
        instruction = _plain_segment_load(Instruction(mode, mnemonic, settled, prefix))
        _check_prefix(instruction)
        _check_registers(instruction)
        return instruction
    raise AssemblyError(f"{mnemonic}: {worst.reason or 'does not take these operands'}")


def _fit(form: str, mode: int, operands: Sequence[Operand[Expression]]) -> tuple[Operand[Expression], ...]:
    smallest = 8
    if form[1:2] == "+":
        smallest, form = int(form[0]) * 8, form[2:]
    kinds = form.split()
    if len(kinds) != len(operands):
        raise _Misfit(0)
    group = 0
    unsized: Memory[Expression] | None = None
    for kind, operand in zip(kinds, operands, strict=True):
        _check_kind(kind, operand, mode)
        if kind in ("r", "m", "rm") and isinstance(operand, Register | Memory):
            if operand.size and group and operand.size != group:
                raise _Misfit(4, f"operands of {group} and {operand.size} bits")
            group = group or operand.size
            unsized = operand if isinstance(operand, Memory) and not operand.size else unsized
    if unsized and not group:
        raise _Misfit(3, "nothing says how large the memory operand is: write byte, word, dword or qword ptr")
    if group and not (group in _GENERAL_SIZES and group >= smallest):
        raise _Misfit(1, f"has no form with operands of {group} bits")
    return tuple(_settle(kind, operand, mode, group) for kind, operand in zip(kinds, operands, strict=True))


def _own_size(kind: str, mode: int) -> tuple[str, int, bool]:
    """(kind without its size, the size, whether memory may leave it out)."""
    match = _KIND.match(kind)
    if not match:
        return kind, 0, True
    own = {"n": mode, "c": max(mode, 32)}
    return match[1], own[match[2]] if match[2] in own else int(match[2] or 0), bool(match[3])


def _check_kind(kind: str, operand: Operand[Expression], mode: int) -> None:
    plain, size, optional = _own_size(kind, mode)
    match operand:
        case Register():
            named = plain == operand.name or (plain == "acc" and operand.name in ("al", "ax", "eax"))
            if not named and operand.kind != (plain[:1] if plain in ("rm", "x/m") else plain):
                raise _Misfit(1)
            if size and operand.kind == "r" and operand.size != size:
                raise _Misfit(2, f"{operand.name} has {operand.size} bits where {size} are needed")
        case Memory():
            if plain not in ("m", "rm", "x/m", "any"):
                raise _Misfit(1)
            if plain == "any" and operand.size:
                raise _Misfit(4, f"its memory operand has no size: leave {_NAMES[operand.size]} out")
            if size and operand.size and operand.size != size:
                raise _Misfit(2, f"{_NAMES[operand.size]} where {_NAMES[size]} is needed")
            if size and not operand.size and not optional:
                raise _Misfit(3, "its memory operand needs a size: write byte, word, dword or qword ptr")
        case Immediate():
            if plain not in ("i", "t", "shift"):
                raise _Misfit(1)
        case Target():
            raise _Misfit(1)


def _settle(kind: str, operand: Operand[Expression], mode: int, group: int) -> Operand[Expression]:
    plain, size, _ = _own_size(kind, mode)
    if isinstance(operand, Memory) and plain != "any":
        return replace(operand, size=size or group)
    if isinstance(operand, Immediate):
        if plain == "t":
            return Target(operand.value)
        if plain == "shift":
            return Immediate(operand.value, 8, 0, group - 1)
        if kind in ("i8", "i16"):
            return Immediate(operand.value, size, 0, (1 << size) - 1)
        if kind == "i64":
            return Immediate(operand.value, 64, -(1 << 63), (1 << 64) - 1)
        bits = size or group
        extended = bits == 64
        return Immediate(operand.value, bits, -(1 << min(bits - 1, 31)), (1 << (31 if extended else bits)) - 1)
    return operand


def _plain_segment_load(instruction: Instruction[Expression]) -> Instruction[Expression]:
    """`mov ds, ax` as `mov ds, eax` or the reverse: the same, in the size that needs no prefix."""
    match instruction.operands:
        case (Register(name) as segment, Register(source) as other) if segment.kind == "s":
            if other.size == 16 and instruction.mode != 16:
                source = f"{source[:-1]}d" if source.startswith("r") else f"e{source}"
            elif other.size == 32 and instruction.mode == 16:
                source = source[1:]
            return replace(instruction, operands=(Register(name), Register(source)))
    return instruction


def _check_prefix(instruction: Instruction[Expression]) -> None:
    prefix, mnemonic = instruction.prefix, instruction.mnemonic
    if prefix == "lock":
        if mnemonic not in LOCKABLE or not isinstance(instruction.operands[0], Memory):
            raise AssemblyError(f"lock {mnemonic}: only a change of memory can be locked")
    elif prefix and prefix not in STRINGS.get(mnemonic, ()):
        usable = " or ".join(STRINGS.get(mnemonic, ())) or "no prefix"
        raise AssemblyError(f"{prefix} {mnemonic}: {mnemonic} takes {usable}")


def _check_registers(instruction: Instruction[Expression]) -> None:
    registers = [operand for operand in instruction.operands if isinstance(operand, Register)]
    addresses = [operand for operand in instruction.operands if isinstance(operand, Memory)]
    if instruction.mode == 16 and any(register.kind == "x" for register in registers):
        raise AssemblyError("SSE registers in .code16 are not supported")
    if instruction.mode == 16 and instruction.mnemonic == "push" and not registers and not addresses:
        raise AssemblyError("push of a number in .code16 would be the 32-bit one: push a register")
    wide = any(register.size == 64 or register.needs_64 for register in registers)
    new = any(name[1:2].isdigit() for memory in addresses for name in (memory.base, memory.index))
    if any(register.is_high_byte for register in registers) and (wide or new):
        raise AssemblyError("ah, bh, ch and dh cannot stand beside a register that is new in 64-bit code")
    segments = [register.name for register in registers if register.kind == "s"]
    first = instruction.operands[0] if instruction.operands else None
    if first == Register("cs") and instruction.mnemonic in ("pop", "mov"):
        raise AssemblyError("cs is changed by a far jump or return only")
    stacked = instruction.mnemonic in ("push", "pop") and segments
    if stacked and instruction.mode == 64 and segments[0] not in ("fs", "gs"):
        raise AssemblyError(f"{instruction.mnemonic} {segments[0]} does not exist in 64-bit code")
