"""The boot that the README shows is the boot there is."""

import re
from pathlib import Path

import pytest

from bootwright import report, run
from bootwright.qemu import Outcome

README = Path(__file__).parent.parent.parent / "README.md"


def without_numbers(line: str) -> str:
    """A line as it is on any machine, with any build."""
    return re.sub(r"0x[0-9a-f]+|\d+", "N", line.rstrip())


@pytest.mark.slow
def test_the_boot_in_the_readme(demo: report.Built) -> None:
    shown = re.findall(r"^    ((?:bootwright|demo): .*)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert shown[0].startswith("bootwright: image demo") and shown[-1] == "demo: powering off"
    result = run.boot(demo, run.Options(timeout=60), lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    printed = [without_numbers(line) for line in result.transcript.splitlines()]
    place = 0
    for line in map(without_numbers, shown):
        assert line in printed[place:], "the lines of the README, in their order"
        place = printed.index(line, place) + 1
