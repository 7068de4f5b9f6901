"""A board of a lab by labgrid, brought from state to state."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bench_machine
import pytest
import yaml
from bench_lab import Lab, described
from project import ROOT

import bootwright
from bootwright.common.messages import line
from bootwright.lab.places import with_us

pytestmark = pytest.mark.slow

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
strategy.ready, strategy.ready_timeout = "läuft", 0.5
said = refused("shell")
assert "it has not shown 'läuft' within 0.5 s; the last stage was launch" in said, said
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
strategy.mux.modes.clear()
strategy.storage.write_image = lambda filename: 1 / 0
try:
    strategy.transition("booted")
except ZeroDivisionError:
    pass
assert strategy.mux.modes == ["host", "dut"], "a board that is switched on has its stick"
strategy.storage.write_image = write
strategy.mux.modes.clear()
said = refused("shell")
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


def test_a_board_that_was_not_switched_goes_on(lab: Lab) -> None:
    """While nothing was done with it, and where there is nothing to boot."""
    bench_machine.switch("on", lab.folder / "two", lab.ports["two"])
    before = (lab.folder / "two/pid").read_text()
    body = """\
strategy.restore()
try:
    strategy.transition("booted")
except Exception as error:
    assert "none.toml" in str(error), error
else:
    raise AssertionError("it went well")
strategy.restore()
"""
    scripted(lab, "two", lab.folder / "none.toml", body)
    assert (lab.folder / "two/pid").read_text() == before
    bench_machine.off(lab.folder / "two")


def test_an_interruption_while_all_is_undone() -> None:
    body = """\
from bootwright.labgrid import follow
done = []

def release():
    done.append("release")

def restore():
    done.append("restore")
    if len(done) == 1:
        raise KeyboardInterrupt

def interrupted(asked, found, undo):
    undo += [release, restore]

follow._follow = interrupted
found = follow.follow(follow.Asked("lab.yaml", "one", "off"))
assert done == ["restore", "restore", "release"] and found.error == "interrupted", (done, found)
"""
    done = subprocess.run([sys.executable, "-c", body], env=with_us(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_failed_is_begun_anew(lab: Lab) -> None:
    """The second time it is the same error, of another boot."""
    body = """\
for _ in range(2):
    assert refused("launched").startswith("E0404: ")
    assert strategy.transcript.count("entered by") == 1 and strategy.status is Status.booted
strategy.transition("booted")
strategy.transition("off")
"""
    scripted(lab, "four", described(lab, "anew", "4G"), body, launch_timeout=5.0)


def test_the_line_is_read_before_the_power_is_on(lab: Lab) -> None:
    """As a serial server has it: what a board says while nobody is connected is lost, and what is left of the boot
    before is not of the next one.
    """
    entry = line("M_ENTRY", "early", "6d6c4f7b", 0x100000, 0x185000, "EFI", "-")
    on = lab.folder / "one/on"  # a line for each time
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:

        def speak() -> None:
            for number, text in enumerate((f"{entry}\r\nbootwright: E9999: of a later version\r\n{entry}\r\n", "")):
                for _ in range(3000):
                    if on.exists() and on.read_text().count("\n") > number:
                        break
                    time.sleep(0.01)
                server.settimeout(0)
                with server.accept()[0] as connected:
                    connected.settimeout(30)
                    connected.sendall(text.encode())
                    assert connected.recv(1) == b""

        file = lab.environment("one", described(lab, "early"))
        told = yaml.safe_load(file.read_text())
        drivers = told["targets"]["main"]["drivers"]
        kept = {name: drivers[name] for name in ("SerialDriver", "ExternalPowerDriver", "BootwrightStrategy")}
        kept["ExternalPowerDriver"] = {"cmd_on": f"sh -c 'echo >>{on}'", "cmd_off": "true", "delay": 0.1}
        port = {"host": "127.0.0.1", "port": server.getsockname()[1], "protocol": "raw"}
        told["targets"]["main"] = {"resources": {"NetworkSerialPort": port}, "drivers": kept}
        file.write_text(yaml.safe_dump(told, sort_keys=False))
        speaking = thread.submit(speak)
        body = """\
strategy.transition("booted")
said = refused("launched")
assert said == "it said 'bootwright: E9999: of a later version'", said
try:
    strategy._expect(["never"], 0.5, "said that")
except StrategyError:
    strategy.boot_timeout = 1.0
said = refused("booted")
assert "no line of the stub has come" in said, said
strategy.transition("off")
"""
        followed(lab, "one", file, body)
        speaking.result()


def test_a_board_that_boots_by_network(lab: Lab) -> None:
    """Its folder is staged on labgrid's TFTP provider; the network of a QEMU serves that, and the card asks."""
    image, board = described(lab, "by-network"), lab.folder / "three"
    file = lab.environment("three", image, ready="demo: powering off")
    said = yaml.safe_load(file.read_text())
    (main,) = said["targets"].values()
    main["resources"]["TFTPProvider"] = {"internal": f"{board}/tftp/", "external": "/"}
    drivers = main["drivers"]
    strategy = drivers.pop("BootwrightStrategy")
    del drivers["BootwrightStick"]
    more = {"TFTPProviderDriver": {}, "BootwrightNetboot": {}, "BootwrightStrategy": strategy}
    main["drivers"] = drivers | more
    file.write_text(yaml.safe_dump(said, sort_keys=False))
    (board / "disk.img").write_bytes(bytes(1 << 20))
    network = f"user,model=e1000,tftp={board}/tftp,bootfile=boot.ipxe"
    (board / "arguments").write_text(f"-nic\n{network}\n-boot\nn")
    followed(lab, "three", file, 'strategy.transition("shell")\nstrategy.transition("off")\n')
    assert {path.name for path in (board / "tftp").iterdir()} >= {"boot.ipxe", "by-network.elf"}


def test_a_switch_that_does_nothing_is_noticed(lab: Lab) -> None:
    """As far as it can be asked: the board that it leaves on would be taken for the one that was switched on."""
    file = lab.environment("four", described(lab, "still-on"))
    said = yaml.safe_load(file.read_text())
    (main,) = said["targets"].values()
    main["drivers"] = {
        "NetworkPowerDriver": {},
        **{name: main["drivers"][name] for name in ("SerialDriver", "BootwrightStrategy")},
    }
    file.write_text(yaml.safe_dump(said, sort_keys=False))
    body = """\
import bootwright.labgrid.strategy as module
module._SWITCHING = 1.0
strategy.target.activate(strategy.power)
strategy.power._set = lambda index, value: None
strategy.power.backend.power_set = lambda *arguments: None
said = refused("off")
assert said == "power off: its switch says that it is still on", said
"""
    bench_machine.switch("on", lab.folder / "four", lab.ports["four"])
    followed(lab, "four", file, body)
