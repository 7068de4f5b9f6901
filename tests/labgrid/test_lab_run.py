"""Boards of a lab by labgrid, all at once: verdicts, reports, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import bench_machine
import pytest
import yaml
from bench_lab import BIN, PLACES, Lab, described, four, working
from project import ROOT
from tasks_run import invoke

from bootwright.lab.places import with_us

pytestmark = pytest.mark.slow


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


def followers(folder: Path) -> list[int]:
    """The processes that follow a board of an environment in this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes().decode()
            if "bootwright.labgrid.follow" in line and str(folder) in line:
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize(
    ("number", "all_of_it"), [(signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGHUP, True)]
)
def test_an_interrupted_run_switches_every_board_off(number: signal.Signals, all_of_it: bool, lab: Lab) -> None:
    """By who runs it, by a key, by a terminal that is gone: these two reach every process of it at once."""
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "lab", "run"]
    command += ["--environment", str(four(lab, "64M"))]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, stdin=nothing, stdout=nothing, process_group=0) as process:
        for _ in range(200):
            if any((lab.folder / name / "pid").exists() for name in PLACES):
                break
            time.sleep(0.05)
        (os.killpg if all_of_it else os.kill)(process.pid, number)
        assert process.wait(60) != 0
    assert not any((lab.folder / name / "pid").exists() for name in PLACES)
    assert not followers(lab.folder)


def fails_when_on(lab: Lab, name: str) -> str:
    """A command in place of that which switches a board off."""
    return f"sh -c 'test ! -e {lab.folder}/{name}/pid'"


def test_what_cannot_be_followed_is_a_sentence(lab: Lab) -> None:
    for arguments, message in (
        (["none.yaml"], "none.yaml: cannot be read: No such file"),
        ([str(four(lab, "64M")), "--target", "onne"], "target: 'onne' is none of one, two, three, four; did you mean"),
        ([str(four(lab, "64M")), "--state", "asleep"], "state: 'asleep' is none of booted, launched, shell"),
    ):
        done = invoke("lab", "run", "--environment", *arguments)
        assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
    done = invoke("lab", "plan", "demo", "--environment", str(four(lab, "64M")), "--junit", "report.xml")
    assert done.returncode == 1 and "lab plan: a report (--junit, --html) is of lab run" in done.stderr


def test_a_coordinator_that_is_not_there_and_a_switch_that_fails(lab: Lab, tmp_path: Path) -> None:
    """Each is one sentence for its target, and the others go on."""
    said = yaml.safe_load(four(lab, "4G").read_text())
    said["targets"]["two"]["drivers"]["ExternalPowerDriver"]["cmd_on"] = "/bin/false"
    said["targets"]["four"]["drivers"]["ExternalPowerDriver"]["cmd_off"] = fails_when_on(lab, "four")
    said["targets"] = {name: said["targets"][name] for name in ("one", "two", "four")}
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(said, sort_keys=False))
    done = invoke("lab", "run", "--environment", str(tmp_path / "lab.yaml"), "--json")
    one, two, four_ = json.loads(done.stdout)["targets"]
    assert one["error"] is None and two["error"].startswith("power on: Command '['/bin/false']'"), done.stdout
    assert four_["number"] == "E0404" and four_["error"].startswith("E0404: domain dom0 needs "), four_
    assert "; it is not switched as it was: power off: " in four_["error"], "beside the verdict, not in its place"
    bench_machine.off(lab.folder / "four")
    del said["targets"]["four"]
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
        named = {"LG_ENV": str(file), "LG_PLACE": "two", "LG_STATE": "shell"}  # what labgrid's own client looks at
        done = invoke("lab", "run", "--environment", str(file), "--json", **named)
        one, two = json.loads(done.stdout)["targets"]
        assert (one["error"], one["reached"]) == (None, "shell"), done.stdout
        assert two["error"] == "place two cannot be acquired: elsewhere/somebody has it", two
        assert "acquired: None" in lab.client("-p", "one", "show")
    finally:
        subprocess.run([*client, "release"], env=theirs, check=True, capture_output=True)
        for name in ("one", "two"):
            lab.client("-p", name, "acquire")


