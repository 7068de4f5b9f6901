"""Boards of a lab by labgrid: a real coordinator and exporter on loopback, QEMU machines behind them as places."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from xml.etree import ElementTree

import bench_machine
import bench_power
import pytest
import yaml
from project import ROOT, TESTS
from tasks_run import invoke

import bootwright
from bootwright.cli import planning
from bootwright.lab import report as lab_report

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
MACHINE = TESTS / "support/bench_machine.py"
PLACES = ("one", "two", "three", "four")
DEMO = f"""\
[image]
name = "{{name}}"
console = ["com1,115200"]
[[domain]]
name = "dom0"
memory = "{{memory}}"
kernel = "{ROOT}/stub/kernels/demo.asm"
cmdline = "on the bench"
"""


IN_FOLDER = (
    "from pathlib import Path; from bootwright.cli import program; from bootwright.common import paths; "
    "paths.root = Path.cwd; program.main()"
)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def started(folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen([str(BIN / command[0]), *command[1:]], cwd=folder, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


class Lab:
    """A coordinator, an exporter, and a place for each board."""

    coordinator: subprocess.Popen[bytes]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self.ports = {name: free_port() for name in PLACES}

    def client(self, *arguments: str) -> str:
        command = [str(BIN / "labgrid-client"), "-x", self.address, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def listens(self) -> None:
        host, port = self.address.split(":")
        for _ in range(100):
            try:
                socket.create_connection((host, int(port)), timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the coordinator did not come up")

    def wait(self) -> None:
        for _ in range(20):
            try:
                if all(f"/{name}/" in self.client("resources") for name in PLACES):
                    return
            except subprocess.CalledProcessError:
                pass
            time.sleep(0.2)
        raise AssertionError("the exporter did not come up")

    def environment(self, place: str, description: Path, **settings: object) -> Path:
        board = self.folder / place
        switch = f"{sys.executable} {MACHINE} {{}} {board} {self.ports[place]}"
        drivers = {
            "SerialDriver": {},
            "ExternalPowerDriver": {"cmd_on": switch.format("on"), "cmd_off": switch.format("off"), "delay": 0.1},
            "BootwrightImage": {"description": str(description), "output": str(self.folder / f"out-{place}")},
            "BootwrightStick": {"path": str(board / "disk.img")},
            "BootwrightStrategy": {"boot_timeout": 30.0, "launch_timeout": 30.0, "ready_timeout": 30.0, **settings},
        }
        resources = {"RemotePlace": {"name": place}}
        file = self.folder / f"{place}.yaml"
        said = {
            "targets": {"main": {"resources": resources, "drivers": drivers}},
            "imports": ["bootwright.labgrid"],
            "options": {"coordinator_address": self.address},
        }
        file.write_text(yaml.safe_dump(said, sort_keys=False))
        return file


@contextmanager
def working(folder: Path) -> Iterator[Lab]:
    """A lab as long as the block runs, each of its places acquired."""
    found = Lab(folder)
    with ExitStack() as running:
        power = running.enter_context(bench_power.serving(folder, found.ports))
        exported = {
            name: {
                "NetworkSerialPort": {"host": "127.0.0.1", "port": port, "speed": 115200, "protocol": "raw"},
                "NetworkPowerPort": {"model": "rest", "host": f"http://127.0.0.1:{power}/{name}", "index": "0"},
            }
            for name, port in found.ports.items()
        }
        (folder / "exported.yaml").write_text(yaml.safe_dump(exported))
        for name in PLACES:
            (folder / name).mkdir()
            (folder / name / "disk.img").touch()
        found.coordinator = running.enter_context(started(folder, "labgrid-coordinator", "-l", found.address))
        found.listens()  # an exporter that finds no coordinator ends
        exporter = ("labgrid-exporter", "-c", found.address, "-n", "bench", "--hostname", "127.0.0.1")
        running.enter_context(started(folder, *exporter, str(folder / "exported.yaml")))
        found.wait()
        for name in PLACES:
            found.client("-p", name, "create")
            found.client("-p", name, "add-match", f"*/{name}/*")
            found.client("-p", name, "acquire")
            running.callback(bench_machine.off, folder / name)
        yield found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with working(tmp_path_factory.mktemp("lab")) as found:
        yield found
        for name in PLACES:
            found.client("-p", name, "release")


def described(lab: Lab, name: str, memory: str = "64M") -> Path:
    path = lab.folder / f"{name}.toml"
    path.write_text(DEMO.format(name=name, memory=memory))
    return path


def four(lab: Lab, memory: str) -> Path:
    """An environment of all places as targets; the last one's image wants so much memory."""
    targets = {}
    for name in PLACES:
        path = described(lab, f"lab-{name}", memory if name == "four" else "64M")
        said = yaml.safe_load(lab.environment(name, path, ready="demo: powering off").read_text())
        targets[name] = said["targets"]["main"]
    file = lab.folder / "lab.yaml"
    file.write_text(yaml.safe_dump(said | {"targets": targets}, sort_keys=False))
    return file


