"""The same instructions through GNU as: a second opinion on every byte that Keystone made.

`compare(instructions)` takes the instructions of a link as the front end understood them (numbers only),
gives them all to one run of GNU as in its Intel syntax, and returns those whose bytes differ beyond the
explained list below.
"""

from __future__ import annotations

import io
import itertools
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

from bootwright.asm.encode import render
from bootwright.asm.operands import Instruction, Operand, Register, Target
from bootwright.asm.template import relative
from bootwright.link.linked import LinkedInstruction

# What GNU as calls differently in Intel syntax for 32- and 64-bit code: its ljmp is the 16:16 one.
_NAMES = {"ljmp": "jmp fword ptr", "lcall": "call fword ptr"}


@dataclass(frozen=True)
class Difference:
    """An instruction that GNU as encodes differently."""

    instruction: LinkedInstruction
    text: str
    gnu: bytes

    def __str__(self) -> str:
        linked = self.instruction
        return f"{linked.line.where}: {self.text}: {linked.data.hex()}, GNU as makes {self.gnu.hex()}"


def compare(instructions: Sequence[LinkedInstruction]) -> list[Difference]:
    """Those instructions whose bytes GNU as does not agree with, without the explained differences."""
    texts = [render_for_gnu(linked) for linked in instructions]
    modes = [linked.instruction.mode for linked in instructions]
    found = assemble(list(zip(modes, texts, strict=True)))
    return [
        Difference(linked, text, gnu)
        for linked, text, gnu in zip(instructions, texts, found, strict=True)
        if gnu != linked.data and not is_explained(linked.instruction, linked.data, gnu)
    ]


def render_for_gnu(linked: LinkedInstruction) -> str:
    """The instruction in GNU as's Intel syntax; a branch target as `. + delta`."""
    instruction = linked.instruction
    target = next((operand for operand in instruction.operands if isinstance(operand, Target)), None)
    if target is not None:
        return f"{instruction.mnemonic} .{target.address - linked.address:+#x}"
    text = render(relative(instruction, linked.address + len(linked.data)))
    if instruction.mnemonic in _NAMES and (instruction.mode != 16 or "fword" in text):
        return text.replace("fword ptr ", "").replace(instruction.mnemonic, _NAMES[instruction.mnemonic], 1)
    return text


def assemble(statements: Sequence[tuple[int, str]]) -> list[bytes]:
    """The bytes of each (mode, text), from one run of GNU as. Raises AssertionError with its messages."""
    lines = [".intel_syntax noprefix"]
    for number, (mode, text) in enumerate(statements):
        lines += [f".code{mode}", f".L{number}: {text}"]
    lines += [f".L{len(statements)}:", '.section .places, "a"']
    lines += [f".long .L{number} - .L0" for number in range(len(statements) + 1)]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.o"
        run = subprocess.run(
            ["as", "--64", "-o", str(output), "-"],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, f"GNU as refuses:\n{_annotate(run.stderr, lines)}"
        read = ELFFile(io.BytesIO(output.read_bytes()))
        text_bytes: bytes = read.get_section_by_name(".text").data()
        places = struct.unpack(f"<{len(statements) + 1}I", read.get_section_by_name(".places").data())
    return [text_bytes[start:end] for start, end in itertools.pairwise(places)]


def _annotate(messages: str, lines: Sequence[str]) -> str:
    shown = []
    for message in messages.splitlines()[:20]:
        parts = message.split(":")
        number = int(parts[1]) if len(parts) > 2 and parts[1].isdigit() else 0
        shown.append(f"{message}  <- {lines[number - 1]}" if number else message)
    return "\n".join(shown)


def is_explained(instruction: Instruction[int], data: bytes, gnu: bytes) -> bool:
    """Whether two encodings mean the same for a known reason.

    Legacy prefixes (66 beside f0, f2, f3) have no order: Keystone puts the repeat or lock prefix first.
    `mov` between a 64-bit and a segment register: REX.W changes nothing (the upper bits become zero, or are
    not used); Keystone writes it.
    `int 3`: GNU as takes the one-byte int3; Keystone writes what was asked for.
    """
    if sorted(data) == sorted(gnu) and _opcode(data) == _opcode(gnu):
        return True
    if instruction.mode == 64 and instruction.mnemonic == "mov" and any(map(_is_segment, instruction.operands)):
        return _without_rex_w(data) == gnu
    return (data, gnu) == (b"\xcd\x03", b"\xcc")


def _opcode(data: bytes) -> bytes:
    return data.lstrip(b"\x66\xf0\xf2\xf3")


def _is_segment(operand: Operand[int]) -> bool:
    return isinstance(operand, Register) and operand.kind == "s"


def _without_rex_w(data: bytes) -> bytes:
    plain = data[0] & ~0x08
    return data[1:] if plain == 0x40 else bytes([plain]) + data[1:]
