"""Kernels that first map little: they find what they are told only where it is low, and with all its modules."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from comparing import ROOT, compare_boot, facts

from bootwright.common import paths
from bootwright.emulate import qemu, run
from bootwright.emulate.qemu import Outcome
from bootwright.image import build as image_build
from bootwright.image import built as image_built
from bootwright.inputs import cpio, debian, resolve
from bootwright.kernels import protocols

pytestmark = pytest.mark.slow

INIT = "INIT-OK"
CONSOLE = "console=ttyS0,115200 panic=-1"
DOMAIN = '[[domain]]\nname = "dom0"\nfunctions = ["initial-domain"]\nmemory = "512M"\n'
LOW = 16 << 20


@pytest.fixture(autouse=True)
def _output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "root", lambda: tmp_path)


@pytest.fixture
def _foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """apt-get that knows packages of i386 too, with lists of its own: the system's stay as they are."""
    lists = tmp_path / "lists"
    (lists / "partial").mkdir(parents=True)
    config = tmp_path / "apt.conf"
    config.write_text(
        'APT::Architectures { "amd64"; "i386"; };\nAPT::Sandbox::User "root";\n'
        f'Dir::State::lists "{lists}";\nDir::Cache "{tmp_path}";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(config))
    cached = resolve.cache_directory() / "debian"
    if not all((cached / f"{name}:i386").is_dir() for name in ("linux-image-686-pae", "busybox-static")):
        subprocess.run(["apt-get", "-q", "update"], check=False, capture_output=True, timeout=600)


def build(folder: Path, name: str, keys: str) -> image_built.Built:
    path = folder / f"{name}.toml"
    path.write_text(f'[image]\nname = "{name}"\nlog = "debug"\n{DOMAIN}{keys}\n')
    return image_build.build(path, lambda stage: None)


def boots_low(built: image_built.Built, via: str, firmware: str) -> qemu.Result:
    """It reaches user space, as the reference says, with what it was told below 16 MiB."""
    options = run.Options(via=via, firmware=firmware, expect=INIT, timeout=90)
    result = run.boot(built, options, lambda text: None, facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    expected = compare_boot(result.transcript, built, memory=result.memory)
    assert expected.handover is not None and expected.handover.end < LOW
    return result


@pytest.mark.usefixtures("_foreign")
@pytest.mark.parametrize(("via", "firmware"), [("kernel", "bios"), ("grub", "bios"), ("efi", "uefi")])
def test_linux_of_32_bits_by_pvh(via: str, firmware: str, tmp_path: Path) -> None:
    """Its page tables reach little farther than its own end when it reads the memory map."""
    cache = resolve.cache_directory()
    kernel = debian.fetch("linux-image-686-pae:i386", "boot/vmlinuz-*", cache)
    busybox = debian.fetch("busybox-static:i386", "*bin/busybox", cache)
    cpio.write(cpio.busybox_ramdisk(busybox, ROOT / "images/debian.init"), tmp_path / "initrd")
    keys = f'protocol = "pvh"\nkernel = "{kernel}"\nramdisk = "initrd"\ncmdline = "{CONSOLE}"'
    built = build(tmp_path, "pae", keys)
    assert "launch by PVH" in boots_low(built, via, firmware).transcript


@pytest.mark.parametrize("protocol", ["multiboot1", "multiboot2"])
@pytest.mark.parametrize("via", ["kernel", "grub"])
def test_tboot_launches_linux(protocol: str, via: str, tmp_path: Path) -> None:
    """On a cpu without TXT it launches Linux, its first module, with the second as the ramdisk."""
    init = ROOT / "images/debian.init"
    linux = f'{{ package = "linux-image-cloud-amd64", file = "boot/vmlinuz-*", string = "{CONSOLE}" }}'
    ramdisk = f'{{ package = "busybox-static", file = "*bin/busybox", init = "{init}" }}'
    kernel = '{ package = "tboot", file = "boot/tboot.gz" }'
    keys = f'protocol = "{protocol}"\nkernel = {kernel}\nmodules = [{linux}, {ramdisk}]\n'
    # With a log in memory it makes the memory map longer, in the room of the tag of its sections.
    built = build(tmp_path, "tboot", f'{keys}cmdline = "logging=serial,memory serial=115200,8n1,0x3f8"')
    said = boots_low(built, via, "bios").transcript
    assert "TBOOT: transfering control to kernel" in said and f"command line: {CONSOLE}" in said


def test_a_loader_hands_tboot_and_linux_to_the_generic_stub(tmp_path: Path) -> None:
    cache = resolve.cache_directory()
    tboot = protocols.gunzipped(debian.fetch("tboot", "boot/tboot.gz", cache), tmp_path)
    (tmp_path / "vmlinuz").symlink_to(debian.fetch("linux-image-cloud-amd64", "boot/vmlinuz-*", cache))
    busybox = debian.fetch("busybox-static", "*bin/busybox", cache)
    cpio.write(cpio.busybox_ramdisk(busybox, ROOT / "images/debian.init"), tmp_path / "initrd")
    built = image_build.build(ROOT / "images/generic.toml", lambda stage: None)
    # Not what QEMU puts in front of a module's string: tboot hands it on as Linux' command line.
    modules = [f"{tboot.name} logging=serial serial=115200,8n1,0x3f8", f"vmlinuz {CONSOLE}", "initrd"]
    command = qemu.command(
        qemu.Machine(768 << 20),
        ["-kernel", str(built.elf), "-initrd", ",".join(text.replace(",", ",,") for text in modules)],
    )
    result = qemu.run(command, expect=INIT, timeout=90, show=lambda text: None, directory=tmp_path)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert "TBOOT: transfering control to kernel" in result.transcript
