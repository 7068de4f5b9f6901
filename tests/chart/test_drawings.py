"""Drawings, pages and rows of characters: well-formed, every region is named, and text stays where it belongs."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pictures
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import planned

from bootwright.chart import document, memory_svg, page, regions, terminal, time_svg, timeline, words
from bootwright.chart.boots import Chart
from bootwright.chart.palette import LOOKS
from bootwright.chart.regions import Region, paint
from bootwright.common.asciicast import Event, Recording
from bootwright.common.ranges import Range

SVG = "{http://www.w3.org/2000/svg}"
# Of monospaced fonts, the widest that are usual: Courier New, Menlo and DejaVu have 0.60 of a character's height.
WIDEST = 0.61

names = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=60)
stages = st.lists(
    st.lists(
        st.builds(
            lambda start, size, kind, what: Region(Range(start, start + size), "who", kind, what),
            st.integers(0, 1 << 34),
            st.sampled_from([1, 24, 4096, 40 << 10, 1 << 20, 300 << 20, 4 << 30]),
            st.sampled_from(sorted(LOOKS)),
            names,
        ),
        min_size=1,
        max_size=12,
    ),
    min_size=1,
    max_size=3,
)


def chart(claims: list[list[Region]]) -> Chart:
    found = tuple(paint(f"stage{n}", "what it is like", one, "somebody") for n, one in enumerate(claims))
    return Chart("lab <&>", 'on "any" machine', found, ("launch by <PVH>",), ("a note & more",))


def recording() -> Recording:
    """A boot with a line every so many milliseconds."""
    boot = planned("demo").fit.boot
    assert boot is not None
    lines = ["GRUB", *boot.lines, "demo: hello", "demo: powering off"]
    output = tuple(Event(n * n / 100, f"{line}\n") for n, line in enumerate(lines, 1))
    return Recording("demo by <grub>", output, (Event(9.0, "the guest powered off"),))


def number(element: ElementTree.Element, key: str) -> float:
    return float(element.get(key, "0"))


def extent(text: ElementTree.Element) -> tuple[float, float]:
    """From where to where a line of text reaches at most."""
    width = len(text.text or "") * number(text, "font-size") * WIDEST
    x = number(text, "x")
    start = {"start": x, "middle": x - width / 2, "end": x - width}[text.get("text-anchor", "start")]
    return start, start + width


def check_drawing(drawn: str) -> ElementTree.Element:
    """Well-formed, and every text lies inside; within a group, also beside the other texts of the same line."""
    root = ElementTree.fromstring(drawn)
    width, height = number(root, "width"), number(root, "height")
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    rows: dict[float, list[tuple[float, float]]] = {}
    for text in root.iter(f"{SVG}text"):
        start, end = extent(text)
        assert start >= 0 and end <= width, text.text
        assert 0 < number(text, "y") <= height
        rows.setdefault(number(text, "y"), []).append((start, end))
    for row in rows.values():
        row.sort()
        assert all(one[1] <= other[0] for one, other in pairwise(row))
    assert not {"script", "image", "a"} & {element.tag.removeprefix(SVG) for element in root.iter()}
    assert not any("//" in value for element in root.iter() for value in element.attrib.values())
    return root


@given(stages)
def test_every_region_is_named_and_its_text_fits_its_box(claims: list[list[Region]]) -> None:
    found = chart(claims)
    root = check_drawing(memory_svg.draw(found))
    titles = [title.text for group in root.iter(f"{SVG}g") for title in group.findall(f"{SVG}title")]
    assert titles == [words.whole(region) for stage in found.stages for region in stage.regions]
    for group in root.iter(f"{SVG}g"):
        box = group.find(f"{SVG}rect")
        assert box is not None
        left, top = number(box, "x"), number(box, "y")
        bottoms = [top]
        for text in group.iter(f"{SVG}text"):
            start, end = extent(text)
            assert left <= start and end <= left + number(box, "width"), text.text
            assert number(text, "y") - 0.75 * number(text, "font-size") >= bottoms[-1] - 0.1, text.text
            assert number(text, "y") <= top + number(box, "height"), text.text
            bottoms.append(number(text, "y"))
        if (box.get("class") or "") != "none":
            assert len(bottoms) > 1, "what is used has a label, however small it is"


def test_a_drawing_without_stages() -> None:
    check_drawing(memory_svg.draw(Chart("none", "by log", ())))


@given(stages, st.integers(60, 220))
def test_rows_of_characters_have_the_width_of_the_terminal(claims: list[list[Region]], width: int) -> None:
    lines = [line.plain for line in terminal.memory(chart(claims), width)]
    sums = 4 + len(claims)  # sentences, which wrap, and the legend
    assert all(len(line) <= width for line in lines[1:-sums])


def test_rows_of_characters_name_every_region() -> None:
    found = planned("two").chart
    for width in (80, 150, 400):
        shown = "\n".join(line.plain for line in terminal.memory(found, width))
        for stage in found.stages:
            assert f"{stage.name}: {words.sums(stage)}" in shown
        for address in {r.range.start for stage in found.stages for r in stage.regions if r.kind != regions.FREE}:
            assert re.search(rf"^ *{address:#x}\b", shown, re.MULTILINE), hex(address)
    for region in (region for stage in found.stages for region in stage.regions if region.kind != regions.FREE):
        assert f"{region.what}, {words.size(region.range.size)}" in shown


class Cells(HTMLParser):
    """The cells of a page's tables; tags that are not closed are an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data


