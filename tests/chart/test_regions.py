"""Regions of a stage share no byte, whatever is claimed, and their sums are the bytes that are claimed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bootwright.chart import regions, scale, words
from bootwright.chart.palette import EMPTY, LOOKS
from bootwright.chart.regions import Region, paint
from bootwright.common.ranges import Range

KINDS = sorted(LOOKS)
claims = st.lists(
    st.builds(
        lambda start, size, kind: Region(Range(start, start + size), "", kind, f"{kind} thing"),
        st.integers(0, 40),
        st.integers(0, 12),
        st.sampled_from(KINDS),
    ),
    max_size=12,
)


@given(claims)
def test_the_last_claim_has_each_byte_and_no_byte_is_had_twice(given: list[Region]) -> None:
    stage = paint("any", "", given, "")
    owners = {}
    for claim in given:
        owners |= dict.fromkeys(range(claim.range.start, claim.range.end), claim.kind)
    found: dict[int, str] = {}
    for region in stage.regions:
        for address in range(region.range.start, region.range.end):
            assert address not in found
            found[address] = region.kind
    assert found == owners
    assert stage.used + stage.free + stage.reserved == sum(stage.totals.values()) == len(owners)
    assert list(stage.regions) == sorted(stage.regions, key=lambda region: region.range)


@given(st.lists(claims, min_size=1, max_size=3))
def test_a_scale_keeps_the_order_and_shows_every_region(given: list[list[Region]]) -> None:
    larger = [[Region(Range(c.range.start << 18, c.range.end << 18), "", c.kind, c.what) for c in one] for one in given]
    stages = [paint("any", "", one, "") for one in larger]
    found = scale.scale(stages, scale.Units(least=10, doubling=2, broken=15, hair=1))
    for stage in stages:
        ends = [0.0]
        for region in stage.regions:
            start, end = found.at(region.range.start), found.at(region.range.end)
            assert ends[-1] <= start < end <= found.length
            assert end - start >= 10 or region.kind == regions.FREE
            ends.append(end)
        gaps = scale.gaps(stage.regions, Range(0, 60 << 18))
        covered = sum(region.range.size for region in stage.regions) + sum(gap.size for gap in gaps)
        assert covered == 60 << 18
    shortened = [one for one in found.segments if one.broken]
    free = {r.range for stage in stages for r in stage.regions if r.kind != regions.FREE}
    assert not any(one.range.overlaps(place) for one in shortened for place in free)


def test_no_two_kinds_look_the_same() -> None:
    looks = [(look.colour, look.pattern) for look in LOOKS.values()]
    assert len(set(looks)) == len(looks) == len({look.letter for look in LOOKS.values()})
    assert [kind for kind, look in LOOKS.items() if look.pattern == EMPTY] == [regions.FREE]


def test_sizes_are_in_words() -> None:
    sizes = (24, 4096, 1 << 20, 12_345_678, 5 << 30, 1 << 41)
    assert [words.size(number) for number in sizes] == ["24 bytes", "4 KiB", "1 MiB", "11.8 MiB", "5 GiB", "2 TiB"]


@given(st.text(max_size=60), st.integers(0, 60))
def test_what_is_cut_has_room(text: str, room: int) -> None:
    found = words.cut(text, room)
    assert len(found) <= room and (found == text or len(found) == room)
