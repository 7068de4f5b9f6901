"""What the comment in front of a routine says that it clobbers is what it, and all that it calls, may write.

Followed are all ways through a routine that return: what only a failure writes (it ends in panic) does not count, nor
does a register that is pushed and popped again. A call of a routine with a contract writes what that says. A call by
a pointer in memory is of EFI's firmware; one by a pointer in a register, of a routine of ours, is taken to write
nothing: there the contract is what the caller's comment says.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import capstone
import pytest
from assembling import link_text
from capstone import x86
from machine import stub
from resident import resident

from bootwright.common.abi import stub_directory
from bootwright.link import layout
from bootwright.link.linked import Linked

REGISTERS = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", *(f"r{n}" for n in range(8, 16)))
EFI = frozenset({"rax", "rcx", "rdx", "r8", "r9", "r10", "r11"})  # what a function may write in the Microsoft x64 ABI
DEEPEST = 100  # that a stack is followed: digits of a number are pushed in a loop
MODES = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}
KEY = r"\b(?:in|out|clobbers|fails):|never returns|$"


def whole(name: str) -> str | None:
    """The 64-bit register that a register is part of; None for one that no contract speaks of."""
    if match := re.fullmatch(r"(r\d+)[dwb]?", name):
        return match[1]
    if match := re.fullmatch(r"[re]?([abcd])[xlh]|[re]?(si|di|bp)l?", name):
        return f"r{match[1]}x" if match[1] else f"r{match[2]}"
    return None


def registers(text: str) -> frozenset[str]:
    """The registers that a text names, "r12 to r15" being four."""
    text = re.sub(r"r(\d+) to r(\d+)", lambda m: " ".join(f"r{n}" for n in range(int(m[1]), int(m[2]) + 1)), text)
    return frozenset(found for word in re.findall(r"\w+", text) if (found := whole(word)))


@dataclass(frozen=True)
class Contract:
    """writes: what it may change; None where it does not say."""

    writes: frozenset[str] | None
    returns: bool


def contract(comment: str) -> Contract:
    """What a comment says."""
    out = registers(" ".join(re.findall(rf"\bout:(.*?)(?={KEY})", comment)))
    returns = "never returns" not in comment
    found = re.search(rf"\bclobbers:(.*?)(?=;|\. |{KEY})", comment)
    if not found or "and what" in found[1]:
        return Contract(None, returns)
    named = registers(found[1])
    return Contract((frozenset(REGISTERS) - named if "all but" in found[1] else named) | out, returns)


def contracts(path: Path) -> Iterator[tuple[str, Contract]]:
    """The labels of a file that a comment stands in front of, local ones as "routine.label"."""
    comment: list[str] = []
    routine = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        label = re.match(r"(\.?)(\w+):", line)
        if label:
            routine = routine if label[1] else label[2]
            name = routine + label[0][:-1] if label[1] else routine
            if comment:
                yield name, contract(" ".join(comment))
        comment = [*comment, line[1:].strip()] if line.startswith(";") else []


PROGRAMS: dict[str, Callable[[], Linked]] = {"stub": stub, "partition": resident}


@functools.cache
def written(program: str) -> dict[str, Contract]:
    """The contracts of all routines of a program, by the name of its layout."""
    names = [name for found in layout.load(program).files.values() for name in found]
    return {name: found for path in names for name, found in contracts(stub_directory() / f"{path}.asm")}


CHECKED = sorted(
    (program, name)
    for program in PROGRAMS
    for name, found in written(program).items()
    if found.writes is not None and found.returns
)


SOURCES = sorted(path for kind in ("*.asm", "*.inc") for path in stub_directory().rglob(kind))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(stub_directory()).as_posix())
def test_a_local_label_is_its_routine_s_alone(path: Path) -> None:
    """What another routine goes to has a name and a contract of its own."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        code = re.sub(r"\"[^\"]*\"|'[^']*'|;.*", "", line)
        assert code.lstrip().startswith(".section ") or not re.search(r"\w\.\w", code), f"{path.name}:{number}: {line}"


