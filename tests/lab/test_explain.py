"""What the stub's errors mean: the comment behind each sentence, and a captured log."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootwright.cli import explain as cli_explain
from bootwright.common import abi, asciicast
from bootwright.common.errors import SourceError
from bootwright.common.messages import BootFailure, line
from bootwright.lab import explain

NAMES = [error.name for error in abi.load().errors]


@pytest.mark.parametrize("name", NAMES)
def test_every_error_is_explained(name: str) -> None:
    one = explain.find(name)
    assert one.error.name == name
    assert len(one.means) > 30 and one.means.endswith(".")
    assert one.causes and one.tries and all(len(text) > 5 for text in (*one.causes, *one.tries))
    assert not re.search(r"[{}%]", "".join([one.sentence, one.means, *one.causes, *one.tries]))
    # The example is what the stub could print.
    values = [int(v, 0) if k in "ux" else v for k, v in zip(kinds(one.error.text), one.values.values(), strict=True)]
    assert one.sentence == abi.load().format(f"{name}_TEXT", *values)


def kinds(text: str) -> list[str]:
    return re.findall("%([uxs])", text)


WORDS = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=12)


@given(st.data())
def test_the_values_of_a_log_are_put_in(data: st.DataObject) -> None:
    error = data.draw(st.sampled_from(abi.load().errors))
    values = [data.draw(WORDS if kind == "s" else st.integers(0, 1 << 32)) for kind in kinds(error.text)]
    failure = BootFailure(error.name, *values)
    noise = data.draw(st.sampled_from(["", "\x1b[0m", "d0: "]))
    text = (
        f"bootwright: tables: 1 bytes, 1 domains, 1 modules\r\n{noise}bootwright: {failure}\r\nbootwright: halted\r\n"
    )
    (found,) = explain.read(text).errors
    assert found.sentence == failure.text
    shown = [
        f"{value:#x}" if kind == "x" else str(value) for kind, value in zip(kinds(error.text), values, strict=True)
    ]
    assert list(found.values.values()) == shown


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    explain.read(text)
    explain.read(f"bootwright: E0404: {text}")


@pytest.mark.parametrize("error", abi.load().errors, ids=lambda error: error.name)
def test_the_error_of_the_boot_before_is_explained(error: abi.BootError) -> None:
    said = line("M_LAST_BOOT_FAILED", 0x6D6C4F7B, error.number, "builder")
    found = explain.read(f"noise\n{said}\r\n{line('M_LAUNCH', 'PVH', 1, 2, 3, 4)}\n")
    assert found.before == said
    assert found.before_error is not None and found.before_error.error == error
    assert not found.errors and found.stage is not None and found.stage.name == "launch"
    whole = explain.read(line("M_LAST_BOOT", 1, "launched"))
    assert whole.before and whole.before_error is None


def test_a_line_that_was_cut_short_is_explained_without_values() -> None:
    (found,) = explain.read("bootwright: E0404: domain dom0 needs 98\n").errors
    assert found.sentence == "domain dom0 needs 98"
    assert "Domain <domain> must have <needed> KiB" in found.means


@pytest.mark.parametrize("name", ["E0404", "e0404", "404", "0x404", "E_TOO_LITTLE_MEMORY", "too_little_memory"])
def test_by_whatever_name(name: str) -> None:
    assert explain.find(name).number == "E0404"


@pytest.mark.parametrize("name", ["", "E9999", "none", "E_", "4"])
def test_what_is_no_number(name: str) -> None:
    with pytest.raises(SourceError, match="is no number of an error"):
        explain.find(name)


def test_where_a_boot_without_error_ended() -> None:
    lines = [
        "SeaBIOS (version 1.16)",
        "bootwright: image demo build e9c67302 at [0x100000, 0x180000), entered by multiboot1 from qemu",
        "bootwright: memory: 7 ranges, 127 MiB of RAM, RSDP at 0xf59d0",
        "bootwright: launch by PVH: entry 0x4008bc, information at [0x17000, 0x178e8), CRC-32 0x72cee2b3",
        "[    0.000000] Linux",
    ]
    stages = [explain.read("\n".join(lines[:count])).stage for count in range(1, 6)]
    assert [stage and stage.name for stage in stages] == [None, "entry", "tables", "launch", "launch"]


def test_stages_are_made_of_messages_that_there_are() -> None:
    staged = [name for stage in explain.STAGES for name in stage.messages]
    assert len(staged) == len(set(staged)) and set(staged) <= abi.load().strings.keys()


def test_a_recording_is_read_as_what_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line in pieces, each with its time and JSON's escapes around it."""
    with asciicast.writing(tmp_path / "boot.cast", "demo") as recording:
        for piece in ("bootwright: E04", "04: domain dom0 needs 98304 KiB of memory", " and more\n"):
            recording.add(piece)
    cli_explain.run("", str(tmp_path / "boot.cast"), as_json=False)
    assert capsys.readouterr().out.startswith("E0404: domain dom0 needs 98304 KiB of memory")
