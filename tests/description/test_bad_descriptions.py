"""Every faulty description of descriptions/bad gives exactly the message beside it, with its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import samples
from project import TESTS

from bootwright.common.errors import BootwrightError
from bootwright.description import load
from bootwright.hyperlaunch import model
from bootwright.inputs import resolve
from bootwright.plan import make

BAD = TESTS / "descriptions/bad"


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.toml")))
def test_bad_description(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    samples.write_kernels(tmp_path)
    shutil.copy(BAD / f"{name}.toml", tmp_path)
    with pytest.raises(BootwrightError) as caught:
        described = load.load(Path(f"{name}.toml"))
        info = model.build(described, resolve.resolve(described, Path("work"), Path("cache")))
        make.make(described, info, Path("work"))
    assert str(caught.value) == (BAD / f"{name}.txt").read_text().rstrip("\n")


def test_a_description_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BootwrightError) as caught:
        load.load(Path("lab.toml"))
    assert str(caught.value) == "lab.toml: the description cannot be read: No such file or directory"


def test_a_file_of_a_package_is_named_by_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by where it is kept."""
    kept = tmp_path / "cache/debian/linux-image/boot%2Fvmlinuz-%2A/vmlinuz-6.1"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(samples.elf())
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "lab.toml"
    source = '{ package = "linux-image", file = "boot/vmlinuz-*" }'
    text = (BAD / "multiboot2-asked.toml").read_text().replace('"good.elf"', source)
    path.write_text(text.replace('"multiboot2"', '"multiboot1"'))
    described = load.load(path)
    info = model.build(described, resolve.resolve(described, Path("work"), tmp_path / "cache"))
    with pytest.raises(BootwrightError) as caught:
        make.make(described, info, Path("work"))
    said = str(caught.value)
    assert 'domain "dom0": kernel vmlinuz-6.1 of package linux-image has no multiboot1 header' in said
    assert said.endswith('; use protocol = "auto" or "pvh"') and "%2F" not in said


def test_every_message_has_its_description() -> None:
    assert {path.stem for path in BAD.glob("*.txt")} == {path.stem for path in BAD.glob("*.toml")}
