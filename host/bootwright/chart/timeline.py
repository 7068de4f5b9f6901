"""Where the time of a recorded boot went: a bar for each stage, up to the last line that the stage printed.

    found = of_recording(asciicast.read(text))      # None where no line of the stub is in it
    found.bars                                      # one behind the other, from 0 to the end

A line says that something was done, so the time up to it is that stage's. Times are the host's, when the text came: a
serial line is slower than what it speaks of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bootwright.common.abi import load as load_abi
from bootwright.common.asciicast import Event, Recording
from bootwright.common.messages import pattern
from bootwright.lab.explain import STAGES

MACHINE, STUB, LAUNCHED = "machine", "stub", "launched"


@dataclass(frozen=True)
class Bar:
    """A stretch of a boot, in seconds from its begin: of whom (one of the words above), what it is called, a sentence
    on it, the line that ended it.
    """

    whose: str
    name: str
    says: str
    start: float
    end: float
    line: str

    @property
    def milliseconds(self) -> float:
        """How long it is."""
        return (self.end - self.start) * 1000


@dataclass(frozen=True)
class Timeline:
    """A boot's bars, each beginning where the one before it ends."""

    title: str
    bars: tuple[Bar, ...]

    @property
    def seconds(self) -> float:
        """How long all of it is."""
        return self.bars[-1].end if self.bars else 0.0

    def of(self, whose: str) -> list[Bar]:
        """The bars of one of them."""
        return [bar for bar in self.bars if bar.whose == whose]


def of_recording(recording: Recording) -> Timeline | None:
    """The bars of the first boot in a recording; None where the stub is not in it. Pure: raises nothing."""
    lines = [line for line in recording.lines() if line.text.strip()]
    begin = next((n for n, line in enumerate(lines) if _is(line, "M_ENTRY")), None)
    if begin is None:
        return None
    marks = recording.marks[-1:] or (Event(lines[-1].seconds, lines[-1].text),)
    bars = list(_before(lines[: begin + 1]))
    behind = begin
    for name, says, last in _stages(lines, begin):
        bars.append(Bar(STUB, name, says, bars[-1].end, max(bars[-1].end, lines[last].seconds), lines[last].text))
        behind = last
    bars += _launched(lines[behind + 1 :], bars[-1].end, marks[0])
    return Timeline(recording.title, tuple(bars))


def _before(lines: Sequence[Event]) -> Iterator[Bar]:
    """Up to the stub's first line, which is the last of these."""
    first, entry = lines[0], lines[-1]
    if first is not entry:
        yield Bar(MACHINE, "firmware", "until the first text of any kind", 0.0, first.seconds, first.text)
    name = "loader" if first is not entry else "firmware and loader"
    start = first.seconds if first is not entry else 0.0
    yield Bar(MACHINE, name, "until the stub's first line", start, entry.seconds, entry.text)


def _stages(lines: Sequence[Event], begin: int) -> Iterator[tuple[str, str, int]]:
    """The stub's stages that were reached: name, sentence, number of its last line."""
    reached, last = 0, begin
    launch = next(number for number, stage in enumerate(STAGES) if stage.name == "launch")
    for number in range(begin, len(lines)):
        stage = next(
            (n for n, one in enumerate(STAGES) if any(_is(lines[number], name) for name in one.messages)), None
        )
        ours = lines[number].text.startswith(load_abi().strings["M_PREFIX"])
        if reached == len(STAGES) - 1 or (reached >= launch and not ours):
            break  # from here on it is what was launched that speaks
        if stage is not None and stage > reached:
            yield STAGES[reached].name, STAGES[reached].does, last
            reached = stage
        last = number if ours else last
    yield STAGES[reached].name, STAGES[reached].does, last


def _launched(lines: Sequence[Event], start: float, mark: Event) -> Iterator[Bar]:
    if lines:
        end = max(start, lines[0].seconds)
        yield Bar(LAUNCHED, "launched, silent", "until the first line of what was launched", start, end, lines[0].text)
        start = end
    yield Bar(LAUNCHED, "launched, running", f"until: {mark.text}", start, max(start, mark.seconds), mark.text)


def _is(line: Event, name: str) -> bool:
    return pattern(name).fullmatch(line.text) is not None
