"""Every fault that Keystone 0.9.2 is known to have is refused, or avoided with the right bytes.

The first test shows faults themselves, so that a Keystone without them is noticed.
"""

from __future__ import annotations

from pathlib import Path

import keystone
import pytest
from assembling import code, link_text, one
from capstone import CS_ARCH_X86, CS_MODE_32, Cs

from bootwright.common.errors import BootwrightError

MODES = {16: keystone.KS_MODE_16, 32: keystone.KS_MODE_32, 64: keystone.KS_MODE_64}


def raw(text: str, mode: int = 64) -> str:
    encoded, _ = keystone.Ks(keystone.KS_ARCH_X86, MODES[mode]).asm(text, 0x100000)
    return bytes(encoded or ()).hex()


@pytest.mark.parametrize(
    ("mode", "text", "wrong"),
    [
        (32, "lgdt [eax]", "660f0110"),
        (32, "push cs", "660e"),
        (32, "push ds", "661e"),
        (32, "iret", "66cf"),
        (32, "mov ds, ax", "668ed8"),
        (64, "mov word ptr [rax], ds", "668c18"),
        (32, "mov eax, dword ptr ds:[ebp + 8]", "8b4508"),
        (32, "mov eax, dword ptr [ebx + 0x1ffffffff]", "8b43"),
        (64, "mov rbx, qword ptr [0x12345678]", "488b1d78563412"),
        (64, "mov eax, [0x1234]", "a13412000000000000"),
        (64, "mov al, 300", "b02c"),
        (64, "mov eax, 0x1ffffffff", "b8ffffffff"),
        (64, "push 0x80000000", "66680000"),
        (64, "ret 0x12345", "c24523"),
        (64, "mov rax, qword ptr [rsp + rsp]", "488b0424"),
        (64, "mov rax, qword ptr [rbx + 0x80000000]", "488b8300000080"),
        (64, "mov rax, [", "48a10000000000000000"),
        (16, "ret", "66c3"),
        (16, "retf", "66cb"),
        (16, "push 5", "666a05"),
        (16, "call 0x100010", "66e80a000000"),
        (16, "ljmp fword ptr [0x1234]", "ff2e3412"),
        (64, "into", "ce"),
    ],
)
def test_what_keystone_does(mode: int, text: str, wrong: str) -> None:
    found = raw(text, mode)
    if text == "mov eax, [0x1234]":
        assert len(found) == 18, "a 64-bit address, which GNU as and people do not expect"
    else:
        assert found == wrong


def refused(folder: Path, text: str, message: str, mode: int = 64) -> None:
    with pytest.raises(BootwrightError) as caught:
        one(folder, text, mode)
    assert message in str(caught.value)


def test_numbers_are_decimal_unless_they_say_hex(tmp_path: Path) -> None:
    assert one(tmp_path, "mov eax, 24") == "b818000000"


def test_symbols_of_other_files_are_where_they_are(tmp_path: Path) -> None:
    """The resolver's `call ext` lands four bytes off, `ext+4` loses the four."""
    text = "start: call ext\njmp ext + 4\nlea rax, [rip + ext]\nlea rax, [rip + ext + 4]\n.long ext\n"
    linked = link_text(tmp_path, text, ".global ext\n.align 16\next: ret\nnop\nnop\nnop\nnop\n")
    ext = linked.symbols["ext"]
    call, jump, lea, after = linked.instructions[:4]
    assert call.address + 5 + int.from_bytes(call.data[1:], "little") == ext
    assert jump.address + 2 + int.from_bytes(jump.data[1:], "little") == ext + 4
    assert lea.address + 7 + int.from_bytes(lea.data[3:], "little") == ext
    assert after.address + 7 + int.from_bytes(after.data[3:], "little") == ext + 4


def test_a_constant_is_no_rip_relative_place(tmp_path: Path) -> None:
    refused(tmp_path, ".set ext, 0x1234\nmov rax, [rip + ext]", "write [rip + label]")


