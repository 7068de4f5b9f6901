"""The dialect: directives, labels, data, and the errors of each, through assemble and link."""

from __future__ import annotations

from pathlib import Path

import pytest
from assembling import BASE, code, contents, link_text, one

from bootwright.common.errors import BootwrightError, ErrorList


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (".byte 1, -1, 0xff, 'A'", "01ffff41"),
        (".word 0x1234, -2", "3412feff"),
        (".long start, start + 4", "0000100004001000"),
        (".quad 0x1122334455667788", "8877665544332211"),
        (".long after - start\nnop\nafter:", "0500000090"),
        ('.ascii "a\\n\\x01\\"b;"', "610a0122623b"),
        ('.asciz "é"', "c3a900"),
        (".space 3", "000000"),
        (".space 2, 0x90", "9090"),
        (".space after - start - 3\n nop\nafter: .byte 1, 2", None),
        (".byte .  - start, . - start", "0000"),
        ("nop\n.set N, after - start\n.byte N\nafter:", "9002"),
        (".set A, B * 2\n.set B, 3\n.byte A", "06"),
        (".byte PAGE_SIZE >> 12", "01"),
        ("nop\n.align 4\nnop", "900f1f0090"),
    ],
)
def test_data(tmp_path: Path, text: str, data: str | None) -> None:
    if data is None:
        with pytest.raises(BootwrightError, match=r"is no number of bytes|does not settle"):
            one(tmp_path, text)
    else:
        assert one(tmp_path, text) == data


def test_texts_of_the_abi(tmp_path: Path) -> None:
    assert code(tmp_path, ".asciz M_PREFIX") == b"bootwright: \0"
    assert code(tmp_path, ".ascii M_PREFIX") == b"bootwright: "


def test_local_labels_belong_to_the_routine_and_section(tmp_path: Path) -> None:
    text = """start:
.loop:  jmp .loop
        .section .rodata
data:
.loop:  .long .loop
        .section .text
        jmp .loop
print:
.loop:  jmp .loop
        jmp start.loop
"""
    linked = link_text(tmp_path, text)
    assert linked.symbols["data.loop"] == linked.symbols["data"]
    assert contents(linked, ".text").hex() == "ebfeebfcebfeebf8"
    assert contents(linked, ".rodata") == linked.symbols["data"].to_bytes(4, "little")


def test_names_belong_to_the_file_that_does_not_make_them_global(tmp_path: Path) -> None:
    ours = "start: jmp other\n.next: jmp twice\ntwice: mov al, SIZE\n.set SIZE, 1\n"
    linked = link_text(tmp_path, ours, ".global other\nother: jmp twice\ntwice: mov al, SIZE\n.set SIZE, 2\n")
    assert contents(linked, ".text").hex() == "eb04" + "eb00" + "b001" + "eb00" + "b002"
    own = [name for name in linked.symbols if name.startswith("twice")]
    assert [name.partition("@")[0] for name in own] == ["twice", "twice"], "told apart by their files"
    assert {"start", "start.next", "other"} <= set(linked.symbols)


@pytest.mark.parametrize(
    ("text", "other", "message"),
    [
        ("start: jmp other", "other: nop", 'symbol "other" is not defined here: '),
        ("start: jmp other", "other: nop", "b.asm has one, and does not say .global other"),
        ("start: mov al, SIZE", ".set SIZE, 1", "does not say .global SIZE"),
        ("start: nop\n.global nothing", "", "a.asm:2: .global nothing: it is not defined in this file"),
        ("start: nop\n.global", "", ".global takes names of labels and constants, not ''"),
        ("start: nop\n.global start.x", "", ".global takes names of labels and constants, not 'start.x'"),
        ("start: nop", ".global start\nstart: nop", "start is already defined at"),
    ],
)
def test_what_a_file_keeps_to_itself(tmp_path: Path, text: str, other: str, message: str) -> None:
    with pytest.raises(BootwrightError) as caught:
        link_text(tmp_path, text, other)
    assert message in str(caught.value)


