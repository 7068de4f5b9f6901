"""Which boards are meant: by target, place and tag, of environments as labgrid reads them; and what means none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bootwright.cli import bench, bench_report
from bootwright.cli.boards import Lab, boards
from bootwright.common.errors import RunError, SourceError
from bootwright.lab import places
from bootwright.lab.places import Place

BOTH = ["NetworkSerialPort", "NetworkPowerPort"]
TARGETS = """\
options: {coordinator_address: "127.0.0.1:1"}
targets:
  one: {resources: {RemotePlace: {name: rome}}, drivers: {SerialDriver: {}}}
  two:
    resources: [{RemotePlace: {name: milan}}]
    drivers: [{SerialDriver: {}}, {BootwrightImage: {description: a.toml}}]
  three: {resources: {RemotePlace: {name: rome}}, drivers: {SerialDriver: {}}}
  four: {resources: {RemotePlace: {name: !template "$LG_PLACE"}}, drivers: {SerialDriver: {}}}
  five: {drivers: {SerialDriver: {}}}
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An environment, and a coordinator with its places and one more, all of them tagged."""
    monkeypatch.setenv("LG_PLACE", "turin")
    names = ("rome", "milan", "turin", "bare")
    tags = {name: {"kind": "board"} for name in names}
    tags["milan"]["machine"] = "m1"
    there = [Place(name, tags[name], None, BOTH) for name in names]
    monkeypatch.setattr(places, "known", lambda address: there if address == "127.0.0.1:1" else [])
    (tmp_path / "lab.yaml").write_text(TARGETS)
    return str(tmp_path / "lab.yaml")


def meant(tmp_path: Path, said: Lab) -> list[tuple[str, str, str]]:
    return [(board.name, board.place, board.machine) for board in boards(said, tmp_path)]


def test_targets_and_their_places(lab: str, tmp_path: Path) -> None:
    """Resources as a list, and as a template, are labgrid's, too."""
    assert meant(tmp_path, Lab(lab, targets=("two", "four", "five"))) == [
        ("two", "milan", "milan"),
        ("four", "turin", "turin"),
        ("five", "", "five"),
    ]
    assert meant(tmp_path, Lab(lab, names=("milan",))) == [("two", "milan", "m1")]
    (two,) = boards(Lab(lab, targets=("two",)), tmp_path)
    assert two.drivers["BootwrightImage"] == {"description": "a.toml"}


def test_a_target_beside_a_tag_is_the_only_one(lab: str, tmp_path: Path) -> None:
    """No other board is written or switched, and none that is in no target."""
    assert meant(tmp_path, Lab(lab, tags=("kind",), targets=("two",))) == [("two", "milan", "m1")]
    with pytest.raises(RunError, match=r"target: none of five is on one of these places"):
        boards(Lab(lab, tags=("kind",), targets=("five",)), tmp_path)


def test_a_place_without_a_target_has_one_of_its_resources(lab: str, tmp_path: Path) -> None:
    (bare,) = boards(Lab(lab, names=("bare",)), tmp_path)
    assert bare.environment != lab and set(bare.drivers) >= {"SerialDriver", "NetworkPowerDriver", "BootwrightStrategy"}


def test_two_targets_on_one_place(lab: str, tmp_path: Path) -> None:
    """They would be followed at once, each with the other's board."""
    for said in (Lab(lab), Lab(lab, names=("rome",))):
        with pytest.raises(RunError, match=r"targets one and three are both on place rome: --target takes one"):
            boards(said, tmp_path)
    assert meant(tmp_path, Lab(lab, names=("rome",), targets=("three",))) == [("three", "rome", "rome")]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (Lab(), "which boards? --place takes a name"),
        (Lab(targets=("one",)), "target: no environment is named that could have it"),
        (Lab(names=("rome",)), "place: the coordinator has none"),
    ],
)
def test_what_means_no_board(said: Lab, message: str, lab: str, tmp_path: Path) -> None:
    with pytest.raises(RunError) as raised:
        boards(said, tmp_path)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("targets: {a: b: c}\n", ":1:15: not valid YAML: expected ',' or '}', but got ':'"),
        ("[]\n", ": is no environment of labgrid's: list indices"),
        ("a: 1\n", ": is no environment of labgrid's: it has no targets"),
        ("targets: {a: {resources: 5}}\n", ": invalid type <class 'int'> (should be dict or list)"),
        (
            'targets: {a: {resources: {RemotePlace: {name: !template "$LG_NONE"}}}}\n',
            "refers to unknown variable 'LG_NONE'",
        ),
        ("targets: \x00\n", "special characters are not allowed"),
    ],
)
def test_what_is_no_environment(text: str, message: str, tmp_path: Path) -> None:
    """File, line, column, as far as labgrid can say them."""
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    with pytest.raises(SourceError) as raised:
        boards(Lab(str(path)), tmp_path)
    assert str(raised.value).startswith(str(path)) and message in str(raised.value)


def test_an_expectation_is_of_the_last_state() -> None:
    with pytest.raises(RunError, match=r"expect: 'X' is looked for in the state shell, and state is launched"):
        bench.boot(Lab("lab.yaml"), bench.Wanted("demo", "launched", "X"), silent=True)


def test_a_report_that_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none/report.xml: cannot be written: its folder is not there"):
        bench.run(Lab("lab.yaml"), bench.Wanted("demo"), {"junit": str(tmp_path / "none/report.xml")}, as_json=False)


def test_what_a_board_says_is_no_markup(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with bench_report.shown(["one"], live=True) as show:
        show("one", "it has not shown '[root@rome ~]# [/bin/sh]'", False)
    assert "[root@rome ~]# [/bin/sh]" in capfd.readouterr().out
