"""Which boards are meant: by target, place and tag, of environments as labgrid reads them; and what means none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bootwright.cli import bench, bench_report
from bootwright.cli.boards import Lab, boards
from bootwright.common.errors import BootwrightError, RunError, SourceError
from bootwright.lab import places
from bootwright.lab.places import Place

BOTH = {"NetworkSerialPort": ["line"], "NetworkPowerPort": ["port"]}
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
        ("two", "milan", "m1"),
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


def test_a_coordinator_that_does_not_answer(lab: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each board says so in its time; one that is in no lab can be booted."""

    def silent(address: str) -> list[Place]:
        raise RunError("coordinator: no answer")

    monkeypatch.setattr(places, "known", silent)
    assert meant(tmp_path, Lab(lab, targets=("two", "five"))) == [("two", "milan", "milan"), ("five", "", "five")]


def test_a_tag_names_a_stick_of_this_machine(tmp_path: Path) -> None:
    """Who set it is not known here: what it may name is said here."""
    (tmp_path / "disk.img").touch()
    (tmp_path / "sticks").mkdir()
    (tmp_path / "sticks/one").symlink_to("../disk.img")
    drivers = places.target(Place("rome", {"stick": "one"}, None, BOTH), str(tmp_path / "sticks"))["drivers"]
    assert drivers["BootwrightStick"] == {"path": str(tmp_path / "disk.img")}
    for name, folder, message in (
        ("two", str(tmp_path / "sticks"), "place rome: its tag stick='two' is not in /"),
        ("../disk.img", str(tmp_path / "sticks"), "place rome: its tag stick='../disk.img' is no name in /"),
        ("..", str(tmp_path / "sticks"), "is no name in /"),
        ("/dev/sdb", "", "is no name of usb- or mmc- in /dev/disk/by-id; --sticks names a folder"),
        ("nvme-Disk_1", "", "is no name of usb- or mmc- in /dev/disk/by-id"),
        ("usb-None_of_these-0:0", "", "is not in /dev/disk/by-id"),
    ):
        with pytest.raises(RunError) as raised:
            places.target(Place("rome", {"stick": name}, None, BOTH), folder)
        assert message in str(raised.value)


DRIVERS = """\
import sys
from labgrid import Environment
strategy = Environment(sys.argv[1]).get_target("rome").get_driver("BootwrightStrategy", activate=False)
parts = (strategy.storage, getattr(strategy.storage, "storage", None), strategy.mux)
print(" ".join(type(part).__name__ for part in parts))
"""
_USB = {"host": "desk", "busnum": 1, "devnum": 2, "path": "1-1", "vendor_id": 1, "model_id": 2}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("offered", "tags", "drivers"),
    [
        ({"NetworkUSBMassStorage": _USB}, {}, "USBStorageDriver NetworkUSBMassStorage NoneType"),
        (
            {"NetworkUSBSDMuxDevice": {**_USB, "control_path": "/dev/sg1"}},
            {},
            "USBStorageDriver NetworkUSBSDMuxDevice USBSDMuxDriver",
        ),
        (
            {
                "NetworkUSBSDWireDevice": {**_USB, "control_serial": "sd-wire_1"},
                "NetworkUSBMassStorage": _USB,
            },
            {},
            "USBStorageDriver NetworkUSBMassStorage USBSDWireDriver",
        ),
        (
            {"NetworkUSBSDMuxDevice": {**_USB, "control_path": "/dev/sg1"}},
            {"stick": "one"},
            "BootwrightStick NoneType USBSDMuxDriver",
        ),
    ],
)
def test_what_labgrid_binds(
    offered: dict[str, dict[str, object]], tags: dict[str, str], drivers: str, tmp_path: Path
) -> None:
    """A multiplexer is the storage that is behind it, and is switched beside whatever is written."""
    (tmp_path / "one").touch()
    place = Place("rome", tags, None, {**BOTH, **{cls: [cls] for cls in offered}})
    assert place.medium == "disk"
    made = places.target(place, str(tmp_path))
    made["resources"] = [
        {"NetworkSerialPort": {"name": "line", "host": "desk", "port": 1}},
        {"NetworkPowerPort": {"name": "port", "model": "rest", "host": "desk", "index": "0"}},
        *({cls: {"name": cls, **said}} for cls, said in offered.items()),
    ]
    (tmp_path / "lab.yaml").write_text(json.dumps(places.environment({"rome": made}, "127.0.0.1:1")))
    command = [sys.executable, "-c", DRIVERS, str(tmp_path / "lab.yaml")]
    done = subprocess.run(command, env=places.with_us(), capture_output=True, text=True, check=False)
    assert done.stdout.strip() == drivers, done.stderr


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


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "two: {resources: {RemotePlace: {name: milan}}, drivers: {BootwrightImage: {}}}",
            "two: nothing says which image",
        ),
        ("two: {drivers: {BootwrightImage: {description: none.toml}}}", "none.toml"),
    ],
)
def test_an_image_that_cannot_be_built_is_said_before_a_board_is_touched(
    target: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(asked: object, show: object) -> list[dict[str, object]]:
        raise AssertionError(asked)

    monkeypatch.setattr(bench, "_followed", touched)
    monkeypatch.setattr(places, "known", lambda address: [])
    (tmp_path / "lab.yaml").write_text(f"targets:\n  {target}\n")
    with pytest.raises(BootwrightError) as raised:
        bench.boot(Lab(str(tmp_path / "lab.yaml")), bench.Wanted(), silent=True)
    assert message in str(raised.value)


def test_what_each_board_is_to_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell where one can be told."""
    drivers = {
        "one": "{SerialDriver: {}}",
        "two": "{BootwrightStrategy: {ready: UP}}",
        "three": "{ShellDriver: {prompt: a, login_prompt: b, username: c}}",
    }
    text = "".join(f"  {name}: {{drivers: {said}}}\n" for name, said in drivers.items())
    (tmp_path / "lab.yaml").write_text(f"targets:\n{text}")
    asked: dict[str, str] = {}

    def followed(said: dict[str, dict[str, str]], show: object) -> list[dict[str, object]]:
        asked.update({name: one["state"] for name, one in said.items()})
        return []

    monkeypatch.setattr(bench, "_followed", followed)
    for wanted, states in (
        (bench.Wanted(), ["launched", "shell", "shell"]),
        (bench.Wanted(expect="X"), ["shell"] * 3),
        (bench.Wanted(state="booted"), ["booted"] * 3),
    ):
        bench.boot(Lab(str(tmp_path / "lab.yaml")), wanted, silent=True)
        assert list(asked.values()) == states


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
