"""`image --output`, `--json`, `--quiet`, and finished files that `run` boots as they are, somewhere else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tasks_run import invoke

from bootwright import media
from bootwright.artifact import bootable
from bootwright.common.errors import BootwrightError
from bootwright.image import built


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What `image --json` says of the demo with all media, in a folder of its own."""
    folder = tmp_path_factory.mktemp("out")
    done = invoke("image", "demo", "--media", "all", "--json", "--output", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    said: dict[str, object] = json.loads(done.stdout)
    assert said["image"] == "demo"
    return said


def files(finished: dict[str, object]) -> dict[str, Path]:
    paths = finished["files"]
    assert isinstance(paths, list)
    return {Path(path).name: Path(path) for path in paths}


def test_the_document_names_what_there_is(finished: dict[str, object]) -> None:
    found = files(finished)
    assert all(path.exists() for path in found.values())
    assert {"demo.elf", "demo.efi", "demo.iso", "demo.img", "pxe", "demo.map"} <= found.keys()
    record = json.loads(found["demo.json"].read_text())
    assert record["build_id"] == finished["build_id"]


def test_a_file_says_what_its_record_says(finished: dict[str, object]) -> None:
    """Of memory it may ask for less than a page of what the map knows."""
    found = files(finished)
    known = built.load(found["demo.json"])
    for name in ("demo.elf", "demo.efi", "demo.iso", "demo.img"):
        read = bootable.built(found[name])
        assert (read.name, read.build_id, read.serial_port) == (known.name, known.build_id, known.serial_port)
        assert (read.machine_memory, read.machine_cpus, read.svm) == (known.machine_memory, 1, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "by"),
    [
        ("demo.elf", [], "multiboot1"),
        ("demo.efi", [], "UEFI"),
        ("demo.iso", [], "multiboot2"),
        ("demo.iso", ["--via", "iso-usb", "--firmware", "uefi"], "UEFI"),
        ("demo.img", ["--via", "disk-usb"], "multiboot2"),
    ],
)
def test_a_file_boots_as_it_is(
    name: str, options: list[str], by: str, finished: dict[str, object], tmp_path: Path
) -> None:
    """Alone in a folder that nobody built in, and it is not changed."""
    file = Path(shutil.copy(files(finished)[name], tmp_path / f"a, {name}"))
    before = file.read_bytes()
    done = invoke("run", str(file), "--timeout", "60", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"build {str(finished['build_id'])[:8]}" in done.stdout
    assert "demo: powering off" in done.stdout
    assert by in done.stdout
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.slow
def test_json_of_a_run_that_has_to_build_is_one_document(tmp_path: Path) -> None:
    done = invoke("run", "demo", "--json", "--output", str(tmp_path))
    assert json.loads(done.stdout)["outcome"] == "as_expected"
    assert (tmp_path / "demo/demo.elf").exists()
    quiet = invoke("image", "demo", "--quiet", "--output", str(tmp_path / "again"))
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("x.iso", [], "x.iso: holds no image of bootwright's"),
        ("x.iso", ["--via", "disk-usb"], "via: 'disk-usb' is none of iso-cd, iso-usb"),
        ("x.img", ["--gdb"], "x.img: gdb: the sources of a finished file are not known; name a description"),
        ("x.efi", ["--firmware", "bios"], "via efi: boots on uefi only"),
        ("none.elf", [], "none.elf: cannot be read: No such file"),
    ],
)
def test_what_cannot_be_booted_is_a_sentence(name: str, arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "x.iso").write_bytes(bytes(4096))
    done = invoke("run", str(tmp_path / name), *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_only_what_boots_is_a_file_of_run(tmp_path: Path) -> None:
    with pytest.raises(BootwrightError, match=r"ends in none of .4k.img, "):
        media.of_file(tmp_path / "x.map")
    assert [*media.of_file(Path("x.4k.img"))] == ["disk-4k"]
    assert next(iter(media.of_file(Path("x.img")))) == "disk-ide"