def test_labels_in_macros(tmp_path: Path) -> None:
    text = ".macro wait\n.again\\@: dec ecx\n jnz .again\\@\n.endm\nwait\nwait"
    assert one(tmp_path, text, mode=32) == "4975fd" * 2


def test_mode_and_section_belong_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "m.inc").write_text(".code32\n.section .data\nx: .byte 1\n")
    linked = link_text(tmp_path, '.code32\nstart: inc eax\n.include "m.inc"\ninc eax\n', "inc eax\n")
    assert contents(linked, ".text").hex() == "4040ffc0"


def test_macros_give_instructions(tmp_path: Path) -> None:
    assert one(tmp_path, ".macro put reg, value\n mov \\reg, \\value_SIZE\n.endm\nput eax, PAGE") == "b800100000"


@pytest.mark.parametrize(
    ("text", "mode", "data"),
    [
        ("mov eax, dword ptr [rip + start]", 64, "8b05faffffff"),
        ("mov byte ptr [rip + start], 1", 64, "c605f9ffffff01"),
        ("cmp dword ptr [rip + start + 4], 0x12345678", 64, "813dfaffffff78563412"),
        ("mov eax, dword ptr [start]", 32, "a100001000"),
        ("mov eax, start", 32, "b800001000"),
        ("mov rax, start", 64, "48c7c000001000"),
        ("lea rax, [rcx*8 + start]", 64, "488d04cd00001000"),
        ("mov al, byte ptr [rbx + PAGE_SIZE - 1]", 64, "8a83ff0f0000"),
        ("mov al, byte ptr [rbx + rcx*MULTIBOOT2_ALIGN]", 64, "8a04cb"),
        ("mov eax, [ebx + 0xfffffffc]", 32, "8b43fc"),
        ("call start", 64, "e8fbffffff"),
        ("jz start", 64, "74fe"),
        ("jmp far_away\n.space 126\nfar_away:", 64, "eb7e" + "00" * 126),
        ("jmp far_away\n.space 128\nfar_away:", 64, "e980000000" + "00" * 128),
        ("jz start\ncall start", 16, "74fee8fbff"),
        ("movsd", 64, "a5"),
        ("rep movsd", 32, "f3a5"),
        ("rep movsd", 16, "f366a5"),
        ("REP STOSQ", 64, "f348ab"),
        ("lock xadd dword ptr [rax], ecx", 64, "f00fc108"),
        ("ljmp [rax]", 64, "ff28"),
        ("ljmp [eax]", 32, "ff28"),
        ("movdqu xmm0, [rax]", 64, "f30f6f00"),
        ("mov eax, dword ptr ds:[eax]", 32, "8b00"),
        ("mov rax, qword ptr [rsp + rbx]", 64, "488b041c"),
        ("mov rax, qword ptr [rbx + rsp]", 64, "488b041c"),
    ],
)
def test_instructions(tmp_path: Path, text: str, mode: int, data: str) -> None:
    assert one(tmp_path, text, mode) == data


