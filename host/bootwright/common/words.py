"""Command lines, word by word.

    own, extra = split_hypervisors("console=vga -- quiet")      # ("console=vga", " quiet")
    own, rest = split_kernels("quiet -- single")                # ("quiet", " -- single")
    has("pnpacpi=off", "acpi=")                                 # False

Words are what stands between spaces. A word "--" ends what a reader takes for its own: behind it a hypervisor finds
what it hands on to the initial domain, and Linux what it hands on to init.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

MARK = "--"


def split_hypervisors(line: str) -> tuple[str, str]:
    """What a hypervisor's command line says to it, and what is for the initial domain: all behind the first " -- ",
    with exactly one leading space, "" where there is no mark. A line may begin with it.
    """
    own, mark, extra = f" {line}".partition(f" {MARK} ")
    return own[1:], f" {extra.lstrip(' ')}" if mark else ""


def split_kernels(line: str) -> tuple[str, str]:
    """What a kernel's command line says to it, and all from the space in front of the first word "--" on, which is
    added where the line begins with the mark.
    """
    found = re.search(rf"(?:^| ){MARK}(?= |$)", line)
    if found is None:
        return line, ""
    return line[: found.start()], f" {line[found.start() :].removeprefix(' ')}"


def has(line: str, option: str) -> bool:
    """Is this option among the words? option: the whole word, or up to its =."""
    words = line.split(" ")
    return any(word.startswith(option) for word in words) if option.endswith("=") else option in words


def nearest(word: str, known: Iterable[str]) -> str:
    """ "; did you mean X?" for the closest of `known`, or "" when none is close."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def none_of(word: str, known: Collection[str], more: str = "") -> str:
    """The end of a sentence about a word that is none of those that are known. more: what there is besides these."""
    return f"{word!r} is none of {', '.join([*known, *filter(None, [more])])}{nearest(word, known)}"
