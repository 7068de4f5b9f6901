"""The resident part of the partition launcher under QEMU, entered by PVH with the host's data behind it: what it prints
is what is computed, and the demo kernel runs in each of its domains.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from project import ROOT

from bootwright.common.abi import load as load_abi
from bootwright.common.pieces import Piece
from bootwright.common.ranges import MIB, Range
from bootwright.inputs import resolve
from bootwright.kernels import pvh
from bootwright.link.program import program
from bootwright.partition import resident
from bootwright.partition.boot import Booted, Machine, boot
from bootwright.partition.compute import compute
from bootwright.partition.regions import MapEntry
from bootwright.partition.request import (
    DomainConsole,
    DomainRequest,
    GuestKernel,
    ImageSettings,
    Request,
    Share,
    SharedRange,
    guest_kernel,
)

pytestmark = pytest.mark.slow

C = load_abi().constants
VIRTUAL = DomainConsole(C["CONSOLE_VIRTUAL"], C["UART_COM1"])
QEMU = ["-accel", "tcg", "-m", "512M", "-display", "none", "-no-reboot", "-serial", "stdio"]
PATIENCE = 120  # seconds; two or three are usual


def demo(folder: Path) -> GuestKernel:
    """The demo kernel as module 0, as it is."""
    path = folder / "demo.elf"
    path.write_bytes(program([ROOT / "stub/kernels/demo.asm"], "kernel", resolve.cache_directory()).image)
    kernel = pvh.parse(path, folder)
    pieces = tuple(
        Piece(s.p_offset, s.p_filesz, s.p_paddr, s.p_filesz, s.p_memsz - s.p_filesz, C["PACK_STORED"])
        for s in kernel.segments
    )
    return guest_kernel("demo", kernel, 0, pieces)


def trio(folder: Path) -> Request:
    """Three domains: of two cpus, and of one each; the first writes to what all share."""
    kernel = demo(folder)
    domains = tuple(
        DomainRequest(
            f"dom{number}",
            number,
            (32 + 2 * number) * MIB,
            (None,) * (1 if number else 2),
            kernel,
            f"number={number}",
            console=VIRTUAL,
            shares=(Share("log", not number),),
            initial=not number,
        )
        for number in range(3)
    )
    image = ImageSettings("trio", C["CONSOLE_SERIAL"], C["UART_COM1"], 1, C["LOG_NORMAL"])
    return Request(image, domains, (SharedRange("log", 2 * MIB),))


def launched(folder: Path, asked: Request, cpus: int, ends: int, cpu: str = "EPYC,+svm,+npt") -> list[str]:
    """What a machine of that many cpus prints until so many domains have ended, or the resident part has."""
    linked = resident.link(resolve.cache_directory())
    kernel = folder / "resident.elf"
    kernel.write_bytes(resident.with_data(linked.image, compute(asked)))
    there = ["-smp", str(cpus), "-kernel", str(kernel), "-initrd", str(folder / "demo.elf")]
    command = ["timeout", str(PATIENCE), "qemu-system-x86_64", "-cpu", cpu, *QEMU, *there]
    found: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as machine:
        assert machine.stdout
        for text in machine.stdout:
            found.append(text.rstrip("\r\n"))
            ends -= ": ended: " in text
            if ends == 0 or ": halted" in text:
                break
        machine.terminate()
    print("\n".join(found), file=sys.stderr)
    return found


def computed(asked: Request, cpus: int, tsc: int) -> Booted:
    """What is computed for QEMU's pc machine; what lies at the end of its RAM is in nobody's way."""
    ram = (MapEntry(Range(0, 0x9FC00), 1), MapEntry(Range(MIB, 500 * MIB), 1))
    symbols = resident.link(resolve.cache_directory()).symbols
    code = Range(symbols["__start_text"], symbols["__end_fixups"])
    return boot(asked, compute(asked), Machine(ram, tuple(range(cpus)), 0, tsc), [], code)


def test_three_domains_run_at_once(tmp_path: Path) -> None:
    asked = trio(tmp_path)
    found = launched(tmp_path, asked, 4, 3)
    tsc = int(found[0].rpartition("TSC ")[2].removesuffix(" MHz"))
    lines = computed(asked, 4, tsc).lines
    assert found[: len(lines)] == list(lines)
    for number, domain in enumerate(asked.domains):
        own = [text.removeprefix(f"d{number}: ") for text in found if text.startswith(f"d{number}: ")]
        assert f"demo: command line: number={number}" in own
        assert f"demo: memory: [{MIB:#x}, {domain.memory:#x}) type 1" in own
        assert own[-1] == "demo: powering off"
        assert f"bootwright: d{number}: ended: powered off" in found


def test_too_few_cpus_end_it_before_anything_is_lost(tmp_path: Path) -> None:
    found = launched(tmp_path, trio(tmp_path), 3, 3)
    assert found[1:] == [
        "bootwright: E0827: domain dom2: there is no cpu left for its cpu 0: all domains need 4, this machine has 3",
        "bootwright: halted",
    ]


def test_a_cpu_without_svm(tmp_path: Path) -> None:
    assert launched(tmp_path, trio(tmp_path), 4, 3, "qemu64,-svm") == [
        "bootwright: E0811: launcher = partition needs AMD's SVM, which this cpu does not have",
        "bootwright: halted",
    ]


def test_the_program_is_where_the_stub_leaves_room() -> None:
    linked = resident.link(resolve.cache_directory())
    with io.BytesIO(linked.image) as image:
        loaded = [s for s in ELFFile(image).iter_segments("PT_LOAD") if s["p_memsz"]]
    assert all(C["IMAGE_LIMIT"] <= s["p_paddr"] + s["p_memsz"] <= C["PARTITION_BASE"] for s in loaded[1:])
