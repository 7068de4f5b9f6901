"""Lines of several domains: each domain has one colour, and nothing of the text is lost."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from bootwright.cli.colours import Colours

TEXT = "bootwright: launch\nfirst: one\nsecond: two\nfirst: three\nplain\nsecond: no end"


def shown(parts: list[str]) -> str:
    seen: list[str] = []
    colours = Colours(seen.append)
    for part in parts:
        colours.add(part)
    colours.end()
    return "".join(seen)


def test_each_domain_has_a_colour() -> None:
    lines = shown([TEXT]).split("\n")
    colour = {line.partition("m")[2][:5]: line.partition("m")[0] for line in lines if line.startswith("\x1b")}
    assert len(set(colour.values())) == 2
    assert lines[0] == "bootwright: launch" and lines[4] == "plain"


@given(st.lists(st.integers(0, len(TEXT)), max_size=8))
def test_how_it_comes_is_nothing_to_it(cuts: list[int]) -> None:
    ends = sorted({*cuts, len(TEXT)})
    parts = [TEXT[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert shown(parts) == shown([TEXT])
    assert re.sub(r"\x1b\[[0-9]+m", "", shown(parts)) == TEXT
