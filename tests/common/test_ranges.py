"""Ranges and first fit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bootwright.common.ranges import Range, align_up, first_fit

ranges = st.builds(lambda start, size: Range(start, start + size), st.integers(0, 200), st.integers(0, 60))


def test_range() -> None:
    assert str(Range(0x1000, 0x2000)) == "[0x1000, 0x2000)"
    assert Range.sized(16, 4) == Range(16, 20) and Range(16, 20).size == 4
    assert 16 in Range(16, 20) and 20 not in Range(16, 20)
    assert Range(0, 2).overlaps(Range(1, 3)) and not Range(0, 2).overlaps(Range(2, 3))
    assert not Range(1, 1).overlaps(Range(0, 2))


@given(st.integers(1, 80), st.lists(ranges, max_size=8), st.sampled_from([1, 4, 16]))
@settings(deadline=None)
def test_first_fit_is_the_lowest_that_is_clear(size: int, obstacles: list[Range], alignment: int) -> None:
    within = Range(10, 300)

    def fits(start: int) -> bool:
        return start + size <= within.end and not any(Range.sized(start, size).overlaps(o) for o in obstacles)

    expected = next((s for s in range(align_up(10, alignment), 300, alignment) if fits(s)), None)
    found = first_fit(size, obstacles, within, alignment)
    assert (found.start if found else None) == expected
