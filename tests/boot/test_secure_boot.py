"""Secure Boot under OVMF.

With Debian's test keys enrolled (package ovmf) what is signed starts, what was changed afterwards is refused. With
Microsoft's, as machines come, Debian's shim starts, and starts what a key has signed that is in MokList: the list
in which MokManager enrolls the keys of a machine's owner.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from project import ROOT
from signing_keys import make_key

from bootwright.common import paths
from bootwright.emulate import nvram, qemu
from bootwright.image import build, sign
from bootwright.inputs import debian, resolve

pytestmark = pytest.mark.slow
DEMO = ROOT / "images" / "demo.toml"
CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.snakeoil.fd")
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd")
AS_THEY_COME = Path("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
KEY, CERT = Path("/usr/share/ovmf/PkKek-1-snakeoil.key"), Path("/usr/share/ovmf/PkKek-1-snakeoil.pem")


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as an application that Debian's test key has signed."""
    folder = tmp_path_factory.mktemp("signed")
    key = folder / "key.pem"
    openssl = ["openssl", "rsa", "-passin", "pass:snakeoil", "-in", str(KEY), "-out", str(key)]
    subprocess.run(openssl, check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "output", lambda name: folder / name)
        built = build.build(DEMO, lambda stage: None, signing=sign.Signing(key, CERT))
    assert built.efi is not None
    return built.efi


def boot(application: Path, folder: Path, expect: str) -> qemu.Result:
    """Start an application from a FAT drive on a machine with Secure Boot on."""
    return boot_files({"BOOTX64.EFI": application}, VARIABLES.read_bytes(), folder, expect)


def boot_files(files: dict[str, Path], variables: bytes, folder: Path, expect: str) -> qemu.Result:
    """Boot from a FAT drive with these files in \\EFI\\BOOT, with that NVRAM, and Secure Boot on."""
    drive = folder / "drive" / "EFI" / "BOOT"
    drive.mkdir(parents=True)
    for name, file in files.items():
        shutil.copy(file, drive / name)
    (folder / "variables.fd").write_bytes(variables)
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


# --- behind shim ---


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> sign.Signing:
    """A machine owner's key."""
    return make_key(tmp_path_factory.mktemp("owner"))


@pytest.fixture(scope="module")
def owned(owner: sign.Signing, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as an application that the owner's key has signed."""
    folder = tmp_path_factory.mktemp("owned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "output", lambda name: folder / name)
        built = build.build(DEMO, lambda stage: None, signing=owner)
    assert built.efi is not None
    return built.efi


def enrolled(signing: sign.Signing) -> bytes:
    """The NVRAM of a machine on which MokManager has enrolled the owner's certificate."""
    openssl = ["openssl", "x509", "-in", str(signing.cert), "-outform", "DER"]
    certificate = subprocess.run(openssl, check=True, capture_output=True).stdout
    listed = nvram.signature_list(certificate, nvram.SHIM)
    return nvram.add(AS_THEY_COME.read_bytes(), "MokList", nvram.SHIM, listed)


def behind_shim(application: Path, variables: bytes, folder: Path, expect: str) -> qemu.Result:
    """shim is started first, and starts the application."""
    cache = resolve.cache_directory()
    files = {
        "BOOTX64.EFI": debian.fetch("shim-signed", "*/shimx64.efi.signed", cache),
        "mmx64.efi": debian.fetch("shim-helpers-amd64-signed", "*/mmx64.efi.signed", cache),
        "grubx64.efi": application,
    }
    return boot_files(files, variables, folder, expect)


def test_shim_starts_what_an_enrolled_key_has_signed(owner: sign.Signing, owned: Path, tmp_path: Path) -> None:
    result = behind_shim(owned, enrolled(owner), tmp_path, "demo: powering off")
    assert result.outcome is qemu.Outcome.AS_EXPECTED, result.transcript[-2000:]


def test_shim_starts_nothing_that_no_enrolled_key_has_signed(owned: Path, tmp_path: Path) -> None:
    result = behind_shim(owned, AS_THEY_COME.read_bytes(), tmp_path, "Security Violation")
    assert result.outcome is qemu.Outcome.AS_EXPECTED, result.transcript[-2000:]
    assert "bootwright: image" not in result.transcript


def test_shim_starts_nothing_without_sbat(owner: sign.Signing, owned: Path, tmp_path: Path) -> None:
    """Which is why NAME.efi has that section: the same application, signed by the same key, without its name."""
    bare = tmp_path / "bare.efi"
    subprocess.run(["sbattach", "--remove", owned_copy := shutil.copy(owned, bare)], check=True, capture_output=True)
    data = Path(owned_copy).read_bytes()
    assert data.count(b".sbat\0\0\0") == 1
    bare.write_bytes(data.replace(b".sbat\0\0\0", b".none\0\0\0"))
    sign.sign(bare, owner)
    result = behind_shim(bare, enrolled(owner), tmp_path, "Security Violation")
    assert result.outcome is qemu.Outcome.AS_EXPECTED, result.transcript[-2000:]
    assert "bootwright: image" not in result.transcript
