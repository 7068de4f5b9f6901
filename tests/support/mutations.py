"""Files with something wrong: what a broken download, a bad cable, another program or a hand do to a sound one."""

from __future__ import annotations

import copy
import json
import random
import struct
from typing import Any

NUMBERS = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1)
WORDS = (
    b"", b"0", b"-1", b"99999999999999999999999", b"1e999", b"nan", b"true", b"null", b'"', b"'", b"[", b"]", b"{",
    b"}", b"=", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\\ud800", b"\xed\xa0\x80", b"\r", b"\n", b"0x",
    b"-", b"/", b"#", b"[" * 3000,
)  # fmt: skip
DEEP = "deep"  # stands for lists in lists
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1 << 32, (1 << 64) - 1, 1 << 64, 1 << 4000, 0.5, float("inf"), "", "x", "0x",
    "0xffffffffffffffff", "\ud800", "é" * 20, "\0", "x" * 5000, "0x0", [], {}, [1] * 6, [300] * 6, [-1] * 6,
    {"": None}, DEEP,
)  # fmt: skip


def damaged(dice: random.Random, sample: bytes) -> bytes:
    """The sample with one to three faults; at times it is cut short as well."""
    data = bytearray(sample)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        if not data:
            break
        _FAULTS[dice.randrange(len(_FAULTS))](dice, data)
    if dice.random() < 0.15:
        del data[dice.randrange(len(data) + 1) :]
    return bytes(data)


def _place(dice: random.Random, data: bytearray) -> int:
    """Anywhere; often near the beginning, where headers are."""
    return dice.randrange(min(len(data), dice.choice((16, 64, 1024, len(data)))))


def _flip(dice: random.Random, data: bytearray) -> None:
    data[_place(dice, data)] ^= 1 << dice.randrange(8)


def _byte(dice: random.Random, data: bytearray) -> None:
    data[_place(dice, data)] = dice.randrange(256)


def _number(dice: random.Random, data: bytearray) -> None:
    size = dice.choice((2, 4, 8))
    at = _place(dice, data) // size * size
    value = dice.choice((*NUMBERS, len(data), len(data) + 1, dice.randrange(len(data) + 1))) % (1 << 8 * size)
    data[at : at + size] = struct.pack(dice.choice("<>") + {2: "H", 4: "I", 8: "Q"}[size], value)


def _word(dice: random.Random, data: bytearray) -> None:
    at = _place(dice, data)
    data[at : at + dice.choice((0, 0, 1, 4, 20))] = dice.choice(WORDS)


def _cut(dice: random.Random, data: bytearray) -> None:
    at = _place(dice, data)
    del data[at : at + dice.choice((1, 2, 4, 16, 200))]


def _again(dice: random.Random, data: bytearray) -> None:
    at = _place(dice, data)
    data[at:at] = data[at : at + dice.choice((1, 8, 100))]


_FAULTS = (_flip, _byte, _number, _number, _word, _cut, _again)


def damaged_json(dice: random.Random, sample: str) -> bytes:
    """A document with a value or key that is not what belongs there, or damaged as any file."""
    if dice.random() < 0.3:
        return damaged(dice, sample.encode())
    document = json.loads(sample)
    for _ in range(dice.choice((1, 1, 2))):
        places = list(_places(document))
        if places:
            holder, key = dice.choice(places)
            if dice.random() < 0.15:
                del holder[key]
            else:
                holder[key] = copy.deepcopy(dice.choice(VALUES))
    text = json.dumps(document, ensure_ascii=dice.random() < 0.9)
    return text.replace(f'"{DEEP}"', "[" * 5000 + "]" * 5000).encode("utf-8", "surrogatepass")


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in [(value, key), *_places(value[key])]]
