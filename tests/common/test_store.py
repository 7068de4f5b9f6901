"""store, and what assembly keeps in it: made once, made anew when anything that it was made of is another."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from bootwright.asm import assemble
from bootwright.common import abi
from bootwright.common.errors import AssemblyError
from bootwright.common.store import Store
from bootwright.link import linker, program


class Maker:
    """Makes a value of the bytes of a file, and counts."""

    def __init__(self, *files: Path) -> None:
        self.files = files
        self.times = 0

    def __call__(self) -> tuple[list[bytes], tuple[Path, ...]]:
        self.times += 1
        return [file.read_bytes() if file.exists() else b"" for file in self.files], self.files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_made_once_for_a_key(folder: Path) -> None:
    make = Maker()
    assert [Store(folder, "a").get(("key", 1), make) for _ in range(3)] == [[], [], []]
    assert make.times == 1
    Store(folder, "a").get(("key", 2), make)
    Store(folder, "b").get(("key", 1), make)
    assert make.times == 3


def test_made_anew_when_a_file_is_another_by_its_bytes(folder: Path, tmp_path: Path) -> None:
    source, missing = tmp_path / "source", tmp_path / "missing"
    source.write_bytes(b"one")
    make = Maker(source, missing)
    store = Store(folder, "a")
    assert store.get("key", make) == store.get("key", make) == [b"one", b""]
    assert make.times == 1
    source.write_bytes(b"two")
    assert store.get("key", make) == [b"two", b""]
    missing.write_bytes(b"there")
    assert store.get("key", make) == [b"two", b"there"]
    source.unlink()
    assert store.get("key", make) == [b"", b"there"]


def test_numbers_and_bytes_of_a_record_are_kept(folder: Path) -> None:
    record = abi.load().struct("pe_section_header")(name=b".text", virtual_size=7)
    made = {"size": record.virtual_size, "name": bytes(record.name)}
    store = Store(folder, "a")
    store.get("key", lambda: (made, ()))
    found = store.get("key", lambda: pytest.fail("it is there"))
    assert found == made and {type(value) for value in found.values()} == {int, bytes}


@pytest.mark.parametrize("end", [0, 10, -1])
def test_a_damaged_entry_is_made_anew(folder: Path, end: int) -> None:
    make, store = Maker(), Store(folder, "a")
    store.get("key", make)
    (entry,) = folder.iterdir()
    entry.write_bytes(entry.read_bytes()[:end])
    assert store.get("key", make) == store.get("key", make) == []
    entry.write_bytes(entry.read_bytes()[:-1] + b"x")
    store.get("key", make)
    assert make.times == 3


def test_a_store_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    make = Maker()
    for folder in (tmp_path / "file", None):
        store = Store(folder, "a")
        assert store.get("key", make) == store.get("key", make) == []
    assert make.times == 4


def test_it_does_not_grow_without_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootwright.common.store._MOST", 3)
    store = Store(folder, "a")
    for number in range(6):
        store.get(number, lambda number=number: (number, ()))  # type: ignore[misc]
        time.sleep(0.01)
    make = Maker()
    store.get(5, make)
    assert make.times == 0
    assert len(list(folder.iterdir())) == 3


def _write(folder: Path) -> bool:
    store = Store(folder, "a")
    return all(store.get(number % 4, lambda: (bytes(100_000), ())) == bytes(100_000) for number in range(100))


def test_two_processes_do_not_meet(folder: Path) -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_write, [folder] * 2) == [True, True]


def test_a_program_is_linked_again_when_its_sources_are_others(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = []
    whole = linker.link
    monkeypatch.setattr(linker, "link", lambda *given, **more: linked.append(1) or whole(*given, **more))
    source = tmp_path / "kernel.asm"
    source.write_text('.global start\n.include "number.inc"\nstart: mov eax, NUMBER\n hlt\n')
    (tmp_path / "number.inc").write_text(".set NUMBER, 1\n")

    def image() -> bytes:
        return program.program([source], "kernel", folder).image

    first = image()
    assert image() == first
    assert len(linked) == 1
    (tmp_path / "number.inc").write_text(".set NUMBER, 2\n")
    second = image()
    assert second != first
    (tmp_path / "number.inc").write_text(".set NUMBER, 1\n")
    assert image() == first
    assert len(linked) == 3
    # What stands beside a source comes before what stands in stub/.
    source.write_text('.global start\n.include "lib/macros.inc"\nstart: hlt\n')
    image()
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/macros.inc").write_text("nop\n")
    assert b"\x90" in image()


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """Six files of one program, with a constant that they share."""
    (tmp_path / "shared.inc").write_text(".set SHARED, 7\n")
    for number in range(6):
        head = ".global start\nstart:" if number == 0 else f".global part{number}\npart{number}:"
        text = f'.include "shared.inc"\n{head} mov eax, SHARED + {number}\n hlt\n' + "nop\n" * number
        (tmp_path / f"{number}.asm").write_text(text)
    return [tmp_path / f"{number}.asm" for number in range(6)]


def test_many_sources_are_assembled_by_two_processes(
    sources: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half each, and the same comes out; one that has changed needs no other process."""
    here: list[str] = []
    whole = assemble.assemble
    monkeypatch.setattr(assemble, "assemble", lambda path: here.append(path.name) or whole(path))
    monkeypatch.setattr("threading.active_count", lambda: 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda number: {0, 1})
    both = program.program(sources, "kernel", folder)
    assert len(here) == 3
    assert len(list((folder / "assembly").iterdir())) == len(sources) + 1
    here.clear()
    assert program.program(sources, "kernel", None) == both
    assert len(here) == 6
    here.clear()
    sources[3].write_text(sources[3].read_text().replace("hlt", "cli"))
    monkeypatch.setattr("os.fork", lambda: pytest.fail("for one file"))
    assert program.program(sources, "kernel", folder).image != both.image
    assert here == ["3.asm"]


def test_two_links_are_made_by_two_processes(
    sources: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first here, the other in a copy, from the same objects; both come out as alone."""
    here: list[int] = []
    link = linker.link
    monkeypatch.setattr(
        linker, "link", lambda objects, *rest, **named: here.append(len(objects)) or link(objects, *rest, **named)
    )
    monkeypatch.setattr("threading.active_count", lambda: 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda number: {0, 1})
    recipes = [program.Recipe(tuple(sources[:count])) for count in (6, 5)]
    found = program.programs(recipes, "kernel", folder)
    assert here == [6]
    assert found == program.programs(recipes, "kernel", folder) and here == [6], "both are kept"
    assert found == [program.program(recipe.sources, "kernel", None) for recipe in recipes]
    assert here == [6, 6, 5]


@pytest.mark.parametrize("alone", [False, True])
def test_the_first_source_that_is_wrong_is_named_whoever_assembles_it(
    alone: bool, sources: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("threading.active_count", lambda: 2 if alone else 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda number: {0, 1})
    for number in (2, 3, 4):
        sources[number].write_text("nonsense\n")
    with pytest.raises(AssemblyError, match=r"2\.asm:1: nonsense is no known"):
        program.program(sources, "kernel", folder)
    assert capfd.readouterr() == ("", "")
