"""bzImages that start in real mode: programs other than Linux, on a BIOS, and what is said where there is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from comparing import compare_boot

from bootwright.common import paths
from bootwright.emulate import qemu, run
from bootwright.emulate.qemu import Outcome
from bootwright.image import build as image_build
from bootwright.image import built as image_built
from bootwright.inputs import debian, resolve

pytestmark = pytest.mark.slow

DESCRIPTION = """
[image]
name = "{name}"
log = "debug"

[[domain]]
name = "dom0"
functions = ["initial-domain"]
memory = "64M"
kernel = "{kernel}"
"""
SECTOR = 512
FLOPPY = 160 << 10
SECOND = b"read by interrupt 0x13 from the second sector\r\n\0"
# A boot sector, as a BIOS starts it at 0x7c00: reads the next one to 0x7e00 and writes its text to COM1.
BOOT_SECTOR = bytes.fromhex(
    "31c0 8ed8 8ec0"  # xor ax, ax; mov ds, ax; mov es, ax
    "b80102 b90200 b600 bb007e cd13"  # mov ax, 0x0201; mov cx, 2; mov dh, 0; mov bx, 0x7e00; int 0x13
    "be007e baf803"  # mov si, 0x7e00; mov dx, 0x3f8
    "ac 84c0 7403 ee ebf8"  # next: lodsb; test al, al; jz end; out dx, al; jmp next
    "f4 ebfd"  # end: hlt; jmp end
)


@pytest.fixture(autouse=True)
def _output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "root", lambda: tmp_path)


def build(folder: Path, name: str, kernel: Path, more: str = "") -> image_built.Built:
    path = folder / f"{name}.toml"
    path.write_text(DESCRIPTION.format(name=name, kernel=kernel) + more)
    return image_build.build(path, lambda stage: None)


def memdisk(folder: Path) -> image_built.Built:
    """SYSLINUX's memdisk, which offers its ramdisk as a floppy disk to whatever boots from it."""
    floppy = (BOOT_SECTOR.ljust(SECTOR - 2, b"\0") + b"\x55\xaa" + SECOND).ljust(FLOPPY, b"\0")
    (folder / "floppy.img").write_bytes(floppy)
    kernel = debian.fetch("syslinux-common", "*memdisk", resolve.cache_directory())
    return build(folder, "memdisk", kernel, 'ramdisk = "floppy.img"\n')


@pytest.mark.parametrize("via", ["kernel", "grub"])
def test_memdisk_boots_a_floppy_disk(via: str, tmp_path: Path) -> None:
    """Protocol 2.03, code32_start set: entered there it hangs."""
    built = memdisk(tmp_path)
    reason = "starts in real mode, which needs a BIOS: under UEFI the boot stops"
    assert built.notes == (f'domain "dom0": protocol auto is linux: kernel memdisk is a bzImage that {reason}',)
    expect = SECOND.decode().splitlines()[0]
    result = run.boot(built, run.Options(via=via, expect=expect, timeout=60), lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert compare_boot(result.transcript, built).protocol == "linux"


def test_memdisk_is_refused_under_uefi(tmp_path: Path) -> None:
    options = run.Options(via="efi", firmware="uefi", expect="nothing", timeout=90)
    result = run.boot(memdisk(tmp_path), options, lambda text: None)
    assert result.outcome is Outcome.STUB_FAILURE, result
    assert "E0703: domain dom0: its kernel starts in real mode, which needs a BIOS, and there is none" in result.reason


def test_grub_s_own_core_by_its_lnxboot(tmp_path: Path) -> None:
    """lnxboot.img in front of a core.img of GRUB makes a bzImage, protocol 2.03 as well. This one prints and stops."""
    cache = resolve.cache_directory()
    lnxboot = debian.fetch("grub-pc-bin", "usr/lib/grub/i386-pc/lnxboot.img", cache).read_bytes()
    (tmp_path / "early.cfg").write_text("serial\nterminal_output serial\necho GRUB-IS-THERE\nhalt\n")
    modules = ["serial", "terminal", "echo", "halt"]
    command = ["grub-mkimage", "-O", "i386-pc", "-p", "/", "-c", tmp_path / "early.cfg", "-o", tmp_path / "core"]
    subprocess.run([*command, *modules], check=True, capture_output=True)
    core = (tmp_path / "core").read_bytes()
    (tmp_path / "grub.lkrn").write_bytes(lnxboot + core)
    # GRUB's core has a multiboot1 header as well, which auto would take.
    built = build(tmp_path, "lnxboot", tmp_path / "grub.lkrn", 'protocol = "linux"\n')
    result = run.boot(built, run.Options(expect="GRUB-IS-THERE", timeout=60), lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert compare_boot(result.transcript, built).protocol == "linux"


IPXE = Path("/usr/lib/ipxe/ipxe.lkrn")


def test_ipxe(tmp_path: Path) -> None:
    """code32_start 0. It prints by interrupt 0x10, which SeaBIOS puts on the serial line where there is no screen."""
    built = build(tmp_path, "ipxe", IPXE)
    command = qemu.command(qemu.Machine(128 << 20), ["-kernel", str(built.elf), "-machine", "graphics=off"])
    result = qemu.run(command, expect="iPXE initialising devices...", timeout=60, show=lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert "bootwright: launch by the Linux boot protocol: " in result.transcript