def test_four_places_at_once(lab: Lab, tmp_path: Path) -> None:
    """Each writes its stick, switches its board on, and follows it: three are right, one has too little memory."""
    junit = tmp_path / "report.xml"
    done = invoke("lab", "run", "--environment", str(four(lab, "4G")), "--json", "--junit", str(junit))
    found = {one["target"]: one for one in json.loads(done.stdout)["targets"]}
    assert done.returncode == 1, done.stderr
    assert [found[name]["reached"] for name in PLACES] == ["shell", "shell", "shell", "booted"], found
    assert found["four"]["number"] == "E0404"
    assert "domain dom0 needs 3932160 KiB" in found["four"]["error"] and "Try: " in found["four"]["error"]
    assert all("demo: command line: on the bench" in found[name]["transcript"] for name in PLACES[:3])
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")
    assert [case.get("name") for case in suite.iter("testcase")] == list(PLACES)
    assert not any((lab.folder / name / "pid").exists() for name in PLACES), "every board is off"


def test_an_interrupted_run_switches_every_board_off(lab: Lab) -> None:
    command = [
        sys.executable,
        "-m",
        "invoke",
        "--search-root",
        str(ROOT),
        "lab",
        "run",
        "--environment",
        str(four(lab, "64M")),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        for _ in range(200):
            if any((lab.folder / name / "pid").exists() for name in PLACES):
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) != 0
    assert not any((lab.folder / name / "pid").exists() for name in PLACES)


def test_what_cannot_be_followed_is_a_sentence(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text("[]")
    for arguments, message in (
        (["none.yaml"], "none.yaml: cannot be read: No such file"),
        ([str(tmp_path / "none.yaml")], "is no environment of labgrid's: it has no targets"),
        ([str(four(lab, "64M")), "--target", "onne"], "target: 'onne' is none of one, two, three, four; did you mean"),
        ([str(four(lab, "64M")), "--state", "asleep"], "state: 'asleep' is none of booted, launched, shell"),
    ):
        done = invoke("lab", "run", "--environment", *arguments)
        assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr


def test_a_coordinator_that_is_not_there_and_a_switch_that_fails(lab: Lab, tmp_path: Path) -> None:
    """Each is one sentence for its target, and the others go on."""
    said = yaml.safe_load(four(lab, "64M").read_text())
    said["targets"]["two"]["drivers"]["ExternalPowerDriver"]["cmd_on"] = "/bin/false"
    said["targets"] = {name: said["targets"][name] for name in ("one", "two")}
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(said, sort_keys=False))
    done = invoke("lab", "run", "--environment", str(tmp_path / "lab.yaml"), "--json")
    one, two = json.loads(done.stdout)["targets"]
    assert one["error"] is None and "CalledProcessError" in two["error"], done.stdout
    said["options"]["coordinator_address"] = "127.0.0.1:1"
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(said, sort_keys=False))
    done = invoke("lab", "run", "--environment", str(tmp_path / "lab.yaml"))
    assert done.returncode == 1 and "2 of 2 failed" in done.stdout and "Traceback" not in done.stdout + done.stderr


