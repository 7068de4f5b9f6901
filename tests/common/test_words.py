"""Command lines, word by word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootwright.common import words

LINES = st.text(alphabet="a-= ", max_size=20)


@pytest.mark.parametrize(
    ("line", "own", "rest"),
    [
        ("a b", "a b", ""),
        ("a -- b -- c", "a", " -- b -- c"),
        ("a  --  b", "a ", " --  b"),
        ("-- a", "", " -- a"),
        ("a --", "a", " --"),
        ("a --b c-- --- d", "a --b c-- --- d", ""),
        ("", "", ""),
    ],
)
def test_a_kernels_line_ends_at_a_word(line: str, own: str, rest: str) -> None:
    assert words.split_kernels(line) == (own, rest)


@given(LINES)
def test_no_word_of_a_line_is_lost(line: str) -> None:
    own, rest = words.split_kernels(line)
    assert (own + rest).split() == line.split()
    assert words.MARK not in own.split(" ") and (not rest or rest.split(" ")[:2] == ["", words.MARK])
    own, extra = words.split_hypervisors(line)
    mark = [words.MARK] if extra else []
    assert own.split() + mark + extra.split() == line.split()


@pytest.mark.parametrize(
    ("line", "option", "found"),
    [
        ("a noapic", "noapic", True),
        ("a noapictimer", "noapic", False),
        ("xnoapic", "noapic", False),
        ("acpi=off", "acpi=", True),
        ("pnpacpi=off", "acpi=", False),
        ("acpi", "acpi=", False),
        ("", "acpi=", False),
    ],
)
def test_an_option_is_a_word(line: str, option: str, found: bool) -> None:
    assert words.has(line, option) is found
