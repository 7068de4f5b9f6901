"""A console against the reference: what a plan says of a machine is no difference, and what is none of it is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab_report import changed
from project import ROOT

from bootwright.cli import planning
from bootwright.lab import compare
from bootwright.lab.report import Report

ENTERED = {"protocol": "multiboot2", "loader": "GRUB 2.06", "rsdp": "0x7fe2000"}


@pytest.fixture(scope="module")
def image() -> Iterator[planning.Prepared]:
    with planning.prepared(ROOT / "images/demo.toml", lambda stage: None) as found:
        yield found


@pytest.mark.parametrize("entered", [ENTERED, {"protocol": "EFI", "loader": "-", "rsdp": "0x7fe2000"}])
def test_what_was_planned_is_no_difference(image: planning.Prepared, entered: dict[str, str]) -> None:
    report = Report(changed(lambda document: None), entered)
    assert image.differences(report, "GRUB\r\n" + "\r\n".join(image.fit(report).lines)) == []


def test_a_line_that_differs_one_that_is_missing_and_one_too_many(image: planning.Prepared) -> None:
    report = Report(changed(lambda document: None), ENTERED)
    lines = list(image.fit(report).lines)
    other = [*lines[:-1], lines[-1].replace("launch", "lunch")]
    (said,) = image.differences(report, "\n".join(other))
    assert said.startswith(f"expected {lines[-1]!r}, and it said ")
    (said,) = image.differences(report, "\n".join(lines[:-1]))
    assert said == f"expected {lines[-1]!r}, and it did not come"
    (said,) = image.differences(report, "\n".join([*lines, "bootwright: more"]))
    assert said == "not expected: 'bootwright: more'"


def test_a_console_without_the_stub(image: planning.Prepared) -> None:
    report = Report(changed(lambda document: None), ENTERED)
    assert image.differences(report, "GRUB> ") == [compare.NO_LINES]
