"""Fetching from Debian packages, with an apt-get that serves packages made here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bootwright.common.errors import SourceError, ToolError
from bootwright.inputs import debian

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb packs the test packages")

APT = """#!/bin/sh
# Serves NAME.deb (for NAME or NAME=1.0) from {packages}.
for last; do :; done
echo "$last" >> {packages}/log
name=${{last%=1.0}}
[ -f {packages}/$name.deb ] || {{ echo "E: Unable to locate package $name" >&2; exit 100; }}
cp {packages}/$name.deb ./${{name}}_1.0_all.deb
"""


def build(packages: Path, name: str, files: dict[str, bytes], depends: str = "") -> None:
    root = packages / name
    (root / "DEBIAN").mkdir(parents=True)
    lines = [
        f"Package: {name}",
        "Version: 1.0",
        "Architecture: all",
        "Maintainer: t <t@example.org>",
        "Description: t",
    ]
    (root / "DEBIAN" / "control").write_text("\n".join([*lines, *([f"Depends: {depends}"] if depends else []), ""]))
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    subprocess.run(["dpkg-deb", "--build", str(root), str(packages / f"{name}.deb")], check=True, capture_output=True)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    packages = tmp_path / "packages"
    packages.mkdir()
    build(packages, "kernel-6", {"boot/vmlinuz-6": b"the kernel", "usr/share/doc/x": b""})
    build(packages, "kernel", {"usr/share/doc/y": b""}, "kernel-6 (= 1.0) | other, more")
    build(packages, "two", {"boot/vmlinuz-1": b"", "boot/vmlinuz-2": b""})
    build(packages, "other", {"bin/tool": b""}, "kernel-6")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "apt-get").write_text(APT.format(packages=packages))
    (tools / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return packages


def asked(packages: Path) -> list[str]:
    return (packages / "log").read_text().split()


def test_a_meta_package_is_followed_and_the_file_kept(packages: Path, tmp_path: Path) -> None:
    found = debian.fetch("kernel", "boot/vmlinuz-*", tmp_path / "cache")
    assert found.name == "vmlinuz-6" and found.read_bytes() == b"the kernel"
    assert asked(packages) == ["kernel", "kernel-6=1.0"]
    assert debian.fetch("kernel", "boot/vmlinuz-*", tmp_path / "cache") == found
    assert len(asked(packages)) == 2
    assert [path.name for path in (tmp_path / "cache" / "debian" / "kernel").iterdir()] == ["boot%2Fvmlinuz-%2A"]


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("two", 'package "two": boot/vmlinuz-1, boot/vmlinuz-2 all match "boot/vmlinuz-*"; one must'),
        ("other", 'package "other": it has no file "boot/vmlinuz-*"'),
        ("gone", 'package "gone": apt-get failed with status 100: Unable to locate package gone '
                 "(is the list of packages there? apt-get update fetches it)"),
    ],
)  # fmt: skip
def test_what_cannot_be_fetched(package: str, message: str, packages: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        debian.fetch(package, "boot/vmlinuz-*", tmp_path / "cache")
    assert str(caught.value) == message
    assert list((tmp_path / "cache" / "debian" / package).iterdir()) == []


def test_a_damaged_package(packages: Path, tmp_path: Path) -> None:
    (packages / "broken.deb").write_bytes(b"!<arch>\nno package")
    with pytest.raises(SourceError, match=r"package broken_1.0_all.deb is damaged"):
        debian.fetch("broken", "x", tmp_path / "cache")


def test_without_apt_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r'^package "kernel": apt-get, .*, is not installed; it is in the package apt$'):
        debian.fetch("kernel", "x", tmp_path / "cache")
