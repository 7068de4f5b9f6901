"""Whole boots under QEMU: each image by each way, judged by the serial console."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from comparing import compare_boot, variant
from project import ROOT

from bootwright.asm import assemble
from bootwright.common import asciicast, paths
from bootwright.emulate import run
from bootwright.emulate.qemu import Outcome
from bootwright.image import built as image_built
from bootwright.link import layout, linker

WAYS = [("kernel", "bios"), ("grub", "bios"), ("grub", "uefi"), ("efi", "uefi")]
EXPECTED = {"demo": None, "debian": "INIT-OK\n"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=EXPECTED)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> image_built.Built:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: folder)
        return variant(folder, request.param)


@pytest.mark.parametrize(("via", "firmware"), WAYS)
def test_boot(via: str, firmware: str, built: image_built.Built, tmp_path: Path) -> None:
    expect = EXPECTED[built.name]
    log = tmp_path / "log"
    cast = tmp_path / "cast"
    options = run.Options(via=via, firmware=firmware, expect=expect, timeout=90, keep_log=log, record=cast)
    result = run.boot(built, options, lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert log.read_text() == result.transcript
    recorded = asciicast.read(cast.read_text())
    assert recorded is not None and recorded.text == result.transcript
    assert [mark.text for mark in recorded.marks] == [result.reason]

    said = [line for line in result.transcript.splitlines() if line.startswith("bootwright: ")]
    loader = {"kernel": "multiboot1 from qemu", "grub": "multiboot2 from GRUB ", "efi": "EFI from "}[via]
    image = f"{built.name} build {built.build_id[:8]}"
    assert re.match(rf"bootwright: image {image} at \[0x\w+, 0x\w+\), entered by {loader}", said[0])
    assert compare_boot(result.transcript, built).protocol == "pvh"
    if built.name == "demo":
        assert "demo: command line: hello from the description\n" in result.transcript
        assert "demo:   starts: This file travels as the demo's ramdisk." in result.transcript
        assert result.transcript.endswith("demo: powering off\n")
    else:
        assert "command line: console=ttyS0,115200 panic=-1\n" in result.transcript


@pytest.mark.parametrize(("via", "firmware"), [way for way in WAYS if way[0] != "efi"])
def test_modules_from_the_loader(via: str, firmware: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo again, with kernel and ramdisk brought by the loader."""
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    built = variant(tmp_path, "demo", ('name = "demo"', 'name = "loaded"\nmodules = "loader"'))
    assert len(built.modules) == 2
    result = run.boot(built, run.Options(via=via, firmware=firmware, timeout=90), lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert result.transcript.endswith("demo: powering off\n")
    compare_boot(result.transcript, built)


@pytest.mark.parametrize(("via", "firmware"), [("kernel", "bios"), ("efi", "uefi")])
def test_a_machine_of_4_gib(via: str, firmware: str, built: image_built.Built) -> None:
    """What a kernel is told must lie low: Linux, entered by PVH, sees no more than 1 GiB of it at first."""
    options = run.Options(via=via, firmware=firmware, memory=4 << 30, expect=EXPECTED[built.name], timeout=90)
    assert run.boot(built, options, lambda text: None).outcome is Outcome.AS_EXPECTED


@pytest.mark.parametrize(("via", "firmware"), [("kernel", "bios"), ("grub", "bios"), ("efi", "uefi")])
def test_a_kernel_at_the_stubs_own_place(
    via: str, firmware: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    source = assemble.assemble(ROOT / "stub/kernels/demo.asm")
    kernel = tmp_path / "demo"
    kernel.write_bytes(linker.link([source], replace(layout.load("kernel"), base=0x100000)).image)
    built = variant(tmp_path, "demo", ('"../stub/kernels/demo.asm"', f'"{kernel}"'))
    result = run.boot(built, run.Options(via=via, firmware=firmware, timeout=90), lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert result.transcript.endswith("demo: powering off\n")


def test_too_little_memory_is_a_stub_failure(demo: image_built.Built) -> None:
    result = run.boot(demo, run.Options(memory=48 << 20, timeout=60), lambda text: None)
    assert result.outcome is Outcome.STUB_FAILURE, result
    assert re.fullmatch(
        r"bootwright: E0404: domain dom0 needs \d+ KiB of memory; this machine has \d+ KiB", result.reason
    )


@pytest.mark.parametrize("port", ["com2", "com4"])
def test_another_serial_port_is_shown_beside_the_first(
    port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    built = variant(tmp_path, "demo", ("com1,115200", f"{port},9600"))
    result = run.boot(built, run.Options(expect="demo: powering off", timeout=60), lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED
    assert "bootwright: launch by PVH: entry" in result.transcript


@pytest.mark.parametrize("kind", ["--is-x86-multiboot", "--is-x86-multiboot2"])
def test_grub_file_knows_the_image(kind: str, demo: image_built.Built) -> None:
    subprocess.run(["grub-file", kind, demo.elf], check=True)
