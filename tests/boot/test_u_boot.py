"""A second implementation of UEFI: U-Boot's, for QEMU's x86_64 machine. It leaves SSE off (CR4.OSFXSR clear), and its
MTRRs call all RAM uncached."""

from pathlib import Path

import pytest
from comparing import compare_boot, facts, variant
from project import ROOT

from bootwright.emulate import qemu
from bootwright.emulate.qemu import Outcome
from bootwright.image import built as image_built
from bootwright.inputs import debian
from bootwright.media import BOOT_METHODS

MEMORY = 1 << 30

pytestmark = pytest.mark.slow


def start(built: image_built.Built, expect: str, facts: qemu.Inspect | None = None) -> qemu.Result:
    rom = debian.fetch("u-boot-qemu", "usr/lib/u-boot/qemu-x86_64/u-boot.rom", ROOT / ".cache")
    with BOOT_METHODS["disk-virtio"].attach(built, "uefi") as medium:
        command = qemu.command(qemu.Machine(MEMORY), [*medium, "-bios", str(rom)])
        folder = built.elf.parent
        return qemu.run(command, expect=expect, timeout=120, show=lambda text: None, directory=folder, inspect=facts)


def test_the_demo(project: Path) -> None:
    built = variant(project, "demo")
    result = start(built, "demo: powering off\n", facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert ", entered by EFI from Das U-Boot\n" in result.transcript
    assert "warning: the MTRRs call the memory at " in result.transcript
    compare_boot(result.transcript, built, memory=result.memory)


def test_debian_to_user_space(project: Path) -> None:
    """Linux would not use RAM that MTRRs call uncached, which is all of it here, and then has none left to start in."""
    built = variant(project, "debian", ('cmdline = "', 'cmdline = "disable_mtrr_trim '))
    result = start(built, "INIT-OK\n")
    assert result.outcome is Outcome.AS_EXPECTED, result
    compare_boot(result.transcript, built)