def test_a_place_is_acquired_for_the_time_and_released(lab: Lab, tmp_path: Path) -> None:
    """Of one that somebody else has, it says so, and the other goes on."""
    said = yaml.safe_load(four(lab, "64M").read_text())
    said["targets"] = {name: said["targets"][name] for name in ("one", "two")}
    file = tmp_path / "lab.yaml"
    file.write_text(yaml.safe_dump(said, sort_keys=False))
    lab.client("-p", "one", "release")
    lab.client("-p", "two", "release")
    theirs = os.environ | {"LG_USERNAME": "somebody", "LG_HOSTNAME": "elsewhere"}
    client = [str(BIN / "labgrid-client"), "-x", lab.address, "-p", "two"]
    try:
        subprocess.run([*client, "acquire"], env=theirs, check=True, capture_output=True)
        done = invoke("lab", "run", "--environment", str(file), "--json")
        one, two = json.loads(done.stdout)["targets"]
        assert (one["error"], one["reached"]) == (None, "shell"), done.stdout
        assert two["error"].startswith("place two cannot be acquired: "), two
        assert "acquired: None" in lab.client("-p", "one", "show")
    finally:
        subprocess.run([*client, "release"], env=theirs, check=True, capture_output=True)
        for name in ("one", "two"):
            lab.client("-p", name, "acquire")


BEGIN = """\
import sys
from pathlib import Path
from labgrid import Environment
from labgrid.strategy import StrategyError
from bootwright.labgrid import Status
strategy = Environment(sys.argv[1]).get_target("main").get_driver("BootwrightStrategy", activate=False)
disk = Path(sys.argv[2])

def refused(state):
    try:
        strategy.transition(state)
    except StrategyError as error:
        return str(error.msg)
    raise AssertionError("it went well")

"""


def scripted(lab: Lab, place: str, description: Path, body: str, **settings: object) -> None:
    """Lines with a board's strategy, in a process of their own: labgrid's threads would stay in this one."""
    followed(lab, place, lab.environment(place, description, **settings), body)


def followed(lab: Lab, place: str, file: Path, body: str) -> None:
    command = [sys.executable, "-c", BEGIN + body, str(file), str(lab.folder / place / "disk.img")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "host")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_a_board_is_brought_from_state_to_state(lab: Lab) -> None:
    body = """\
for wanted in ("off", "booted", "launched", "shell", "booted", "off"):
    strategy.transition(wanted)
    assert strategy.status is Status[wanted]
    assert ("launch by" in strategy.transcript) == (wanted in ("launched", "shell")), strategy.transcript
assert "no state to bring a board to" in refused("unknown")
"""
    scripted(lab, "one", described(lab, "states"), body, ready="demo: powering off")


def test_a_board_that_boots_something_else_is_noticed(lab: Lab) -> None:
    """Its stick is not the one that was written."""
    other = bootwright.build(described(lab, "other"), media=("disk",), output=lab.folder / "other")
    body = f"""\
strategy.target.activate(strategy.storage)
strategy.storage.write_image = lambda filename: disk.write_bytes(Path({str(other.files["disk"])!r}).read_bytes())
said = refused("booted")
assert said.startswith("it booted build {other.build_id[:8]} of other, and not "), said
strategy.transition("off")
"""
    scripted(lab, "two", described(lab, "expected"), body)


def test_a_board_that_stays_dark_says_so(lab: Lab) -> None:
    body = """\
strategy.target.activate(strategy.storage)
strategy.storage.write_image = lambda filename: disk.write_bytes(bytes(1 << 20))
said = refused("launched")
assert "no line of the stub has come" in said, said
strategy.transition("off")
"""
    scripted(lab, "three", described(lab, "dark"), body, boot_timeout=3.0)
    assert os.listdir(lab.folder / "three") == ["disk.img"]
    os.truncate(lab.folder / "three/disk.img", 0)


