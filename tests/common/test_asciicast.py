"""Recordings: what was written comes back, with the times; each line is JSON, as the format's page has it."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bootwright.common import asciicast


def recorded(path: Path, pieces: list[tuple[float, str]]) -> str:
    """A recording of pieces, each after so many seconds."""
    times = iter([100.0, *(100.0 + seconds for seconds, _ in pieces), 1000.0])
    with asciicast.writing(path, "demo", lambda: next(times)) as recording:
        for _, text in pieces:
            recording.add(text)
        recording.mark("done")
    return path.read_text(encoding="utf-8")


def test_the_file_is_as_the_format_says(tmp_path: Path) -> None:
    text = recorded(tmp_path / "cast", [(0.5, "one\ntw"), (1.25, "o\u00e9\n")])
    header, *events = [json.loads(line) for line in text.splitlines()]
    assert header == {"version": 2, "width": 132, "height": 43, "title": "demo"}
    assert events == [[0.5, "o", "one\r\ntw"], [1.25, "o", "o\u00e9\r\n"], [900.0, "m", "done"]]


def test_a_line_has_the_time_of_its_first_character(tmp_path: Path) -> None:
    text = recorded(tmp_path / "cast", [(0.5, "one\ntw"), (1.0, "o"), (1.5, "\n\nthree")])
    found = asciicast.read(text)
    assert found is not None
    assert [(line.seconds, line.text) for line in found.lines()] == [
        (0.5, "one"),
        (0.5, "two"),
        (1.5, ""),
        (1.5, "three"),
    ]
    assert [(mark.seconds, mark.text) for mark in found.marks] == [(900.0, "done")]


@given(
    st.lists(st.tuples(st.floats(0, 100), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"))))
)
def test_all_comes_back(tmp_path_factory: object, pieces: list[tuple[float, str]]) -> None:
    text = recorded(Path(tmp_path_factory.getbasetemp() / "all"), pieces)  # type: ignore[attr-defined]
    found = asciicast.read(text)
    assert found is not None and found.text == "".join(piece for _, piece in pieces)
    joined = "\n".join(line.text for line in found.lines())
    assert joined == found.text.removesuffix("\n") or joined + "\n" == found.text


def test_what_is_no_recording() -> None:
    for text in ("", "bootwright: image", "[]", '{"version": 3}', "[" * 100_000, '{"version": 2'):
        assert asciicast.read(text) is None


def test_damaged_lines_are_left_out() -> None:
    lines = ['{"version": 2}', "[1, 2, 3]", '[NaN, "o", "a"]', '[-1, "o", "b"]', "[1e400]", f'[1{"0" * 400}, "o", "c"]']
    found = asciicast.read("\n".join([*lines, '[1, "o", "\\ud800d"]', '[2, "i", "typed"]', '[3, "o"']))
    assert found == asciicast.Recording("", (asciicast.Event(1.0, "?d"),))
