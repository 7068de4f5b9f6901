"""Whole boots from the media that bootwright makes itself, on both firmwares."""

import pytest

from bootwright import report, run
from bootwright.qemu import Outcome

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
    ("pxe", "bios"),
    ("pxe", "uefi"),
    ("pxe-http", "bios"),
    ("efi", "uefi"),
]

ENTERED = {"iso": "multiboot2 from GRUB ", "disk": "multiboot2 from GRUB ", "pxe": "multiboot1 from iPXE"}


@pytest.mark.parametrize(("via", "firmware"), CASES)
def test_boot(via: str, firmware: str, demo: report.Built) -> None:
    result = run.boot(demo, run.Options(via=via, firmware=firmware, timeout=60), lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    entered = ENTERED[via.partition("-")[0]] if firmware == "bios" else "EFI"
    assert f"bootwright: image demo, entered by {entered}" in result.transcript
    assert result.transcript.endswith("demo: powering off\n")