def test_places_are_listed_and_chosen_by_tag(lab: Lab, tmp_path: Path) -> None:
    """The coordinator's places; a run on those with a tag, of one image that is built once, and its report."""
    for name in ("one", "three"):
        lab.client("-p", name, "set-tags", "kind=qemu")
    listed = json.loads(invoke("lab", "list", "--coordinator", lab.address, "--json").stdout)["places"]
    assert [one["name"] for one in listed] == sorted(PLACES)
    assert {one["name"] for one in listed if one["tags"] == {"kind": "qemu"}} == {"one", "three"}
    assert all(one["acquired"] for one in listed)
    assert all(set(one["resources"]) == {"NetworkPowerPort", "NetworkSerialPort"} for one in listed)
    chosen = ["--environment", str(four(lab, "64M")), "--tag", "kind=qemu"]
    page, image = tmp_path / "report.html", described(lab, "for-all")
    done = invoke("lab", "run", str(image), *chosen, "--expect", "demo: powering off", "--html", str(page))
    assert done.returncode == 0 and "0 of 2 failed" in done.stdout, done.stdout
    text = page.read_text()
    assert text.count("<h2>") == 2 and "image for-all" in text and "not probed" in text
    for arguments, message in (
        (["--tag", "kind=board"], "tag: no place has kind=board; there is: kind=qemu"),
        (["--place", "tree"], "place: 'tree' is none of four, one, three, two; did you mean"),
        ([], "which boards? --place takes a name"),
    ):
        done = invoke("lab", "run", "demo", "--coordinator", lab.address, *arguments)
        assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr, done


def test_serve_knows_places_by_their_tag(lab: Lab) -> None:
    """It goes on to the image that the rule names, which is not there; of a place without an address it says so."""
    lab.client("-p", "two", "set-tags", "mac=52:54:00:12:34:56")
    for rule, message in (
        ("two=nowhere", "no description images/nowhere.toml"),
        ("four=demo", "machine: 'four' is neither a MAC address nor a place that has one; those are two"),
    ):
        done = invoke("serve", "--interface", "lo", "--machine", rule, LG_COORDINATOR=lab.address)
        assert done.returncode == 1 and message in done.stderr, done


def test_places_without_an_environment(lab: Lab) -> None:
    """Power and serial line are the exporter's, the stick is what a tag names; a board that was on is on again."""
    for name in ("one", "two"):
        lab.client("-p", name, "set-tags", "bench=bare", f"stick={lab.folder / name / 'disk.img'}")
    bench_machine.switch("on", lab.folder / "one", lab.ports["one"])
    image = str(described(lab, "bare"))
    arguments = ["--coordinator", lab.address, "--tag", "bench=bare", "--expect", "demo: powering off", "--json"]
    done = invoke("lab", "run", image, *arguments)
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    assert [(one["reached"], one["error"]) for one in said["targets"]] == [("shell", None)] * 2, done
    assert all("image bare" in one["transcript"] for one in said["targets"]) and set(said["image"]["files"]) == {
        "elf",
        "disk",
    }
    assert (lab.folder / "one/pid").exists() and not (lab.folder / "two/pid").exists()
    bench_machine.off(lab.folder / "one")


FAKE_MUX = """\
import attr
from labgrid.driver import Driver, USBSDMuxDriver
from labgrid.factory import target_factory
from labgrid.step import step

@target_factory.reg_driver
@attr.s(eq=False)
class FakeMux(USBSDMuxDriver):
    bindings = {}
    modes = []

    def __attrs_post_init__(self):
        Driver.__attrs_post_init__(self)

    def on_activate(self):
        pass

    def set_mode(self, mode):
        self.modes.append(mode)
"""


def test_a_stick_behind_a_multiplexer_and_a_text_that_says_no(lab: Lab) -> None:
    """It is the host's while it is written, then the board's; what fails says so at once, not after the time-out."""
    (lab.folder / "fake_mux.py").write_text(FAKE_MUX)
    body = """\
written = strategy.storage.write_image
def write(filename):
    assert strategy.mux.modes == ["host"]
    written(filename)
strategy.storage.write_image = write
said = refused("shell")
assert strategy.mux.modes == ["host", "dut"]
assert said == "it showed 'demo: powering off', and not 'never shown'", said
strategy.transition("off")
"""
    settings = {"ready": "never shown", "fail": "demo: powering off"}
    file = lab.environment("three", described(lab, "multiplexed"), **settings)
    said = yaml.safe_load(file.read_text())
    said["imports"].append(str(lab.folder / "fake_mux.py"))
    drivers = said["targets"]["main"]["drivers"]
    strategy = drivers.pop("BootwrightStrategy")
    said["targets"]["main"]["drivers"] = drivers | {"FakeMux": {}, "BootwrightStrategy": strategy}
    file.write_text(yaml.safe_dump(said, sort_keys=False))
    followed(lab, "three", file, body)


