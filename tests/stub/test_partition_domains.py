"""Domains as the resident part of the partition launcher builds them: what goes into their memory, their nested tables,
the state of their cpus, and what is found when all that is checked. The host's data are those of a request; the twins
are Python's zlib and lz4, and the walker of tests/support/nested.py.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import lz4.block
import nested
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machine import ABI, C
from partition_data import KERNEL, STEP, Data, domain, guest_bytes, pair, request, requests
from resident import BASE, MIB, PAGE, Resident

from bootwright.common.pieces import Piece
from bootwright.common.ranges import Range
from bootwright.partition.compute import compute
from bootwright.partition.request import Ramdisk, Request

BANK = 64 * MIB
FIRST_SHARED = 120 * MIB
MODULE = 48 * MIB
SMALL = request(domain(memory=32 * MIB, initial=True))


class Built(Resident):
    """A machine with the data of a request, places for banks and shared ranges, and APIC ids for cpus."""

    def __init__(self, asked: Request, x2apic: int = 0) -> None:
        super().__init__()
        found = compute(asked)
        self.data = Data(found)
        self.write(BASE, bytes(self.data.bytes))
        self.set_variable("x2apic", x2apic, 4)
        self.memory_map([(0, 128 * MIB, 1)])
        self.modules([(MODULE, MIB)])
        self.head = self.data.head
        at = BANK
        for number in range(self.head.nr_domains):
            for bank in range(C["MAX_BANKS"]):
                place = self.domain_at(number) + C["DOMAIN_BANKS"] + bank * C["BANK_SIZEOF"]
                size = self.record("bank", place).size
                if size:
                    self.write(place + C["BANK_MACHINE"], at.to_bytes(8, "little"))
                    at += size + STEP
        for number in range(self.head.nr_shared):
            place = self.head.shared + number * C["SHARED_RANGE_SIZEOF"]
            self.write(place + C["SHARED_RANGE_MACHINE"], at.to_bytes(8, "little"))
            at += self.record("shared_range", place).size
        for number in range(self.head.nr_vcpus):
            place = self.head.vcpus + number * C["VCPU_SIZEOF"]
            self.write(place + C["VCPU_APIC_ID"], (3 * number + 2).to_bytes(4, "little"))

    def domain_at(self, number: int) -> int:
        return int(self.head.domains + number * C["DOMAIN_SIZEOF"])

    def domain(self, number: int = 0) -> Any:
        return self.record("domain", self.domain_at(number))

    def vcpu_at(self, number: int) -> int:
        return int(self.head.vcpus + number * C["VCPU_SIZEOF"])

    def shared(self) -> list[int]:
        size = C["SHARED_RANGE_SIZEOF"]
        return [self.record("shared_range", self.head.shared + n * size).machine for n in range(self.head.nr_shared)]

    def tables(self, number: int = 0) -> bytes:
        found = self.domain(number)
        return self.read(found.tables, found.nr_tables * PAGE)

    def table(self, address: int) -> Sequence[int]:
        """The entries of a table."""
        return struct.unpack("<512Q", self.read(address, PAGE))

    def relocate(self) -> None:
        for number in range(self.head.nr_domains):
            self.call("relocate_tables", r12=self.domain_at(number))

    def load(self, number: int = 0) -> str:
        """What load_domain says is wrong, "" for nothing."""
        text = self.call("load_domain", r12=self.domain_at(number), limit=200_000_000)
        return self.read_string(text) if text else ""


# --- what goes into its memory -----------------------------------------------------------------------


def with_pieces(pieces: Sequence[Piece], **changes: Any) -> Request:
    kernel = replace(KERNEL, pieces=tuple(pieces), ranges=(Range(16 * MIB, 18 * MIB),))
    return request(domain(memory=32 * MIB, kernel=kernel, initial=True, **changes))


def test_pieces_blocks_and_nothing_else() -> None:
    """Stored, packed, cleared; and every byte that none of these is stays as it was."""
    data = random.Random(1).randbytes(5003) + b"boot" * 3000
    packed = lz4.block.compress(data, store_size=False)
    module = b"front" + packed + data
    pieces = [
        Piece(5, len(packed), 16 * MIB + 3, len(data), 777, C["PACK_LZ4"]),
        Piece(5 + len(packed), len(data), 17 * MIB, len(data), 0, C["PACK_STORED"]),
        Piece(0, 0, 17 * MIB + 0x80000, 0, 0x12345, C["PACK_STORED"]),
    ]
    machine = Built(with_pieces(pieces))
    machine.write(MODULE, module)
    machine.write(BANK, b"\xa5" * (32 * MIB))
    assert machine.load() == ""
    wanted = bytearray(b"\xa5" * (32 * MIB))
    wanted[16 * MIB + 3 : 16 * MIB + 3 + len(data) + 777] = data + bytes(777)
    wanted[17 * MIB : 17 * MIB + len(data)] = data
    wanted[17 * MIB + 0x80000 : 17 * MIB + 0x80000 + 0x12345] = bytes(0x12345)
    blocks = guest_bytes(machine.data, machine.domain())
    for at, block in blocks.items():
        wanted[at : at + len(block)] = machine.read(BANK + at, len(block))
    assert machine.read(BANK, 32 * MIB) == wanted
    assert machine.read(BANK - PAGE, PAGE) == bytes(PAGE) == machine.read(BANK + 32 * MIB, PAGE)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"source": MIB}, "L_PIECE_OUTSIDE"),
        ({"source": MIB - 99}, "L_PIECE_OUTSIDE"),
        ({"source": 2**64 - 1}, "L_PIECE_OUTSIDE"),
        ({"source_size": 2**64 - 1}, "L_PIECE_OUTSIDE"),
        ({"dest_size": 101}, "L_PIECE_OUTSIDE"),
        ({"dest": 32 * MIB - 107}, "L_PIECE_BEYOND"),
        ({"dest": 2**64 - 1}, "L_PIECE_BEYOND"),
        ({"zero_size": 16 * MIB}, "L_PIECE_BEYOND"),
        ({"zero_size": 2**64 - 1}, "L_PIECE_BEYOND"),
        ({"method": 2}, "L_PIECE_METHOD"),
        ({"method": 1}, "L_PIECE_DAMAGED"),
    ],
)
def test_a_piece_that_cannot_be(fields: dict[str, int], text: str) -> None:
    """Nothing of it is written, on either side of what is the domain's."""
    machine = Built(with_pieces([Piece(0, 100, at * MIB, 100, 8, C["PACK_STORED"]) for at in (16, 17)]))
    load = machine.record("load", machine.domain().loads)
    machine.write(MODULE, bytes(range(100, 200)))
    second = load.pieces + C["PIECE_SIZEOF"]
    record = machine.record("piece", second)
    for name, value in fields.items():
        setattr(record, name, value)
    machine.write(second, record.dumps())
    assert machine.load() == string(text) and machine.register("rdx") == 0
    assert machine.read(BANK + 16 * MIB, 100) == bytes(range(100, 200))