def test_what_comments_name_is_there() -> None:
    """Files and folders of the stub, by the names that they have today."""
    paths = [*SOURCES, *stub_directory().rglob("*.h")]
    named = re.compile(r"(?<![\w/])((?:[a-z_0-9]+/)*[a-z_0-9]+\.(?:asm|inc)|(?:[a-z_0-9]+/)+)(?![\w/.]\w)")
    for path in paths:
        for name in named.findall(path.read_text(encoding="utf-8")):
            folder = name.removeprefix("stub/")
            there = (stub_directory() / folder).is_dir() if name.endswith("/") else None
            assert there or any(f"/{other.as_posix()}".endswith(f"/{name}") for other in paths), f"{path.name}: {name}"


def test_what_is_launched_is_asked_of_the_tables_once() -> None:
    """Behind the builder a hypervisor and a domain differ in launch_target alone; efi.asm asks before there is one."""
    naming = {
        path.relative_to(stub_directory()).as_posix()
        for path in SOURCES
        if re.search(r"\bTABLES_HYPERVISOR(_PROTOCOL|_ENTRY|_CMDLINE)?\b", path.read_text(encoding="utf-8"))
    }
    assert naming == {"boot/builder.asm", "boot/tables.asm", "entry/efi.asm", "generic/boot_tables.asm"}


Stack = tuple[str | None, ...]  # what was pushed: None for anything but a register as it was at entry


@dataclass(frozen=True)
class State:
    """changed: registers with another value than at entry; frame: a copy of rsp, and how deep the stack was then."""

    changed: frozenset[str] = frozenset()
    stack: Stack = ()
    frame: tuple[str, int] | None = None

    def after(self, done: capstone.CsInsn, word: int) -> State:
        """The state behind an instruction that is no branch; word: bytes that a push takes."""
        name, operands = done.mnemonic, done.op_str.split(", ")
        wrote = frozenset(found for number in done.regs_access()[1] if (found := whole(done.reg_name(number))))
        stack, frame, first = self.stack, self.frame, whole(operands[0])
        if name.startswith("push"):
            stack = (*stack, first if first not in self.changed else None)
        elif name.startswith("pop"):
            *rest, top = stack or (None,)  # a routine may pop its return address
            kept = first is not None and top == first
            return State(self.changed - {first} if kept else self.changed | wrote, tuple(rest), frame)
        elif operands[0] in ("rsp", "esp") and name in ("add", "sub"):
            count = int(operands[1], 0) // word
            stack = stack[:-count] if name == "add" else (*stack, *[None] * count)
        elif operands[0] == "rsp" and name == "mov":
            assert frame and frame[0] == operands[1], f"{done}: rsp is not what was kept"
            stack = stack[: frame[1]]
        elif name == "mov" and operands[1] == "rsp":
            frame = (operands[0], len(stack))
        return State(self.changed | wrote, stack, frame)