def test_a_branch_that_grew_stays_long_when_alignment_gives_room_back(tmp_path: Path) -> None:
    # Growing the first jump moves the alignment: whatever the sizes, the code must settle and be right.
    for gap in range(100, 140):
        text = f"jmp b\n.space {gap}\na: jmp a\n.align 16\nb: jz a\n jmp start\n"
        linked = link_text(tmp_path, f"start: {text}")
        assert linked.symbols["b"] % 16 == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("movv eax, 1", "a.asm:3: movv is no known directive, macro or allowed instruction; did you mean"),
        ("vaddps xmm0, xmm1, xmm2", "vaddps is no known directive, macro or allowed instruction"),
        (".org 5", ".org is no directive of this assembler"),
        (".balign 5", ".balign is no directive of this assembler"),
        ("mov al, 300", "300 (0x12c) does not fit"),
        ("mov al, -129", "-129 (-0x81) does not fit"),
        ("add ax, 0x10000", "65536 (0x10000) does not fit"),
        ("cmp rax, 0x80000000", "2147483648 (0x80000000) does not fit"),
        ("push 0x80000000", "does not fit"),
        ("mov rax, 0x10000000000000000", "does not fit"),
        ("shl eax, 32", "does not fit: from 0x0 to 0x1f"),
        ("in al, 256", "does not fit"),
        ("mov [rax], 5", "nothing says how large the memory operand is"),
        ("inc [rax]", "nothing says how large the memory operand is"),
        ("movzx eax, [rax]", "its memory operand needs a size"),
        ("mov al, dword ptr [rax]", "operands of 8 and 32 bits"),
        ("mov eax, rbx", "operands of 32 and 64 bits"),
        ("lgdt qword ptr [rax]", "its memory operand has no size: leave qword ptr out"),
        ("mov eax, word [rax]", "memory is written [...] or dword ptr [...]"),
        ("mov eax, tword ptr [rax]", "tword ptr: sizes are byte"),
        ("push eax", "eax has 32 bits where 64 are needed"),
        ("mov eax, byte", "byte is a register or a reserved word"),
        ("mov rax, [rbx + rcx*3]", "a scale is 1, 2, 4 or 8"),
        ("mov rax, [rbx - rcx]", "a register cannot be subtracted"),
        ("mov rax, [rbx + rcx + rdx]", "at most a base and one scaled index"),
        ("mov rax, [rbx*2 + rcx*2]", "at most a base and one scaled index"),
        ("mov rax, [rbx + rsp*2]", "rsp cannot be an index"),
        ("mov rax, [rsp + rsp]", "rsp cannot be an index"),
        ("mov rax, [ebx]", "ebx cannot be part of an address in .code64"),
        ("mov rax, [rip + rbx]", "rip takes no other register"),
        ("mov rax, [rip]", "[rip] alone"),
        ("mov rax, [rip + 5]", "[rip + 0x5]: write [rip + label]"),
        ("mov rax, [rip + start - start]", "write [rip + label]"),
        ("mov rax, [rax + 0x80000000]", "displacement 0x80000000 does not fit into 32 bits"),
        ("mov rax, start + start", "addresses are added or negated"),
        (".long -start", "addresses are added or negated"),
        (".byte start", "does not fit into 1 bytes"),
        (".byte", ".byte takes at least one value"),
        (".ascii bare", "neither a string in quotes nor the name of a text"),
        (".align 3", ".align 3: not a power of two"),
        (".align N", "N is not known here"),
        (".space -1", "is no number of bytes"),
        (".space start", "is no number of bytes"),
        (".set PAGE_SIZE, 5", "label PAGE_SIZE: that is a constant of stub/abi"),
        (".set X, X + 1", "X is defined by itself"),
        (".set X, .", ". means nothing here"),
        (".set X, 1\n.set X, 2", "X is already set at"),
        (".set 5", ".set takes a name and a value"),
        (".code64 now", ".code64 takes nothing behind it"),
        (".section text", ".section takes a name"),
        ("eax:", "label eax: that is the name of a register"),
        ("r8:", "label r8: that is the name of a register"),
        ("Loop:", "label Loop: that is the name of an instruction"),
        ("rep:", "label rep: that is the name of an instruction"),
        ("PAGE_SIZE:", "label PAGE_SIZE: that is a constant of stub/abi"),
        ("M_CPU:", "label M_CPU: that is a constant of stub/abi"),
        ("__start_text:", "are the linker's"),
        ("start:", "start is already defined at"),
        ("jmp nowhere", 'symbol "nowhere" is not defined'),
        ("jmp strat", 'symbol "strat" is not defined; did you mean start?'),
        ("mov eax, [rdi + TABLES_MAGICK]", 'symbol "TABLES_MAGICK" is not defined'),
        ("loop far_away\n.space 200\nfar_away:", "loop 0x1000ca: 0xc8 bytes away, which is out of reach"),
        ("lock mov dword ptr [rax], ecx", "only a change of memory can be locked"),
        ("lock inc eax", "only a change of memory can be locked"),
        ("rep mov eax, ebx", "rep mov: mov takes no prefix"),
        ("rep cmpsb", "rep cmpsb: cmpsb takes repe or repz or repne or repnz"),
        ("mov r8b, ah", "ah, bh, ch and dh cannot stand beside"),
        ("mov cs, eax", "cs is changed by a far jump or return only"),
        ("push ds", "push ds does not exist in 64-bit code"),
        ("into", "into exists only in 16-bit and 32-bit code"),
        ("vmrun rcx", "vmrun: does not take these operands"),
        ("lgdt fword ptr [rax]", "its memory operand has no size: leave fword ptr out"),
        ("mov rax, es:[rbx]", "in 64-bit code only fs: and gs:"),
        (".assert 1", ".assert takes a condition and a sentence"),
        ('.assert 1 == 2, "one is not two"', "a.asm:3: one is not two"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BootwrightError) as caught:
        one(tmp_path, text)
    assert message in str(caught.value)
    assert "a.asm:" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mov rax, 1", "rax exists only in 64-bit code, and this is .code32"),
        ("mov al, r9b", "r9b exists only in 64-bit code"),
        ("mov eax, [rip + start]", "rip-relative addresses exist only in 64-bit code"),
        ("mov eax, [bx]", "bx cannot be part of an address in .code32"),
        ("mov eax, ds:[ebp]", "Keystone forgets the ds: here"),
        ("pxor xmm8, xmm0", "xmm8 exists only in 64-bit code"),
        ("swapgs", "swapgs exists only in 64-bit code"),
        ("mov cr8, eax", "cr8 exists only in 64-bit code"),
        ("vmrun rax", "rax exists only in 64-bit code"),
        ("cqo", "cqo"),
    ],
)
def test_what_is_refused_in_32_bit_code(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BootwrightError) as caught:
        one(tmp_path, text, 32)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("push 5", "push of a number in .code16"),
        ("pxor xmm0, xmm1", "SSE registers in .code16"),
        ("mov ax, [ax]", "a 16-bit address is [bx or bp + si or di + number]"),
        ("mov ax, [bx + si*2]", "a 16-bit address is [bx or bp + si or di + number]"),
        ("mov ax, [bx + 0x10000]", "does not fit into 16 bits"),
    ],
)
def test_what_is_refused_in_16_bit_code(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BootwrightError) as caught:
        one(tmp_path, text, 16)
    assert message in str(caught.value)


