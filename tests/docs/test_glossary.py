"""docs/glossary.md has each word once, and each is found where the page says that it is at home."""

from __future__ import annotations

import re

import pytest
from packages_page import ORDER
from project import ROOT

PAGE = ROOT / "docs/glossary.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| word ")
]
# The words of packages that are no word of the project's own.
PLAIN = {"common", "asm", "link", "devicetree", "inputs", "flash", "lab", "emulate", "cli"}
SPOKEN = {"kernels": "kernel", "hyperlaunch": "domain builder", "media": "medium"}


def forms(word: str) -> re.Pattern[str]:
    """A word in a text, however it is written there: with a space, a hyphen, an underscore, or as a plural."""
    joined = r"[\s_-]+(?:[#;*]\s+)?".join(map(re.escape, word.replace("-", " ").split()))
    return re.compile(rf"(?<![a-z]){joined}(?:e?s)?(?![a-z])", re.IGNORECASE)


def test_each_word_is_there_once_with_one_meaning() -> None:
    words = [word.lower() for word, *_ in ROWS]
    assert len(words) > 50 and sorted(set(words)) == sorted(words)
    assert all(len(row) == 3 and row[1] for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_word_is_found_where_it_is_at_home(row: list[str]) -> None:
    word, _, home = row
    path = ROOT / home.strip("`")
    assert path.is_file(), home
    assert forms(word).search(path.read_text(encoding="utf-8")), f"{home} does not say {word!r}"


def test_every_package_that_is_called_by_a_word_of_ours_has_it_here() -> None:
    words = {word.lower() for word, *_ in ROWS}
    assert {SPOKEN.get(package, package) for package in ORDER if package not in PLAIN} <= words


@pytest.mark.parametrize("section", ["entries", "sources", "movers", "launchers"])
def test_the_registries_of_the_stub_are_here(section: str) -> None:
    assert any(f".{section}" in meaning for _, meaning, _ in ROWS)


@pytest.mark.parametrize(
    ("text", "found"),
    [("hand-over area", True), ("HANDOVER", False), ("hand_over\n; areas", True), ("replanned", False)],
)
def test_words_are_found_in_every_form(text: str, found: bool) -> None:
    assert any(forms(word).search(text) is not None for word in ("hand-over area", "plan")) == found
