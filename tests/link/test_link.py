"""link: addresses, sections, the string pool and the ELF file, read back by pyelftools and readelf."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from assembling import BASE, LAYOUT, contents, link_text
from elftools.elf.elffile import ELFFile

from bootwright.asm import expression
from bootwright.common import abi
from bootwright.common.errors import BootwrightError, ErrorList, LinkError, SourceError
from bootwright.link import layout
from bootwright.link.elf_writer import MAX_PROGRAM_HEADERS
from bootwright.link.layout import LayoutAssertion
from bootwright.link.linked import Linked

NOTE = """.section .note.Xen
        .long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .long start
"""
PROGRAM = (
    """.code32
start:  mov  esp, stack_end
        call other
.hang:  hlt
        jmp  .hang
.section .data
value:  .long other, buffer
.section .bss
.align 16
buffer: .space 100
        .space 4096
stack_end:
.global value
"""
    + NOTE,
    """.global other
other:  lea  rdi, [rip + M_PREFIX]
        lea  rsi, [rip + E_NO_RAM_TEXT]
        lea  rdx, [rip + M_PREFIX]
        mov  eax, dword ptr [rip + value]
        lea  rcx, [rip + __start_data]
        mov  edx, __end_data - __start_data
        ret
""",
)


@pytest.fixture
def linked(tmp_path: Path) -> Linked:
    return link_text(tmp_path, *PROGRAM, reserve={"tables": 5000}, spare_headers=3)


def elf(linked: Linked) -> ELFFile:
    return ELFFile(io.BytesIO(linked.image))


def test_segments_are_page_aligned_and_congruent(linked: Linked) -> None:
    found = elf(linked)
    loads = [segment.header for segment in found.iter_segments() if segment.header.p_type == "PT_LOAD"]
    assert [load.p_flags for load in loads] == [5, 6, 4]
    assert loads[0].p_vaddr == BASE and loads[0].p_offset == 0x1000
    for load in loads:
        assert load.p_vaddr == load.p_paddr and load.p_vaddr % 0x1000 == load.p_offset % 0x1000 == 0
    assert loads[1].p_memsz > 4096 > loads[1].p_filesz == 8
    assert loads[2].p_filesz == loads[2].p_memsz == 5000
    for before, after in pairwise(loads):
        assert before.p_vaddr + before.p_memsz <= after.p_vaddr
        assert before.p_offset + before.p_filesz <= after.p_offset
    assert linked.symbols["__image_end"] == loads[2].p_vaddr + 0x2000


def test_headers_are_as_the_abi_says(linked: Linked) -> None:
    found = elf(linked)
    header = found.header
    assert (header.e_type, header.e_machine, header.e_ident.EI_CLASS) == ("ET_EXEC", "EM_386", "ELFCLASS32")
    assert header.e_entry == linked.entry == linked.symbols["start"] == BASE
    assert [segment.header.p_type for segment in found.iter_segments()][-3:] == ["PT_NULL"] * 3
    assert header.e_shoff > max(section.offset for section in linked.sections)


def test_notes_have_a_segment_of_their_own(linked: Linked) -> None:
    segment = next(each for each in elf(linked).iter_segments() if each.header.p_type == "PT_NOTE")
    notes = list(segment.iter_notes())
    assert [(note.n_name, note.n_descsz) for note in notes] == [("Xen", 4), ("GNU", 20)]
    assert notes[1].n_desc == "00" * 20


def test_symbols_without_dots(linked: Linked) -> None:
    table = elf(linked).get_section_by_name(".symtab")
    names = {symbol.name: symbol for symbol in table.iter_symbols()}
    assert not any("." in name for name in names)
    assert names["start"].entry.st_info.type == "STT_FUNC"
    assert names["start"].entry.st_size == linked.symbols["other"] - BASE
    assert names["buffer"].entry.st_info.type == "STT_OBJECT"
    assert names["__image_start"].entry.st_value == BASE
    assert linked.symbols["start.hang"] > BASE


def test_used_texts_are_there_once_and_others_not(linked: Linked) -> None:
    pool = contents(linked, ".rodata")
    strings = abi.load().strings
    assert pool == b"".join(strings[name].encode() + b"\0" for name in ("E_NO_RAM_TEXT", "M_PREFIX"))
    first, second, third = (
        each for each in linked.instructions if each.instruction.mnemonic == "lea" and each.data[1:3] != b"\x8d\x0d"
    )
    targets = [each.address + 7 + int.from_bytes(each.data[3:], "little") for each in (first, second, third)]
    assert targets[0] == targets[2] == linked.symbols["text.M_PREFIX"]
    assert targets[1] == linked.symbols["text.E_NO_RAM_TEXT"]


def test_sections_have_marks(linked: Linked) -> None:
    data = next(section for section in linked.sections if section.name == ".data")
    assert linked.symbols["__start_data"] == data.address
    assert linked.symbols["__end_data"] == data.address + data.size
    assert linked.symbols["__start_note_Xen"] % 4 == 0
    assert linked.symbols["__end_bss"] == linked.symbols["stack_end"]


def test_same_inputs_same_bytes(tmp_path: Path, linked: Linked) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    again = link_text(folder, *PROGRAM, reserve={"tables": 5000}, spare_headers=3)
    assert again.image == linked.image


@pytest.mark.skipif(not shutil.which("readelf"), reason="needs binutils")
def test_readelf_has_no_complaint(tmp_path: Path, linked: Linked) -> None:
    (tmp_path / "image").write_bytes(linked.image)
    run = subprocess.run(["readelf", "-lhnSsW", tmp_path / "image"], capture_output=True, text=True)
    assert run.stderr == "" and "arning" not in run.stdout


def test_no_tables_no_segment(tmp_path: Path) -> None:
    linked = link_text(tmp_path, "start: lea rax, [rip + __start_tables]\n")
    assert [segment.header.p_type for segment in elf(linked).iter_segments()] == ["PT_LOAD", "PT_NOTE"]
    assert linked.symbols["__start_tables"] == linked.symbols["__end_tables"]
    assert linked.symbols["__image_end"] == BASE + 0x1000


def test_code_size_is_code_and_read_only_data(linked: Linked) -> None:
    names = (".text", ".rodata", ".note.Xen", ".note.gnu.build-id")
    assert linked.code_size == sum(section.size for section in linked.sections if section.name in names)


def test_branches_are_as_short_as_can_be(tmp_path: Path) -> None:
    jumps = "".join(f"jmp l{number}\n" for number in range(200))
    labels = "".join(f"l{number}: nop\n" for number in range(200))
    linked = link_text(tmp_path, f"start:\n{jumps}{labels}")
    for each in linked.instructions:
        if each.instruction.mnemonic == "jmp":
            distance = each.instruction.operands[0].address - each.address - 2  # type: ignore[union-attr]
            assert len(each.data) == 2 or distance > 127


def test_errors_of_all_files_at_once(tmp_path: Path) -> None:
    with pytest.raises(ErrorList) as caught:
        link_text(tmp_path, "start: call one\ncall one\n", "call two\nstart: nop\n")
    text = str(caught.value)
    assert "b.asm:2: start is already defined at" in text and "a.asm:1" in text
    assert 'a.asm:1: symbol "one" is not defined' in text
    assert 'a.asm:2: symbol "one" is not defined' in text
    assert 'b.asm:1: symbol "two" is not defined' in text


def test_an_entry_is_needed(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"test\.toml: entry: symbol 'start' is not defined"):
        link_text(tmp_path, "nop\n")


def test_reserved_and_made_sections_are_not_for_source(tmp_path: Path) -> None:
    for name in (".tables", ".note.gnu.build-id"):
        with pytest.raises(BootwrightError, match="cannot be filled from source"):
            link_text(tmp_path, f"start: nop\n.section {name}\n.byte 1\n")


def test_assertions_of_the_layout(tmp_path: Path) -> None:
    small = LayoutAssertion(expression.parse("__image_end <= IMAGE_BASE + PAGE_SIZE"), "the image is too large")
    limited = replace(LAYOUT, assertions=(small,))
    link_text(tmp_path, "start: nop\n", layout=limited)
    with pytest.raises(LinkError, match=r"test\.toml: the image is too large"):
        link_text(tmp_path, "start: nop\n.section .bss\n.space 5\n", layout=limited)


CONDITIONAL = """base = "IMAGE_BASE"
entry = "start"
strings = ".text"
[[segment]]
name = "code"
flags = "rx"
sections = [{ name = ".text", align = 16, kind = "code" }]
[[assert]]
condition = "__end_text - __start_text <= 2"
when = "WHEN"
message = "more than two bytes"
[files]
small = ["a"]
large = ["b"]
"""


@pytest.mark.parametrize(
    ("when", "reasons", "holds"),
    [
        ("small", ("small",), True),
        ("small", ("large",), False),
        ("(large == 0) & small", ("small", "large"), False),
        ("small + large == 1", ("large",), True),
        ("small", (), False),
        ("1", (), True),
    ],
)
def test_an_assertion_for_some_reasons(tmp_path: Path, when: str, reasons: tuple[str, ...], holds: bool) -> None:
    path = tmp_path / "conditional.toml"
    path.write_text(CONDITIONAL.replace("WHEN", when))
    how = layout.load(path, reasons)
    link_text(tmp_path, "start: nop\n nop\n", layout=how)
    if holds:
        with pytest.raises(LinkError, match=r"conditional\.toml: more than two bytes"):
            link_text(tmp_path, "start: nop\n nop\n nop\n", layout=how)
    else:
        link_text(tmp_path, "start: nop\n nop\n nop\n", layout=how)


def test_an_assertion_for_a_reason_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "conditional.toml"
    path.write_text(CONDITIONAL.replace("WHEN", "smal"))
    with pytest.raises(SourceError, match=r"conditional\.toml: not a layout: when = 'smal': smal is no reason of"):
        layout.load(path)


def test_too_many_program_headers(tmp_path: Path) -> None:
    link_text(tmp_path, "start: nop\n", spare_headers=MAX_PROGRAM_HEADERS - 2)
    with pytest.raises(LinkError, match="program headers; 126 fit"):
        link_text(tmp_path, "start: nop\n", spare_headers=MAX_PROGRAM_HEADERS - 1)


def test_an_image_beyond_4_gib(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="beyond 4 GiB"):
        link_text(tmp_path, "start: nop\n.section .bss\n.space 0xffffffff\n")


def test_a_size_that_never_settles(tmp_path: Path) -> None:
    with pytest.raises(BootwrightError, match=r"a.asm:2: its size depends on its own address"):
        link_text(tmp_path, "start: nop\n.space end - start < 2\nend: nop\n")


def test_the_listing_shows_every_line(tmp_path: Path) -> None:
    text = 'start:  mov eax, 1 ; one\n.macro two\n nop\n hlt\n.endm\n two\n.asciz "0123456789"\n'
    shown = link_text(tmp_path, text).listing.splitlines()
    assert "00100000  b801000000           1  start:  mov eax, 1 ; one" in shown
    assert "                               6   two" in shown
    assert "00100005  90                     + nop" in shown
    assert "00100006  f4                     + hlt" in shown
    assert '00100007  3031323334353637     7  .asciz "0123456789"' in shown
    assert "0010000f  383900" in shown


def test_layouts_of_the_project() -> None:
    stub, kernel = layout.load("stub"), layout.load("kernel")
    assert stub.base == abi.load().constants["IMAGE_BASE"]
    assert [section.name for section in stub.sections][:2] == [".multiboot", ".multiboot.tags"]
    assert kernel.base == 0x400000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base = 5", "is missing"),
        ("base = [", "cannot be read"),
        ('base = "NOTHING"\nsegment = []', "NOTHING is no constant of stub/abi"),
        ('base = 5\nentry = "a"\nstrings = ".b"\nsegment = []', "base 0x5 is not a multiple of 0x1000"),
        ('base = 0\nentry = "a"\nstrings = ".b"\nsegment = []', "strings = '.b' is none of its sections"),
        (
            'base = 0\n[[segment]]\nname = "a"\nflags = "r"\nsections = [{ name = ".a", align = 3 }]',
            "align 3",
        ),
        (
            'base = 0\n[[segment]]\nname = "a"\nflags = "r"\nsections = [{name = ".a", align=4, kind="x"}]',
            "kind 'x'",
        ),
    ],
)
def test_a_bad_layout_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(SourceError) as caught:
        layout.load(tmp_path / "bad.toml")
    assert "bad.toml: " in str(caught.value) and message in str(caught.value)