def test_a_value_is_no_offset(tmp_path: Path) -> None:
    with pytest.raises(BootwrightError, match="the offset of the field is MULTIBOOT1_HEADER_MAGIC_OFFSET"):
        one(tmp_path, "mov eax, dword ptr [rdi + MULTIBOOT1_HEADER_MAGIC]")


def test_errors_in_a_macro_name_both_lines(tmp_path: Path) -> None:
    with pytest.raises(BootwrightError) as caught:
        one(tmp_path, ".macro m a\n nop\n mov al, \\a\n.endm\nm 300")
    assert str(caught.value).startswith(f"{tmp_path}/a.asm:7: ")
    assert str(caught.value).endswith(f"(in macro m, {tmp_path}/a.asm:5)")


def test_everything_wrong_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ErrorList) as caught:
        one(tmp_path, "bogus\nnop\nmov al, rax\n")
    assert len(caught.value.errors) == 2
    with pytest.raises(ErrorList) as caught:
        one(tmp_path, "mov al, 300\nmov al, 301\n")
    assert len(caught.value.errors) == 2


def test_bss_holds_nothing(tmp_path: Path) -> None:
    for text in ("nop", ".byte 1", '.asciz "x"', ".space 5, 1"):
        with pytest.raises(BootwrightError, match=r"\.bss"):
            one(tmp_path, f".section .bss\n{text}")


def test_addresses_are_the_images(tmp_path: Path) -> None:
    linked = link_text(tmp_path, "start: nop\nx: nop\n")
    assert linked.symbols["x"] == BASE + 1
    assert linked.entry == BASE
