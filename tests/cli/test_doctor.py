"""What `doctor` finds on machines of several kinds."""

from __future__ import annotations

import json

import pytest

from bootwright.cli import doctor
from bootwright.cli.tools import TOOLS
from bootwright.common.tool import Needed, Tool


class Gone(Tool):
    name, package, does = "gone-program", "gone-package", "does something"


class Luxury(Gone):
    optional = True


class Dumb(Tool):
    """It is there, and cannot say its version."""

    name, package, does = "test", "coreutils", "fails"


@pytest.mark.parametrize(
    ("tool", "verdict", "works", "package"),
    [
        (Gone(), doctor.MISSING, False, "gone-package"),
        (Luxury(), doctor.ABSENT, True, "gone-package"),
        (Dumb(), doctor.BROKEN, False, "coreutils"),
    ],
)
def test_a_program(
    tool: Needed,
    verdict: str,
    works: bool,
    package: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(doctor, "TOOLS", (tool,))
    assert doctor.run(fast=True, as_json=False) is works
    said = capsys.readouterr().out.splitlines()
    assert said[0].split()[0] == tool.name and verdict in said[0]
    assert f"what is missing: apt install {package}" in said
    assert doctor.run(fast=True, as_json=True) is works
    found = json.loads(capsys.readouterr().out)
    assert found["works"] is works and found["packages"] == [package] and found["found"][0]["verdict"] == verdict


def test_every_tool_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.run(fast=True, as_json=True)
    found = json.loads(capsys.readouterr().out)["found"]
    assert [one["what"] for one in found] == [*(tool.name for tool in TOOLS), "root", "kvm"]


@pytest.mark.slow
def test_the_demo_is_built_and_booted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "_BOOTS", (("kernel", "bios"),))
    assert doctor.run(fast=False, as_json=False)
    said = capsys.readouterr().out
    assert "boot: kernel, bios" in said and said.endswith("all that is needed works\n")


@pytest.mark.slow
def test_a_boot_that_fails_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "_BOOTS", (("kernel", "bios"),))
    monkeypatch.setattr(doctor, "_TIMEOUT", 0.01)
    assert not doctor.run(fast=False, as_json=False)
    assert "broken     the demo did not boot: time-out" in capsys.readouterr().out
