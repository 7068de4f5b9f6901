"""Where files come from."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import newc
import pytest
import samples
from project import ROOT

from bootwright.common.errors import BootwrightError, ToolError
from bootwright.description import load
from bootwright.description.records import OfDomain
from bootwright.inputs import debian, resolve
from bootwright.kernels import protocols

PACKAGE = 'ramdisk = { package = "busybox-static", file = "bin/busybox", init = "init.sh" }\n'


def test_paths_are_relative_to_the_description(tmp_path: Path) -> None:
    samples.write_kernels(tmp_path)
    described = load.parse(samples.DOMAIN + 'ramdisk = "ramdisk"\n', tmp_path / "lab.toml")
    assert resolve.resolve(described, tmp_path / "work") == {
        (OfDomain(0), "kernel"): tmp_path / "good.elf",
        (OfDomain(0), "ramdisk"): tmp_path / "ramdisk",
    }
    assert not (tmp_path / "work").exists()


def test_a_kernel_in_assembly(tmp_path: Path) -> None:
    described = load.load(ROOT / "images" / "demo.toml")
    files = resolve.resolve(described, tmp_path / "work")
    assert files[OfDomain(0), "kernel"].name == "demo"
    assert protocols.choose("pvh", files[OfDomain(0), "kernel"], tmp_path).span.start == 0x400000


def test_a_ramdisk_from_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples.write_kernels(tmp_path)
    (tmp_path / "busybox").write_bytes(b"the program")
    (tmp_path / "init.sh").write_bytes(b"the script")
    asked: list[tuple[str, str, Path]] = []

    def fetch(package: str, pattern: str, cache: Path) -> Path:
        asked.append((package, pattern, cache))
        return tmp_path / "busybox"

    monkeypatch.setattr(debian, "fetch", fetch)
    text = samples.DOMAIN + PACKAGE
    text += f'[[domain]]\nname = "dom1"\nmemory = "64M"\n{PACKAGE}'
    files = resolve.resolve(load.parse(text, tmp_path / "lab.toml"), tmp_path / "work", tmp_path / "cache")
    ramdisk = files[OfDomain(0), "ramdisk"]
    assert ramdisk == files[OfDomain(1), "ramdisk"] and ramdisk.name == "busybox.cpio"
    assert asked == [("busybox-static", "bin/busybox", tmp_path / "cache")]
    data = ramdisk.read_bytes()
    assert data.startswith(b"070701") and b"the program" in data and b"the script" in data


def test_programs_in_a_ramdisk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in assembly is a program that Linux starts, which knows words that it does not understand."""
    samples.write_kernels(tmp_path)
    (tmp_path / "busybox").write_bytes(b"the program")
    (tmp_path / "init.sh").write_bytes(b"the script")
    (tmp_path / "other").write_bytes(b"another program")
    monkeypatch.setattr(debian, "fetch", lambda package, pattern, cache: tmp_path / "busybox")
    programs = f'init = "init.sh", programs = ["{ROOT}/images/port.asm", "other"]'
    text = samples.DOMAIN + PACKAGE.replace('init = "init.sh"', programs)
    described = load.parse(text, tmp_path / "lab.toml")
    assert set(resolve.named(described)) >= {ROOT / "images" / "port.asm", tmp_path / "other", tmp_path / "init.sh"}
    ramdisk = resolve.resolve(described, tmp_path / "work", tmp_path / "cache")[OfDomain(0), "ramdisk"]
    found = {name: (mode, data) for name, mode, _, data in newc.read(ramdisk.read_bytes())}
    assert found["bin/other"] == (stat.S_IFREG | 0o755, b"another program")
    port = tmp_path / "port"
    port.write_bytes(found["bin/port"][1])
    port.chmod(0o755)
    assert [subprocess.run([port, *words], check=False).returncode for words in (["in", "12x"], [])] == [2, 2]


def test_errors_have_the_place_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(package: str, pattern: str, cache: Path) -> Path:
        raise ToolError("apt-get is not there")

    monkeypatch.setattr(debian, "fetch", fetch)
    with pytest.raises(BootwrightError) as caught:
        resolve.resolve(load.parse(samples.DOMAIN + PACKAGE, Path("lab.toml")), tmp_path / "work")
    assert str(caught.value).splitlines() == [
        'lab.toml:6:10: domain "dom0": kernel good.elf cannot be read: No such file or directory',
        'lab.toml:7:11: domain "dom0": ramdisk: apt-get is not there',
    ]


def test_a_pipe_is_no_kernel_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "good.elf")
    with pytest.raises(BootwrightError, match=r"good\.elf is not a regular file"):
        resolve.resolve(load.parse(samples.DOMAIN, tmp_path / "lab.toml"), tmp_path / "work")


def test_the_cache_of_a_checkout() -> None:
    assert resolve.cache_directory() == ROOT / ".cache"
