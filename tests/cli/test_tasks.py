"""The command line: arguments, errors as sentences, exit statuses, and what goes where."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project import ROOT
from tasks_run import invoke

GOOD = """\
[[domain]]
name = "dom0"
permissions = ["control", "hardware"]
functions = ["initial-domain"]
memory = "64M"
kernel = "{kernel}"
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A description whose output goes to build/ of this checkout, under a name of its own."""
    path = tmp_path / f"test-{os.getpid()}-{tmp_path.name}.toml"
    path.write_text(GOOD.format(kernel=ROOT / "stub/kernels/demo.asm"))
    return path


def test_list_is_quick_and_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "invoke", "--search-root", str(ROOT), "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(f"  {name}  " in done.stdout for name in ("image", "run", "test"))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "bootwright.cli.tasks" in imported
    assert not imported & {"lief", "keystone", "capstone", "rich", "elftools", "dissect.cstruct", "lz4"}


ASSEMBLER = {"keystone", "capstone"}
OTHERS = {"unicorn", "pycdlib", "http.server", "tarfile", "rich"}


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (["image", "demo"], ASSEMBLER | OTHERS | {"bootwright.emulate", "bootwright.lab", "bootwright.flash"}),
        (["export", "demo"], ASSEMBLER | OTHERS | {"lief", "bootwright.emulate", "bootwright.lab"}),
        (["run", "demo", "--via", "nothing"], ASSEMBLER | OTHERS | {"lief", "bootwright.lab", "bootwright.flash"}),
        (["flash"], ASSEMBLER | OTHERS | {"lief", "bootwright.emulate", "bootwright.lab"}),
        (["probe"], ASSEMBLER | OTHERS | {"lief", "bootwright.emulate", "bootwright.flash"}),
        (["plan", "demo"], ASSEMBLER | OTHERS | {"lief", "bootwright.flash"}),
    ],
)
def test_a_task_imports_nothing_that_it_does_not_use(arguments: list[str], unused: set[str], tmp_path: Path) -> None:
    """In a folder where the demo is built; what was assembled before is in the cache."""
    (tmp_path / "images").symlink_to(ROOT / "images")
    code = (
        "import sys; from pathlib import Path; from bootwright.common import paths; paths.root = Path.cwd\n"
        "from bootwright.cli import program\n"
        "try: program.main()\n"
        "finally: Path('imported').write_text(' '.join(sys.modules))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "host")}
    for words in (["image", "demo"], arguments):
        command = [sys.executable, "-c", code, *words]
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    imported = set((tmp_path / "imported").read_text().split())
    assert imported & {"bootwright.cli.build", "bootwright.cli.lab"}, "it ran"
    assert not imported & unused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["image", "nope"], "no description images/nope.toml; there is: "),
        (["image", "none/lab.toml"], "none/lab.toml"),
        (["image", "demo", "--module", "1=x", "--module", "2=y"], "images/demo.toml is no device tree"),
        (["image", "none/lab.dtb"], "none/lab.dtb: the device tree cannot be read: No such file"),
        (["export", "--format", "json"], "format: 'json' is none of dts, dtb"),
        (["image", "--nope"], "No idea what '--nope' is!"),
        (["imag", "demo"], "No idea what 'imag' is!; did you mean \"image\"?"),
        (["run", "--memry", "1G"], "No idea what '--memry' is!; did you mean \"--memory\"?"),
        (["run", "demoo"], '; did you mean "demo"?'),
        (["run", "demo", "--via", "grubb"], '; did you mean "grub"?'),
        (["flash", "demo", "/dev/sdnone"], "/dev/sdnone is not there"),
        (["flash", "demo", "/dev/null"], "/dev/null is neither a block device nor a plain file"),
        (["probe", "--read", "none.log"], "none.log: cannot be read: No such file or directory"),
        (["plan", "demo", "--machine", "none"], "no machine machines/none.json; there is: "),
        (["map", "demo", "--log", "none.log"], "none.log: cannot be read: No such file or directory"),
        (["map", "demo", "--log", "LICENSE"], "LICENSE: no line of the stub is in this log"),
        (["map", "demo", "--log", "x", "--machine", "y"], "--machine and --log are two machines: give one of them"),
        (["run", "--timeout", "soon"], "timeout: could not convert string to float: 'soon'"),
        (["run", "demo", "--memory", "much"], "memory: 'much' is no amount such as 512M or 2G"),
        (["run", "--via", "tape", "demo"], "via: 'tape' is none of kernel, grub"),
    ],
)
def test_errors_are_a_sentence(arguments: list[str], message: str) -> None:
    done = invoke(*arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_description_names_the_place(lab: Path) -> None:
    lab.write_text(lab.read_text() + "colour = 1\nshape = 2\n")
    done = invoke("image", str(lab))
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith(f"{lab}:7:1: ")
    assert lines[1:3] == ["  7 | colour = 1", "    | ^"]
    assert lines[3].startswith(f"{lab}:8:1: ")


def test_with_json_errors_are_a_document(lab: Path) -> None:
    """On standard output, for every task that has --json; the sentences are on standard error all the same."""
    lab.write_text(lab.read_text() + "colour = 1\n")
    done = invoke("image", str(lab), "--json")
    (one,) = json.loads(done.stdout)["errors"]
    assert (done.returncode, one["file"], one["line"], one["column"]) == (1, str(lab), 7, 1)
    assert f"{lab}:7:1: {one['message']}" in done.stderr
    for task in ("inspect", "plan", "explain", "run"):
        done = invoke(task, "no-such-thing", "--json")
        assert done.returncode == 1 and json.loads(done.stdout)["errors"][0]["message"] in done.stderr


@pytest.mark.slow
def test_image_in_a_pipe_prints_one_line(lab: Path) -> None:
    done = invoke("image", lab.name, cwd=lab.parent)
    output = ROOT / "build" / lab.stem
    try:
        reason = "has a PVH note, by which no kernel is told of EFI"
        note = f'note: domain "dom0": protocol auto is pvh: kernel demo {reason}\n'
        assert (done.returncode, done.stderr) == (0, note)
        assert done.stdout.startswith(f"{output / lab.stem}.elf (")
        assert done.stdout.count("\n") == 1
        assert f"{lab.stem}.map" in done.stdout
        assert "stub code and read-only data: " in done.stdout
    finally:
        remove(output)


def remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


@pytest.fixture
def qemu(tmp_path: Path) -> Path:
    """A folder for PATH with a stand-in for QEMU that prints, and does what $PRETEND says."""
    program = tmp_path / "bin/qemu-system-x86_64"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "hello $0 $*"\neval "$PRETEND"\n')
    program.chmod(0o755)
    return program.parent


@pytest.mark.slow
def test_run_builds_what_is_missing_and_passes_the_status_on(lab: Path, qemu: Path, tmp_path: Path) -> None:
    path = f"{qemu}:{os.environ['PATH']}"
    log = tmp_path / "log"
    output = ROOT / "build" / lab.stem
    try:
        first = invoke("run", str(lab), "--expect", "hello", "--keep-log", str(log), PATH=path)
        assert first.returncode == 0
        assert "is not there yet: building" in first.stderr
        assert "the console showed 'hello'" in first.stderr
        assert "hello" in log.read_text()

        ended = invoke("run", "--expect", "bye", str(lab), PATH=path)
        assert ended.returncode == 5
        assert "building" not in ended.stderr
        assert ended.stdout.startswith("hello ")

        failed = invoke("run", str(lab), PATH=path, PRETEND="echo; echo 'bootwright: E0401: no RAM'")
        assert failed.returncode == 3
        assert failed.stderr == "bootwright: E0401: no RAM (0.0 s)\n"

        late = invoke("run", str(lab), "--timeout", "0.5", PATH=path, PRETEND="sleep 9")
        assert late.returncode == 4
    finally:
        remove(output)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted_run_ends_qemu(sent: signal.Signals, status: int, lab: Path, qemu: Path, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    environment = {
        "PATH": f"{qemu}:{os.environ['PATH']}",
        "PRETEND": f"echo $$ >{pid}.new; mv {pid}.new {pid}; sleep 60 & wait",
    }
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "run", str(lab)]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL) as run:
        try:
            deadline = time.monotonic() + 30
            while not pid.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            run.send_signal(sent)
            assert run.wait(20) == status
            assert not Path(f"/proc/{pid.read_text().strip()}").exists()
        finally:
            run.kill()
            remove(ROOT / "build" / lab.stem)
