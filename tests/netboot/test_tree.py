"""The folder that is served: links to the images' files, a script for each profile, what dnsmasq says of the rest."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from media_fixtures import make_built

from bootwright.common.errors import RunError
from bootwright.media import pxe
from bootwright.media.medium import Settings
from bootwright.netboot import tree
from bootwright.netboot.dhcp import DNSMASQ
from bootwright.netboot.tree import Served

MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02")


@pytest.fixture(autouse=True)
def ipxe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that stands for that of Debian's package ipxe."""
    (tmp_path / "ipxe").mkdir()
    for name in pxe.IPXE.files:
        (tmp_path / "ipxe" / name).write_bytes(b"iPXE")
    monkeypatch.setattr(pxe.IPXE, "folders", [tmp_path / "ipxe"])


def served(folder: Path, *, efi: bool = True, modules: int = 0, **more: object) -> Served:
    built = make_built(folder, efi=efi, modules=modules)
    return Served(built, pxe.make(built, Settings()).path, **more)  # type: ignore[arg-type]


def made(tmp_path: Path, *images: Served, http: str = "", proxy: bool = False) -> tuple[Path, list[str]]:
    root = tmp_path / "root"
    root.mkdir()
    configuration = tree.make(root, images, http, proxy)
    done = subprocess.run(
        [DNSMASQ.path(), f"--conf-file={configuration}", "--test"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (0, "dnsmasq: syntax check OK.")
    return root, configuration.read_text().splitlines()


def test_files_are_linked_and_not_copied(tmp_path: Path) -> None:
    image = served(tmp_path / "lab", modules=1)
    root, _ = made(tmp_path, image)
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    expected = {"dnsmasq.conf", "lab/boot.ipxe", "lab/lab.elf", "lab/modules/m0"}
    assert files == expected | {"lab/undionly.kpxe", "lab/ipxe.efi"}
    assert (root / "lab/lab.elf").samefile(image.built.elf)


def test_a_build_beside_it_changes_nothing_of_what_is_served(tmp_path: Path) -> None:
    image = served(tmp_path / "lab")
    root, _ = made(tmp_path, image)
    before = (root / "lab/lab.efi").read_bytes()
    new = tmp_path / "new"
    new.write_bytes(b"another build")
    new.replace(image.built.elf.with_suffix(".efi"))
    assert (root / "lab/lab.efi").read_bytes() == before


def test_a_server_says_each_machine_its_own(tmp_path: Path) -> None:
    image = served(tmp_path / "lab")
    rescue = Served(image.built, image.folder, "rescue", MACS)
    root, lines = made(tmp_path, image, rescue, http="http://10.0.0.1:8080")
    assert "kernel lab.elf profile=rescue || goto failed" in (root / "lab/boot-rescue.ipxe").read_text().splitlines()
    for mac in MACS:
        assert f"dhcp-mac=set:named,{mac}" in lines and f"dhcp-mac=set:answer1,{mac}" in lines
    assert "dhcp-boot=tag:!named,tag:ipxe,http://10.0.0.1:8080/lab/boot.ipxe" in lines
    assert "dhcp-boot=tag:answer1,tag:ipxe,http://10.0.0.1:8080/lab/boot-rescue.ipxe" in lines
    assert "dhcp-boot=tag:!named,tag:!ipxe,tag:arch7,lab/lab.efi" in lines
    assert "dhcp-boot=tag:answer1,tag:!ipxe,tag:arch7,lab/ipxe.efi" in lines, "only iPXE can say the profile"
    assert "dhcp-boot=tag:!named,tag:http-boot,http://10.0.0.1:8080/lab/lab.efi" in lines
    assert "dhcp-boot=tag:answer1,tag:http-boot,http://10.0.0.1:8080/lab/ipxe.efi" in lines


def test_a_proxy_names_pxe_services(tmp_path: Path) -> None:
    _, lines = made(tmp_path, served(tmp_path / "lab"), proxy=True)
    assert "pxe-service=tag:ipxe,x86PC,lab,lab/boot.ipxe" in lines
    assert "pxe-service=tag:!ipxe,x86PC,lab,lab/undionly.kpxe" in lines
    assert "pxe-service=tag:!ipxe,X86-64_EFI,lab,lab/lab.efi" in lines
    assert not any("dhcp-boot" in line for line in lines)


def test_an_image_that_uefi_cannot_start_is_not_offered_to_it(tmp_path: Path) -> None:
    _, lines = made(tmp_path, served(tmp_path / "lab", efi=False), http="http://10.0.0.1:8080")
    assert not any("arch7," in line and "dhcp-boot" in line for line in lines)
    assert not any("tag:http-boot,http" in line for line in lines)


def test_an_address_that_no_machine_can_be_told(tmp_path: Path) -> None:
    image = served(tmp_path / "lab", profile="p" * 120)
    with pytest.raises(
        RunError, match=r"^lab: 'lab/boot-p+\.ipxe' is longer than the 127 bytes that a machine is told"
    ):
        made(tmp_path, image)
