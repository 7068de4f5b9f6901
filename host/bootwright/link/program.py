"""From assembly sources to a linked program, each step kept by what it was made of.

    linked = program([Path("stub/boot/entry.asm"), ...], "stub", cache, reserve={"tables": 622})

A source that has not changed is not assembled again, nor the same sources linked in the same way. Sources are compared
by their bytes, with all that they include, stub/abi, the layout and the assembler itself. Many that have changed are
assembled by two processes, half of them each.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import cache as once
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from bootwright.common import abi
from bootwright.common.errors import BootwrightError
from bootwright.common.store import Store, code_of
from bootwright.link.linked import Linked

# The assembler itself, Keystone and Capstone with it, is imported when there is something to assemble.
if TYPE_CHECKING:
    from bootwright.asm.assemble import Object

# So many sources are assembled before another process would have been of use.
_FEW = 4
# The packages whose code says what the bytes are.
_PACKAGES = ("common", "asm", "link")
_NOTHING: Mapping[str, int] = MappingProxyType({})
# The libraries that say what an instruction's bytes are: by their import, and as they are installed.
_LIBRARIES = {"keystone": "keystone_engine-*.dist-info", "capstone": "capstone-*.dist-info"}


def program(
    sources: Sequence[Path],
    layout_name: str,
    cache: Path | None,
    *,
    reasons: Collection[str] = (),
    reserve: Mapping[str, int] = _NOTHING,
    spare_headers: int = 0,
    meanwhile: Callable[[], object] | None = None,
) -> Linked:
    """Assemble and link sources, in this order within each section, by linker/NAME.toml; cache: where results are kept.

    reasons: those of the layout's files for which the sources are linked. meanwhile: another link that will be wanted,
    with most of the same sources: where this one has to be made, a copy of this process makes that one for the cache.

    The result has no `instructions`. Raises as assemble, layout.load and link do.
    """
    store = Store(cache and cache / "assembly", made_by=fingerprint())
    layout_path = abi.linker_directory() / f"{layout_name}.toml"

    def make() -> tuple[Linked, Iterable[Path]]:
        from bootwright.link import layout, linker

        objects = _objects(sources, store) if cache else [_object(path, store) for path in sources]
        how = layout.load(layout_path, reasons)
        with _beside(meanwhile) if meanwhile and cache and _may_fork() else nullcontext():
            found = linker.link(objects, how, reserve=reserve, spare_headers=spare_headers, instructions=False)
        files = [file for item in objects for file in item.files]
        return found, dict.fromkeys([*files, *_headers(), layout_path])

    names = [str(path) for path in (*sources, *_headers())]
    return store.get(("program", names, layout_name, sorted(reasons), sorted(reserve.items()), spare_headers), make)


def _objects(sources: Sequence[Path], store: Store) -> list[Object]:
    """The objects of sources, in their order. What they raise is that of the first that is wrong."""
    found: dict[Path, Object] = {path: kept for path in sources for kept in store.find(_key(path))}
    missing = [path for path in sources if path not in found]
    missing.sort(key=lambda path: path.stat().st_size if path.exists() else 0)
    if len(missing) > _FEW and _may_fork():
        from bootwright.asm import assemble  # noqa: F401  (imported once for both)

        abi.load()
        with _beside(lambda: [_object(path, store) for path in missing[::2]]):
            for path in missing[1::2]:
                with suppress(BootwrightError):
                    found[path] = _object(path, store)
    return [found[path] if path in found else _object(path, store) for path in sources]


def _may_fork() -> bool:
    """A fork has none of the other threads, and what they had locked stays locked there."""
    return threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1


@contextmanager
def _beside(work: Callable[[], object]) -> Iterator[None]:
    """A copy of this process works for the store meanwhile: what goes wrong there is met here again."""
    copy = os.fork()
    if not copy:
        try:
            work()
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.waitpid(copy, 0)


def _key(path: Path) -> object:
    return "object", [str(file) for file in (path, *_headers())]


def _object(path: Path, store: Store) -> Object:
    def make() -> tuple[Object, Iterable[Path]]:
        from bootwright.asm import assemble

        found = assemble.assemble(path)
        return found, [*found.files, *_headers()]

    return store.get(_key(path), make)


def _headers() -> list[Path]:
    return sorted((abi.stub_directory() / "abi").glob("*.h"))


@once
def fingerprint() -> str:
    """What the assembler and the linker are, as a hash: their own code, and the libraries that they ask."""
    return code_of(_PACKAGES, _LIBRARIES)
