"""`list`, `new` and `check`: what there is, a description begun, what a build would refuse."""

import json
import shutil
from pathlib import Path

import pytest
from project import ROOT

from bootwright.cli import descriptions
from bootwright.common import paths
from bootwright.common.errors import BootwrightError, SourceError
from bootwright.common.ranges import MIB
from bootwright.description import load
from bootwright.image import build

KERNEL = ROOT / "stub/kernels/demo.asm"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder of its own."""
    (tmp_path / "images").mkdir()
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    return tmp_path


def kernel(folder: Path) -> str:
    """A kernel's file in `folder`, as its path."""
    return str(shutil.copy(KERNEL, folder / "kernel.asm"))


def begun(name: str = "mine", file: str = "", **options: object) -> None:
    said = {"ramdisk": "", "cmdline": "", "xen": False, "memory": "", "output": ""} | options
    descriptions.new(name, file, **said)  # type: ignore[arg-type]


def test_a_new_description_checks_and_builds(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun(file=str(KERNEL), cmdline='a "quoted" word', memory="64M")
    path = lab / "images/mine.toml"
    found = load.load(path)
    domain = found.domains[0]
    assert (found.image.name, domain.memory, domain.cmdline) == ("mine", 64 * MIB, 'a "quoted" word')
    assert "next: check mine, run mine" in capsys.readouterr().out
    assert descriptions.check("mine", False)
    assert "nothing is wrong: mine: dom0; a machine needs" in capsys.readouterr().out
    assert not (lab / "build").exists(), "check builds nothing"
    assert build.build(path, lambda stage: None).name == "mine"


def test_every_line_of_a_new_description_is_explained_or_a_key(lab: Path) -> None:
    """And it is one without options, too; for Xen it has a hypervisor."""
    (lab / "initrd.img").write_bytes(bytes(100))
    begun("one", kernel(lab), xen=True, ramdisk=str(lab / "initrd.img"), output=str(lab / "one.toml"))
    text = (lab / "one.toml").read_text()
    assert 'kernel = "kernel.asm"' in text, "a file that lies beside it is named from there on"
    assert all(line == "" or line[0] in "#[" or " = " in line for line in text.splitlines())
    found = load.load(lab / "one.toml")
    assert found.hypervisor is not None
    assert found.domains[0].cmdline == "console=hvc0"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "new: name the kernel: --kernel FILE"),
        ({"file": "none"}, "kernel: there is no file none"),
        ({"file": str(KERNEL), "ramdisk": "none"}, "ramdisk: there is no file none"),
        ({"file": str(KERNEL), "memory": "5"}, 'memory: "5" is '),
        ({"file": str(KERNEL), "name": "a/b"}, '"a/b" is no name'),
        ({"file": str(KERNEL), "name": ""}, "new: how is it to be called? "),
    ],
)
def test_what_cannot_be_begun_leaves_nothing(lab: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(BootwrightError) as raised:
        begun(**options)  # type: ignore[arg-type]
    assert message in str(raised.value)
    assert not list((lab / "images").iterdir())


def test_what_is_there_is_not_written_over(lab: Path) -> None:
    file = kernel(lab)
    begun(file=file)
    before = (lab / "images/mine.toml").read_text()
    with pytest.raises(SourceError, match="is there already; it is not written over"):
        begun(file=file, memory="1G")
    assert (lab / "images/mine.toml").read_text() == before


def test_check_says_everything_with_its_place(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun(file=str(KERNEL))
    path = lab / "images/mine.toml"
    path.write_text(path.read_text() + "colour = 1\nshape = 2\n")
    capsys.readouterr()
    assert not descriptions.check("mine", True)
    said = json.loads(capsys.readouterr().out)
    lines = path.read_text().splitlines()
    assert [lines[one["line"] - 1] for one in said["errors"]] == ["colour = 1", "shape = 2"]
    assert all(one["file"].endswith("mine.toml") and one["column"] == 1 for one in said["errors"])
    assert not said["right"]


def test_check_finds_what_only_a_plan_shows(lab: Path) -> None:
    """A kernel that is none, though its description is right."""
    (lab / "kernel").write_bytes(bytes(4096))
    begun(file=str(lab / "kernel"))
    with pytest.raises(BootwrightError, match="kernel"):
        descriptions.check("mine", False)


def test_the_list_has_those_that_cannot_be_built(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lab / "images/bad.toml").write_text("[image\n")
    begun(file=kernel(lab))
    capsys.readouterr()
    descriptions.list_all(True)
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["bad"]["says"].startswith("cannot be built: ")
    assert found["mine"] == {
        "name": "mine",
        "launcher": "native",
        "domains": ["dom0"],
        "built": "no",
        "says": "mine",
    }
    assert "demo" in found, "those that come with bootwright are there as well"
    descriptions.list_all(False)
    assert capsys.readouterr().out.splitlines()[0].split() == ["name", "launcher", "domains", "built"]
