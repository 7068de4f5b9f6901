"""Debian on four places with a tag, as a lab has it: two are right, one has a bad stick, one too little memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench_lab import PLACES, Lab
from project import ROOT
from tasks_run import invoke

import bootwright

pytestmark = pytest.mark.slow


@pytest.fixture
def tagged(lab: Lab) -> Iterator[Lab]:
    """Each place has a tag, a stick, and as much memory as Debian needs, but for the last one."""
    for name in PLACES:
        board = lab.folder / name
        (board / "arguments").write_text("-m\n768" if name != "four" else "-m\n384")
        lab.client("-p", name, "set-tags", "qemu=yes", f"stick={name}")
        lab.client("-p", name, "release")
    yield lab
    for name in PLACES:
        lab.client("-p", name, "acquire")


def test_debian_by_tag(tagged: Lab, tmp_path: Path) -> None:
    application = bootwright.build(ROOT / "images/debian.toml", output=tmp_path / "out").files["efi"].read_bytes()
    start = len(application) * 3 // 4  # in the ramdisk or the kernel: all else is small
    (tagged.folder / "three/bad").write_bytes(application[start : start + 64])
    html, junit = tmp_path / "report.html", tmp_path / "report.xml"
    reports = ["--json", "--html", str(html), "--junit", str(junit)]
    arguments = ["debian", "--tag", "qemu", "--expect", "INIT-OK", "--sticks", str(tagged.sticks), *reports]
    done = invoke("lab", "run", *arguments, LG_COORDINATOR=tagged.address)
    assert done.returncode == 1, done
    found = {one["target"]: one for one in json.loads(done.stdout)["targets"]}
    assert sorted(found) == sorted(PLACES)
    for name in ("one", "two"):
        assert (found[name]["error"], found[name]["reached"]) == (None, "shell"), found[name]
        assert "INIT-OK" in found[name]["transcript"]
    assert found["three"]["number"] == "E0503", found["three"]["error"]
    assert found["four"]["number"] == "E0404" and "of memory; this machine has" in found["four"]["error"]
    page, suite = html.read_text(), ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    assert all(number in page for number in ("E0503", "E0404")) and page.count("INIT-OK") >= 2
    assert "acquired: None" in tagged.client("-p", "one", "show")
    assert not any((tagged.folder / name / "pid").exists() for name in PLACES), "every board is off"
