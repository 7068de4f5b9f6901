"""Two domains of the partition launcher, one of which tries what no domain may (tests/hostile), and what came of it.

    run = boot("all", short=True, folder=tmp_path)
    run.sections[0].name, .tries, .refused, .ended, .effects

The watcher, a domain beside it, says the CRC-32 of its memory and of its local APIC, and its ticks, after each section.
What must never change (all that the watcher has filled; of the resident part code, constants, bitmaps, nested
tables, templates and rules) is read out of QEMU's memory before the first try and behind the last.
"""

from __future__ import annotations

import json
import re
import socket
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from project import TESTS

from bootwright.common import abi, paths
from bootwright.common.ranges import Range
from bootwright.emulate import qemu
from bootwright.image import build
from bootwright.media import BOOT_METHODS

C = abi.load().constants
MEMORY = 256 << 20
PATTERN = Range(0x800000, 0x1F00000)  # of the watcher's memory: tests/hostile/watcher.asm
DESCRIPTION = f"""
[image]
name = "hostile"
launcher = "partition"
console = ["com1,115200"]

[[domain]]
name = "watcher"
permissions = ["control", "hardware"]
functions = ["console", "xenstore", "initial-domain"]
memory = "32M"
kernel = "{TESTS}/hostile/watcher.asm"

[[domain]]
name = "hostile"
cpus = 2
memory = "32M"
kernel = "{TESTS}/hostile/hostile.asm"
cmdline = "%s"
on-end = "restart"
restarts = %d

[[shared]]
name = "progress"
size = "2M"
between = ["watcher", "hostile"]
mode = "both"
"""
BEGINS = re.compile(r"^d0: watcher: begins: crc (0x[0-9a-f]+), ticks (\d+)$", re.M)
AFTER = re.compile(r"^d0: watcher: after (\d+): crc (0x[0-9a-f]+), ticks (\d+)$", re.M)
OVER = re.compile(r"^d0: watcher: over: crc (0x[0-9a-f]+), ticks (\d+), (\d+) restarts from outside$", re.M)
GONE = re.compile(
    r"^d0: watcher: it has ended for good: crc (0x[0-9a-f]+), ticks (\d+), (\d+) restarts by itself$", re.M
)
LAST = ("restarts from outside", "restarts by itself")
ENDED = re.compile(
    r"^d1: hostile: ([a-z-]+): (\d+) tries, (\d+) refused, (\d+) ended, (\d+) survived, (\d+) interrupts$", re.M
)
RESIDENT = re.compile(r"resident: \d+ bytes of code at \[(0x[0-9a-f]+), (0x[0-9a-f]+)\)")
# Of an entry of the nested tables: accessed and dirty, which a cpu sets.
MARKS = ~(1 << 5 | 1 << 6) & (1 << 64) - 1


@dataclass(frozen=True)
class Section:
    """How many tries it had, and what became of them. effects: of what must not be possible, or was seen elsewhere;
    interrupts: that it got.
    """

    name: str
    tries: int
    refused: int
    ended: int
    effects: int
    interrupts: int = 0


@dataclass
class Run:
    """What a boot showed. before, behind: the CRC-32 of each part of the machine's memory that must not change."""

    outcome: qemu.Outcome
    transcript: str
    seconds: float
    before: dict[str, int] = field(default_factory=dict)
    behind: dict[str, int] = field(default_factory=dict)

    @property
    def sections(self) -> list[Section]:
        """Those that came to their end, in their order."""
        checksum, ticks = self.first
        found = []
        for tried, seen in zip(ENDED.finditer(self.transcript), AFTER.finditer(self.transcript), strict=True):
            effects = int(tried[5]) + (int(seen[2], 16) != checksum) + (int(seen[3]) <= ticks)
            ticks = int(seen[3])
            found.append(Section(tried[1], int(tried[2]), int(tried[3]), int(tried[4]), effects, int(tried[6])))
        return found

    @property
    def first(self) -> tuple[int, int]:
        """The watcher's checksum and ticks before it saw anything."""
        match = BEGINS.search(self.transcript)
        assert match, self.transcript
        return int(match[1], 16), int(match[2])


class _Monitor:
    """QEMU's, by which the machine's memory is read."""

    def __init__(self, place: Path) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(place))
        self._lines = self._connection.makefile("rb")
        self._lines.readline()
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> None:
        self._connection.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while "return" not in (answer := json.loads(self._lines.readline())):
            assert "error" not in answer, answer

    def memory(self, path: Path, size: int) -> bytes:
        """The first bytes of it, while the machine stands still."""
        self.execute("stop")
        self.execute("pmemsave", val=0, size=size, filename=str(path))
        self.execute("cont")
        found = path.read_bytes()
        path.unlink()
        return found

    def close(self) -> None:
        self._lines.close()
        self._connection.close()


