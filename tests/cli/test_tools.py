"""The programs and files of other packages: all are listed, say the same when they are missing or fail, and know their
versions.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from media_fixtures import make_built
from project import ROOT

from bootwright.cli.tools import TOOLS
from bootwright.common.errors import BootwrightError, ToolError
from bootwright.common.tool import Files, Needed, Tool
from bootwright.devicetree.dtc import DTC
from bootwright.emulate import qemu
from bootwright.emulate.debug import GDB
from bootwright.image import sign
from bootwright.inputs.debian import APT_GET, DPKG_DEB
from bootwright.media import grub_bios, grub_iso, pxe
from bootwright.media.grub import GRUB_MKIMAGE, GRUB_MKRESCUE, MFORMAT, XORRISO
from bootwright.netboot import dhcp, server

HOST = ROOT / "host/bootwright"
PROGRAMS = [one for one in TOOLS if isinstance(one, Tool)]
FILES = [one for one in TOOLS if isinstance(one, Files)]
# What Debian itself is made with: packages.txt is installed by these.
IN_EVERY_DEBIAN = {"apt", "dpkg"}


def listed(needed: list[Needed]) -> list[str]:
    return [one.name for one in needed]


def declared() -> set[type[Needed]]:
    """The classes of programs and files, wherever in the sources one is."""
    found = set()
    for path in HOST.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & {"Tool", "Files"}:
                name = ".".join(("bootwright", *path.relative_to(HOST).with_suffix("").parts))
                found.add(getattr(importlib.import_module(name), node.name))
    return found


def test_all_are_listed_once() -> None:
    assert {type(one) for one in TOOLS} == declared()
    assert len({one.name for one in TOOLS}) == len(TOOLS)


def test_each_package_is_installed_by_bootstrap() -> None:
    lines = (ROOT / "packages.txt").read_text(encoding="utf-8").splitlines()
    packages = {words[0] for line in lines if (words := line.partition("#")[0].split())}
    assert {one.package for one in TOOLS} - IN_EVERY_DEBIAN <= packages
    assert {one.package for one in TOOLS if one.optional} == {"gdb", "ipxe"}


# A use of each program, in a folder with an image.
USES: dict[Tool, Callable[[Path], object]] = {
    DTC: lambda folder: DTC.blob(folder / "lab.dts"),
    APT_GET: lambda folder: APT_GET.download("lab", "", folder),
    DPKG_DEB: lambda folder: DPKG_DEB.depends(folder / "lab.deb"),
    sign.SBSIGN: lambda folder: sign.sign(folder / "lab.efi", sign.Signing(folder / "lab.elf", folder / "lab.elf")),
    GRUB_MKIMAGE: lambda folder: grub_bios.core(make_built(folder), "i386-pc", ()),
    GRUB_MKRESCUE: lambda folder: grub_iso.make(make_built(folder), "bios"),
    XORRISO: lambda folder: grub_iso.make(make_built(folder), "bios"),
    MFORMAT: lambda folder: grub_iso.make(make_built(folder), "bios"),
    dhcp.DNSMASQ: lambda folder: server.serve([], {}, dhcp.Options("lo"), 0, folder, print),
    qemu.QEMU: lambda folder: qemu.run(
        qemu.command(qemu.Machine(1 << 20), []), expect=None, timeout=9, show=lambda text: None
    ),
    GDB: lambda folder: GDB.version(),
}
# What another program calls: its failure is the other's.
CALLED_BY_OTHERS = {XORRISO, MFORMAT}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With an image, and GRUB's files for BIOS."""
    folder = tmp_path / "lab"
    make_built(folder)
    for name in ("lab.dts", "lab.deb"):
        (folder / name).write_text("/dts-v1/; / { };")
    monkeypatch.setattr(grub_bios.GRUB, "folders", [tmp_path / "grub"])
    (tmp_path / "grub").mkdir()
    (tmp_path / "grub/boot.img").write_bytes(bytes(512))
    return folder


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Tool, str], None]:
    """Makes a program be a script, and nothing else be there."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    for one in PROGRAMS:
        monkeypatch.setattr(type(one), "more_folders", "")

    def write(one: Tool, script: str) -> None:
        path = programs / one.name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


def test_there_is_a_use_of_each_program() -> None:
    assert set(USES) == set(PROGRAMS)


@pytest.mark.parametrize("one", PROGRAMS, ids=listed(PROGRAMS))
def test_a_missing_program_is_named_with_its_package_and_what_it_does(
    one: Tool, folder: Path, stand_in: Callable[[Tool, str], None]
) -> None:
    for other in PROGRAMS:
        if other is not one:
            stand_in(other, "exit 0")
    before = sorted(folder.rglob("*"))
    with pytest.raises(ToolError) as caught:
        USES[one](folder)
    said = f"{one.name}, which {one.does}, is not installed; it is in the package {one.package}"
    assert str(caught.value).removesuffix(said)[-2:] in ("", ": ")
    assert str(caught.value).endswith(said)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("one", FILES, ids=listed(FILES))
def test_missing_files_are_named_with_their_package_and_what_they_do(
    one: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one, "folders", [Path("/none"), Path("/nowhere")])
    assert not one.is_installed()
    with pytest.raises(ToolError) as caught:
        one.folder()
    assert str(caught.value) == f"{one.name}, which {one.does}, is not installed; it is in the package {one.package}"


@pytest.mark.parametrize("one", FILES, ids=listed(FILES))
def test_files_are_there_where_all_of_them_are(one: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.setattr(one, "folders", [tmp_path / "none", there])
    for file in one.files:
        assert not one.is_installed()
        (there / file).write_bytes(b"")
    assert one.folder() == there


@pytest.mark.parametrize(
    "one",
    [one for one in PROGRAMS if one not in CALLED_BY_OTHERS | {DTC, dhcp.DNSMASQ, qemu.QEMU, GDB}],
    ids=lambda one: one.name,
)
def test_a_failing_program_is_named_with_what_it_said_last(
    one: Tool, folder: Path, stand_in: Callable[[Tool, str], None]
) -> None:
    for other in PROGRAMS:
        stand_in(other, "exit 0")
    stand_in(one, "echo at first >&2; echo no such thing >&2; exit 9")
    before = sorted(folder.rglob("*"))
    with pytest.raises(BootwrightError, match=rf"^.+: {one.name} failed with status 9: no such thing$"):
        USES[one](folder)
    assert sorted(folder.rglob("*")) == before


def test_programs_that_say_more_of_a_failure(folder: Path, stand_in: Callable[[Tool, str], None]) -> None:
    """Of dtc the places in the source; dnsmasq is read as long as it runs; QEMU is watched."""
    stand_in(DTC, "echo 'Error: lab.dts:3.5-9 syntax error' >&2; exit 1")
    with pytest.raises(BootwrightError, match=r"^lab\.dts:3:5: device tree source: syntax error$"):
        USES[DTC](folder)
    stand_in(dhcp.DNSMASQ, "exit 2")
    with pytest.raises(ToolError, match=r"^dnsmasq ended with status 2: it said nothing$"):
        USES[dhcp.DNSMASQ](folder)
    stand_in(qemu.QEMU, "echo at first >&2; echo no such machine >&2; exit 1")
    result = USES[qemu.QEMU](folder)
    assert isinstance(result, qemu.Result)
    assert result.reason == "QEMU ended with status 1: no such machine"


def test_apt_says_first_what_is_wrong(folder: Path, stand_in: Callable[[Tool, str], None]) -> None:
    stand_in(
        APT_GET, "echo 'W: old'; { echo 'E: Unable to locate package lab'; echo 'E: No packages found'; } >&2; exit 100"
    )
    with pytest.raises(BootwrightError) as caught:
        USES[APT_GET](folder)
    assert str(caught.value) == (
        'package "lab": apt-get failed with status 100: Unable to locate package lab '
        "(is the list of packages there? apt-get update fetches it)"
    )


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="dpkg-query knows the versions of packages")
@pytest.mark.parametrize("one", PROGRAMS, ids=listed(PROGRAMS))
def test_a_program_and_its_package_agree_on_the_version(one: Tool) -> None:
    """In its first two numbers: what is behind them is Debian's."""
    command = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", one.package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout.startswith("installed ") or not one.is_installed():
        pytest.skip(f"{one.package} is not installed")
    found = re.match(r"installed (?:\d+:)?(\d+\.\d+)", done.stdout)
    assert found is not None
    assert re.match(r"\d+\.\d+", one.version())[0] == found[1]


def test_what_is_installed_here_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    assert APT_GET.is_installed() == Path("/usr/bin/apt-get").exists()
    assert pxe.IPXE.is_installed() == all(Path("/usr/lib/ipxe", name).exists() for name in pxe.IPXE.files)
