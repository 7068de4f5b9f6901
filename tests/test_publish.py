"""A set of files is published as one: killed wherever it may be, it leaves a whole set or none, never a mixture."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from test_scratch import child, status_of

from bootwright import image, report, scratch

# What changes a folder, as Python's audit hooks name it.
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")
DONE, KILLED = 0, -signal.SIGKILL


def killed_at(step: int, work: Callable[[], None]) -> int:
    """The status of a process that does this, and is killed before its change number `step` of the file system."""

    def doomed() -> None:
        left = step

        def hook(event: str, _: object) -> None:
            nonlocal left
            if event in CHANGES:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        work()

    return status_of(child(doomed))


def made(folder: Path, content: str, *names: str) -> Path:
    """The files of a build that is to be published as NAME = lab."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


OLD = ("lab.elf", "lab.efi", "lab.json", "lab.lst", "lab.map", "modules/a", "modules/b", "lab.img", "pxe/lab.elf")
NEW = ("lab.elf", "lab.efi", "lab.json", "lab.lst", "lab.map", "modules/b", "modules/c", "lab.img", "pxe/lab.elf")


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_killed_at_any_step_it_leaves_one_set_or_none(tmp_path: Path) -> None:
    ends, step = set(), 0
    while True:
        place = tmp_path / f"{step}"
        output = place / "lab"
        output.mkdir(parents=True)
        image.publish(made(place / "first", "old", *OLD), output)
        second = made(place / "second", "new", *NEW)
        status = killed_at(step, functools.partial(image.publish, second, output))
        found = contents(output)
        there = {name: text for name, text in found.items() if not name.startswith(".")}
        if "lab.json" in there:
            assert there == dict.fromkeys(OLD if there["lab.json"] == "old" else NEW, there["lab.json"])
            ends.add(there["lab.json"])
        else:
            assert found[report.pending(output / "lab.json").name] == "new", "what was being published is known"
            ends.add("none")
        image.publish(made(place / "third", "last", *NEW), output)
        assert contents(output) == dict.fromkeys(NEW, "last"), "the next one finds nothing in its way"
        step += 1
        if status == DONE:
            break
        assert status == KILLED
    assert ends == {"old", "none", "new"} and step > len({name.partition("/")[0] for name in NEW})


def test_two_at_once_leave_the_set_of_one(tmp_path: Path) -> None:
    output = tmp_path / "lab"

    def work(which: str) -> Callable[[], None]:
        def publish() -> None:
            for _ in range(60):
                with scratch.own(tmp_path, "lab") as folder:
                    image.publish(made(folder, which, *(OLD if which == "a" else NEW)), output)
                    with scratch.locked(output):
                        found = contents(output)
                    assert found == dict.fromkeys(OLD if found["lab.json"] == "a" else NEW, found["lab.json"])

        return publish

    assert [status_of(pid) for pid in [child(work(which)) for which in "ab"]] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["lab"]