def test_align_aligns(tmp_path: Path) -> None:
    assert len(code(tmp_path, "nop\n.align 16\nnop")) == 17


def test_label_differences_in_addresses(tmp_path: Path) -> None:
    assert one(tmp_path, "a: nop\nb: mov eax, dword ptr [ebx + b - a]", 32) == "908b4301"


def test_include_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.inc").write_text("hlt\n")
    assert one(tmp_path, '.include "x.inc"') == "f4"


def test_semicolon_and_apostrophe_in_comments(tmp_path: Path) -> None:
    assert one(tmp_path, "nop ; don't separate; hlt") == "90"


@pytest.mark.parametrize("text", [".error", ".text", ".org 4", ".balign 4", ".rept 2", ".if 1", "X = 5", ".p2align 4"])
def test_directives_of_keystone_are_refused(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text, "a.asm:3: ")


@pytest.mark.parametrize(
    "text",
    [
        "1:",
        "jmp 1b",
        "jmp 1f",
        "mov eax, offset start",
        "endbr64",
        "sysretq",
        "sysret",
        "lretq",
        "nop # comment",
    ],
)
def test_what_keystone_does_not_know_is_refused_with_a_place(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text, "a.asm:3: ")


def test_unique_labels_in_macros_are_the_front_ends(tmp_path: Path) -> None:
    assert one(tmp_path, ".macro m\nx\\@: nop\n.endm\nm\nm") == "9090"


def test_sections_are_the_linkers(tmp_path: Path) -> None:
    refused(tmp_path, ".section .other\nnop", "section .other is not in test.toml")


@pytest.mark.parametrize("text", ["jmp 8:start", "ljmp 8:start", "ljmp 8, start"])
def test_direct_far_jumps_are_refused(tmp_path: Path, text: str) -> None:
    for mode in (16, 32, 64):
        refused(tmp_path, text, "a.asm:3: ", mode)


def test_far_jump_through_memory_has_a_32_bit_offset(tmp_path: Path) -> None:
    assert one(tmp_path, "ljmp [eax]", 32) == "ff28"
    assert one(tmp_path, "ljmp [rax]", 64) == "ff28"


@pytest.mark.parametrize(
    ("mode", "text", "data"),
    [
        (16, "ljmp [0x1234]", "ff2e3412"),
        (16, "ljmp fword ptr [0x1234]", "66ff2e3412"),
        (16, "lcall fword ptr cs:[bx]", "662eff1f"),
        (32, "ljmp fword ptr [eax]", "ff28"),
        (64, "ljmp fword ptr [rax]", "ff28"),
    ],
)
def test_far_jump_through_an_fword_has_a_32_bit_offset_anywhere(
    tmp_path: Path, mode: int, text: str, data: str
) -> None:
    assert one(tmp_path, text, mode) == data


def test_push_label(tmp_path: Path) -> None:
    assert one(tmp_path, "push start", 32) == "6800001000"


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("push cs", "0e"),
        ("push ds", "1e"),
        ("pop es", "07"),
        ("push fs", "0fa0"),
        ("lgdt [eax]", "0f0110"),
        ("lidt [eax]", "0f0118"),
        ("lgdt gs:[eax]", "650f0110"),
        ("lgdt [start]", "0f011500001000"),
        ("mov ds, ax", "8ed8"),
        ("mov word ptr [eax], ds", "8c18"),
        ("iretd", "cf"),
        ("retf", "cb"),
        ("pushfd", "9c"),
    ],
)
def test_stray_operand_sizes_in_32_bit_code(tmp_path: Path, text: str, data: str) -> None:
    assert one(tmp_path, text, 32) == data
    first = next(Cs(CS_ARCH_X86, CS_MODE_32).disasm(bytes.fromhex(data), 0))
    assert first.size == len(data) // 2


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("ret", "c3"),
        ("retf", "cb"),
        ("push fs", "0fa0"),
        ("call start", "e8fdff"),
        ("jz far\n.space 200\nfar:", "0f84c800" + "00" * 200),
    ],
)
def test_stray_operand_sizes_in_16_bit_code(tmp_path: Path, text: str, data: str) -> None:
    assert one(tmp_path, text, 16) == data


