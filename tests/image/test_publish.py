"""A set of files is published as one: killed wherever it may be, it leaves a whole set or none, never a mixture."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from children import child, status_of
from project import ROOT

from bootwright import media
from bootwright.cli import build as cli_build
from bootwright.common import scratch
from bootwright.image import build, origin
from bootwright.image import built as image_built
from bootwright.media.medium import made_record

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
        build.publish(made(place / "first", "old", *OLD), output)
        second = made(place / "second", "new", *NEW)
        status = killed_at(step, functools.partial(build.publish, second, output))
        found = contents(output)
        there = {name: text for name, text in found.items() if not name.startswith(".")}
        if "lab.json" in there:
            assert there == dict.fromkeys(OLD if there["lab.json"] == "old" else NEW, there["lab.json"])
            ends.add(there["lab.json"])
        else:
            assert found[image_built.pending(output / "lab.json").name] == "new", "what was being published is known"
            ends.add("none")
        build.publish(made(place / "third", "last", *NEW), output)
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
                    build.publish(made(folder, which, *(OLD if which == "a" else NEW)), output)
                    with scratch.locked(output):
                        found = contents(output)
                    assert found == dict.fromkeys(OLD if found["lab.json"] == "a" else NEW, found["lab.json"])

        return publish

    assert [status_of(pid) for pid in [child(work(which)) for which in "ab"]] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["lab"]


DESCRIPTION = """\
[image]
name = "lab"

[[domain]]
name = "dom0"
memory = "64M"
kernel = "{kernel}"
ramdisk = "ramdisk"
"""
MEDIA = "iso,disk,pxe"


def invoke(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command line on a project of its own, in a process of its own."""
    script = (
        "import sys; from pathlib import Path; from bootwright.common import paths; from invoke.program import Program;"
        "root = Path(sys.argv.pop(1)); paths.root = lambda: root; from bootwright.cli import tasks;"
        "Program(namespace=tasks.namespace).run(['bootwright', *sys.argv[1:]])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "host")}
    command = [sys.executable, "-c", script, str(root), *arguments]
    return subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def description(project: Path) -> Path:
    path = project / "lab.toml"
    path.write_text(DESCRIPTION.format(kernel=ROOT / "stub/kernels/demo.asm"))
    (project / "ramdisk").write_bytes(b"one")
    return path


def is_whole(project: Path, description: Path) -> None:
    """What lies there is of one build, and all of it."""
    output = project / "build/lab"
    built = image_built.load(output / "lab.json")
    assert built.origin is not None
    assert origin.changed(built.origin, description, output) is None
    for name, medium in media.by_file(built).items():
        if name in built.origin.media:
            assert built.origin.media[name].size == made_record(medium, built, media.Settings()).size
    identity = bytes.fromhex(built.build_id)
    for name in ("lab.elf", "lab.efi", "lab.img", "lab.iso", "pxe/lab.elf", "pxe/lab.efi"):
        assert identity in (output / name).read_bytes(), name
    left = [path for folder in (project / "build", output) for path in folder.iterdir() if path.name.startswith(".")]
    assert [path.name for path in left if path.name != ".hashes.json"] == []


@pytest.mark.slow
def test_builds_of_all_media_at_once(project: Path, description: Path) -> None:
    for _ in range(3):
        running = [invoke(project, "image", str(description), "--media", MEDIA) for _ in range(3)]
        for process in running:
            out, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
            assert "lab.iso" in out
        is_whole(project, description)


@pytest.mark.slow
def test_a_build_that_is_killed_anywhere_leaves_what_was_there_or_nothing_wrong(
    project: Path, description: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    first = invoke(project, "image", str(description), "--media", MEDIA)
    assert first.wait(300) == 0
    is_whole(project, description)
    dice, killed = random.Random(1), 0
    for number in range(25):
        (project / "ramdisk").write_bytes(b"%d" % number)
        doomed = invoke(project, "image", str(description), "--media", MEDIA)
        started = time.monotonic()
        output = project / "build/lab"
        if number % 2:  # as it publishes, or about then
            while doomed.poll() is None and not list(output.glob(".lab.json.new")) and (output / "lab.json").exists():
                time.sleep(0.0005)
                if time.monotonic() - started > 60:
                    break
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                doomed.wait(dice.uniform(0.2, 2))
        doomed.send_signal(dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGHUP)))
        killed += doomed.wait(60) != 0
        record = output / "lab.json"
        if record.exists():  # it is of one build, the old or the new one
            built = image_built.load(record)
            for name in ("lab.elf", "lab.efi"):
                assert bytes.fromhex(built.build_id) in (output / name).read_bytes()
            assert built.origin is not None
            for made in built.origin.outputs:
                assert hashlib.sha256((output / made.path).read_bytes()).hexdigest() == made.sha256
        elif (pending := image_built.pending(record)).exists():
            found = image_built.load(record, pending).origin
            assert found is not None and set(found.media) == {"lab.iso", "lab.img", "pxe"}
    assert killed > 15
    assert cli_build.current("lab.toml").elf.exists()
    is_whole(project, description)
