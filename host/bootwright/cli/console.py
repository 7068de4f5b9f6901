"""The terminal as a guest's serial console, as long as a run goes on."""

from __future__ import annotations

import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager


def is_there() -> bool:
    """Whether somebody sits at a terminal that can be the console."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


@contextmanager
def typing() -> Iterator[int]:
    """The keyboard's descriptor; every key goes to the guest meanwhile, Ctrl-C too. The terminal is as before again
    however this is left.
    """
    keyboard = sys.stdin.fileno()
    before, raw = termios.tcgetattr(keyboard), termios.tcgetattr(keyboard)
    raw[0] &= ~(termios.ICRNL | termios.IXON | termios.INLCR | termios.IGNCR)  # input modes of termios(3)
    raw[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)  # local modes
    raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
    termios.tcsetattr(keyboard, termios.TCSADRAIN, raw)
    try:
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
