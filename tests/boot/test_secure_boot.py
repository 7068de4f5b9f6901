"""Secure Boot under OVMF with Debian's test keys enrolled (package ovmf): what is signed starts, what was changed
afterwards is refused."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bootwright import image, places, qemu, sign

pytestmark = pytest.mark.slow
DEMO = Path(__file__).parents[2] / "images" / "demo.toml"
CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.snakeoil.fd")
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd")
KEY, CERT = Path("/usr/share/ovmf/PkKek-1-snakeoil.key"), Path("/usr/share/ovmf/PkKek-1-snakeoil.pem")


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as an application that Debian's test key has signed."""
    folder = tmp_path_factory.mktemp("signed")
    key = folder / "key.pem"
    openssl = ["openssl", "rsa", "-passin", "pass:snakeoil", "-in", str(KEY), "-out", str(key)]
    subprocess.run(openssl, check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "output", lambda name: folder / name)
        built = image.build(DEMO, lambda stage: None, signing=sign.Signing(key, CERT))
    assert built.efi is not None
    return built.efi


def boot(application: Path, folder: Path, expect: str) -> qemu.Result:
    """Start an application from a FAT drive on a machine with Secure Boot on."""
    drive = folder / "drive" / "EFI" / "BOOT"
    drive.mkdir(parents=True)
    shutil.copy(application, drive / "BOOTX64.EFI")
    shutil.copy(VARIABLES, folder / "variables.fd")
    machine = qemu.command(qemu.Machine(memory=256 << 20), [
        "-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on",
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={CODE}",
        "-drive", f"if=pflash,format=raw,unit=1,file={folder / 'variables.fd'}",
        "-drive", f"if=virtio,format=raw,file=fat:rw:{folder / 'drive'}",
    ])  # fmt: skip
    return qemu.run(machine, expect=expect, timeout=90, show=lambda text: None)


def test_a_signed_application_starts(signed: Path, tmp_path: Path) -> None:
    result = boot(signed, tmp_path, "demo: powering off")
    assert result.outcome is qemu.Outcome.AS_EXPECTED, result.transcript[-2000:]


def test_a_changed_application_is_refused(signed: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.efi"
    data = signed.read_bytes()
    assert b"This file travels" in data, "the ramdisk, as it is"
    changed.write_bytes(data.replace(b"This file travels", b"That file travels"))
    result = boot(changed, tmp_path, "Access Denied")
    assert result.outcome is qemu.Outcome.AS_EXPECTED, result.transcript[-2000:]
    assert "bootwright: image" not in result.transcript