def string(name: str) -> str:
    return ABI.strings[name]


def test_a_module_that_is_not_there() -> None:
    machine = Built(SMALL)
    machine.modules([])
    assert machine.load() == string("L_NO_MODULE")


@pytest.mark.parametrize("field", ["guest", "size"])
def test_a_block_that_does_not_fit(field: str) -> None:
    machine = Built(with_pieces([]))
    block = machine.record("block", machine.domain().blocks)
    setattr(block, field, 32 * MIB - (block.size if field == "guest" else block.guest) + 1)
    machine.write(machine.domain().blocks, block.dumps())
    assert machine.load() == string("L_BLOCK_BEYOND") and machine.register("rdx") == 0


def test_patches_and_the_checksum_of_it_all() -> None:
    """APIC ids and checksums stand in the MADT; built_crc is zlib's over all blocks as they then are."""
    machine = Built(request(domain(memory=32 * MIB, vcpus=(None, None, None), kernel=replace(KERNEL, pieces=()))))
    for number, identity in enumerate((5, 0, 250)):
        machine.write(machine.vcpu_at(number) + C["VCPU_APIC_ID"], identity.to_bytes(4, "little"))
    assert machine.load() == ""
    blocks = guest_bytes(machine.data, machine.domain())
    held = {at: machine.read(BANK + at, len(block)) for at, block in blocks.items()}
    assert machine.domain().built_crc == zlib.crc32(b"".join(held.values()))
    acpi = held[max(held)]
    at = acpi.index(b"APIC")
    madt = acpi[at : at + int.from_bytes(acpi[at + 4 : at + 8], "little")]
    assert sum(madt) % 256 == 0
    entries = [madt[place : place + 8] for place in range(44, len(madt), 8)]
    assert [entry[3] for entry in entries] == [5, 0, 250]


