"""The data of the resident part: read back by the records, from the bytes alone."""

from __future__ import annotations

import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from partition_data import GIB, IMAGE, KERNEL, MIB, PASSED, STEP, VIRTUAL, C, Data, domain, pair, request, requests

from bootwright.common.ranges import Range
from bootwright.partition.compute import compute
from bootwright.partition.request import Ramdisk, Request


def test_the_head_says_what_was_asked_for_and_sums_up_all_bytes() -> None:
    found = compute(pair())
    data = Data(found)
    head = data.head
    assert head.magic.to_bytes(8, "little") == b"PRTITION"
    assert (head.nr_domains, head.nr_vcpus, head.nr_shared) == (2, 3, 1)
    assert head.length == found.length and found.length % 0x1000 == 0
    assert data.string(head.name) == IMAGE.name
    assert (head.console, head.serial_port, head.serial_divisor, head.log) == (1, 0x3F8, 1, 1)
    at = C["PARTITION_CHECKSUM"]
    assert head.checksum == zlib.crc32(data.bytes[:at] + bytes(4) + data.bytes[at + 4 :])


def test_the_data_lie_where_the_resident_part_looks_for_them() -> None:
    found = compute(request())
    assert found.range.start == C["PARTITION_BASE"] == 0x280000
    assert found.range.size == found.length


def test_a_domain_is_as_it_was_asked_for() -> None:
    data = Data(compute(pair()))
    first, second = data.domains
    assert [data.string(one.name) for one in (first, second)] == ["d0", "d1"]
    assert data.string(first.kernel) == "vmlinux" and data.string(first.ramdisk) == "initrd"
    assert second.ramdisk == 0
    assert data.string(first.cmdline) == "quiet" and data.string(first.protocol) == "pvh"
    assert (first.first_vcpu, first.nr_vcpus, second.first_vcpu, second.nr_vcpus) == (0, 2, 2, 1)
    assert first.flags == C["DOMAIN_CONTROL"] | C["DOMAIN_INITIAL"] | C["DOMAIN_RESTARTS"]
    assert (first.restart_limit, second.flags, second.restart_limit) == (3, 0, 0)
    assert (first.console_kind, first.console_port) == (PASSED, 0x2F8)
    assert (second.console_kind, second.console_port) == (VIRTUAL, 0x3F8)
    assert (first.entry, first.entry_rbx, first.entry_rsi) == (KERNEL.entry, C["LOW_BASE"], 0)


def test_memory_is_one_bank_up_to_one_gib_and_a_second_from_four_gib_on() -> None:
    first, second = Data(compute(pair())).domains
    banks = [[(bank.guest, bank.size, bank.machine) for bank in domain.banks] for domain in (first, second)]
    assert banks[0] == [(0, 64 * MIB, 0), (0, 0, 0)]
    assert banks[1] == [(0, GIB, 0), (4 * GIB, 4 * GIB, 0)]


@pytest.mark.parametrize(
    ("sizes", "low"),
    [
        ((5 * GIB,), (GIB,)),
        ((GIB, GIB), (512 * MIB, 512 * MIB)),
        ((GIB, 256 * MIB), (GIB, 256 * MIB)),
        ((GIB, GIB, GIB, 128 * MIB), (256 * MIB, 256 * MIB, 256 * MIB, 128 * MIB)),
        ((3 * GIB,) * 8, (256 * MIB,) * 8),
    ],
)
def test_memory_below_4_gib_is_shared_out(sizes: tuple[int, ...], low: tuple[int, ...]) -> None:
    """A PC has 2 GiB there, or little more, and all that is loaded has to lie there."""
    found = Data(compute(request(*(domain(f"d{number}", memory=size) for number, size in enumerate(sizes)))))
    assert tuple(one.banks[0].size for one in found.domains) == low
    assert tuple(sum(bank.size for bank in one.banks) for one in found.domains) == sizes


def test_a_bank_holds_what_is_loaded_whatever_the_limit() -> None:
    asked = request(*(domain(f"d{number}", memory=GIB, ramdisk=Ramdisk("r", 1, 300 * MIB)) for number in range(8)))
    assert {one.banks[0].size for one in Data(compute(asked)).domains} == {(18 + 300 + 64) * MIB}


