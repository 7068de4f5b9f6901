"""media.pxe and serve: what is in the folder, dnsmasq's own opinion of it, and serving it."""

import subprocess
import urllib.request
from pathlib import Path

import pytest
from media_fixtures import make_built

from bootwright.media import pxe
from bootwright.media.medium import Settings
from bootwright.netboot.dhcp import DNSMASQ


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for that of Debian's package ipxe."""
    folder = tmp_path / "ipxe"
    folder.mkdir()
    for name in pxe.IPXE.files:
        (folder / name).write_bytes(b"iPXE")
    monkeypatch.setattr(pxe.IPXE, "folders", [folder])
    return folder


def test_folder(tmp_path: Path, programs: Path) -> None:
    built = make_built(tmp_path / "lab")
    made = pxe.make(built, Settings())
    assert made.path == tmp_path / "lab/pxe" and made.notes == ()
    files = {str(path.relative_to(made.path)) for path in made.path.rglob("*") if path.is_file()}
    expected = {
        "boot.ipxe",
        "dnsmasq.conf",
        "dnsmasq-server.conf",
        "ipxe.efi",
        "undionly.kpxe",
        "lab.elf",
        "lab.efi",
    }
    assert files == expected
    assert (made.path / "lab.elf").read_bytes() == built.elf.read_bytes()
    assert pxe.make(built, Settings()) == made, "once more over what is there"


def test_without_ipxe_and_without_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pxe.IPXE, "folders", ())
    made = pxe.make(make_built(tmp_path / "lab", efi=False), Settings())
    assert made.notes == (
        "pxe: undionly.kpxe and ipxe.efi not there: machines with a BIOS need iPXE in their network card; "
        "it is in the package ipxe",
        "pxe boots on BIOS only: lab.efi: this image has none, and UEFI starts nothing else from here",
    )
    assert {path.name for path in made.path.iterdir()} == {
        "boot.ipxe",
        "dnsmasq.conf",
        "dnsmasq-server.conf",
        "lab.elf",
    }


def test_script(tmp_path: Path) -> None:
    lines = pxe.script(make_built(tmp_path)).splitlines()
    assert lines[0] == "#!ipxe"
    at = [lines.index(line) for line in ("kernel lab.elf || goto failed", ":efi", "kernel lab.efi || goto failed")]
    assert at == sorted(at)


def test_modules_that_the_loader_brings(tmp_path: Path, programs: Path) -> None:
    built = make_built(tmp_path / "lab", modules=1)
    made = pxe.make(built, Settings())
    assert (made.path / "modules/m0").read_bytes() == b"0" * 5000
    assert "module modules/m0 m0 || goto failed" in pxe.script(built).splitlines()
    assert not (made.path / "lab.efi").exists() and "kernel lab.efi" not in pxe.script(built)
    assert "gets its modules from the loader" in made.notes[0]


@pytest.mark.parametrize("proxy", [True, False])
def test_dnsmasq_takes_the_configuration(proxy: bool, tmp_path: Path, programs: Path) -> None:
    folder = pxe.make(make_built(tmp_path / "lab"), Settings()).path
    file = folder / (pxe.PROXY_CONFIGURATION if proxy else pxe.SERVER_CONFIGURATION)
    done = subprocess.run(
        [DNSMASQ.path(), f"--conf-file={file}", "--test"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (0, "dnsmasq: syntax check OK.")


def test_a_profile_is_said_to_the_image(tmp_path: Path) -> None:
    lines = pxe.script(make_built(tmp_path), "rescue").splitlines()
    assert "kernel lab.elf profile=rescue || goto failed" in lines
    assert "kernel lab.efi profile=rescue || goto failed" in lines


def test_http(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with pxe.http(tmp_path) as port, urllib.request.urlopen(f"http://127.0.0.1:{port}/file") as answer:
        assert answer.read() == b"content"
