"""Domains with memory of their own: each has an address space, and the machine has another."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import lz4.block
import pytest
import samples

from bootwright.common import abi
from bootwright.common.errors import PlanError
from bootwright.common.ranges import Range
from bootwright.description import load
from bootwright.description.records import OfDomain
from bootwright.hyperlaunch import model
from bootwright.inputs import resolve
from bootwright.plan.memory import KEPT_FREE, Memory, Region
from bootwright.plan.modules import Job, Jobs
from bootwright.plan.place import Placing

C = abi.load().constants
MIB = 1 << 20
LINKED = 16 * MIB  # where both kernels want to lie
MEMORY = {"red": 32 * MIB, "blue": 64 * MIB}
TEXT = """
[[domain]]
name = "{name}"
memory = "{size}"
kernel = "{name}.elf"
ramdisk = "{name}.disk"
"""


def content(name: str) -> tuple[bytes, bytes]:
    """Code and ramdisk of a domain; the blue one's disk is packed."""
    return name.encode() * 5000, name.encode() * (50000 if name == "blue" else 1)


def placing(folder: Path, own: dict[OfDomain, Range]) -> Placing:
    """Two domains, whose kernels are both linked at 16 MiB, before anything has a place."""
    text = '[image]\nlauncher = "native"\n'
    for name, size in MEMORY.items():
        code, disk = content(name)
        segments = [samples.Load(LINKED, code), samples.Load(LINKED + 4 * MIB, b"data", memsz=MIB)]
        (folder / f"{name}.elf").write_bytes(samples.elf(segments, samples.pvh_note(LINKED)))
        (folder / f"{name}.disk").write_bytes(disk)
        text += TEXT.format(name=name, size=f"{size // MIB}M")
    described = load.parse(text + 'functions = ["initial-domain"]\n', folder / "two.toml")
    info = model.build(described, resolve.resolve(described, folder / "work"))
    (folder / "work").mkdir(exist_ok=True)
    jobs = Jobs(described, info, folder / "work", None)
    for index in range(len(MEMORY)):
        jobs.add_domain(index)
    return Placing(described, info, jobs.done, own)


def seen(job: Job) -> Range:
    assert job.place is not None
    return job.place


def loaded(job: Job) -> Range:
    return Range.sized(job.load_address, job.packed.size)


OWN = {OfDomain(index): Range(0, size) for index, size in enumerate(MEMORY.values())}


def test_in_one_space_two_kernels_clash(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"^[^ ]+ domain \"blue\": kernel blue\.elf .* overlaps kernel red\.elf"):
        placing(tmp_path, {}).place()


def test_each_kernel_lies_where_it_wants_to_in_a_space_of_its_own(tmp_path: Path) -> None:
    found = placing(tmp_path, OWN)
    found.place()
    for owner, size in zip(OWN, MEMORY.values(), strict=True):
        kernel, disk = (job for job in found.jobs if job.owner == owner)
        assert seen(kernel) == Range(LINKED, LINKED + 5 * MIB)
        assert not seen(disk).overlaps(seen(kernel)) and seen(disk).start >= MIB and seen(disk).end <= size


def test_in_the_machine_all_is_apart(tmp_path: Path) -> None:
    """The packed modules of both, the stub, and the memory of each."""
    found = placing(tmp_path, OWN)
    found.place()
    banks = [Range.sized(region.host, region.size) for region in found.regions.values()]
    assert [bank.size for bank in banks] == [*MEMORY.values()] and not any(bank.start % (2 * MIB) for bank in banks)
    taken = [*banks, *map(loaded, found.jobs), Range(0, C["IMAGE_LIMIT"])]
    assert len(taken) == 2 + 4 + 1 and not any(one.overlaps(other) for one, other in combinations(taken, 2))
    assert not any(loaded(job).overlaps(kept) for job in found.jobs for kept in KEPT_FREE)
    assert max(loaded(job).end for job in found.jobs) < min(bank.start for bank in banks), "what is loaded stays low"
    assert found.below == max(bank.end for bank in banks)


def test_carried_out_each_domain_sees_its_own_at_the_same_address(tmp_path: Path) -> None:
    found = placing(tmp_path, OWN)
    found.place()
    machine = bytearray(found.below)
    for job in found.jobs:
        machine[job.load_address : loaded(job).end] = job.packed.path.read_bytes()
    for job in found.jobs:
        for piece in (piece.at(seen(job).start) for piece in job.packed.pieces):
            source = machine[job.load_address + piece.source :][: piece.source_size]
            if piece.method == C["PACK_LZ4"]:
                source = bytearray(lz4.block.decompress(bytes(source), uncompressed_size=piece.dest_size))
            target = found.regions[job.owner].lies(Range.sized(piece.dest, piece.dest_size))
            machine[target.start : target.end] = source
    for name, (owner, region) in zip(MEMORY, found.regions.items(), strict=True):
        memory = machine[region.host : region.host + region.size]
        code, disk = content(name)
        place = next(seen(job) for job in found.jobs if job.owner == owner and job.key == "ramdisk")
        assert memory[LINKED : LINKED + len(code)] == code and memory[place.start : place.end] == disk


def test_a_domain_has_no_room_but_its_own(tmp_path: Path) -> None:
    memory = Memory.of_domain(Range(0, 32 * MIB))
    assert memory.place(1, "a", lasting=True).start == MIB, "there is no stub in it"
    assert memory.place(20 * MIB, "b", lasting=True).start == MIB + C["PAGE_SIZE"], "and no hole"
    with pytest.raises(PlanError, match=r"^c of 16777216 bytes finds no room below 0x2000000, where a domain can have"):
        memory.place(16 * MIB, "c", lasting=True)
    with pytest.raises(PlanError, match=r"^d \[0x1ffffff, 0x2000001\) would lie where no domain has RAM"):
        memory.claim(Range(0x1FFFFFF, 0x2000001), "d")


def test_a_machine_that_has_no_room_for_a_domains_memory(tmp_path: Path) -> None:
    found = placing(tmp_path, {**OWN, OfDomain(0): Range(0, 0xFEC00000)})
    with pytest.raises(PlanError, match=r'two\.toml:6:10: memory of domain "red" of \d+ bytes finds no room'):
        found.place()


def test_where_a_range_lies() -> None:
    assert Region(0x1000, 0x200000, 0x3000).lies(Range(0x1800, 0x2000)) == Range(0x200800, 0x201000)
