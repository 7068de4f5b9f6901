"""From assembly sources to a linked program, each step kept by what it was made of.

    linked = program([Path("stub/boot/entry.asm"), ...], "stub", cache, reserve={"tables": 622})

A source that has not changed is not assembled again, nor the same sources linked in the same way. Sources are compared
by their bytes, with all that they include, stub/abi, the layout and the assembler itself. Many that have changed are
assembled by two processes, half of them each, and so are two links made that are wanted together.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Recipe:
    """What is linked: sources, in this order within each section; the reasons of the layout's files for which they are
    there; bytes to reserve by section; spare program headers.
    """

    sources: tuple[Path, ...]
    reasons: frozenset[str] = frozenset()
    reserve: Mapping[str, int] = field(default_factory=dict)
    spare_headers: int = 0


def program(
    sources: Sequence[Path],
    layout_name: str,
    cache: Path | None,
    *,
    reasons: Collection[str] = (),
    reserve: Mapping[str, int] = _NOTHING,
    spare_headers: int = 0,
) -> Linked:
    """One program, as `programs` makes several."""
    recipe = Recipe(tuple(sources), frozenset(reasons), reserve, spare_headers)
    return programs([recipe], layout_name, cache)[0]


def programs(recipes: Sequence[Recipe], layout_name: str, cache: Path | None) -> list[Linked]:
    """Assemble and link each recipe by linker/NAME.toml; cache: where results are kept. Where several have to be made,
    a copy of this process links all but the first.

    The results have no `instructions`. Raises as assemble, layout.load and link do.
    """
    store = Store(cache and cache / "assembly", made_by=fingerprint())
    keys = [_recipe_key(recipe, layout_name) for recipe in recipes]
    found: dict[int, Linked] = {number: kept for number, key in enumerate(keys) for kept in store.find(key)}
    missing = [number for number in range(len(recipes)) if number not in found]
    if missing:
        paths = list(dict.fromkeys(path for number in missing for path in recipes[number].sources))
        made = _objects(paths, store) if cache else [_object(path, store) for path in paths]
        objects = dict(zip(paths, made, strict=True))

        def link(number: int) -> Linked:
            return store.get(keys[number], lambda: _link(recipes[number], layout_name, objects))

        first, *others = missing
        with (
            _beside(lambda: [link(number) for number in others]) if others and cache and _may_fork() else nullcontext()
        ):
            found[first] = link(first)
        found |= {number: link(number) for number in others}
    return [found[number] for number in range(len(recipes))]


def _recipe_key(recipe: Recipe, layout_name: str) -> object:
    names = [str(path) for path in (*recipe.sources, *_headers())]
    return "program", names, layout_name, sorted(recipe.reasons), sorted(recipe.reserve.items()), recipe.spare_headers


def _link(recipe: Recipe, layout_name: str, objects: Mapping[Path, Object]) -> tuple[Linked, Iterable[Path]]:
    """A program, and the files that it was made of."""
    from bootwright.link import layout, linker

    path = abi.linker_directory() / f"{layout_name}.toml"
    used, how = [objects[source] for source in recipe.sources], layout.load(path, recipe.reasons)
    found = linker.link(used, how, reserve=recipe.reserve, spare_headers=recipe.spare_headers, instructions=False)
    return found, dict.fromkeys([*(file for item in used for file in item.files), *_headers(), path])


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
