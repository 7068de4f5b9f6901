"""What was made before, kept on disk by what it was made of.

    store = Store(folder, made_by=fingerprint())
    linked = store.get(("stub", 622), lambda: (link(...), files))

An entry is named by the hash of its key and of what makes it, and holds the hashes of the files that were read for it:
it counts as long as all of these are the same. It is written beside its place and renamed, so two processes do not
meet, and starts with a hash of itself, so that a torn or damaged one is made anew. Deleting the folder is always right.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_HASH = hashlib.sha256
# Entries beyond this number go, the oldest first: some hundred images' worth.
_MOST = 512


class Store:
    """A folder of entries; None keeps nothing. made_by: what all of them depend on, such as the tool's own code."""

    def __init__(self, folder: Path | None, made_by: str) -> None:
        """Keep entries in `folder`, which is created when the first is written."""
        self._folder = folder
        self._made_by = made_by

    def get(self, key: object, make: Callable[[], tuple[T, Iterable[Path]]]) -> T:
        """The value for a key (anything whose repr says it), made where it is not there.

        make gives the value, which can be pickled, and the files that it was made of; a file that is absent counts as
        well, by its absence. Whatever make raises passes.
        """
        if self._folder is None:
            return make()[0]
        name = _HASH(repr((self._made_by, key)).encode()).hexdigest()
        entry = self._folder / name
        found = _read(entry)
        if found is not None and all(_hash_of(Path(path)) == was for path, was in found["files"].items()):
            value: T = found["value"]
            return value
        value, files = make()
        self._write(entry, {"files": {str(path): _hash_of(path) for path in files}, "value": value})
        return value

    def _write(self, entry: Path, what: Mapping[str, Any]) -> None:
        data = pickle.dumps(what, pickle.HIGHEST_PROTOCOL)
        # A store that cannot be written costs time, and nothing else.
        with contextlib.suppress(OSError):
            entry.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=entry.parent, prefix=".", delete=False) as file:
                try:
                    file.write(_HASH(data).digest() + data)
                    file.close()
                    os.replace(file.name, entry)
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise
            _thin_out(entry.parent)


def _read(entry: Path) -> dict[str, Any] | None:
    try:
        whole = entry.read_bytes()
    except OSError:
        return None
    size = _HASH().digest_size
    if _HASH(whole[size:]).digest() != whole[:size]:
        return None
    found: dict[str, Any] = pickle.loads(whole[size:])
    return found


def _hash_of(path: Path) -> str | None:
    try:
        # Reading a named pipe would wait for its other end.
        return _HASH(path.read_bytes()).hexdigest() if path.is_file() else None
    except OSError:
        return None


def _thin_out(folder: Path) -> None:
    entries = list(folder.iterdir())
    if len(entries) > _MOST:
        for entry in sorted(entries, key=lambda path: path.stat().st_mtime_ns)[: len(entries) - _MOST]:
            entry.unlink(missing_ok=True)
