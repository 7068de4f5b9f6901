"""A domain of the partition launcher that tries what no domain may: nothing of it is seen in the other domain, nor in
the resident part. A sample of the tries; `invoke test --hostile` makes them all.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import hostile
import pytest
from hostile import Run
from project import TESTS
from unpacked import Unavailable, newer_qemu

from bootwright.emulate.qemu import SVM_CPU, Outcome

pytestmark = pytest.mark.slow

BY_NAME_ALONE = {"debug-frame", "reset-storm"}
RESTARTS = 3
OF_X2APIC = ("msrs", "apic-base", "icr", "lvt", "lapic-forms", "storms")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    found = hostile.boot("all", short=True, folder=tmp_path_factory.mktemp("hostile"), timeout=400)
    assert found.outcome is Outcome.AS_EXPECTED, found.transcript[-4000:]
    return found


def sections() -> set[str]:
    """All that the kernel knows."""
    source = (TESTS / "hostile/hostile.asm").read_text()
    return set(re.findall(r'^name_\w+:\s+\.asciz "([a-z-]+)"', source, re.M))


def test_every_section_was_tried(run: Run) -> None:
    assert {section.name for section in run.sections} == sections() - BY_NAME_ALONE
    assert all(section.tries for section in run.sections)


def test_nothing_of_it_is_seen_in_the_other_domain(run: Run) -> None:
    assert [section for section in run.sections if section.effects] == []
    checksum, _ = run.first
    over = hostile.OVER.search(run.transcript)
    assert over and int(over[1], 16) == checksum


def test_memory_outside_ends_the_domain_or_is_refused(run: Run) -> None:
    for section in run.sections:
        if section.name.startswith("memory-"):
            assert section.tries == section.refused + section.ended, section


def test_its_own_interrupts_come(run: Run) -> None:
    """So that those which it sends elsewhere are sent."""
    got = {section.name: section.interrupts for section in run.sections}
    assert got["icr"] and got["storms"] and got["vectors"]


def test_the_resident_part_is_as_at_the_launch(run: Run) -> None:
    assert run.before and run.before == run.behind


def test_lines_of_the_other_domain_stay_whole(run: Run) -> None:
    """However the console is flooded."""
    patterns = (hostile.BEGINS, hostile.AFTER, hostile.OVER, re.compile(r"^d0: watcher: section \d+ stands still .*$"))
    found = [
        line for line in run.transcript.splitlines() if "watcher: " in line and not line.startswith("bootwright: ")
    ]
    assert found and [line for line in found if not any(pattern.match(line) for pattern in patterns)] == []


@pytest.mark.parametrize(
    "said",
    [
        "0 survived, 4 interrupts\nd0: watcher: after 1: crc 0x2, ticks 6",
        "0 survived, 4 interrupts\nd0: watcher: after 1: crc 0x1, ticks 5",
        "1 survived, 4 interrupts\nd0: watcher: after 1: crc 0x1, ticks 6",
    ],
)
def test_an_effect_is_one(said: str) -> None:
    """Another checksum, a tick that did not come, a try that did what it meant to."""
    begin = "d0: watcher: begins: crc 0x1, ticks 5\nd1: hostile: ports: 9 tries, 2 refused, 1 ended, "
    (section,) = Run(Outcome.AS_EXPECTED, f"{begin}{said}\n", 0.0).sections
    assert section == hostile.Section("ports", 9, 2, 1, effects=1, interrupts=4)


def test_a_reset_storm_ends_at_the_limit(tmp_path: Path) -> None:
    run = hostile.boot("reset-storm", short=True, folder=tmp_path, timeout=200, restarts=RESTARTS)
    assert run.outcome is Outcome.AS_EXPECTED, run.transcript[-4000:]
    gone = hostile.GONE.search(run.transcript)
    assert gone and int(gone[1], 16) == run.first[0] and int(gone[3]) == RESTARTS
    assert run.before == run.behind


def test_nor_with_x2apic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the local APIC is MSRs, most of which pass; its page is not there."""
    try:
        folder = newer_qemu()
    except Unavailable as reason:
        pytest.skip(f"not run: no QEMU with x2APIC is installed, and the backports have none: {reason}")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    run = hostile.boot(",".join(OF_X2APIC), short=True, folder=tmp_path, timeout=200, cpu=f"{SVM_CPU},+x2apic")
    assert run.outcome is Outcome.AS_EXPECTED, run.transcript[-4000:]
    assert "nested paging, x2APIC, " in run.transcript
    assert {section.name for section in run.sections} == set(OF_X2APIC)
    assert [section for section in run.sections if section.effects] == []
    assert run.before and run.before == run.behind