def test_places_are_listed_and_chosen_by_tag(lab: Lab, tmp_path: Path) -> None:
    """The coordinator's places; a run on those with a tag, of one image that is built once, and its report."""
    for name in ("one", "three"):
        lab.client("-p", name, "set-tags", "kind=qemu")
    listed = json.loads(invoke("lab", "list", "--coordinator", lab.address, "--json").stdout)["places"]
    assert [one["name"] for one in listed] == sorted(PLACES)
    assert {one["name"] for one in listed if one["tags"].get("kind") == "qemu"} == {"one", "three"}
    assert all(one["acquired"] for one in listed)
    assert all(set(one["resources"]) == {"NetworkPowerPort", "NetworkSerialPort"} for one in listed)
    chosen = ["--environment", str(four(lab, "64M")), "--tag", "kind=qemu"]
    page, image = tmp_path / "report.html", described(lab, "for-all")
    done = invoke("lab", "run", str(image), *chosen, "--expect", "demo: powering off", "--html", str(page))
    assert done.returncode == 0 and "0 of 2 failed" in done.stdout, done.stdout
    text = page.read_text()
    assert text.count("<h2>") == 2 and "image for-all" in text and "not probed" in text
    for arguments, message in (
        (["--tag", "kind=board"], "tag: no place has kind=board; there is: "),
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
        lab.client("-p", name, "set-tags", "bench=bare", f"stick={name}")
    bench_machine.switch("on", lab.folder / "one", lab.ports["one"])
    image = str(described(lab, "bare"))
    arguments = ["--coordinator", lab.address, "--tag", "bench=bare", "--expect", "demo: powering off", "--json"]
    arguments += ["--sticks", str(lab.sticks)]
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
        assert not followers(tmp_path)


LOST = """\
import sys, time
from labgrid import Environment
from labgrid.strategy import StrategyError
strategy = Environment(sys.argv[1]).get_target("main").get_driver("BootwrightStrategy", activate=False)
strategy.transition("off")
print("ready", flush=True)
sys.stdin.readline()
time.sleep(1)
try:
    strategy.transition("booted")
except StrategyError as error:
    print(error.msg)
strategy.restore()
"""


def test_a_place_that_is_not_there_and_one_whose_exporter_is_gone(tmp_path: Path) -> None:
    """Each is a sentence with the place's name, and what it was waited for."""
    with working(tmp_path) as lab:
        lab.client("-p", "two", "release")
        lab.client("-p", "two", "delete")
        lab.client("-p", "two-b", "create")  # labgrid's own client would take that
        begun_before = lab.environment("three", described(lab, "lost"))
        command = [sys.executable, "-c", LOST, str(begun_before)]
        with subprocess.Popen(command, env=with_us(), stdin=-1, stdout=-1, stderr=-1, text=True) as before:
            assert before.stdout is not None and before.stdout.readline() == "ready\n", before.communicate()
            lab.exporter.kill()
            out, err = before.communicate("gone\n", timeout=60)
        assert out == "with the exporter that offered it went its NetworkPowerPort and NetworkSerialPort\n", out + err
        said = yaml.safe_load(four(lab, "64M").read_text())
        said["targets"] = {name: said["targets"][name] for name in ("one", "two")}
        (tmp_path / "lab.yaml").write_text(yaml.safe_dump(said, sort_keys=False))
        done = invoke("lab", "run", "--environment", str(tmp_path / "lab.yaml"), "--json")
        one, two = json.loads(done.stdout)["targets"]
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert two["error"] == "place two cannot be acquired: there is no such place", two
        assert one["error"] == "place one has an orphaned resource (exporter bench disconnected?)"


def one_target(lab: Lab, folder: Path, name: str, **drivers: dict[str, object] | None) -> Path:
    """An environment with one place as a target, whose drivers are changed; None takes one away."""
    said = yaml.safe_load(four(lab, "64M").read_text())
    target = said["targets"][name]
    strategy = target["drivers"].pop("BootwrightStrategy")
    kept = {**target["drivers"], **drivers, "BootwrightStrategy": strategy}
    target["drivers"] = {cls: args for cls, args in kept.items() if args is not None}
    said["targets"] = {name: target}
    file = folder / "one.yaml"
    file.write_text(yaml.safe_dump(said, sort_keys=False))
    return file


def begun(lab: Lab, name: str, file: Path, **settings: object) -> subprocess.Popen[str]:
    """A run of which the board is on."""
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "lab", "run", "--environment", str(file)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=-3, stdout=-1, stderr=-1, text=True, **settings)  # type: ignore[call-overload]
    for _ in range(400):
        if (lab.folder / name / "pid").exists():
            return process  # type: ignore[no-any-return]
        time.sleep(0.05)
    raise AssertionError(process.communicate())


