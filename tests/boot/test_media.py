"""Whole boots from the media that bootwright makes itself, on both firmwares."""

import re

import pytest
from comparing import compare_boot, variant

from bootwright.common import paths
from bootwright.emulate import run
from bootwright.emulate.qemu import Outcome
from bootwright.image import built as image_built

pytestmark = pytest.mark.slow

# Each medium on each firmware, each kind of drive at least once; `invoke test --matrix` runs all.
CASES = [
    ("iso-cd", "bios"),
    ("iso-cd", "uefi"),
    ("iso-usb", "bios"),
    ("disk-ide", "bios"),
    ("disk-ahci", "bios"),
    ("disk-virtio", "bios"),
    ("disk-usb", "bios"),
    ("disk-usb", "uefi"),
    ("disk-4k", "uefi"),
    ("pxe", "bios"),
    ("pxe", "uefi"),
    ("pxe-http", "bios"),
    ("efi", "uefi"),
]

ENTERED = {"iso": "multiboot2 from GRUB ", "disk": "multiboot2 from GRUB ", "pxe": "multiboot1 from iPXE"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> image_built.Built:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: folder)
        return variant(folder, "demo")


@pytest.mark.parametrize(("via", "firmware"), CASES)
def test_boot(via: str, firmware: str, built: image_built.Built) -> None:
    result = run.boot(built, run.Options(via=via, firmware=firmware, timeout=60), lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    entered = ENTERED[via.partition("-")[0]] if firmware == "bios" else "EFI"
    first = rf"^bootwright: image demo build {built.build_id[:8]} at \S+ \S+ entered by {entered}"
    assert re.search(first, result.transcript, re.MULTILINE)
    compare_boot(result.transcript, built, application=via.startswith(("iso", "disk")))
    assert result.transcript.endswith("demo: powering off\n")