class Code:
    """Linked code, to be followed. contracts: of its routines, by name."""

    def __init__(self, linked: Linked, contracts: Mapping[str, Contract]) -> None:
        self._contracts = contracts
        self._code = {found.address: found for found in linked.instructions}
        self._names: dict[int, list[str]] = {}
        for name, address in linked.symbols.items():
            self._names.setdefault(address, []).append(name)
        self._known: dict[int, frozenset[str] | None] = {}
        self._decoders = {bits: capstone.Cs(capstone.CS_ARCH_X86, mode) for bits, mode in MODES.items()}
        for decoder in self._decoders.values():
            decoder.detail = True

    def called(self, address: int) -> frozenset[str] | None:
        """What a call changes, by the contract if there is one; None where it does not return."""
        for name in self._names.get(address, []):
            found = self._contracts.get(name)
            if found and not found.returns:
                return None
            if found and found.writes is not None:
                return found.writes
        return self.writes(address)

    def writes(self, start: int) -> frozenset[str] | None:
        """What a routine has changed when it returns; None if it does not."""
        if start not in self._known:
            self._known[start] = frozenset()  # for one that calls itself: what else it does counts
            self._known[start] = self._follow(start)
        return self._known[start]

    def _follow(self, start: int) -> frozenset[str] | None:
        returned: list[frozenset[str]] = []
        seen: dict[tuple[int, Stack, tuple[str, int] | None], frozenset[str]] = {}
        todo = [(start, State())]
        while todo:
            address, state = todo.pop()
            known = seen.get((address, state.stack, state.frame))
            if (known is not None and state.changed <= known) or len(state.stack) > DEEPEST:
                continue
            state = replace(state, changed=state.changed | (known or frozenset()))
            seen[address, state.stack, state.frame] = state.changed
            found = self._code[address]
            bits = found.instruction.mode
            (done,) = self._decoders[bits].disasm(found.data, address)
            behind = address + len(found.data)
            target = done.operands[0].imm if done.operands and done.operands[0].type == x86.X86_OP_IMM else None
            if done.group(capstone.CS_GRP_RET):
                returned.append(state.changed)
            elif done.mnemonic == "call":
                pointed = EFI if "[" in done.op_str else frozenset[str]()
                more = pointed if target is None else self.called(target)
                if more is not None:
                    todo.append((behind, replace(state, changed=state.changed | more)))
            elif done.mnemonic == "jmp":
                if target is None:
                    returned.append(state.changed)
                elif target != start and self._is_routine(target):
                    more = self.called(target)
                    if more is not None:
                        returned.append(state.changed | more)
                else:
                    todo.append((target, state))
            elif done.mnemonic not in ("hlt", "ud2"):
                if done.group(capstone.CS_GRP_JUMP) and target is not None:
                    todo.append((target, state))
                todo.append((behind, state.after(done, bits // 8)))
        return frozenset[str]().union(*returned) if returned else None

    def _is_routine(self, address: int) -> bool:
        return any("." not in name and name in self._contracts for name in self._names.get(address, []))


@functools.cache
def code(program: str) -> Code:
    return Code(PROGRAMS[program](), written(program))


@pytest.mark.parametrize(("program", "name"), CHECKED)
def test_a_routine_writes_what_its_contract_says(program: str, name: str) -> None:
    said = written(program)[name].writes
    found = code(program).writes(PROGRAMS[program]().symbols[name])
    assert said is not None and found is not None
    assert found <= said, f"writes {', '.join(sorted(found - said))} as well"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mov eax, 1\nmov r9b, 2\nret", "rax r9"),
        ("push rbx\nmov ebx, 1\npop rbx\nret", ""),
        ("push rbx\nmov ebx, 1\npop rcx\nret", "rbx rcx"),
        ("mov ebx, 1\npush rbx\npop rbx\nret", "rbx"),
        ("push rbx\nsub rsp, 16\nmov ebx, 1\nadd rsp, 16\npop rbx\nret", ""),
        ("test edi, edi\njz .end\nmov esi, 1\n.end:\nret", "rsi"),
        ("test edi, edi\njz .end\nret\n.end:\nmov esi, 1\n.halt:\nhlt\njmp .halt", ""),
        ("call other\nret\nother:\nrep movsb\nret", "rcx rsi rdi"),
        ("jmp other\nother:\ncpuid\nret", "rax rbx rcx rdx"),
        ("call qword ptr [rbx + 8]\nret", "rax rcx rdx r8 r9 r10 r11"),
    ],
)
def test_what_code_writes_is_found(tmp_path: Path, text: str, found: str) -> None:
    linked = link_text(tmp_path, f".code64\nstart:\n{text}\n")
    assert Code(linked, {}).writes(linked.symbols["start"]) == set(found.split())


@pytest.mark.parametrize(
    ("comment", "writes"),
    [
        ("in: rdi = bytes out: rax = address clobbers: ecx, r8 to r10", "rax rcx r8 r9 r10"),
        ("in: rsi; out: rdi, rax; clobbers: rbx. Not rcx.", "rdi rax rbx"),
        ("clobbers: all but rax, rbx, rbp, r8 to r15, rsp fails: E_RCX", "rcx rdx rsi rdi"),
        ("clobbers: al, dil; fails: what rbx does", "rax rdi"),
    ],
)
def test_what_a_contract_says_is_read(comment: str, writes: str) -> None:
    assert contract(comment) == Contract(frozenset(writes.split()), True)
