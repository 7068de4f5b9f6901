"""`replace` where a module has no room: the image is made anew out of itself, alone and on its medium."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from project import ROOT

import bootwright
from bootwright.artifact import layout, stored
from bootwright.cli import artifact as cli_artifact
from bootwright.common.errors import BootwrightError

TEXT = """\
[image]
name = "anew"
console = ["com1,115200"]

[[domain]]
name = "dom0"
memory = "{memory}"
kernel = "{root}/stub/kernels/demo.asm"
ramdisk = "small.txt"
cmdline = "as described"

[[profile]]
name = "other"
cmdline = "otherwise"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An image on each medium; the folder of its description is gone."""
    folder = tmp_path_factory.mktemp("anew")
    source = folder / "source"
    source.mkdir()
    (source / "small.txt").write_text("a small one")
    (source / "anew.toml").write_text(TEXT.format(root=ROOT, memory="64M"))
    image = bootwright.build(source / "anew.toml", media=("efi", "iso", "disk"), output=folder)
    shutil.rmtree(source)
    return {name: Path(path) for name, path in image.files.items()}


def large(folder: Path) -> Path:
    path = folder / "large"
    path.write_bytes(b"a large one\n" + bytes(range(256)) * 400)
    return path


@pytest.mark.parametrize("name", ["elf", "efi", "iso", "disk"])
def test_a_larger_ramdisk_and_a_kernel(name: str, made: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(made[name], tmp_path))
    cli_artifact.cmdline(str(path), "dom0", "changed before", "", "", "")
    cli_artifact.replace(str(path), "small.txt", str(large(tmp_path)), "", "")
    cli_artifact.replace(str(path), "demo", str(ROOT / "stub/kernels/demo.asm"), "", "")
    (image,) = stored.find(path)
    assert [one.planned.name for one in image.modules] == ["demo", "small.txt"], "a module keeps its name"
    assert all(one.is_right() for one in image.modules)
    assert image.plan is not None
    assert [one.modules[0].string for one in (image.plan, *image.plan.profiles)] == ["changed before", "otherwise"]
    assert len(image.manifest.changes) == 3 and "made anew" in image.manifest.changes[-1]
    out = tmp_path / "out"
    out.mkdir()
    cli_artifact.extract(str(path), "small.txt", False, str(out))
    assert (out / "small.txt").read_bytes() == large(tmp_path).read_bytes()
    found = layout.record(path)
    if name == "disk":
        assert found is not None and found["gpt"]["right"] and found["size"] == made[name].stat().st_size
        checked = subprocess.run(["/sbin/sgdisk", "-v", path], capture_output=True, text=True, check=True).stdout
        assert "No problems found" in checked


@pytest.mark.slow
@pytest.mark.parametrize(("name", "firmware"), [("elf", "bios"), ("disk", "bios"), ("disk", "uefi"), ("iso", "uefi")])
def test_it_boots(name: str, firmware: str, made: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(made[name], tmp_path))
    cli_artifact.replace(str(path), "small.txt", str(large(tmp_path)), "", "")
    boot = bootwright.run(path, firmware=firmware, expect=("powering off",))
    assert boot.ok and "demo:   starts: a large one" in boot.transcript


@pytest.mark.parametrize(
    ("module", "data", "message"),
    [
        ("demo", b"no kernel at all" * 500, "kernel"),
        ("small.txt", bytes(65 << 20), "is too small for"),
        ("none", b"x", "there is no module none"),
    ],
)
def test_what_a_build_refuses_changes_nothing(
    module: str, data: bytes, message: str, made: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "new").write_bytes(data)
    for name in ("elf", "disk"):
        folder = tmp_path / name
        folder.mkdir()
        path = Path(shutil.copy(made[name], folder))
        before = path.read_bytes()
        with pytest.raises(BootwrightError, match=message):
            cli_artifact.replace(str(path), module, str(tmp_path / "new"), "", "")
        assert path.read_bytes() == before
        assert list(folder.iterdir()) == [path]


def test_a_folder_is_not_made_anew(made: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BootwrightError, match="is a folder"):
        cli_artifact.replace(str(made["elf"].parent), "small.txt", str(large(tmp_path)), "", "")
