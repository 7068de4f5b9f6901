"""docs/editors: the dialect's syntax for editors, made from what the assembler itself knows, by `invoke docs`."""

from __future__ import annotations

import json
from pathlib import Path

from project import ROOT

from bootwright.asm.assemble import DIRECTIVES
from bootwright.asm.instructions import INSTRUCTIONS, PREFIXES
from bootwright.asm.operands import REGISTERS, SIZES

FOLDER = ROOT / "docs/editors"
_WORDS = {
    "directive": sorted(name.removeprefix(".") for name in DIRECTIVES),
    "instruction": sorted({*INSTRUCTIONS, *PREFIXES}),
    "register": sorted({*REGISTERS, "rip"}),
    "size": sorted(SIZES),
}
_NUMBER = r"\b(0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)\b"
# What TextMate's themes colour each kind as.
_SCOPES = {
    "directive": "keyword.control.directive",
    "instruction": "support.function.instruction",
    "register": "variable.language.register",
    "size": "storage.type.size",
}


def render() -> dict[Path, str]:
    """The files and their texts."""
    return {FOLDER / "bootwright.vim": _vim(), FOLDER / "bootwright.tmLanguage.json": _textmate()}


def _vim() -> str:
    groups = {"directive": "PreProc", "instruction": "Statement", "register": "Identifier", "size": "Type"}
    lines = [
        "\" Syntax of bootwright's assembly, made from its instruction table: invoke docs.",
        '" Copy to ~/.vim/syntax/, and: autocmd BufRead,BufNewFile */stub/*.asm,*/stub/*.inc set syntax=bootwright',
        'if exists("b:current_syntax")',
        "  finish",
        "endif",
        "syntax case ignore",
        "syntax iskeyword @,48-57,_",
    ]
    for kind, words in _WORDS.items():
        name = f"bootwright{kind.capitalize()}"
        if kind == "directive":
            either = r"\|".join(words)
            lines.append(rf'syntax match {name} "\.\({either}\)\>"')
        else:
            lines.append(f"syntax keyword {name} {' '.join(words)}")
    lines += [
        r'syntax match bootwrightLabel "^\s*\.\?[A-Za-z_][A-Za-z0-9_.]*:"',
        r'syntax match bootwrightNumber "\<\(0x\x\+\|0b[01]\+\|\d\+\)\>"',
        r'syntax match bootwrightParameter "\\[A-Za-z_@][A-Za-z0-9_]*"',
        r'syntax region bootwrightString start=+"+ skip=+\\"+ end=+"+ oneline',
        r'syntax match bootwrightComment ";.*$" contains=@Spell',
    ]
    linked = {
        **{kind.capitalize(): group for kind, group in groups.items()},
        **{"Label": "Label", "Number": "Number", "Parameter": "Special", "String": "String", "Comment": "Comment"},
    }
    lines += [f"highlight default link bootwright{name} {group}" for name, group in linked.items()]
    lines.append('let b:current_syntax = "bootwright"')
    return "\n".join(lines) + "\n"


def _textmate() -> str:
    patterns = [
        {"name": "comment.line.semicolon", "match": ";.*$"},
        {"name": "string.quoted.double", "begin": '"', "end": '"', "patterns": [{"match": r"\\."}]},
        {"name": "entity.name.function.label", "match": r"^\s*\.?[A-Za-z_][\w.]*(?=:)"},
        {"name": "variable.parameter.macro", "match": r"\\[A-Za-z_@]\w*"},
        {"name": "constant.numeric", "match": _NUMBER},
    ]
    for kind, words in _WORDS.items():
        before = r"\." if kind == "directive" else r"(?i)\b"
        patterns.append({"name": _SCOPES[kind], "match": rf"{before}({'|'.join(words)})\b"})
    grammar = {
        "comment": "Made from bootwright's instruction table: invoke docs.",
        "name": "bootwright assembly",
        "scopeName": "source.asm.bootwright",
        "fileTypes": ["asm", "inc"],
        "patterns": [{**pattern, "name": f"{pattern['name']}.bootwright"} for pattern in patterns],
    }
    return json.dumps(grammar, indent=2) + "\n"