@pytest.mark.parametrize(("mode", "name"), [(32, "iret"), (64, "iret"), (32, "pushf"), (64, "popf")])
def test_16_bit_returns_and_flags_are_refused(tmp_path: Path, mode: int, name: str) -> None:
    refused(tmp_path, name, f"{name} in .code{mode} would be the 16-bit one: write ", mode)


def test_push_of_a_number_in_16_bit_code_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "push 5", "push of a number in .code16", 16)


@pytest.mark.parametrize(
    "text",
    [
        "mov rbx, qword ptr [0x12345678]",
        "mov eax, [0x1234]",
        "mov rax, gs:[0x10]",
        "mov eax, [start]",
        "call [start]",
    ],
)
def test_absolute_addresses_in_64_bit_code_are_refused(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text, "an absolute address in 64-bit code")


@pytest.mark.parametrize(
    "text",
    [
        "mov al, 300",
        "mov eax, 0x1ffffffff",
        "add eax, 0x1ffffffff",
        "cmp rax, 0x80000000",
        "push 0x80000000",
        "ret 0x12345",
        "mov rax, [rbx + 0x80000000]",
        "mov rax, [rbx - 0x80000001]",
        "mov qword ptr [rax], 0x123456789",
        "shl eax, 300",
    ],
)
def test_numbers_that_do_not_fit_are_refused(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text, "does not fit")


def test_numbers_that_are_cut_short_in_32_bit_code_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "mov eax, [ebx + 0x1ffffffff]", "does not fit", 32)


def test_segments_that_are_dropped_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "mov eax, ds:[ebp + 8]", "Keystone forgets the ds:", 32)


def test_the_stack_pointer_as_index_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "mov rax, [rsp + rsp]", "rsp cannot be an index")
    refused(tmp_path, "mov rax, [rbx + rsp*2]", "rsp cannot be an index")


def test_high_byte_with_rex_is_refused(tmp_path: Path) -> None:
    """Keystone ends the whole process ("Cannot encode high byte register in REX-prefixed instruction")."""
    for text in (
        "mov ah, r8b",
        "mov sil, ah",
        "movzx rax, ah",
        "mov byte ptr [r9], ah",
        "add [rax + r9], bh",
    ):
        refused(tmp_path, text, "ah, bh, ch and dh cannot stand beside")


def test_unclosed_brackets_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "mov rax, [", "a.asm:3: ")
    refused(tmp_path, "mov rax, [rbx", "a.asm:3: ")


@pytest.mark.parametrize(("mode", "data"), [(16, "f366a5"), (32, "f3a5"), (64, "f3a5")])
def test_rep_movsd_exists(tmp_path: Path, mode: int, data: str) -> None:
    assert one(tmp_path, "rep movsd", mode) == data


def test_an_undefined_symbol_is_named(tmp_path: Path) -> None:
    refused(tmp_path, "nop\ncall nowhere", 'a.asm:4: symbol "nowhere" is not defined')


def test_labels_named_like_registers_are_refused_with_a_reason(tmp_path: Path) -> None:
    refused(tmp_path, "r8: nop", "label r8: that is the name of a register")


def test_keystone_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for text in (
        "push ebx",
        "movq xmm0, eax",
        "cmpxchg16b [rax]",
        "mov rax, cr1",
        "jmp eax",
        "vmcall",
        "lcall rax",
    ):
        with pytest.raises(BootwrightError):
            one(tmp_path, text + "\nbogus")
    assert capfd.readouterr() == ("", "")
