"""What was packed before: kept in .cache/packed, and packed no more.

    keeper = Keeper(resolve.cache_directory())
    kernel, packed = keeper.get(source, ("kernel", "auto", "lz4"), out, make)

An entry is found by the SHA-256 of the file, by what is asked of it, and by the code that packs. The packed bytes lie
beside the entries under their own SHA-256, which is compared each time: what is torn or damaged is made anew. From
there they are linked into the work folder, not copied, so that another process may clear the cache meanwhile.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache as once
from pathlib import Path
from typing import TypeVar

from bootwright.common import abi, scratch
from bootwright.common.hashes import LARGE, Hashes
from bootwright.common.store import Store, code_of
from bootwright.plan.pack import Packed

T = TypeVar("T")
FOLDER = "packed"
LIMIT = 1 << 30  # bytes of packed files; those that were used longest ago go

# The packages whose code says what is packed, and how, and the libraries that do it.
_PACKAGES = ("common", "kernels", "plan")
_LIBRARIES = {"lz4": "lz4-*.dist-info", "zstandard": "zstandard-*.dist-info", "elftools": "pyelftools-*.dist-info"}


class Keeper:
    """Packs large files once; None for `cache` keeps nothing."""

    def __init__(self, cache: Path | None) -> None:
        """Keep below `cache`, which is created when there is something to keep."""
        self._folder = cache and cache / FOLDER
        self._hashes = Hashes()

    def get(self, source: Path, asked: object, out: Path, make: Callable[[], tuple[T, Packed]]) -> tuple[T, Packed]:
        """What make says of `source`, which can be pickled, and its bytes as packed: in `out`, or in the file itself.

        asked: whatever else make depends on, by its repr. Whatever make raises passes, and OSError.
        """
        size, sha256 = self._hashes.of(source)
        if self._folder is None or size < LARGE:
            return make()
        folder = self._folder

        def kept() -> tuple[tuple[T, Packed, bool], Iterable[Path]]:
            value, packed = make()
            headers = sorted((abi.stub_directory() / "abi").glob("*.h"))
            if packed.path == source:
                return (value, packed, False), headers
            data = folder / "files" / packed.sha256.hex()
            with suppress(OSError):  # it is packed again next time
                _put(packed.path, data)
            return (value, replace(packed, path=Path()), True), [data, *headers]

        store = Store(folder, made_by=fingerprint())
        value, packed, apart = store.get((sha256, size, asked), kept)
        if not apart:
            return value, replace(packed, path=source)
        if not out.exists():
            data = folder / "files" / packed.sha256.hex()
            try:
                _link(data, out)
                os.utime(data)
            except OSError:  # somebody has cleared the cache
                out.unlink(missing_ok=True)
                return make()
        return value, replace(packed, path=out)


@once
def fingerprint() -> str:
    """What packs, as a hash: its own code, and the libraries that it asks."""
    return code_of(_PACKAGES, _LIBRARIES)


def _put(made: Path, data: Path) -> None:
    data.parent.mkdir(parents=True, exist_ok=True)
    with scratch.own(data.parent, "packed") as folder:
        _link(made, folder / data.name)
        os.replace(folder / data.name, data)
    _thin_out(data.parent)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _thin_out(folder: Path) -> None:
    found = []
    for path in folder.iterdir():
        with suppress(OSError):
            if path.is_file():
                found.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= LIMIT:
            break
        path.unlink(missing_ok=True)
        total -= size
