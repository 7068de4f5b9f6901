"""What was made before, kept on disk by what it was made of.

    store = Store(folder, made_by=version)
    linked = store.get(("stub", 622), lambda: (made, files))

An entry is named by the hash of its key and of what makes it, and holds the hashes of the files that were read for it:
it counts as long as all of these are the same. It is written beside its place and renamed, so two processes do not
meet, and starts with a hash of itself, so that a torn or damaged one is made anew. Deleting the folder is always right.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_PACKAGES = Path(__file__).resolve().parent.parent
_HASH = hashlib.sha256
_RECORDS = "types"  # where dissect.cstruct's types say that they are
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
        for kept in self.find(key):
            value: T = kept
            return value
        value, files = make()
        self._write(self._entry(key), {"files": {str(path): _hash_of(path) for path in files}, "value": value})
        return value

    def find(self, key: object) -> tuple[Any, ...]:
        """The value that is kept for a key, and counts; () for none."""
        found = _read(self._entry(key)) if self._folder is not None else None
        if found is None or any(_hash_of(Path(path)) != was for path, was in found["files"].items()):
            return ()
        return (found["value"],)

    def _entry(self, key: object) -> Path:
        assert self._folder is not None
        return self._folder / _HASH(repr((self._made_by, key)).encode()).hexdigest()

    def _write(self, entry: Path, what: Mapping[str, Any]) -> None:
        data = _pickled(what)
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


class _Pickler(pickle.Pickler):
    """Of the numbers and bytes of a record (abi.struct) it keeps the value: their types have no name to be found by."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, (int, bytes)) and type(obj).__module__ == _RECORDS:
            return (int, (int(obj),)) if isinstance(obj, int) else (bytes, (bytes(obj),))
        return NotImplemented


def _pickled(what: object) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(what)
    return stream.getvalue()


def code_of(packages: Iterable[str], libraries: Mapping[str, str]) -> str:
    """A SHA-256 over the code of packages of bootwright, and of libraries as they are installed: by their import, the
    name of their folder of metadata, as a pattern.
    """
    hashed = _HASH()
    for module in sorted(file for package in packages for file in (_PACKAGES / package).glob("*.py")):
        hashed.update(module.read_bytes())
    for library, pattern in libraries.items():
        found = find_spec(library)
        folder = Path(found.origin).parent.parent if found and found.origin else Path()
        hashed.update(repr(sorted(entry.name for entry in folder.glob(pattern))).encode())
    return hashed.hexdigest()


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
        if not path.is_file():  # reading a named pipe would wait for its other end
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, _HASH).hexdigest()
    except OSError:
        return None


def _thin_out(folder: Path) -> None:
    entries = [entry for entry in folder.iterdir() if entry.is_file()]
    if len(entries) > _MOST:
        for entry in sorted(entries, key=lambda path: path.stat().st_mtime_ns)[: len(entries) - _MOST]:
            entry.unlink(missing_ok=True)
