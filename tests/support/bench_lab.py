"""A lab of tests by labgrid: a real coordinator and exporter on loopback, QEMU machines behind them as places.

with working(folder) as lab:        # each of its places is acquired
    four(lab, "64M")                # an environment of all of them
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import bench_machine
import bench_power
import yaml
from project import ROOT, TESTS

BIN = Path(sys.executable).parent
MACHINE = TESTS / "support/bench_machine.py"
PLACES = ("one", "two", "three", "four")
# What labgrid-client's create, add-match and acquire do, for all places by one process.
MADE = """\
import sys
from labgrid.remote.client import start_session
from labgrid.remote.generated import labgrid_coordinator_pb2 as messages

async def made(stub, names):
    for name in names:
        await stub.AddPlace(messages.AddPlaceRequest(name=name))
        await stub.AddPlaceMatch(messages.AddPlaceMatchRequest(placename=name, pattern=f"*/{name}/*"))
        await stub.AcquirePlace(messages.AcquirePlaceRequest(placename=name))

session = start_session(sys.argv[1])
session.loop.run_until_complete(made(session.stub, sys.argv[2:]))
session.loop.run_until_complete(session.stop())
"""
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
    exporter: subprocess.Popen[bytes]

    def __init__(self, folder: Path) -> None:
        self.folder, self.sticks = folder, folder / "sticks"
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
        found.sticks.mkdir()
        for name in PLACES:
            (folder / name).mkdir()
            (folder / name / "disk.img").touch()
            (found.sticks / name).symlink_to(folder / name / "disk.img")
        found.coordinator = running.enter_context(started(folder, "labgrid-coordinator", "-l", found.address))
        found.listens()  # an exporter that finds no coordinator ends
        exporter = ("labgrid-exporter", "-c", found.address, "-n", "bench", "--hostname", "127.0.0.1")
        found.exporter = running.enter_context(started(folder, *exporter, str(folder / "exported.yaml")))
        found.wait()
        subprocess.run([sys.executable, "-c", MADE, found.address, *PLACES], check=True, timeout=60)
        for name in PLACES:
            running.callback(bench_machine.off, folder / name)
        yield found


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
