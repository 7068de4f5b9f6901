"""GNU as agrees on every instruction: of each form that is allowed, and of the stub and the kernels."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from assembling import link_text
from corpus import lines
from gnu_as import assemble as gnu_assemble
from gnu_as import compare

from bootwright.asm import assemble
from bootwright.asm.instructions import INSTRUCTIONS
from bootwright.common import abi
from bootwright.link import layout, linker
from bootwright.link.linked import Linked, LinkedInstruction

pytestmark = pytest.mark.skipif(not shutil.which("as"), reason="needs binutils")


def corpus(folder: Path, mode: int) -> Linked:
    gap = 0x200 if mode == 16 else 0x8000
    text = "\n".join([f".code{mode}", "start:", "here:", *lines(mode), f".space {gap}", "there: nop"])
    return link_text(folder, text)


def agrees(linked: Linked) -> None:
    assert [str(difference) for difference in compare(linked.instructions)] == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", [16, 32, 64])
def test_every_form_of_every_instruction(tmp_path: Path, mode: int) -> None:
    linked = corpus(tmp_path, mode)
    agrees(linked)
    if mode == 64:
        met = {each.instruction.mnemonic for each in linked.instructions}
        missing = set(INSTRUCTIONS) - met
        assert missing == {"jcxz", "iret", "pushf", "popf", "pushfd", "popfd", "into"}, "only in other modes"


def test_the_stub() -> None:
    how = layout.load("stub")
    paths = [abi.stub_directory() / f"{name}.asm" for names in how.files.values() for name in names]
    agrees(linker.link([assemble.assemble(path) for path in paths], how, reserve={"tables": 4096}))


@pytest.mark.parametrize("path", sorted((abi.stub_directory() / "kernels").glob("*.asm")), ids=lambda path: path.name)
def test_kernels(path: Path) -> None:
    agrees(linker.link([assemble.assemble(path)], layout.load("kernel")))


def test_a_difference_is_shown(tmp_path: Path) -> None:
    linked = link_text(tmp_path, "start: mov eax, ecx\n")
    wrong = [LinkedInstruction(each.line, each.address, b"\x8b\xc1", each.instruction) for each in linked.instructions]
    assert [str(each) for each in compare(wrong)] == [f"{tmp_path}/a.asm:1: mov eax, ecx: 8bc1, GNU as makes 89c8"]
    with pytest.raises(AssertionError, match="GNU as refuses"):
        gnu_assemble([(64, "mov eax, rbx")])
