"""Recordings of a console with times: asciicast v2, which `asciinema play` and its like show.

    with writing(path, "demo by grub") as cast:
        cast.add(text)                                  # as it comes; time 0 is when the file was begun
        cast.mark("the guest powered off")
    read(path.read_text())                              # Recording, or None for a text that is no recording

The format is asciinema's (docs.asciinema.org/manual/asciicast/v2): a header in JSON, then a line [seconds, code, data]
for each event: "o" is output, "m" a marker.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

VERSION = 2
_OUTPUT, _MARKER = "o", "m"
# Of the terminal that plays it: the stub's lines are long.
_SIZE = {"width": 132, "height": 43}
_LONGEST = 1e9  # seconds


@dataclass(frozen=True)
class Event:
    """What came, and when, in seconds from the recording's begin."""

    seconds: float
    text: str


@dataclass(frozen=True)
class Recording:
    """What was recorded. output: pieces of text as they came, ends of line as "\\n"; marks: what was said of them."""

    title: str
    output: tuple[Event, ...]
    marks: tuple[Event, ...] = ()

    @property
    def text(self) -> str:
        """All that the console showed."""
        return "".join(event.text for event in self.output)

    def lines(self) -> Iterator[Event]:
        """Each line without its end, when its first character came."""
        begun, so_far = 0.0, ""
        for event in self.output:
            *ended, rest = event.text.split("\n")
            for part in ended:
                yield Event(begun if so_far else event.seconds, so_far + part)
                so_far = ""
            begun = begun if so_far else event.seconds
            so_far += rest
        if so_far:
            yield Event(begun, so_far)


class Writer:
    """A recording that grows."""

    def __init__(self, stream: IO[str], clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._begun = clock()

    def add(self, text: str) -> None:
        """Text that the console shows now; a player's terminal wants a carriage return at the end of a line."""
        self._event(_OUTPUT, text.replace("\n", "\r\n"))

    def mark(self, text: str) -> None:
        """A sentence about what is so from now on."""
        self._event(_MARKER, text)

    def _event(self, code: str, data: str) -> None:
        self._stream.write(json.dumps([round(self._clock() - self._begun, 6), code, data]) + "\n")
        self._stream.flush()  # so that what was seen is there, however this ends


@contextmanager
def writing(path: Path, title: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Writer]:
    """A new recording at `path`. Raises OSError."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps({"version": VERSION, **_SIZE, "title": title}) + "\n")
        yield Writer(stream, clock)


def read(text: str) -> Recording | None:
    """A recording in this format, as far as its lines are whole; None for a text that is none. Raises nothing."""
    head, *rest = text.split("\n")
    header = _json(head)
    if not isinstance(header, dict) or header.get("version") != VERSION:
        return None
    output, marks = [], []
    for line in rest:
        match _json(line):
            case [int() | float() as seconds, str() as code, str() as data] if 0 <= seconds < _LONGEST:
                event = Event(float(seconds), _utf8(data).replace("\r\n", "\n"))
                if code == _OUTPUT:
                    output.append(event)
                elif code == _MARKER:
                    marks.append(event)
    return Recording(_utf8(str(header.get("title", ""))), tuple(output), tuple(marks))


def _utf8(text: str) -> str:
    """What JSON can say and UTF-8 cannot, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
