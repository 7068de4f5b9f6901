"""Text as editors save it: UTF-8, with a byte order mark in front or without, or something else, which is named.

raw = utf8.without_mark(raw)
utf8.other(raw)                 # "UTF-16": what it is instead; "" for what may be UTF-8
"""

from __future__ import annotations

import codecs

MARK = codecs.BOM_UTF8
HEAD = 4  # bytes that `other` looks at
# UTF-32 first: its mark for little-endian starts as that of UTF-16 does.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def without_mark(raw: bytes) -> bytes:
    """The text without a byte order mark, which says nothing in UTF-8."""
    return raw.removeprefix(MARK)


def other(raw: bytes) -> str:
    """The encoding of text that is none in UTF-8, by its mark, or by a zero byte in its first character; else ""."""
    for mark, name in _MARKS.items():
        if raw.startswith(mark):
            return name
    return "UTF-16" if len(raw) > 1 and raw[:2].count(0) == 1 else ""


def sentence(name: str) -> str:
    """What an error says of text in another encoding."""
    return f"is {name} text: save it as UTF-8"
