"""The device tree compiler: source into a blob, into text that says where everything stands, and what it includes."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bootwright.common import scratch, utf8
from bootwright.common.errors import BootwrightError, DescriptionError, ErrorList, Where, about
from bootwright.common.tool import Tool

_ERROR = re.compile(r"(?:Error: )?(?P<path>.+?):(?P<line>\d+)\.(?P<column>\d+)(?:-[\d.]+)?:? (?:ERROR )?(?P<text>.*)")
_NO_PLACE = re.compile(r"(?:FATAL ERROR|ERROR)[^:]*: (?P<text>.*)")


class Dtc(Tool):
    """dtc. Its methods raise ErrorList with what it says is wrong with the source at `path`, OSError where that cannot
    be read, and ToolError.
    """

    name = "dtc"
    package = "device-tree-compiler"
    does = "reads device tree source"
    timeout = 20.0  # a tree of a megabyte takes less than a second

    def blob(self, path: Path) -> bytes:
        """The tree that a source describes, as a blob."""
        return self._compile(path, "dtb")

    def annotated(self, path: Path) -> str:
        """The same as text, a line for each node and property, and behind it where it stands in the source."""
        # Some releases of dtc write bytes beyond ASCII wrongly here; names and places are right.
        return self._compile(path, "dts", "-T", "-T").decode("utf-8", "replace")

    def included(self, path: Path) -> list[Path]:
        """The files that a source includes, as text or as bytes."""
        said = self._compile(path, "dtb", "-d", "/dev/stdout", output="/dev/null").decode("utf-8", "surrogateescape")
        # A rule of a makefile, "OUTPUT: FILE FILE"; dtc 1.6 writes a space in a name as it is, later ones "\ ".
        words = said.partition(": ")[2].replace("\\ ", " ").split()
        found: list[Path] = []
        start = 0
        for end in range(1, len(words) + 1):
            name = Path(" ".join(words[start:end]))
            if name.is_file():
                found.append(name)
                start = end
        return found[1:]

    def _compile(self, path: Path, form: str, *options: str, output: str = "-") -> bytes:
        with _readable(path) as (name, found_in), about("", Where(str(path))):
            arguments = ("-q", "-I", "dts", "-O", form, *options, *found_in, "-o", output, name)
            done = self.attempt(*arguments)
        said, out = done.stderr, done.stdout
        if found_in:  # names the copy
            said, out = (text.replace(os.fsencode(name), os.fsencode(path)) for text in (said, out))
        if done.status or not out:
            raise ErrorList(_errors(said.decode("utf-8", "replace"), path))
        return done.stdout if (form, output) == ("dtb", "-") else out  # a blob has no names of files in it


DTC = Dtc()


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """A name by which dtc can read the source, and options for it: dtc takes no byte order mark, so it gets a copy of
    a file that has one.
    """
    raw = path.read_bytes()
    if not raw.startswith(utf8.MARK):
        # A name that starts with a dash would be an option.
        yield str(path) if not str(path).startswith("-") else f"./{path}", ()
        return
    with scratch.own(Path(tempfile.gettempdir()), "bootwright") as folder:
        copy = folder / path.name
        copy.write_bytes(utf8.without_mark(raw))
        yield str(copy), ("-i", str(path.parent))


def _errors(said: str, path: Path) -> list[BootwrightError]:
    """What dtc said, as errors with places: those with a line, or else its last word."""
    errors: list[BootwrightError] = []
    last = "without a word"
    for line in said.splitlines():
        match = _ERROR.fullmatch(line)
        if match:
            text = re.sub(r"^\((\w+)\): ", "", match["text"]).strip()
            where = Where(match["path"], int(match["line"]), int(match["column"]))
            errors.append(DescriptionError(f"device tree source: {text[:1].lower()}{text[1:]}", where))
            continue
        if match := _NO_PLACE.fullmatch(line):
            last = match["text"]
    if errors:
        return errors
    return [DescriptionError(f"device tree source: {last[:1].lower()}{last[1:]}", Where(str(path)))]
