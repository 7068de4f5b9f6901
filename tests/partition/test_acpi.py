"""A domain's ACPI tables: found and followed from the RSDP by ACPI's own offsets, taken apart by Intel's compiler."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from partition_data import PASSED, VIRTUAL, C, Data, domain, guest_bytes, pair, request

from bootwright.partition.compute import compute
from bootwright.partition.request import DomainConsole, Request


class Tables:
    """What a guest finds between 0xe0000 and 1 MiB."""

    def __init__(self, asked: Request, number: int = 0, ids: tuple[int, ...] = ()) -> None:
        data = Data(compute(asked))
        self.record = data.domains[number]
        self.data = data
        ((self.base, block),) = [
            (at, held) for at, held in guest_bytes(data, self.record).items() if 0xE0000 <= at < 0x100000
        ]
        assert self.base + len(block) <= 0x100000
        self.memory = bytearray(block)
        if ids:
            self.patch(ids)

    def read(self, at: int, size: int) -> bytes:
        assert self.base <= at <= at + size <= self.base + len(self.memory)
        return bytes(self.memory[at - self.base : at - self.base + size])

    def patch(self, ids: tuple[int, ...]) -> None:
        """What the boot does, by the words of stub/abi/partition.h."""
        for patch in self.data.records("patch", self.record.patches, self.record.nr_patches):
            at = patch.at - self.base
            if patch.kind == C["PATCH_APIC_ID"]:
                self.memory[at] = ids[patch.number]
            else:
                assert patch.kind == C["PATCH_CHECKSUM"]
                self.memory[at + patch.number] = 0
                self.memory[at + patch.number] = -sum(self.memory[at : at + patch.size]) & 0xFF

    @property
    def rsdp(self) -> bytes:
        """As a BIOS's is looked for: on 16 bytes."""
        for at in range(self.base, self.base + len(self.memory), 16):
            if self.read(at, 8) == b"RSD PTR ":
                return self.read(at, 36)
        raise AssertionError("no RSDP")

    def table(self, at: int) -> bytes:
        """The table there, whose sum is 0."""
        found = self.read(at, struct.unpack("<I", self.read(at + 4, 4))[0])
        assert sum(found) & 0xFF == 0
        return found

    def named(self) -> dict[bytes, bytes]:
        """All of them, by signature."""
        xsdt = self.table(struct.unpack_from("<Q", self.rsdp, 24)[0])
        assert xsdt[:4] == b"XSDT"
        found = [self.table(at) for (at,) in struct.iter_unpack("<Q", xsdt[36:])]
        facp = next(table for table in found if table[:4] == b"FACP")
        dsdt, x_dsdt = struct.unpack_from("<I", facp, 40)[0], struct.unpack_from("<Q", facp, 140)[0]
        assert dsdt == x_dsdt
        return {table[:4]: table for table in (xsdt, *found, self.table(dsdt))}


def test_the_rsdp_is_of_revision_2_and_both_its_sums_are_0() -> None:
    rsdp = Tables(pair()).rsdp
    assert sum(rsdp[:20]) & 0xFF == sum(rsdp) & 0xFF == 0
    assert rsdp[15] == 2 and struct.unpack_from("<I", rsdp, 20) == (36,)
    assert struct.unpack_from("<I", rsdp, 16) == (0,), "no RSDT"


def test_there_are_four_tables_and_no_more() -> None:
    found = Tables(pair()).named()
    assert set(found) == {b"XSDT", b"FACP", b"APIC", b"DSDT"}
    assert {name: table[8] for name, table in found.items()} == {b"XSDT": 1, b"FACP": 6, b"APIC": 4, b"DSDT": 2}


def gas(table: bytes, at: int) -> tuple[Any, ...]:
    """A generic address: space, width, offset, access size, address."""
    return struct.unpack_from("<4BQ", table, at)