def test_a_page_has_every_region_and_bar() -> None:
    found, time = planned("two").chart, timeline.of_recording(recording())
    assert time is not None
    reader = Cells()
    reader.feed(page.render(found, time))
    reader.close()
    assert reader.open == []
    for region in (region for stage in found.stages for region in stage.regions):
        assert {str(region.range), f"{region.range.size:,}", region.what} <= set(reader.cells)
    assert {bar.line for bar in time.bars} <= set(reader.cells)


def test_the_bars_of_a_boot() -> None:
    found = timeline.of_recording(recording())
    assert found is not None
    assert [bar.name for bar in found.bars] == [
        *("firmware", "loader", "entry", "tables", "modules", "builder", "launch"),
        *("launched, silent", "launched, running"),
    ]
    ends = [0.0]
    for bar in found.bars:
        assert bar.start == ends[-1] <= bar.end
        ends.append(bar.end)
    assert found.seconds == 9.0 and found.bars[-1].line == "the guest powered off"
    assert [bar.line.split(":")[1] for bar in found.of(timeline.STUB)][-1] == " launch by PVH"
    at = {event.text.rstrip("\n"): event.seconds for event in recording().output}
    assert all(bar.end == at[bar.line] for bar in found.bars[:-1])
    assert document.time(found)["bars"][0]["end"] == 10.0


def test_a_boot_of_a_partition_goes_on_in_the_resident_part() -> None:
    boot = planned("two").fit.boot
    assert boot is not None
    lines = [*boot.lines, "d0: hello", "bootwright: d1: ended: powered off"]
    found = timeline.of_recording(Recording("two", tuple(Event(float(n), f"{line}\n") for n, line in enumerate(lines))))
    assert found is not None
    names = [bar.name for bar in found.of(timeline.STUB)]
    assert names == ["entry", "tables", "modules", "builder", "launch", "partition", "partition launched"]
    assert found.of(timeline.LAUNCHED)[0].line == "d0: hello"


def test_a_recording_without_a_boot_has_no_bars() -> None:
    assert timeline.of_recording(Recording("", ())) is None
    assert timeline.of_recording(Recording("", (Event(1.0, "bootwright: nothing\n"),))) is None


def test_the_drawing_of_the_time() -> None:
    found = timeline.of_recording(recording())
    assert found is not None
    root = check_drawing(time_svg.draw(found))
    shown = [text.text for text in root.iter(f"{SVG}text")]
    assert {bar.name for bar in found.bars} <= set(shown) and "stub" in shown
    rows = [line.plain for line in terminal.time(found, 100)]
    assert all(len(row) <= 100 for row in rows)
    assert sum("\u2588" in row for row in rows) == len(found.bars) + 1


@pytest.mark.parametrize("whole", [0.0, 0.004, 1.0, 7.9, 830.0, 12_345.0, 3.6e6])
def test_ticks_are_round_and_few(whole: float) -> None:
    found = time_svg.ticks(whole)
    assert found[0] == 0 and found[-1] <= whole and len(found) <= 9
    if whole >= 0.004:
        assert len(found) >= 4
        assert f"{found[1]:.0e}"[0] in "125" and abs(found[1] - float(f"{found[1]:.1e}")) < 1e-9


@pytest.mark.parametrize(("path", "text"), pictures.render().items(), ids=lambda value: getattr(value, "name", ""))
def test_the_pictures_in_the_pages_are_up_to_date(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run: invoke docs"
    check_drawing(text)
