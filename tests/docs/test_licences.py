"""NOTICE names every library that the project asks for, with the licence that its package states."""

from __future__ import annotations

import re
from importlib.metadata import metadata

import pytest
from project import ROOT

NAMED = dict(re.findall(r"^  (\S+) {2,}(.+)$", (ROOT / "NOTICE").read_text(encoding="utf-8"), re.MULTILINE))
ASKED_FOR = [
    name
    for file in ("requirements.in", "requirements-test.in")
    for name in re.findall(r"^([\w.-]+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("name", ASKED_FOR)
def test_every_library_is_named_with_its_licence(name: str) -> None:
    about = metadata(name)
    stated = [about.get("License-Expression"), about.get("License"), *(about.get_all("Classifier") or [])]
    words = {
        word for text in stated if text for word in re.findall(r"BSD|Apache|MIT|LGPL|MPL|[Pp]ublic [Dd]omain", text)
    }
    assert words, f"{name} states none: {stated}"
    assert any(word.lower() in NAMED[name].lower() for word in words)


def test_the_licence_is_what_the_package_says() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'license = "BSD-2-Clause"' in project
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("BSD 2-Clause License")
