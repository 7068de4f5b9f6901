"""What a console carries beside text: the control sequences of a terminal (ECMA-48), as firmware and GRUB send them."""

from __future__ import annotations

import re

_CONTROL = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[ -/]*[0-Z\\-~])|\r")
_CUT = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[ -/]*)?\Z")


def without_control(data: bytes) -> bytes:
    """The text alone: no control sequences, and line ends without carriage returns."""
    return _CONTROL.sub(b"", data)


def split_cut(data: bytes) -> tuple[bytes, bytes]:
    """What is whole of data, and the control sequence that their end cuts short, empty for none."""
    cut = _CUT.search(data)
    end = cut.start() if cut else len(data)
    return data[:end], data[end:]


def printable(text: str) -> str:
    """One line with nothing that a terminal obeys, for text that others made: what cannot be printed is U+FFFD."""
    joined = " ".join(text.split())
    return "".join(character if character.isprintable() else "\ufffd" for character in joined)
