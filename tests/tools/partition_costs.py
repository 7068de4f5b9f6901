"""What a partition costs under QEMU: exits of its cpus by kind, and the emulator's processor time for boots.

`invoke test --partition` prints both as the tables of docs/partition.md. Exits are read out of the machine's memory,
from outside, so that nothing in it is disturbed. Of several boots the one with the least processor time counts.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import markdown_table
from project import ROOT
from unpacked import Unavailable, newer_qemu

from bootwright.common import paths
from bootwright.common.abi import load as load_abi
from bootwright.emulate import qemu, run
from bootwright.emulate.qemu import QEMU, SVM_CPU
from bootwright.image import build, built
from bootwright.media import BOOT_METHODS

C = load_abi().constants
KINDS = ("CPUID", "MSR", "IO", "LAPIC", "STEP", "NMI", "EXCEPTION", "REFUSED", "CACHE", "XSETBV", "OTHER")
RUNS = 4
PATIENCE = 600.0  # seconds that a boot may take
SETTLE = 5.0  # seconds behind a message until what it says has begun
WATCHED = 60.0  # seconds of each state

INIT_OK, BUSY = "INIT-OK", "BUSY-NOW"
# Behind INIT-OK: idle, then computing without starting a program.
STATES = f"""
$bb sleep 80
echo "{BUSY}"
read -r now _ </proc/uptime
end=$((${{now%.*}} + 80))
while [ "${{now%.*}}" -lt "$end" ]; do read -r now _ </proc/uptime; done
"""

IMAGE = """
[image]
name = "{name}"
launcher = "{launcher}"
console = ["com1,115200"]
"""
DOMAIN = """
[[domain]]
name = "{name}"
permissions = ["control", "hardware"]
functions = ["console", "xenstore", "initial-domain"]
memory = "256M"
kernel = {{ package = "linux-image-cloud-amd64", file = "boot/vmlinuz-*" }}
ramdisk = {{ package = "busybox-static", file = "*bin/busybox", init = "{init}" }}
cmdline = "{{console}} panic=-1"
{more}
"""
SECOND = DOMAIN.replace('permissions = ["control", "hardware"]\n', "").replace(
    'functions = ["console", "xenstore", "initial-domain"]\n', ""
)

# What is counted: with virtual consoles, and with UARTs passed through.
STATES_OF = {
    "virtual": {INIT_OK: f"{WATCHED:.0f} s idle"},
    "owned": {INIT_OK: f"{WATCHED:.0f} s idle", BUSY: f"{WATCHED:.0f} s busy"},
}
Exits = tuple[int, ...]  # in the order of KINDS


@dataclass(frozen=True)
class Boots:
    """How one image is booted: its description, and how many systems it has."""

    text: str
    systems: int


def descriptions() -> Mapping[str, Boots]:
    """The images by name: those whose boots are compared, and those of STATES_OF."""
    first, second = (part.replace("{init}", "debian.init") for part in (DOMAIN, SECOND))
    virtual, com1, com2 = "", 'console = "com1"', 'console = "com2"'
    domains = {
        "native": [first.format(name="first", more=virtual)],
        "one": [first.format(name="first", more=virtual)],
        "one-owned": [first.format(name="first", more=com1)],
        "two": [first.format(name="first", more=virtual), second.format(name="second", more=virtual)],
        "two-owned": [first.format(name="first", more=com1), second.format(name="second", more=com2)],
    }
    found = {}
    for name, parts in domains.items():
        launcher = "native" if name == "native" else "partition"
        found[name] = Boots(IMAGE.format(name=name, launcher=launcher) + "".join(parts), len(parts))
    for name, of in (("virtual", "two"), ("owned", "two-owned")):
        text = found[of].text.replace(f'"{of}"', f'"{name}"').replace("debian.init", "states.init")
        found[name] = Boots(text, found[of].systems)
    return found


class Running:
    """A machine that runs: what it has printed so far, and its memory."""

    def __init__(self, serials: Sequence[Path], control: socket.socket) -> None:
        self._serials = serials
        self._control = control.makefile("rw")
        self._ask("qmp_capabilities")

    def wait(self, text: str, times: int) -> None:
        """Wait until it has printed the text so often. Raises TimeoutError."""
        deadline = time.monotonic() + PATIENCE
        while self._printed().count(text) < times:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not {times} times {text!r}: {self._printed()[-400:]}")
            time.sleep(0.1)

    def _printed(self) -> str:
        return "\n".join(serial.read_text(errors="replace") for serial in self._serials)

    def exits(self) -> Exits:
        """The counts of all its vcpus, added up."""
        struct = load_abi().struct
        head = struct("partition")(self._memory(C["PARTITION_BASE"], C["PARTITION_SIZEOF"]))
        size = C["VCPU_SIZEOF"]
        pages = self._memory(head.vcpus, head.nr_vcpus * size)
        vcpus = [struct("vcpu")(pages[at : at + size]) for at in range(0, len(pages), size)]
        return tuple(sum(vcpu.exits[C[f"EXIT_{kind}"]] for vcpu in vcpus) for kind in KINDS)

    def _memory(self, start: int, size: int) -> bytes:
        path = self._serials[0].with_name("memory")
        self._ask("pmemsave", val=start, size=size, filename=str(path))
        return path.read_bytes()

    def _ask(self, command: str, **arguments: object) -> None:
        self._control.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._control.flush()
        for line in self._control:
            said = json.loads(line)
            if "error" in said:
                raise RuntimeError(f"QEMU: {command}: {said['error']['desc']}")
            if "return" in said:
                return
        raise RuntimeError("QEMU has ended")


class Costs:
    """What a machine has cost, once it has ended."""

    processor = 0.0  # seconds


@contextmanager
def machine(image: built.Built, cpu: str, costs: Costs) -> Iterator[Running]:
    """A machine that boots the image, for as long as the block runs."""
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryDirectory() as name, BOOT_METHODS["kernel"].attach(image, "bios") as medium:
        serials = [Path(name) / "com1", Path(name) / "com2"]
        for serial in serials:
            serial.touch()
            medium = [*medium, "-serial", f"file:{serial}"]
        there = qemu.Machine(image.machine_memory + run.FIRMWARE_MEMORY, image.machine_cpus, cpu=cpu)
        control = ["-chardev", f"socket,id=control,fd={theirs.fileno()}", "-mon", "chardev=control,mode=control"]
        command = [*qemu.command(there, medium), *control]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, cwd=image.elf.parent, stdin=quiet, stderr=quiet, pass_fds=[theirs.fileno()])
        theirs.close()
        try:
            yield Running(serials, ours)
        finally:
            os.kill(process.pid, signal.SIGTERM)  # Popen's own would wait for one that has ended, and its usage is lost
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0
            costs.processor = usage.ru_utime + usage.ru_stime


def count(image: built.Built, cpu: str, states: Sequence[str]) -> list[Exits]:
    """Exits until both systems are there, and in the states that begin with each of these texts."""
    with machine(image, cpu, Costs()) as running:
        running.wait(INIT_OK, 2)
        found = [running.exits()]
        for text in states:
            running.wait(text, 2)
            time.sleep(SETTLE)
            before = running.exits()
            time.sleep(WATCHED)
            found.append(tuple(b - a for a, b in zip(before, running.exits(), strict=True)))
    return found


def processor(images: Mapping[str, built.Built], cpu: str) -> dict[str, float]:
    """Seconds of processor time that QEMU takes for each image until its systems are there; turn by turn."""
    found: dict[str, list[float]] = {}
    for _ in range(RUNS):
        for name, boots in descriptions().items():
            if name not in STATES_OF:
                costs = Costs()
                with machine(images[name], cpu, costs) as running:
                    running.wait(INIT_OK, boots.systems)
                found.setdefault(name, []).append(costs.processor)
    return {name: min(times) for name, times in found.items()}


def exits_table(found: Mapping[str, Exits]) -> str:
    """A row for each kind that occurs, a column for each state."""
    rows = [(kind, *(f"{exits[n]:,}" for exits in found.values())) for n, kind in enumerate(KINDS)]
    return markdown_table.table(["exits", *found], [row for row in rows if set(row[1:]) != {"0"}], figures=True)


def processor_table(found: Mapping[str, float]) -> str:
    """A row for each image."""
    words = {
        "native": "one system, native",
        "one": "one domain, virtual console",
        "one-owned": "one domain, UART passed through",
        "two": "two domains, virtual consoles",
        "two-owned": "two domains, UARTs passed through",
    }
    rows = [(words[name], f"{took:.1f}", f"{took / found['native']:.2f}") for name, took in found.items()]
    return markdown_table.table(["until INIT-OK", "processor seconds", "of native"], rows, figures=True)


def main() -> None:
    """Measure, and print the tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        init = (ROOT / "images/debian.init").read_text()
        (folder / "debian.init").write_text(init)
        assert "$bb poweroff -f\n" in init
        (folder / "states.init").write_text(init.replace("$bb poweroff -f\n", STATES))
        (folder / "stub").symlink_to(ROOT / "stub")
        paths.output = lambda name: folder / "build" / name
        images = {}
        for name, boots in descriptions().items():
            (folder / f"{name}.toml").write_text(boots.text)
            images[name] = build.build(folder / f"{name}.toml", lambda stage: None)
        _measure(images, "xAPIC", SVM_CPU)
        try:
            newer = newer_qemu()
        except Unavailable as reason:
            print(f"x2APIC: not measured: {reason}")
            return
        os.environ["PATH"] = f"{newer}{os.pathsep}{os.environ['PATH']}"
        _measure(images, "x2APIC", f"{SVM_CPU},+x2apic")


def _measure(images: Mapping[str, built.Built], mode: str, cpu: str) -> None:
    print(f"\n{mode}, QEMU {QEMU.version()}:\n", flush=True)
    columns = {}
    for name, states in STATES_OF.items():
        found = count(images[name], cpu, list(states))
        columns |= {f"{name}: {what}": exits for what, exits in zip(("boot", *states.values()), found, strict=True)}
    print(exits_table(columns), flush=True)
    print(processor_table(processor(images, cpu)), flush=True)
