"""Every form of every instruction that the assembler allows, as lines of source: from the table itself.

`lines(mode)` yields statements for .code16, .code32 or .code64. Operands vary over small and large numbers,
low and high registers and shapes of addresses, so that each encoding of a form is met.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

from bootwright.asm.encode import BRANCHES_SHORT_ONLY
from bootwright.asm.instructions import INSTRUCTIONS, LOCKABLE, STRINGS

_REGISTERS = {
    8: ("al", "dl", "bh", "r9b", "sil"),
    16: ("ax", "cx", "r10w"),
    32: ("eax", "ebx", "esp", "r12d"),
    64: ("rax", "rdi", "rsp", "r13"),
}
_ADDRESSES = {
    16: ("[bx]", "[bx + si + 0x12]", "[bp - 2]", "[0x1234]", "[di + 0x1234]"),
    32: (
        "[eax]", "[ebp]", "[esp + 4]", "[ebx + ecx*4 + 0x12345]", "[edx*8 + 0x10]", "[0x1234]",
        "[esi - 0x80]",
        "[ebp + 0x80]", "gs:[eax]",
    ),
    64: (
        "[rax]", "[rbp]", "[rsp + 8]", "[r12]", "[r13]", "[rbx + r9*4 + 0x12345]", "[rdx*8 + 0x10]",
        "[rsi - 0x80]",
        "[rdi + 0x80]", "[rip + here]", "gs:[rcx]",
    ),
}  # fmt: skip
_IMMEDIATES = {
    8: ("0", "1", "127", "128", "255", "-128"),
    16: ("1", "127", "128", "0x1234", "0xff80", "-1"),
    32: ("1", "127", "128", "0x12345678", "0xffffff80", "-1", "0x80000000"),
    64: ("1", "127", "128", "0x12345678", "-1", "-0x80000000", "0xffffffff80000000"),
}
_SIZE_NAMES = {8: "byte", 16: "word", 32: "dword", 48: "fword", 64: "qword", 128: "xmmword"}
_ONE_OF = {
    "s": ("ds", "es", "fs", "gs", "ss"),
    "c": ("cr0", "cr2", "cr3", "cr4", "cr8"),
    "d": ("dr0", "dr7"),
    "x": ("xmm0", "xmm7", "xmm12"),
    "i64": ("1", "-1", "0x7fffffff", "0x80000000", "0x123456789abcdef0", "0xffffffff80000000"),
    "i16": ("0", "8", "0xffff"),
    "i8": ("0", "3", "255"),
    "shift": ("1", "5", "7"),
    "t": (".", "there"),
}
_ONLY_64 = frozenset({
    "movabs", "movsxd", "cdqe", "cqo", "iretq", "retfq", "pushfq", "popfq", "swapgs", "syscall", "jrcxz",
    "cmpxchg16b", "movsq", "stosq", "lodsq", "cmpsq", "scasq", "pinsrq", "pextrq", "vmrun", "vmload", "vmsave",
    "invlpga",
})  # fmt: skip
_NOT_64 = frozenset({"pushfd", "popfd", "jcxz", "into"})
_NOT_32 = frozenset({"iret", "pushf", "popf"})


def lines(mode: int) -> Iterator[str]:
    """Statements for one mode; they refer to labels `here` (close) and `there` (far away)."""
    for mnemonic, forms in INSTRUCTIONS.items():
        if not _exists(mnemonic, mode):
            continue
        for form in forms:
            for line in _form(mode, mnemonic, form):
                if _is_possible(line, mode):
                    yield line
                    if mnemonic in LOCKABLE and f"ptr {_ADDRESSES[mode][0]}" in line.split(",")[0]:
                        yield f"lock {line}"
        for prefix in STRINGS.get(mnemonic, ()):
            yield f"{prefix} {mnemonic}"


def _exists(mnemonic: str, mode: int) -> bool:
    if mode == 64:
        return mnemonic not in _NOT_64 and mnemonic not in _NOT_32
    if mnemonic in _ONLY_64:
        return False
    return mode == 16 or mnemonic not in _NOT_32


def _is_possible(line: str, mode: int) -> bool:
    words = set(re.findall(r"\w+", line))
    if "bh" in words and any(word[0] == "r" or word == "sil" for word in words):
        return line.endswith("byte ptr [rax], bh")
    if mode == 16 and (
        any(word.startswith("xmm") for word in words) or (line[:4] == "push" and line[5:6] in "-0123456789")
    ):
        return False
    if "xchg" in words and len(words) == 2:
        return False  # a nop
    if mode == 64 and words & {"push", "pop"} and words & {"ds", "es", "ss"}:
        return False
    return not ("there" in words and words & BRANCHES_SHORT_ONLY)


def _form(mode: int, mnemonic: str, form: str) -> Iterator[str]:
    smallest, form = (int(form[0]) * 8, form[2:]) if form[1:2] == "+" else (8, form)
    kinds = form.split()
    groups = [size for size in (8, 16, 32, 64) if smallest <= size <= (64 if mode == 64 else 32)]
    if not any(kind in ("r", "m", "rm", "acc", "any") for kind in kinds):
        groups = groups[:1]
    for group in groups:
        choices = [tuple(_operands(kind, mode, group)) for kind in kinds]
        if not all(choices):
            continue
        # Every choice of each operand once beside the first of the others, and some mixtures.
        for position, options in enumerate(choices):
            for option in options:
                yield _statement(mnemonic, [each[0] for each in choices], position, option)
        for number, mixture in enumerate(product(*choices)):
            if number % 7 == 3:
                yield f"{mnemonic} {', '.join(mixture)}"
    if not kinds:
        yield mnemonic


def _statement(mnemonic: str, firsts: list[str], position: int, option: str) -> str:
    return f"{mnemonic} {', '.join([*firsts[:position], option, *firsts[position + 1 :]])}"


def _operands(kind: str, mode: int, group: int) -> Iterator[str]:
    plain = kind.rstrip("?")
    if plain == "x" or plain in _ONE_OF:
        yield from (name for name in _ONE_OF[plain] if mode == 64 or name not in ("xmm12", "cr8"))
    elif plain in ("al", "cl", "dx", "eax", "ecx", "rax", "xmm0"):
        yield plain
    elif plain == "acc":
        yield {8: "al", 16: "ax", 32: "eax", 64: "eax"}[group]
    elif plain == "any":
        yield from _ADDRESSES[mode]
    elif plain == "i":
        yield from _IMMEDIATES[group]
    elif plain == "in":
        yield from _IMMEDIATES[mode]
    else:
        yield from _sized(plain, mode, group)


def _sized(plain: str, mode: int, group: int) -> Iterator[str]:
    head = plain.rstrip("0123456789nc")
    tail = plain[len(head) :]
    size = {"n": mode, "c": max(mode, 32)}.get(tail) or int(tail or group)
    if head.startswith("x"):
        yield "xmm3"
    elif head.startswith("r"):
        yield from (name for name in _REGISTERS[size] if mode == 64 or not (name[0] == "r" or name == "sil"))
    if "m" in head.removeprefix("x/"):
        yield from (f"{_SIZE_NAMES[size]} ptr {address}" for address in _ADDRESSES[mode])