def test_a_coordinator_that_dies_in_the_middle(tmp_path: Path) -> None:
    """Each board is switched off, the place that cannot be released is named, and no process stays."""
    with working(tmp_path) as lab:
        lab.client("-p", "one", "release")
        file = lab.environment("one", described(lab, "long"), ready="never shown", ready_timeout=12.0)
        command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "lab", "run", "--environment", str(file)]
        with subprocess.Popen(command, cwd=ROOT, stdin=-3, stdout=-1, stderr=-1, text=True) as process:
            for _ in range(300):
                if (tmp_path / "one/pid").exists():
                    break
                time.sleep(0.05)
            lab.coordinator.kill()
            out, err = process.communicate(timeout=120)
        assert process.returncode == 1 and "Traceback" not in out + err, out + err
        assert "1 of 1 failed" in out and "never shown" in out and "place one cannot be released" in out, out
        assert not (tmp_path / "one/pid").exists()
        children = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        assert not any(b"bootwright.labgrid.follow" in line and str(file).encode() in line for line in children)


def test_machines_are_probed_all_at_once_and_planned_for(lab: Lab, tmp_path: Path) -> None:
    """Each report is that of its own board; an image that one of them has no memory for is named, and so is a machine
    that nobody probed.
    """
    said = yaml.safe_load(four(lab, "64M").read_text())
    said["targets"]["two"]["drivers"]["ExternalPowerDriver"]["cmd_on"] += " -m 128"
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(said, sort_keys=False))

    def there(*arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line, whose machines are below the folder."""
        command = [sys.executable, "-c", IN_FOLDER, "lab", *arguments, "--environment", "lab.yaml"]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "host")}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = there("probe", "--target", "one", "--target", "two")
    assert done.returncode == 0 and "511 MiB of RAM" in done.stdout and "127 MiB of RAM" in done.stdout, done
    memory = {name: lab_report.load(str(tmp_path / f"machines/{name}.json")).ram >> 20 for name in ("one", "two")}
    assert memory == {"one": 511, "two": 127}
    image = str(described(lab, "roomy", "256M"))
    done = there("plan", image, "--target", "one", "--target", "two", "--target", "three", "--json")
    found = {one["target"]: one for one in json.loads(done.stdout)["machines"]}
    assert done.returncode == 1 and [found[name]["fits"] for name in ("one", "two", "three")] == [True, False, None]
    assert "this machine has 130559 KiB" in found["two"]["reason"] and "not probed" in found["three"]["reason"]
    assert there("plan", image, "--target", "one").returncode == 0
    done = there("plan")
    assert done.returncode == 1 and "lab plan: which image?" in done.stderr


def test_a_real_machine_is_as_it_was_planned(lab: Lab) -> None:
    """It is probed, and the demo's console on it is that of the reference, but for what another memory would change."""
    environment = lab.environment("two", described(lab, "unused"), ready="unused")
    consoles = []
    for name, text in (("probe", "probe: powering off"), ("demo", "demo: powering off")):
        done = invoke("lab", "run", name, "--environment", str(environment), "--expect", text, "--json")
        assert done.stdout, done.stderr
        (one,) = json.loads(done.stdout)["targets"]
        assert one["error"] is None, one
        consoles.append(one["transcript"])
    report = lab_report.extract(consoles[0].encode())
    with planning.prepared(ROOT / "images/demo.toml", lambda stage: None) as planned:
        assert planned.differences(report, consoles[1]) == [], consoles[1]
        less = lab_report.Report(json.loads(json.dumps(report.document)), report.entered)
        largest = max(less.document["memory"], key=lambda part: (part["type"] == 1, int(part["size"], 16)))
        largest["size"] = f"{int(largest['size'], 16) - (1 << 20):#x}"
        assert any("memory" in said for said in planned.differences(less, consoles[1]))
