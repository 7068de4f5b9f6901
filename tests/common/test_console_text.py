"""A console's text: without a terminal's control sequences, its lines found again, and text in columns."""

from __future__ import annotations

import pytest

from bootwright.common.columns import aligned
from bootwright.common.messages import BootFailure, failure_pattern, line, pattern
from bootwright.common.terminal import split_cut, without_control

SAID = b"\x1b[2J\x1b[01;01HBds\x1b[0mDxe\x1b=: starting\r\n"


def test_control_sequences_are_left_out() -> None:
    assert without_control(SAID) == b"BdsDxe: starting\n"


@pytest.mark.parametrize("at", range(len(SAID) + 1))
def test_wherever_a_read_ends(at: int) -> None:
    whole, cut = split_cut(SAID[:at])
    assert whole + cut == SAID[:at]
    assert without_control(whole) + without_control(cut + SAID[at:]) == without_control(SAID)


def test_a_message_is_found_with_its_values() -> None:
    text = f"noise\n{line('M_MEMORY', 3, 127, 0xF0000)}\n{line('M_TABLES', 622, 1, 2)}\n"
    assert pattern("M_MEMORY").findall(text) == [("3", "127", "0xf0000")]
    assert pattern("M_MEMORY").findall(text.replace("bootwright", "x")) == []


def test_a_failure_is_found() -> None:
    failure = BootFailure("E_NO_LONG_MODE")
    assert failure_pattern().findall(f"{line('M_TABLES', 622, 1, 2)}\n{failure.line}\n") == [failure.line]


def test_columns() -> None:
    assert aligned([("range", "bytes", "what"), ("[0x0, 0x1000)", "4096", "")], right=(1,)) == [
        "range          bytes  what",
        "[0x0, 0x1000)   4096",
    ]
    assert aligned([]) == []