def test_the_machine_is_hardware_reduced_and_resets_and_sleeps_by_ports_of_ours() -> None:
    facp = Tables(pair()).named()[b"FACP"]
    assert len(facp) == 276 and facp[131] == 5, "6.5"
    flags, boot = struct.unpack_from("<I", facp, 112)[0], struct.unpack_from("<H", facp, 109)[0]
    assert flags == 1 << 20 | 1 << 10 | 1 << 5 | 1 << 4 | 1
    assert boot == 0x24, "neither VGA nor CMOS"
    assert gas(facp, 116) == (1, 8, 0, 1, C["PORT_DOMAIN_RESET"]) and facp[128] == C["DOMAIN_RESET_VALUE"]
    assert gas(facp, 244) == (1, 8, 0, 1, C["PORT_SLEEP_CONTROL"])
    assert gas(facp, 256) == (1, 8, 0, 1, C["PORT_SLEEP_STATUS"])
    assert not any(facp[36:40]) and not any(facp[46:109]) and not any(facp[132:140]) and not any(facp[148:244])


@pytest.mark.parametrize("ids", [(0,), (3, 7), tuple(range(100, 164))])
def test_the_madt_has_an_entry_for_each_cpu_and_holds_after_ids_are_filled_in(ids: tuple[int, ...]) -> None:
    madt = Tables(request(domain(vcpus=(None,) * len(ids))), ids=ids).named()[b"APIC"]
    assert struct.unpack_from("<II", madt, 36) == (0xFEE00000, 0), "no 8259"
    entries = list(struct.iter_unpack("<4BI", madt[44:]))
    assert entries == [(0, 8, number, apic_id, 1) for number, apic_id in enumerate(ids)]


def test_all_sums_hold_before_anything_is_filled_in() -> None:
    assert len(Tables(pair()).named()) == 4


def test_without_a_console_the_dsdt_has_sleep_alone() -> None:
    """Name (_S5, Package (4) {5, 0, 0, 0}), by ACPI 6.5, 20.2."""
    dsdt = Tables(request(domain())).named()[b"DSDT"]
    assert dsdt[36:] == bytes.fromhex("08 5f53355f 12 07 04 0a05 00 00 00")


@pytest.mark.skipif(not shutil.which("iasl"), reason="needs acpica-tools")
@pytest.mark.parametrize(("kind", "port"), [(None, 0), (PASSED, 0x2F8), (VIRTUAL, 0x3F8)])
def test_intels_compiler_reads_them(tmp_path: Path, kind: int | None, port: int) -> None:
    console = None if kind is None else DomainConsole(kind, port)
    found = Tables(request(domain(console=console, vcpus=(None, None))), ids=(1, 2)).named()
    text = {}
    for name, table in found.items():
        if name == b"XSDT":
            continue
        path = tmp_path / f"{name.decode()}.dat"
        path.write_bytes(table)
        said = subprocess.run(["iasl", "-d", path], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert said.returncode == 0, said.stdout + said.stderr
        assert "Incorrect checksum" not in said.stdout + said.stderr
        text[name] = path.with_suffix(".dsl").read_text(encoding="utf-8")
    squeezed = " ".join(text[b"DSDT"].split())
    assert "Name (_S5, Package (0x04) // _S5_: S5 System State { 0x05, Zero, Zero, Zero })" in squeezed
    assert ('Name (_HID, EisaId ("PNP0501")' in squeezed) == (kind is not None)
    if kind is not None:
        assert f"IO (Decode16, 0x{port:04X}, // Range Minimum 0x{port:04X}, // Range Maximum" in squeezed
    assert "Hardware Reduced (V5) : 1" in text[b"FACP"]
    assert text[b"APIC"].count("Processor Enabled : 1") == 2
    # And it makes the same bytes of what it has read.
    (tmp_path / "DSDT.dsl").rename(tmp_path / "again.dsl")
    said = subprocess.run(["iasl", "-oa", "again.dsl"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert said.returncode == 0, said.stdout + said.stderr
    made = next(path for path in tmp_path.iterdir() if path.suffix == ".aml").read_bytes()
    assert made[36:] == found[b"DSDT"][36:]