def test_patches_of_four_bytes() -> None:
    machine = Built(request(domain(memory=32 * MIB, kernel=replace(KERNEL, pieces=()))))
    machine.write(machine.vcpu_at(0) + C["VCPU_APIC_ID"], (0x12345).to_bytes(4, "little"))
    machine.put(machine.domain().patches, "patch", kind=C["PATCH_X2APIC_ID"], at=0x9000)
    assert machine.load() == ""
    assert machine.read(BANK + 0x9000 - 4, 12) == struct.pack("<III", 0, 0x12345, 0)


@pytest.mark.parametrize(
    "fields",
    [
        dict(kind=0, at=0x9000),
        dict(kind=4, at=0x9000),
        dict(kind=C["PATCH_APIC_ID"], number=1, at=0x9000),
        dict(kind=C["PATCH_APIC_ID"], at=32 * MIB),
        dict(kind=C["PATCH_X2APIC_ID"], at=32 * MIB - 3),
        dict(kind=C["PATCH_CHECKSUM"], at=0x9000, number=4, size=4),
        dict(kind=C["PATCH_CHECKSUM"], at=0x9000, number=0, size=0),
        dict(kind=C["PATCH_CHECKSUM"], at=32 * MIB - 3, number=0, size=4),
        dict(kind=C["PATCH_CHECKSUM"], at=2**64 - 1, number=0, size=4),
    ],
)
def test_a_patch_that_cannot_be(fields: dict[str, int]) -> None:
    machine = Built(request(domain(memory=32 * MIB, kernel=replace(KERNEL, pieces=()))))
    machine.put(machine.domain().patches, "patch", **fields)
    assert machine.load() == string("L_PATCH") and machine.register("rdx") == 0


# --- nested tables -----------------------------------------------------------------------------------