def test_interrupted_it_says_which_board_is_on(lab: Lab, tmp_path: Path) -> None:
    """A switch that fails just then must not be lost."""
    power = yaml.safe_load(four(lab, "64M").read_text())["targets"]["one"]["drivers"]["ExternalPowerDriver"]
    off = {"cmd_off": fails_when_on(lab, "one")}
    file = one_target(lab, tmp_path, "one", ExternalPowerDriver=power | off)
    process = begun(lab, "one", file)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "one: failed" in err and "it is not switched as it was: power off: " in err, out + err


def test_two_runs_of_one_user_are_told_apart(lab: Lab, tmp_path: Path) -> None:
    """The coordinator would give the place to both. The first, whose board says nothing yet, is not disturbed."""
    pid = lab.folder / "two/pid"
    power = {"cmd_on": f"touch {pid}", "cmd_off": f"rm -f {pid}", "delay": 0.1}
    file = one_target(lab, tmp_path, "two", ExternalPowerDriver=power)
    with socket.create_server(("127.0.0.1", lab.ports["two"])):
        first = begun(lab, "two", file)
        for address in (lab.address, lab.address.replace("127.0.0.1", "localhost")):  # the same one
            done = invoke("lab", "run", "--environment", str(file), "--coordinator", address)
            assert done.returncode == 1, done
            assert "place two is used by another run of yours on this machine" in done.stdout, done
        assert first.poll() is None and pid.exists()
        first.terminate()
        out, err = first.communicate(timeout=60)
    assert first.returncode == 128 + signal.SIGTERM and not pid.exists(), out + err


def test_it_goes_on_when_its_terminal_is_gone_and_it_was_told_to(lab: Lab, tmp_path: Path) -> None:
    """As behind nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = begun(lab, "one", one_target(lab, tmp_path, "one"), process_group=0)
    finally:
        signal.signal(signal.SIGHUP, before)
    os.killpg(process.pid, signal.SIGHUP)
    (follower,) = followers(tmp_path)
    os.kill(follower, signal.SIGHUP)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err


def test_interrupted_twice_it_ends_what_hangs(lab: Lab, tmp_path: Path) -> None:
    """A power command that never returns holds nobody for ever; the board that may be on is named."""
    power = yaml.safe_load(four(lab, "64M").read_text())["targets"]["one"]["drivers"]["ExternalPowerDriver"]
    off = f"sh -c 'test ! -e {lab.folder}/one/pid || sleep 300'"
    process = begun(lab, "one", one_target(lab, tmp_path, "one", ExternalPowerDriver=power | {"cmd_off": off}))
    process.send_signal(signal.SIGTERM)
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert "one: failed" in err and "its process was killed: the board may be on, and its place acquired" in err, (
        out + err
    )
    assert not followers(tmp_path)


def test_an_image_that_a_target_has_no_driver_for(lab: Lab, tmp_path: Path) -> None:
    """Whatever is on the board would pass for it."""
    file = one_target(lab, tmp_path, "one", BootwrightImage=None, BootwrightStick=None)
    done = invoke("lab", "run", "demo", "--environment", str(file))
    assert done.returncode == 1 and "its target has no BootwrightImage that demo could be given to" in done.stdout, done


def test_a_text_is_looked_for_in_place_of_a_shell(lab: Lab, tmp_path: Path) -> None:
    shell = {"prompt": "never# ", "login_prompt": "never: ", "username": "root", "login_timeout": 5}
    file = one_target(lab, tmp_path, "one", ShellDriver=shell)
    done = invoke("lab", "run", "--environment", str(file), "--expect", "demo: powering off", "--json")
    (one,) = json.loads(done.stdout)["targets"]
    assert (one["error"], one["reached"]) == (None, "shell"), one
    done = invoke("lab", "run", "--environment", str(file), "--json")
    (one,) = json.loads(done.stdout)["targets"]
    assert "it has not come to the prompt of its ShellDriver; the last stage was launch" in one["error"], one
    assert "demo: command line: on the bench" in one["transcript"], "what the ShellDriver read"
