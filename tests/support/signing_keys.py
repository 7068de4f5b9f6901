"""Keys to sign with, made anew."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bootwright.image import sign

needs_tools = pytest.mark.skipif(
    not (shutil.which("sbsign") and shutil.which("openssl")),
    reason="needs the packages sbsigntool and openssl",
)


def make_key(folder: Path, name: str = "owner") -> sign.Signing:
    """A new key and its certificate."""
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "3650",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return sign.Signing(key, cert)
