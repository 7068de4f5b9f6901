"""What a link gives: the image, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

# What an instruction is, is imported with the assembler alone.
if TYPE_CHECKING:
    from bootwright.asm.operands import Instruction
    from bootwright.asm.preprocess import Line


@dataclass(frozen=True)
class LinkedSection:
    """A section in the image: link address, offset in the file, size in bytes, flags of "rwx"."""

    name: str
    address: int
    offset: int
    size: int
    flags: str


@dataclass(frozen=True)
class LinkedInstruction:
    """An instruction in the image as it was understood: numbers only, rip-relative places as addresses."""

    line: Line
    address: int
    data: bytes
    instruction: Instruction[int]


@dataclass(frozen=True)
class Linked:
    """The result of a link. symbols: all names with their addresses, local and pooled ones too; listing: its text."""

    image: bytes
    symbols: Mapping[str, int]
    sections: tuple[LinkedSection, ...]
    listing: str
    instructions: tuple[LinkedInstruction, ...]
    entry: int

    @property
    def code_size(self) -> int:
        """Bytes of code and read-only data: all sections that are executable or in one segment with code."""
        return sum(section.size for section in self.sections if "x" in section.flags)
