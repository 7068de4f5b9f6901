"""kept: what was packed before is packed no more, and is made anew where anything is another."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from bootwright.common import hashes
from bootwright.plan import kept, pack
from bootwright.plan.kept import Keeper
from bootwright.plan.pack import Packed

TEXT = b"the same again and again " * 80000


@pytest.fixture
def source(project: Path) -> Path:
    path = project / "ramdisk"
    path.write_bytes(TEXT)
    return path


class Work:
    """A work folder for each try, and how often something was packed in it."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self.source, self.times, self.tries = folder, source, 0, 0

    def pack(self, asked: str = "auto") -> Packed:
        self.tries += 1
        out = self.folder / f"try{self.tries}"

        def make() -> tuple[None, Packed]:
            self.times += 1
            return None, pack.pack_file(self.source, out, asked)

        found = Keeper(self.folder / "cache").get(self.source, asked, out, make)[1]
        plain = pack.pack_file(self.source, self.folder / f"plain{self.tries}", asked)
        assert (found.size, found.sha256, found.pieces) == (plain.size, plain.sha256, plain.pieces)
        assert found.path.read_bytes() == plain.path.read_bytes()
        assert found.path == (self.source if plain.path == self.source else out)
        return found


@pytest.fixture
def work(tmp_path: Path, source: Path) -> Work:
    return Work(tmp_path, source)


def data(work: Work) -> list[Path]:
    return sorted(path for path in (work.folder / "cache/packed/files").iterdir() if path.is_file())


def test_packed_once_and_again_for_other_bytes_and_other_options(work: Work) -> None:
    work.pack(), work.pack()
    assert work.times == 1
    work.pack("none"), work.pack("none")
    assert work.times == 2
    os.utime(work.source, (1, 1))
    work.pack()
    assert work.times == 2
    work.source.write_bytes(TEXT[::-1])
    work.pack()
    assert work.times == 3


def test_it_is_used_from_where_it_is_kept(work: Work) -> None:
    work.pack()
    found = work.pack()
    assert found.path.stat().st_ino == data(work)[0].stat().st_ino


@pytest.mark.parametrize("damage", ["torn", "other", "gone"])
def test_what_is_damaged_is_packed_anew(work: Work, damage: str) -> None:
    work.pack()
    (file,) = data(work)
    whole = file.read_bytes()
    file.unlink()  # those that use it keep what they have
    if damage != "gone":
        file.write_bytes(whole[:100] if damage == "torn" else whole[:-1] + b"?")
    work.pack(), work.pack()
    assert work.times == 2 and data(work)[0].read_bytes() == whole


def test_a_cache_that_is_cleared_between_is_none(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.pack()

    def cleared(source: Path, target: Path) -> None:
        raise FileNotFoundError(2, "no such file", str(source))

    monkeypatch.setattr(kept, "_link", cleared)
    work.pack()
    assert work.times == 2


def test_without_links_it_is_copied(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(source: Path, target: Path) -> None:
        raise OSError(18, "on another file system")

    monkeypatch.setattr(os, "link", none)
    work.pack(), work.pack()
    assert work.times == 1


def test_it_is_bounded(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.pack()
    size = data(work)[0].stat().st_size
    monkeypatch.setattr(kept, "LIMIT", 2 * size + size // 2)
    for number in range(4):
        work.source.write_bytes(TEXT + bytes([number]))
        work.pack()
    assert len(data(work)) == 2


def test_small_files_and_no_cache_keep_nothing(work: Work) -> None:
    work.source.write_bytes(bytes(hashes.LARGE - 1))
    work.pack()
    assert not (work.folder / "cache").exists()
    out = work.folder / "out"
    assert Keeper(None).get(work.source, "", out, lambda: (1, pack.store(work.source)))[0] == 1


def _pack(work: Work) -> int:
    return sum(work.pack().size for _ in range(5))


def test_two_processes_do_not_meet(work: Work, tmp_path: Path) -> None:
    works = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cache").symlink_to(tmp_path / "shared")
        works.append(Work(tmp_path / name, work.source))
    (tmp_path / "shared").mkdir()
    with multiprocessing.Pool(3) as pool:
        assert len(set(pool.map(_pack, works))) == 1
