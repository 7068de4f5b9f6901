"""Two stored images compared by what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Where things lie follows from what they are; both forms of an image are the same image.
_LEFT_OUT = frozenset({"place", "form", "load_address", "room_for_tables", "right", "signature", "entry"})


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """What differs in two records (describe.record): its name, what it is in the one and in the other, None where it
    is not there.
    """
    return list(_compared("", one, other))


def _compared(what: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys([*one, *other]):
            if key not in _LEFT_OUT:
                yield from _compared(f"{what} {key}".strip(), one.get(key), other.get(key))
    elif _named(one) and _named(other):
        ours, theirs = ({item.get("name") or item["path"]: item for item in items} for items in (one, other))
        yield from _compared(what, ours, theirs)
    elif one != other:
        yield what, one, other


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)
