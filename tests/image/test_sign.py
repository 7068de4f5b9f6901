"""Signing for Secure Boot, checked by a reader of another make (LIEF)."""

from __future__ import annotations

from pathlib import Path

import lief
import pytest
from project import ROOT
from signing_keys import make_key, needs_tools

from bootwright.common import paths
from bootwright.common.errors import SourceError, ToolError, VerifyError
from bootwright.image import build, sign
from bootwright.image import built as image_built

DEMO = ROOT / "images" / "demo.toml"


@needs_tools
def test_a_signed_application_verifies_and_a_changed_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "output", lambda name: tmp_path / name)
    built = build.build(DEMO, lambda stage: None, signing=make_key(tmp_path))
    assert built.efi is not None
    application = lief.PE.parse(str(built.efi))
    assert application is not None
    timeless = lief.PE.Signature.VERIFICATION_CHECKS.SKIP_CERT_TIME  # the certificate begins in this very second
    flags = lief.PE.Signature.VERIFICATION_FLAGS
    assert application.verify_signature(timeless) == flags.OK
    data = bytearray(built.efi.read_bytes())
    data[0x1234] ^= 1
    (tmp_path / "changed.efi").write_bytes(data)
    changed = lief.PE.parse(str(tmp_path / "changed.efi"))
    assert changed is not None
    assert flags.BAD_DIGEST in flags(changed.verify_signature(timeless))


@needs_tools
def test_what_was_signed_is_read_back(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever signing does to the file is noticed, and what lies there stays."""
    signing, really = make_key(project), sign.sign
    built = build.build(DEMO, lambda stage: None, signing=signing)
    assert built.efi is not None and built == image_built.load(built.elf.with_suffix(".json"))
    before = built.efi.read_bytes()

    def damage(application: Path, at: int) -> None:
        data = bytearray(application.read_bytes())
        data[at] ^= 1
        application.write_bytes(data)

    def damaged(application: Path, signing: sign.Signing) -> None:
        really(application, signing)
        damage(application, -1)

    def longer(application: Path, signing: sign.Signing) -> None:
        really(application, signing)
        application.write_bytes(application.read_bytes() + bytes(8))

    wrong = [(damaged, "checksum"), (longer, "ends at"), (lambda *arguments: None, "the signature is nowhere, not at")]
    for signed, message in wrong:
        monkeypatch.setattr(build, "sign", signed)
        with pytest.raises(VerifyError, match=message):
            build.build(DEMO, lambda stage: None, signing=signing)
        assert built.efi.read_bytes() == before


@needs_tools
def test_a_key_that_is_none(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no key\n")
    application = tmp_path / "x.efi"
    application.write_bytes(b"MZ")
    with pytest.raises(ToolError, match=r"x\.efi cannot be signed with .*bad\.pem"):
        sign.sign(application, sign.Signing(bad, bad))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pem", "x.efi"]


@needs_tools
def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"key .*none\.key cannot be read: No such file"):
        sign.sign(tmp_path / "x.efi", sign.Signing(tmp_path / "none.key", tmp_path / "none.pem"))


def test_a_key_without_certificate() -> None:
    with pytest.raises(SourceError, match="both --sign KEY and --cert CERT"):
        sign.signing("k", "")
    assert sign.signing("", "") is None
