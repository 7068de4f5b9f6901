"""A folder for each process: gone with it, however it ends, and never taken from one that lives."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import time
from pathlib import Path

import pytest
from children import child, status_of

from bootwright.common import scratch


def owner(parent: Path) -> int:
    """A process that has a folder with a file in it, and waits."""

    def work() -> None:
        with scratch.own(parent, "lab") as folder:
            (folder / "half").write_bytes(b"half a file")
            (parent / "ready").write_text(folder.name)
            time.sleep(60)

    (parent / "ready").unlink(missing_ok=True)
    pid = child(work)
    deadline = time.monotonic() + 20
    while not ((parent / "ready").exists() and (parent / "ready").read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return pid


def folders(parent: Path) -> set[str]:
    return {path.name for path in parent.iterdir() if path.is_dir()}


def test_it_is_gone_afterwards(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch.own(tmp_path, "lab") as folder:
        (folder / "deeper").mkdir()
        assert folder.parent == tmp_path and folder.name.startswith(".lab.")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGHUP])
def test_what_a_killed_process_left_goes_when_the_next_one_comes_and_not_before(
    sent: signal.Signals, tmp_path: Path
) -> None:
    pid = owner(tmp_path)
    try:
        left = folders(tmp_path)
        with scratch.own(tmp_path, "other") as folder:
            assert folders(tmp_path) == {*left, folder.name}, "its process lives"
            assert (tmp_path / left.copy().pop() / "half").exists()
    finally:
        os.kill(pid, sent)
        assert status_of(pid) == -sent
    assert folders(tmp_path) == left
    with scratch.own(tmp_path, "other") as folder:
        assert folders(tmp_path) == {folder.name}


def test_many_at_once_never_take_a_folder_from_each_other(tmp_path: Path) -> None:
    def work() -> None:
        for number in range(150):
            with scratch.own(tmp_path, "lab") as folder:
                (folder / "mine").write_text(str(number))
                scratch.sweep(tmp_path)
                assert (folder / "mine").read_text() == str(number)

    assert [status_of(pid) for pid in [child(work) for _ in range(4)]] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def test_where_the_file_system_has_no_locks_nothing_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")  # NFS, for a folder

    (tmp_path / f".lab.left{scratch.SUFFIX}").mkdir()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with scratch.own(tmp_path, "lab") as folder, scratch.locked(folder):
        assert folders(tmp_path) == {folder.name, f".lab.left{scratch.SUFFIX}"}
    assert folders(tmp_path) == {f".lab.left{scratch.SUFFIX}"}


def test_one_after_the_other(tmp_path: Path) -> None:
    """What is done in a locked folder is done by one process at a time."""
    total = tmp_path / "total"
    total.write_text("0")

    def work() -> None:
        for _ in range(50):
            with scratch.locked(tmp_path):
                found = int(total.read_text())
                time.sleep(0.0005)
                total.write_text(str(found + 1))

    assert [status_of(pid) for pid in [child(work) for _ in range(4)]] == [0] * 4
    assert total.read_text() == "200"
