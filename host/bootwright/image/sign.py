"""Secure Boot: an EFI application signed with a key of the user's, by sbsign (package sbsigntool).

Authenticode as UEFI 2.10, 32.2, has it. The signature holds the time of signing: a signed file is the only output
that differs from run to run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bootwright.common.errors import SourceError, ToolError, about
from bootwright.common.tool import Tool


@dataclass(frozen=True)
class Signing:
    """A private key and its certificate, both PEM files."""

    key: Path
    cert: Path


class Sbsign(Tool):
    """sbsign."""

    name = "sbsign"
    package = "sbsigntool"
    does = "signs applications for Secure Boot"

    def sign(self, application: Path, signing: Signing, output: Path) -> None:
        """Write a signed copy of an application. Raises ToolError."""
        with about(f"{application.name} cannot be signed with {signing.key} and {signing.cert}"):
            done = self.attempt("--key", signing.key, "--cert", signing.cert, "--output", output, application)
            if done.status or not output.is_file():
                raise ToolError(self.failure(done))


SBSIGN = Sbsign()


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
    SBSIGN.path()
    return hashlib.sha256(found).hexdigest()


def sign(application: Path, signing: Signing) -> None:
    """Sign an application in place: the signed file is written beside it and renamed.

    Raises as check does, and ToolError where sbsign fails.
    """
    check(signing)
    signed = application.with_suffix(".signed")
    try:
        SBSIGN.sign(application, signing, signed)
        signed.replace(application)
    finally:
        signed.unlink(missing_ok=True)
