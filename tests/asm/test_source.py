"""source: comments, labels, includes and macros."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootwright.asm import preprocess
from bootwright.common.errors import AssemblyError, ErrorList


def read(folder: Path, text: str, **others: str) -> preprocess.Source:
    for name, content in others.items():
        (folder / f"{name}.inc").write_text(content)
    (folder / "a.asm").write_text(text)
    return preprocess.read(folder / "a.asm")


def statements(found: preprocess.Source) -> list[str]:
    return [f"{each.label}:" if each.label else f"{each.name} {each.operands}".strip() for each in found.statements]


def test_lines_are_taken_apart(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "start: .loop:  MOV eax, 1 ; don't stop\n\n; all comment\nx: .ascii \"a;b\" ; c\n mov al, ';'\n",
    )
    assert statements(found) == ["start:", ".loop:", "mov eax, 1", "x:", '.ascii "a;b"', "mov al, ';'"]
    assert [str(found.lines[each.index].where.line) for each in found.statements] == [
        "1",
        "1",
        "1",
        "4",
        "4",
        "5",
    ]


def test_a_segment_override_is_no_label(tmp_path: Path) -> None:
    assert statements(read(tmp_path, "mov eax, gs:[rcx]")) == ["mov eax, gs:[rcx]"]


def test_operands_split_outside_of_quotes_and_brackets() -> None:
    assert preprocess.split_operands("a, (b, c), \"d,e\", ','") == ["a", "(b, c)", '"d,e"', "','"]
    assert preprocess.split_operands(r'"a\"b, c", d') == [r'"a\"b, c"', "d"]
    assert preprocess.split_operands("") == []
    assert preprocess.split_operands("a,") == ["a", ""]


def test_macros_substitute_the_longest_parameter(tmp_path: Path) -> None:
    text = ".macro fail code, co\n lea rdi, [rip + \\code_TEXT] ; \\no\n mov esi, \\code + \\co\n"
    text += ".endm\nfail E_X, 2\n"
    found = read(tmp_path, text)
    assert statements(found) == ["lea rdi, [rip + E_X_TEXT]", "mov esi, E_X + 2"]
    line = found.lines[found.statements[1].index]
    assert (line.depth, line.macro, str(line.where)) == (
        1,
        f"fail, {tmp_path}/a.asm:3",
        f"{tmp_path}/a.asm:5",
    )


def test_macros_nest_and_strings_keep_their_escapes(tmp_path: Path) -> None:
    text = '.macro inner x\n .ascii "\\x\\n"\n.endm\n.macro outer y\n inner \\y\n.endm\nouter Q\n'
    assert statements(read(tmp_path, text)) == ['.ascii "Q\\n"']


def test_includes_once_and_from_the_stub(tmp_path: Path) -> None:
    text = '.include "m.inc"\n.include "m.inc"\n.include "lib/macros.inc"\nnop\n'
    found = read(tmp_path, text, m="hlt\n")
    assert statements(found) == ["hlt", "nop"]
    assert found.statements[0].file.endswith("m.inc")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('.include "none.inc"', "a.asm:1: none.inc: no such file beside"),
        (".include none", "a.asm:1: .include takes a file name in quotes"),
        ('.include "abi/x.h"', "a.asm:1: abi/x.h: constants of stub/abi are always known"),
        ('\n.include "self.inc"', "self.inc:1: "),
        (".endm", "a.asm:1: .endm without .macro"),
        (".macro m\nnop", "a.asm:1: .macro without .endm"),
        (".macro m\n.macro n\n.endm", "a.asm:2: .macro inside of a macro"),
        (".macro m\n.endm\n.macro m\n.endm", "a.asm:3: macro m is already defined at"),
        (".macro 1m\n.endm", "'1m' cannot name a macro or a parameter"),
        (".macro m a\n.endm\nm", "a.asm:3: macro m takes 1 values, not 0"),
        (
            ".macro m a\nmov eax, \\b\n.endm\n\nm 1",
            "a.asm:5: \\b is no parameter of this macro (in macro m, ",
        ),
        (".macro m\nm\n.endm\nm", "nested more than 16 deep"),
        ("%%", "a.asm:1: '%%' is no statement"),
    ],
)
def test_what_is_wrong_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        read(tmp_path, text, self='.include "self.inc"')
    assert message in str(caught.value)


def test_everything_wrong_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ErrorList) as caught:
        read(tmp_path, ".endm\nnop\n.include x\n")
    assert len(caught.value.errors) == 2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AssemblyError, match=r"none\.asm: cannot be read: No such file"):
        preprocess.read(tmp_path / "none.asm")
    (tmp_path / "bytes.asm").write_bytes(b"nop \xe9")
    with pytest.raises(AssemblyError, match="not UTF-8 text"):
        preprocess.read(tmp_path / "bytes.asm")