MANY = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@MANY
@given(requests(), st.integers(0, 1))
def test_tables_are_relocated_and_found_right(asked: Request, x2apic: int) -> None:
    """As the twin relocates them; and the check counts the leaves that a walk finds."""
    machine = Built(asked, x2apic)
    before = [machine.tables(number) for number in range(machine.head.nr_domains)]
    machine.relocate()
    for number, tables in enumerate(before):
        banks = [bank.machine for bank in machine.domain(number).banks]
        assert machine.tables(number) == nested.relocated(tables, banks, machine.shared(), bool(x2apic))
    machine.set_variable("log_level", 1, 1)
    machine.call("check_isolation", limit=200_000_000)
    leaves = sum(
        sum(run.size // run.page for run in nested.runs(machine.table, vcpu.root))
        for number in range(machine.head.nr_domains)
        for vcpu in machine.data.vcpus(machine.domain(number))
    )
    assert machine.transcript == (
        f"bootwright: isolation: {machine.head.nr_domains} domains, {leaves} leaves, "
        f"{machine.head.nr_shared} shared ranges, all else disjoint\n"
    )


def test_kinds_that_are_not_known_are_left_for_the_check() -> None:
    machine = Built(SMALL)
    entries = [kind << 52 | number << 55 | 0x87 for kind, number in ((4, 0), (7, 3), (1, 2), (1, 15), (2, 0), (2, 15))]
    data = struct.pack(f"<{len(entries)}Q", *entries)
    machine.write(machine.domain().tables, data)
    machine.relocate()
    assert machine.read(machine.domain().tables, len(data)) == data


def small(x2apic: int) -> Built:
    """A domain of two cpus with a range that it only reads, relocated; its first failure stops it."""
    machine = Built(SMALL_PAIR, x2apic)
    machine.relocate()
    machine.write(machine.symbols["fail_of_domain"], b"\xf4")
    return machine


SMALL_PAIR = replace(
    pair(),
    domains=tuple(replace(one, memory=32 * MIB, ramdisk=None, kernel=KERNEL) for one in pair().domains),
)


def refused(machine: Built, number: int = 0) -> bool:
    """Does the check of any cpu of a domain fail?"""
    found = machine.domain(number)
    for vcpu in range(found.first_vcpu, found.first_vcpu + found.nr_vcpus):
        machine.call("check_vcpu", r12=machine.domain_at(number), r13=machine.vcpu_at(vcpu))
        if machine.register("rip") == machine.symbols["fail_of_domain"] + 1:
            return True
    return False


@pytest.mark.parametrize("x2apic", [0, 1])
@pytest.mark.parametrize("number", [0, 1])
def test_each_bit_of_each_entry_that_is_there(number: int, x2apic: int) -> None:
    """All are caught, also those that the cpu ignores; with x2APIC the LAPIC's tables are there, and map nothing."""
    machine = small(x2apic)
    assert not refused(machine, number)
    base, tables = machine.domain(number).tables, machine.tables(number)
    missed = []
    for at, (entry,) in enumerate(struct.iter_unpack("<Q", tables)):
        for bit in range(64) if entry else random.Random(at).sample(range(64), at % 31 == 0):
            machine.write(base + 8 * at, (entry ^ 1 << bit).to_bytes(8, "little"))
            if not refused(machine, number):
                missed.append((at, bit))
        machine.write(base + 8 * at, entry.to_bytes(8, "little"))
    assert missed == []


@pytest.mark.slow
def test_each_bit_of_each_entry() -> None:
    """Those of the entries that are zeros too, table by table: each is checked with all that is below it."""
    machine = small(0)
    vcpu = machine.vcpu_at(machine.domain(1).first_vcpu)
    missed = []
    for table, (guest, shift) in levels(machine, machine.record("vcpu", vcpu).root, 0, 39).items():
        for at, entry in enumerate(machine.table(table)):
            for bit in range(64):
                machine.write(table + 8 * at, (entry ^ 1 << bit).to_bytes(8, "little"))
                place = dict(rdi=table, rsi=guest, rcx=shift, r12=machine.domain_at(1), r13=vcpu)
                machine.call("check_table", **place)
                if machine.register("rip") != machine.symbols["fail_of_domain"] + 1:
                    missed.append((table, at, bit))
            machine.write(table + 8 * at, entry.to_bytes(8, "little"))
    assert missed == []


def levels(machine: Built, table: int, guest: int, shift: int) -> dict[int, tuple[int, int]]:
    """Every table from one on: the guest address that it begins at, and the shift of its index."""
    found = {table: (guest, shift)}
    for at, entry in enumerate(machine.table(table)):
        if entry and shift > 12 and not entry & C["PTE_LARGE"]:
            found |= levels(machine, entry & ~0xFFF, guest + (at << shift), shift - 9)
    return found


@pytest.mark.provokes("E_NESTED_ENTRY")
def test_an_entry_that_leads_elsewhere() -> None:
    machine = Built(SMALL)
    machine.relocate()
    tables = machine.tables()
    at = next(at for at in range(0, len(tables), 8) if tables[at] & 0x80)
    machine.write(machine.domain().tables + at, struct.pack("<Q", BANK + 32 * MIB | 0x87))
    machine.call("check_isolation")
    where = machine.domain().tables + at
    assert machine.error() == (
        f"E0840: domain d0: the nested entry {BANK + 32 * MIB | 0x87:#x} at {where:#x}, for its address 0x0, is not "
        "what its memory asks for"
    )


@pytest.mark.provokes("E_NESTED_PAGES")
def test_a_page_that_is_missing() -> None:
    machine = Built(SMALL)
    machine.relocate()
    tables = machine.tables()
    at = next(at for at in range(0, len(tables), 8) if tables[at] & 0x80)
    machine.write(machine.domain().tables + at, bytes(8))
    machine.call("check_isolation")
    assert machine.error() == "E0841: domain d0: its nested tables map 16 pages; its memory has 17"


@pytest.mark.provokes("E_NESTED_ROOT")
@pytest.mark.parametrize("place", [0, 1, -PAGE, 0x100000])
def test_a_root_that_is_none(place: int) -> None:
    machine = Built(SMALL)
    machine.relocate()
    root = machine.domain().tables + place if place else 0
    machine.write(machine.vcpu_at(0) + C["VCPU_ROOT"], root.to_bytes(8, "little"))
    machine.call("check_isolation")
    assert machine.error() == f"E0842: domain d0: the root {root:#x} of its nested tables is none of its tables"


def test_two_cpus_with_one_page_for_their_lapics() -> None:
    machine = small(0)
    first, second = (machine.record("vcpu", machine.vcpu_at(number)) for number in (0, 1))
    machine.write(machine.vcpu_at(1) + C["VCPU_ROOT"], first.root.to_bytes(8, "little"))
    assert refused(machine)
    machine.write(machine.vcpu_at(1) + C["VCPU_LAPIC_ENTRY"], first.lapic_entry.to_bytes(8, "little"))
    assert refused(machine)
    machine.write(machine.vcpu_at(1) + C["VCPU_ROOT"], second.root.to_bytes(8, "little"))
    assert refused(machine)


@pytest.mark.provokes("E_RANGES_OVERLAP")
@pytest.mark.parametrize(
    ("bank", "other"),
    [
        (BANK + 31 * MIB, (BANK, BANK + 32 * MIB)),  # the other domain's
        (0, (0, MIB)),
        (2 * MIB, (2 * MIB, None)),  # the resident part
        (MODULE - 30 * MIB, (MODULE, MODULE + MIB)),
    ],
)
def test_ranges_that_meet(bank: int, other: tuple[int, int | None]) -> None:
    machine = Built(SMALL_PAIR)
    machine.write(machine.domain_at(1) + C["DOMAIN_BANKS"] + C["BANK_MACHINE"], bank.to_bytes(8, "little"))
    machine.relocate()
    machine.call("check_isolation")
    end = BASE + len(machine.data.bytes) if other[1] is None else other[1]
    whose = [(bank, bank + 32 * MIB), (other[0], end)]
    assert machine.error() == "E0843: [{:#x}, {:#x}), which a domain has, meets [{:#x}, {:#x})".format(
        *whose[0], *whose[1]
    )


# --- cpus --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x2apic", [0, 1])
def test_the_state_that_cpus_start_in(x2apic: int) -> None:
    machine = Built(SMALL_PAIR, x2apic)
    for number in (0, 1):
        machine.write(machine.vcpu_at(number) + C["VCPU_RBX"], b"\xee" * 14 * 8)
    machine.call("prepare_vcpus", r12=machine.domain_at(0))
    found = machine.domain()
    bitmap = machine.head.msr_bitmap_x2apic if x2apic else machine.head.msr_bitmap_xapic
    for number, state, source in (
        (0, C["VCPU_RUNS"], found.vmcb),
        (1, C["VCPU_OFF"], machine.head.reset_vmcb),
    ):
        vcpu = machine.record("vcpu", machine.vcpu_at(number))
        vmcb, wanted = machine.record("vmcb", vcpu.vmcb), machine.record("vmcb", source)
        wanted.guest_asid, wanted.n_cr3, wanted.iopm_base_pa, wanted.msrpm_base_pa = (
            vcpu.asid, vcpu.root, found.io_bitmap, bitmap
        )  # fmt: skip
        assert vmcb.dumps() == wanted.dumps()
        assert vcpu.state == state and vcpu.dfr == 0xFFFFFFFF
        registers = machine.read(machine.vcpu_at(number) + C["VCPU_RBX"], 14 * 8)
        rbx, rsi = (found.entry_rbx, found.entry_rsi) if number == 0 else (0, 0)
        assert registers == struct.pack("<14Q", rbx, 0, 0, rsi, *[0] * 10)


# --- all of it ---------------------------------------------------------------------------------------


def test_domains_are_built_in_their_order() -> None:
    machine = Built(SMALL_PAIR)
    machine.write(MODULE, bytes(MIB))
    for number in (0, 1):
        load = machine.record("load", machine.domain(number).loads)
        machine.put(load.pieces, "piece", source_size=16, dest=16 * MIB, dest_size=16)
    machine.set_variable("log_level", 1, 1)
    machine.call("build_domains", limit=300_000_000)
    first, second = machine.domain(0), machine.domain(1)
    shared = "bootwright: d0: shared range log [0x8400000, 0x8600000) from its address"
    assert machine.transcript.splitlines() == [
        "bootwright: builder: 2 domains",
        "bootwright: d0: domain d0, kernel vmlinux, ramdisk -, 32 MiB",
        "bootwright: d0: command line: quiet",
        f"bootwright: d0: cpus 2 5, nested tables of {first.nr_tables} pages at {first.tables:#x}",
        f"bootwright: d0: memory [{BANK:#x}, {BANK + 32 * MIB:#x}) from its address 0x0 on",
        f"{shared} {first.shares[0].guest:#x} on, writable",
        "bootwright: d0: built, 1 of 2 domains",
        f"bootwright: d0: launch by pvh: entry {first.entry:#x}, CRC-32 {first.built_crc:#x}",
        "bootwright: d0: domain d1, kernel vmlinux, ramdisk -, 32 MiB",
        "bootwright: d0: command line: quiet",
        f"bootwright: d0: cpus 8, nested tables of {second.nr_tables} pages at {second.tables:#x}",
        f"bootwright: d0: memory [{BANK + 34 * MIB:#x}, {BANK + 66 * MIB:#x}) from its address 0x0 on",
        f"{shared} {second.shares[0].guest:#x} on, read-only",
        "bootwright: d0: built, 2 of 2 domains",
        f"bootwright: d0: launch by pvh: entry {second.entry:#x}, CRC-32 {second.built_crc:#x}",
    ]  # fmt: skip
    assert (first.state, second.state) == (C["DOMAIN_BUILT"],) * 2


@pytest.mark.provokes("E_DOMAIN_LOAD")
def test_a_domain_that_cannot_be_loaded() -> None:
    """The initial one ends the boot; another is said and left out, with its cpus."""
    for number, error in ((1, ""), (0, f"E0831: domain d0 cannot be loaded: {string('L_PIECE_DAMAGED')} 0")):
        machine = Built(SMALL_PAIR)
        load = machine.record("load", machine.domain(1 - number).loads)
        machine.put(load.pieces, "piece", source_size=16, dest=16 * MIB, dest_size=16)
        machine.call("build_domains", limit=300_000_000)
        assert machine.error() == error
        if not error:
            warning = f"warning: domain d1 is not launched: {string('L_PIECE_DAMAGED')} 0"
            assert warning in machine.transcript
            states = [
                machine.domain(0).state,
                machine.domain(1).state,
                machine.record("vcpu", machine.vcpu_at(2)).state,
            ]
            assert states == [C["DOMAIN_BUILT"], C["DOMAIN_FAILED"], C["VCPU_STOPPED"]]


@pytest.mark.provokes("E_NO_INITIAL_DOMAIN")
def test_no_initial_domain() -> None:
    machine = Built(request(domain(memory=32 * MIB, kernel=replace(KERNEL, pieces=()))))
    machine.call("build_domains", limit=100_000_000)
    assert machine.error() == "E0601: none of the 1 domains is the initial domain"


def test_a_ramdisk_is_a_load_like_another() -> None:
    asked = request(domain(memory=32 * MIB, kernel=replace(KERNEL, pieces=()), ramdisk=Ramdisk("initrd", 1, 5000)))
    machine = Built(asked)
    machine.modules([(MODULE, MIB), (MODULE + MIB, 5000)])
    data = random.Random(3).randbytes(5000)
    machine.write(MODULE + MIB, data)
    assert machine.load() == ""
    loads = [
        machine.record("load", machine.domain().loads + n * C["LOAD_SIZEOF"]) for n in range(machine.domain().nr_loads)
    ]
    ramdisk = next(load for load in loads if load.module == 1)
    piece = machine.record("piece", ramdisk.pieces)
    assert machine.read(BANK + piece.dest, 5000) == data
