"""The screen of a UEFI machine, once its firmware does not draw on it any more: read out of QEMU's memory."""

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from comparing import variant
from screen import CELL, Screen

from bootwright.common import paths
from bootwright.common.ranges import Range
from bootwright.emulate import run
from bootwright.emulate.qemu import Outcome

pytestmark = pytest.mark.slow

END = "-----END BOOTWRIGHT MACHINE-----\nCRC-32 0x"
COLUMNS = len("CRC-32 0x")  # of every row: enough to know it, and read within seconds


def screen(transcript: str) -> tuple[int, Screen]:
    """Address and size of the screen by the probe's report."""
    (said,) = re.findall(r'^"framebuffer": (.*),$', transcript, re.MULTILINE)
    found = json.loads(said)
    size = Screen(found["width"], found["height"], found["pitch"], found["height"] // 360)
    return int(found["address"], 0), size


@pytest.mark.parametrize("via", ["efi", "grub"])
def test_the_report_is_on_the_screen(via: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    built = variant(tmp_path, "probe", ('cmdline = ""', 'cmdline = "halt"'), log="normal")

    def lines_of_pixels(transcript: str) -> Sequence[Range] | None:
        if END not in transcript:
            return None
        time.sleep(1)  # the last characters are on their way to the screen yet
        address, size = screen(transcript)
        width = COLUMNS * CELL[0] * size.scale * 4
        return [Range.sized(address + y * size.pitch, width) for y in range(size.height)]

    result = run.boot(
        built,
        run.Options(via=via, firmware="uefi", expect=END, timeout=90),
        lambda text: None,
        inspect=lines_of_pixels,
    )
    assert result.outcome is Outcome.AS_EXPECTED, result
    _, size = screen(result.transcript)
    report = result.transcript[result.transcript.index("-----BEGIN") :].partition(END)[0] + END
    shown = size.shown(report + "\n")
    assert size.read(lambda y: result.memory[y]) == [text[:COLUMNS].rstrip() for text in shown]
