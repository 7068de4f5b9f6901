"""The pages that are made from the source say what the source says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import description_page
import errors_page
import partition_page
import pytest
import syntax_files
from project import ROOT

from bootwright.common import abi
from bootwright.description import json_schema


def test_every_error_of_the_stub_is_provoked_by_a_test() -> None:
    assert {error.name for error in abi.load().errors} == set(errors_page.provoked())


def test_the_error_page_is_up_to_date() -> None:
    assert errors_page.PAGE.read_text(encoding="utf-8") == errors_page.render(), "run: invoke docs"


def test_the_table_of_the_resident_part_is_up_to_date() -> None:
    assert partition_page.PAGE.read_text(encoding="utf-8") == partition_page.render(), "run: invoke docs"


def test_the_description_page_is_up_to_date() -> None:
    assert description_page.PAGE.read_text(encoding="utf-8") == description_page.render(), "run: invoke docs"


def test_the_schema_is_up_to_date() -> None:
    assert (ROOT / json_schema.FILE).read_text(encoding="utf-8") == json_schema.text(), "run: invoke docs"


@pytest.mark.parametrize(("path", "text"), syntax_files.render().items(), ids=lambda value: getattr(value, "name", ""))
def test_the_syntax_files_are_up_to_date(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run: invoke docs"


def test_the_grammar_knows_every_word_of_the_stub() -> None:
    """Each instruction of a source is matched as one by the TextMate grammar, and no label is."""
    grammar = json.loads((syntax_files.FOLDER / "bootwright.tmLanguage.json").read_text(encoding="utf-8"))
    matches = {pattern["name"].split(".")[-2]: pattern.get("match", "") for pattern in grammar["patterns"]}
    words = {kind: re.compile(matches[kind]) for kind in ("instruction", "directive", "register")}
    sources = sorted(abi.stub_directory().rglob("*.asm")) + sorted(abi.stub_directory().rglob("*.inc"))
    macros = {name for source in sources for name in re.findall(r"^\.macro (\w+)", source.read_text(), re.MULTILINE)}
    for source in sources:
        for line in source.read_text(encoding="utf-8").splitlines():
            statement = re.match(r"        (\.?[a-z]\w*)", line.partition(";")[0])
            if statement and statement[1] not in macros:
                kind = "directive" if statement[1].startswith(".") else "instruction"
                assert words[kind].fullmatch(statement[1]), f"{source.name}: {line}"


def test_every_group_of_vim_has_a_colour() -> None:
    text = (syntax_files.FOLDER / "bootwright.vim").read_text(encoding="utf-8")
    groups = set(re.findall(r"^syntax \w+ (\w+)", text, re.MULTILINE)) - {"ignore"}
    linked = set(re.findall(r"^highlight default link (\w+)", text, re.MULTILINE))
    assert {group for group in groups if group.startswith("bootwright")} == linked


def test_what_the_readme_names_is_there() -> None:
    """Each path of `Where to read on`, and each page of docs/ is named."""
    part = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Where to read on")[2]
    named = re.findall(r"`([^`]+)`", part)
    assert named and [path for path in named if not any(ROOT.glob(path.rstrip("/")))] == []
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= set(named)
