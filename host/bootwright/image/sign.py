"""Secure Boot: an EFI application signed with a key of the user's, by sbsign (package sbsigntool).

Authenticode as UEFI 2.10, 32.2, has it. The signature holds the time of signing: a signed file is the only output
that differs from run to run.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bootwright.common.errors import SourceError, ToolError

PACKAGE = "sbsigntool"


@dataclass(frozen=True)
class Signing:
    """A private key and its certificate, both PEM files."""

    key: Path
    cert: Path


def signing(key: str, cert: str) -> Signing | None:
    """What the command line asks for; None for nothing. Raises SourceError where only one of the two is given."""
    if bool(key) != bool(cert):
        raise SourceError("to sign, both --sign KEY and --cert CERT are needed")
    return Signing(Path(key), Path(cert)) if key else None


def check(signing: Signing) -> str:
    """The SHA-256 of a certificate that can be signed with.

    Raises SourceError for a key or certificate that cannot be read, ToolError where sbsign is missing.
    """
    for what, path in (("key", signing.key), ("certificate", signing.cert)):
        try:
            found = path.read_bytes()
        except OSError as error:
            raise SourceError(f"{what} {path} cannot be read: {error.strerror}") from error
    if shutil.which("sbsign") is None:
        raise ToolError(f"sbsign is not installed; it is in the package {PACKAGE}")
    return hashlib.sha256(found).hexdigest()


def sign(application: Path, signing: Signing) -> None:
    """Sign an application in place: the signed file is written beside it and renamed.

    Raises as check does, and ToolError where sbsign fails.
    """
    check(signing)
    signed = application.with_suffix(".signed")
    command = ["sbsign", "--key", str(signing.key), "--cert", str(signing.cert)]
    done = subprocess.run(
        [*command, "--output", str(signed), str(application)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not signed.is_file():
        signed.unlink(missing_ok=True)
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = said[-1].strip() if said else f"status {done.returncode}"
        raise ToolError(f"{application.name} cannot be signed with {signing.key} and {signing.cert}: {reason}")
    signed.replace(application)
