"""A machine with Secure Boot on that knows one owner's certificate: QEMU with OVMF's build for that.

    write_variables(certificate, file)      # NVRAM for qemu.Machine, with the firmware of code()

Its list db has that certificate alone, so what another key has signed is refused, Microsoft's included. Everything else
is as in the variables of the package ovmf with Microsoft's keys.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from bootwright.common.errors import RunError, SourceError, Where, why
from bootwright.common.tool import Files
from bootwright.emulate import nvram


class SecureOvmf(Files):
    """UEFI firmware for QEMU that enforces Secure Boot, and its variables with keys enrolled."""

    name = "UEFI firmware with Secure Boot"
    package = "ovmf"
    does = "starts what is signed alone"
    folders = (Path("/usr/share/OVMF"),)
    files = ("OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd")


SECURE_OVMF = SecureOvmf()


def code() -> Path:
    """The firmware's code. Raises ToolError where it is not installed."""
    return SECURE_OVMF.folder() / SecureOvmf.files[0]


def write_variables(certificate: Path, output: Path) -> None:
    """Write the NVRAM of a machine that knows this certificate (PEM). Raises SourceError, ToolError, RunError."""
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise SourceError(f"is no certificate that can be read: {why(error)}", Where(str(certificate))) from error
    listed = nvram.signature_list(der, nvram.SHIM)
    store = (SECURE_OVMF.folder() / SecureOvmf.files[1]).read_bytes()
    try:
        changed = nvram.add(store, "db", nvram.IMAGE_SECURITY, listed, nvram.AUTHENTICATED)
    except RunError as error:
        raise RunError(f"{certificate}: {error}") from error
    output.write_bytes(changed)