def boot(tried: str, *, short: bool, folder: Path, timeout: float, restarts: int = 1000, cpu: str = "") -> Run:
    """Build both kernels and the image, and run it until the watcher has seen all. tried: sections with commas between,
    or all; cpu: QEMU's model, if it is not the usual one.
    """
    description = folder / "hostile.toml"
    description.write_text(DESCRIPTION % (f"try={tried}{' short' * short}", restarts))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: folder)
        built = build.build(description, lambda stage: None)
    run = Run(qemu.Outcome.TIME_OUT, "", 0.0)
    seen, monitor, place = "", None, folder / "qmp"

    def see(text: str) -> None:
        nonlocal seen, monitor
        seen += text
        if not run.before and "watcher: begins" in seen:
            monitor = _Monitor(place)
            run.before = _fixed(monitor, folder, seen)
        if not run.behind and any(last in seen for last in LAST):
            assert monitor
            run.behind = _fixed(monitor, folder, seen)

    # The watcher's last line ends the run: what is read then comes before QEMU is ended.
    expect = LAST[1] if tried == "reset-storm" else LAST[0]
    try:
        with BOOT_METHODS["kernel"].attach(built, "bios") as medium:
            machine = qemu.Machine(MEMORY, cpus=built.machine_cpus, svm=True, cpu=cpu)
            arguments = [*qemu.command(machine, medium), "-qmp", f"unix:{place},server=on,wait=off"]
            result = qemu.run(arguments, expect=f"{expect}\n", timeout=timeout, show=see, directory=built.elf.parent)
    finally:
        if monitor:
            monitor.close()
    run.outcome, run.transcript, run.seconds = result.outcome, result.transcript, result.seconds
    return run


def _fixed(monitor: _Monitor, folder: Path, transcript: str) -> dict[str, int]:
    match = RESIDENT.search(transcript)
    assert match, transcript
    memory = monitor.memory(folder / "memory", MEMORY)
    found = {"code": zlib.crc32(memory[int(match[1], 16) : int(match[2], 16)])}
    return found | {name: zlib.crc32(part) for name, part in _parts(memory)}


def _parts(memory: bytes) -> Iterator[tuple[str, bytes]]:
    """All of the data that the resident part does not write once the domains run, with what it is."""
    records = {name: abi.load().struct(name) for name in ("partition", "domain", "vcpu")}

    def span(start: int, size: int) -> bytes:
        return memory[start : start + size]

    partition = records["partition"](memory[C["PARTITION_BASE"] :])
    assert partition.magic == C["PARTITION_MAGIC_VALUE"]
    yield "partition", span(C["PARTITION_BASE"], C["PARTITION_SIZEOF"])
    yield "rules of CPUID", span(partition.cpuid_rules, partition.nr_cpuid_rules * C["CPUID_RULE_SIZEOF"])
    yield "rules of MSRs", span(partition.msr_rules, partition.nr_msr_rules * C["MSR_RULE_SIZEOF"])
    yield "bitmap of MSRs", span(partition.msr_bitmap_xapic, C["MSRPM_SIZE"])
    yield "bitmap of MSRs, x2APIC", span(partition.msr_bitmap_x2apic, C["MSRPM_SIZE"])
    yield "VMCB at a reset", span(partition.reset_vmcb, C["PAGE_SIZE"])
    for number in range(partition.nr_domains):
        place = partition.domains + number * C["DOMAIN_SIZEOF"]
        domain = records["domain"](memory[place:])
        yield f"d{number}", span(place, C["DOMAIN_STATE"])
        if number == 0:
            yield "the watcher's memory", span(domain.banks[0].machine + PATTERN.start, PATTERN.size)
        yield f"d{number}: VMCB", span(domain.vmcb, C["PAGE_SIZE"])
        yield f"d{number}: bitmap of ports", span(domain.io_bitmap, C["IOPM_SIZE"])
        yield f"d{number}: nested tables", _tables(span(domain.tables, domain.nr_tables * C["PAGE_SIZE"]))
        for block in range(domain.nr_blocks):
            at = domain.blocks + block * C["BLOCK_SIZEOF"]
            source, size = (int.from_bytes(span(at + offset, 8), "little") for offset in (0, 8))
            yield f"d{number}: block {block}", span(at, C["BLOCK_SIZEOF"]) + span(source, size)
        for cpu in range(domain.first_vcpu, domain.first_vcpu + domain.nr_vcpus):
            place = partition.vcpus + cpu * C["VCPU_SIZEOF"]
            yield f"cpu {cpu}", span(place + C["VCPU_VMCB"], C["VCPU_APIC_ID"] - C["VCPU_VMCB"])


def _tables(data: bytes) -> bytes:
    entries = (int.from_bytes(data[at : at + 8], "little") & MARKS for at in range(0, len(data), 8))
    return b"".join(entry.to_bytes(8, "little") for entry in entries)