def test_both_see_the_shared_range_and_one_writes_it() -> None:
    data = Data(compute(pair()))
    (shared,) = data.records("shared_range", data.head.shared, 1)
    assert (data.string(shared.name), shared.size, shared.machine) == ("log", STEP, 0)
    views = [(d.nr_shares, d.shares[0].number, d.shares[0].writable, d.shares[0].guest) for d in data.domains]
    assert views == [(1, 0, 1, 3 * GIB), (1, 0, 0, 3 * GIB)]


def test_modules_are_loaded_into_guest_addresses() -> None:
    data = Data(compute(pair()))
    kernel, ramdisk = data.records("load", data.domains[0].loads, data.domains[0].nr_loads)
    assert (kernel.module, ramdisk.module) == (0, 1)
    (piece,) = data.records("piece", kernel.pieces, kernel.nr_pieces)
    assert (piece.source_size, piece.dest, piece.dest_size, piece.zero_size) == (0x1234, 16 * MIB, 0x3000, 0x800)
    (piece,) = data.records("piece", ramdisk.pieces, ramdisk.nr_pieces)
    assert (piece.source, piece.source_size, piece.dest_size, piece.method) == (0, 5000, 5000, C["PACK_STORED"])
    assert piece.dest == 64 * MIB - 2 * C["PAGE_SIZE"], "as high as it goes"


def test_a_vcpu_refers_to_pages_of_its_own() -> None:
    found = compute(pair())
    data = Data(found)
    pages = []
    for one in data.domains:
        for number, vcpu in enumerate(data.vcpus(one)):
            assert (vcpu.number, vcpu.wanted_id, vcpu.asid, vcpu.state) == (number, 0xFFFFFFFF, 1, C["VCPU_ABSENT"])
            assert data.record("domain", vcpu.domain).name == one.name
            pages += [vcpu.vmcb, vcpu.host_save, vcpu.scratch, vcpu.root]
            assert not any(data.read(vcpu.host_save, 0x1000)) and not any(data.read(vcpu.scratch, 0x1000))
        pages += [one.ring + 0x1000 * page for page in range(4)]
    assert all(page % 0x1000 == 0 for page in pages) and len(set(pages)) == len(pages)


def test_a_wanted_cpu_is_told() -> None:
    wanted = pair(vcpus=(5, None))
    data = Data(compute(wanted))
    assert [vcpu.wanted_id for vcpu in data.vcpus(data.domains[1])] == [5, C["ANY_CPU"]]


def test_zeros_at_the_end_are_not_carried() -> None:
    found = compute(pair())
    assert found.data[-1]
    assert len(found.data) < found.length - 3 * 3 * C["PAGE_SIZE"], "rings, host save areas, scratch pages"


def test_the_result_names_every_address() -> None:
    found = compute(pair())
    data = Data(found)
    assert found.cpuid_rules == data.head.cpuid_rules and found.msr_rules == data.head.msr_rules
    assert (found.msr_bitmap_xapic, found.msr_bitmap_x2apic) == (
        data.head.msr_bitmap_xapic,
        data.head.msr_bitmap_x2apic,
    )
    assert found.reset_vmcb == data.head.reset_vmcb and found.shared == data.head.shared
    for place, one in zip(found.domains, data.domains, strict=True):
        assert place.tables == Range.sized(one.tables, one.nr_tables * C["PAGE_SIZE"])
        assert (place.vmcb, place.io_bitmap, place.ring) == (one.vmcb, one.io_bitmap, one.ring)
        blocks = {block.source: block.size for block in data.records("block", one.blocks, one.nr_blocks)}
        assert blocks == {place.information.start: place.information.size, place.acpi.start: place.acpi.size}
        assert [own.root for own in place.vcpus] == [vcpu.root for vcpu in data.vcpus(one)]
        assert [own.lapic_entry for own in place.vcpus] == [vcpu.lapic_entry for vcpu in data.vcpus(one)]


@settings(max_examples=60, deadline=None)
@given(requests())
def test_parts_never_overlap_and_the_same_request_gives_the_same_bytes(asked: Request) -> None:
    found = compute(asked)
    for one, other in pairwise(sorted(place.range for place in found.places)):
        assert one.end <= other.start
    assert found.places[-1].range.end <= found.range.end
    assert compute(asked) == found
