"""Profiles under QEMU: chosen by each way, and changed in a finished image."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pytest
from comparing import ROOT, compare_boot, facts

import bootwright
from bootwright.artifact import change, stored
from bootwright.common import paths
from bootwright.emulate import qemu, run
from bootwright.image import build, built
from bootwright.media import fat, qemu_drives
from bootwright.media.extents import whole, write
from bootwright.media.qemu_drives import Device

TEXT = f"""\
[image]
name = "ways"
log = "debug"
console = ["com1,115200"]
profile = "usual"
menu = 2
[[domain]]
name = "dom0"
memory = "512M"
kernel = "{ROOT}/stub/kernels/demo.asm"
ramdisk = "{ROOT}/images/demo.txt"
cmdline = "as usual"
[[profile]]
name = "rescue"
title = "another ramdisk"
cmdline = "single"
ramdisk = "{ROOT}/LICENSE"
[[profile]]
name = "shared"
cmdline = "third"
[[profile]]
name = "linux"
kernel = {{ package = "linux-image-cloud-amd64", file = "boot/vmlinuz-*" }}
ramdisk = {{ package = "busybox-static", file = "*bin/busybox", init = "{ROOT}/images/debian.init" }}
cmdline = "{{console}} panic=-1"
"""
STARTS = {"usual": "demo:   starts: This file travels", "rescue": "demo:   starts: BSD 2-Clause"}
STARTS["shared"] = STARTS["usual"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profiles")


@pytest.fixture(scope="module")
def ways(folder: Path) -> built.Built:
    (folder / "ways.toml").write_text(TEXT)
    with paths.outputs_in(folder):
        return build.build(folder / "ways.toml", lambda stage: None)


def check(said: str, profile: str, by: str) -> None:
    assert f"bootwright: profile: {profile}, {by}" in said, said
    assert STARTS[profile] in said, said


def test_what_profiles_share_is_in_the_image_once(ways: built.Built) -> None:
    for file in (ways.elf, ways.elf.with_suffix(".efi")):
        (image,) = stored.find(file)
        names = [module.planned.name for module in image.modules]
        assert names[:3] == ["demo", "demo.txt", "LICENSE"] and len(names) == 5
        assert all(module.is_right() for module in image.modules)
        assert image.plan is not None
        kernels = [one.modules[0].load_address for one in (image.plan, *image.plan.profiles)]
        assert len(set(kernels[:3])) == 1 and kernels[3] != kernels[0]
        assert [one.image.profile for one in image.plan.profiles] == ["rescue", "shared", "linux"]


@pytest.mark.slow
def test_another_kernel_by_another_protocol(ways: built.Built) -> None:
    """Linux by its own boot protocol, in an image whose first kernel is entered by PVH; as the reference has it."""
    options = run.Options(qemu_args=("-append", "profile=linux"), expect="INIT-OK", timeout=90)
    result = run.boot(ways, options, lambda text: None, facts)
    assert (
        compare_boot(result.transcript, ways, cmdline="ways.elf profile=linux", memory=result.memory).protocol
        == "linux"
    )


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["usual", "rescue", "shared"])
def test_by_the_loader_s_command_line(profile: str, ways: built.Built) -> None:
    """QEMU's loader; and each line, each place and each byte is the reference's."""
    options = run.Options(qemu_args=("-append", f"profile={profile} -- more"), timeout=60)
    result = run.boot(ways, options, lambda text: None, facts)
    check(result.transcript, profile, "by the loader's command line")
    compare_boot(result.transcript, ways, cmdline=f"ways.elf profile={profile} -- more", memory=result.memory)


@pytest.mark.slow
def test_after_the_menu_s_time(ways: built.Built) -> None:
    started = time.monotonic()
    result = run.boot(ways, run.Options(timeout=60), lambda text: None, facts)
    assert time.monotonic() - started > 1, "of two seconds that a clock counts"
    check(result.transcript, "usual", "as nothing else was chosen")
    compare_boot(result.transcript, ways, cmdline="ways.elf ", memory=result.memory)


@pytest.mark.slow
def test_by_a_key_on_the_serial_line(ways: built.Built) -> None:
    command = qemu.command(qemu.Machine(768 << 20, 1, "bios"), ["-kernel", str(ways.elf), "-serial", "stdio"])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        limit = threading.Timer(60, process.kill)
        limit.start()
        said = b""
        for line in process.stdout:
            said += line
            if b"another one: keys 1 to 4" in line:
                process.stdin.write(b"2")
                process.stdin.flush()
        limit.cancel()
    check(said.decode(), "rescue", "by key")


@pytest.mark.slow
def test_by_efi_load_options(ways: built.Built, tmp_path: Path) -> None:
    """As the EFI shell gives them, which OVMF starts where nothing else is."""
    script = b"fs0:\r\nways.efi profile=shared -- more\r\n"
    files = {"ways.efi": whole(ways.elf.with_suffix(".efi")), "startup.nsh": script}
    bits = fat.choose(files)
    with (tmp_path / "fat").open("wb") as output:
        write(fat.build(files, bits, "ways", 0, fat.least(files, bits)), output)
    medium = [*qemu_drives.arguments(tmp_path / "fat", Device.VIRTIO), "-serial", "stdio"]
    command = qemu.command(qemu.Machine(768 << 20, 1, "uefi"), medium)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=90, check=False)
    said = done.stdout.decode("utf-8", "replace")
    check(said, "shared", "by the loader's command line")
    assert "demo: command line: third more" in said


@pytest.mark.slow
def test_a_finished_image_is_changed_in_one_profile(ways: built.Built, tmp_path: Path) -> None:
    file = tmp_path / "ways.elf"
    file.write_bytes(ways.elf.read_bytes())
    (image,) = stored.find(file)
    change.apply(file, [change.with_cmdline(image, "dom0", "at the bench", "rescue")])
    (image,) = stored.find(file)
    change.apply(file, [change.with_module(image, "LICENSE", ROOT / "images/demo.txt", tmp_path)])
    (image,) = stored.find(file)
    assert image.plan is not None
    told = [one.modules[0].string for one in (image.plan, *image.plan.profiles)]
    assert told[:3] == ["as usual", "at the bench", "third"]
    boot = bootwright.run(file, qemu_args=("-append", "profile=rescue"))
    assert "demo: command line: at the bench" in boot.transcript
    assert "starts: This file travels" in boot.transcript, "a module of one profile alone is replaced as well"
