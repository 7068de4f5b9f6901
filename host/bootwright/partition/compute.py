"""The data of the resident part: a request as bytes for PARTITION_BASE, and the address of everything in them.

    found = compute(request)        # Partition; raises PlanError
    found.data                      # goes to found.base, with zeros behind it up to found.length bytes
    found.domains[0].io_bitmap      # a machine address

The same request gives the same bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bootwright.common.abi import load as load_abi
from bootwright.common.ranges import Range
from bootwright.partition import bitmaps, cpuid, msr, page_tables, rules, vmcb
from bootwright.partition.guest import Guest, guest
from bootwright.partition.layout import Layout, Place, record
from bootwright.partition.request import DomainRequest, Request

ASID = 1  # of every guest: a cpu never has another


@dataclass(frozen=True)
class VcpuPlaces:
    """Machine addresses of what is a vcpu's own: its struct vcpu, pages, the root of its tables, the LAPIC's entry."""

    record: int
    vmcb: int
    host_save: int
    scratch: int
    root: int
    lapic_entry: int


@dataclass(frozen=True)
class DomainPlaces:
    """Machine addresses of what is a domain's own. io_bitmap: others may have the same. information, acpi: where those
    bytes wait to be copied. guest: what it finds at the entry, in its own addresses.
    """

    record: int
    vmcb: int
    io_bitmap: int
    ring: int
    tables: Range
    information: Range
    acpi: Range
    vcpus: tuple[VcpuPlaces, ...]
    guest: Guest


@dataclass(frozen=True)
class Partition:
    """The data: `length` bytes from machine address `base` on, of which those behind `data` are zeros. places: every
    part by name, for the map; the others are machine addresses.
    """

    base: int
    data: bytes
    length: int
    places: tuple[Place, ...]
    domains: tuple[DomainPlaces, ...]
    shared: int
    cpuid_rules: int
    msr_rules: int
    msr_bitmap_xapic: int
    msr_bitmap_x2apic: int
    reset_vmcb: int

    @property
    def range(self) -> Range:
        """The machine addresses that it takes."""
        return Range.sized(self.base, self.length)


def compute(request: Request) -> Partition:
    """The data for a request. Raises PlanError, or ErrorList for several."""
    rules.check(request)
    guests = [guest(request, domain) for domain in request.domains]
    out = Layout(load_abi().constants["PARTITION_BASE"])
    head = out.records("head", "partition", 1)
    name = out.string(request.image.name)
    shared = out.array(
        "shared ranges", [record("shared_range", name=out.string(s.name), size=s.size) for s in request.shared]
    )
    cpuid_rules = [rule.record() for rule in cpuid.rules()]
    msr_rules = [rule.record() for rule in msr.rules()]
    cpuid_at, msr_at = out.array("CPUID rules", cpuid_rules), out.array("MSR rules", msr_rules)
    xapic, x2apic = (
        out.filled(f"MSR bitmap, {mode}", bitmaps.msr_bitmap(msr.passed(mode == "x2APIC")))
        for mode in ("xAPIC", "x2APIC")
    )
    reset = out.filled("VMCB of a reset", vmcb.reset())
    domains = out.records("domains", "domain", len(request.domains))
    places, vcpus = _domains(request, guests, domains, out)
    fields = dict(
        magic=load_abi().constants["PARTITION_MAGIC_VALUE"],
        length=out.length,
        nr_domains=len(request.domains),
        domains=domains,
        nr_vcpus=sum(len(domain.vcpus) for domain in request.domains),
        nr_shared=len(request.shared),
        vcpus=vcpus,
        shared=shared,
        nr_cpuid_rules=len(cpuid_rules),
        nr_msr_rules=len(msr_rules),
        cpuid_rules=cpuid_at,
        msr_rules=msr_at,
        msr_bitmap_xapic=xapic,
        msr_bitmap_x2apic=x2apic,
        reset_vmcb=reset,
        name=name,
        console=request.image.console,
        log=request.image.log,
        on_failure=request.image.on_failure,
        reboot_seconds=request.image.reboot_seconds,
        serial_port=request.image.serial_port,
        serial_divisor=request.image.serial_divisor,
    )
    out.put(head, record("partition", **fields))
    checksum = zlib.crc32(out.data().ljust(out.length, b"\0"))
    out.put(head, record("partition", checksum=checksum, **fields))
    return Partition(
        out.base, out.data(), out.length, tuple(out.places), places, shared, cpuid_at, msr_at, xapic, x2apic, reset
    )


def _domains(
    request: Request, guests: Sequence[Guest], records: int, out: Layout
) -> tuple[tuple[DomainPlaces, ...], int]:
    """Places and fills what is the domains' own, the pages of zeros last; gives it, and the address of all vcpus."""
    constants = load_abi().constants
    lists = [_lists(domain, found, out) for domain, found in zip(request.domains, guests, strict=True)]
    io_bitmaps: dict[bytes, int] = {}
    fixed = []
    for domain, found in zip(request.domains, guests, strict=True):
        bitmap = bitmaps.io_bitmap(bitmaps.owned_ports(domain))
        if bitmap not in io_bitmaps:
            io_bitmaps[bitmap] = out.filled(f"I/O bitmap of {domain.name}", bitmap)
        gdt = found.information.gdt
        state = out.filled(f"VMCB of {domain.name}", vmcb.initial(found.entry, gdt.start, gdt.size))
        tables = page_tables.tables(found.regions, len(domain.vcpus), out.next_page)
        out.filled(f"nested tables of {domain.name}", tables.data)
        fixed.append((io_bitmaps[bitmap], state, tables))
    vcpus = out.pages("vcpus", sum(len(domain.vcpus) for domain in request.domains))
    places, first = [], 0
    for number, domain in enumerate(request.domains):
        io_bitmap, start, tables = fixed[number]
        own = []
        for vcpu, (root, entry) in enumerate(zip(tables.roots, tables.lapic_entries, strict=True)):
            whose = f"of cpu {vcpu} of {domain.name}"
            at = vcpus + (first + vcpu) * constants["VCPU_SIZEOF"]
            state, save, scratch = (out.pages(f"{what} {whose}") for what in ("VMCB", "host save area", "scratch page"))
            own.append(VcpuPlaces(at, state, save, scratch, root, entry))
        ring = out.place(f"ring of {domain.name}", constants["RING_SIZE"], constants["PAGE_SIZE"])
        place = DomainPlaces(
            records + number * constants["DOMAIN_SIZEOF"],
            start,
            io_bitmap,
            ring,
            Range.sized(tables.base, len(tables.data)),
            Range.sized(lists[number]["information"], len(guests[number].information.data)),
            Range.sized(lists[number]["acpi"], len(guests[number].acpi.data)),
            tuple(own),
            guests[number],
        )
        _fill(domain, place, lists[number]["fields"], first, out)
        places.append(place)
        first += len(own)
    return tuple(places), vcpus


def _lists(domain: DomainRequest, found: Guest, out: Layout) -> dict[str, Any]:
    """Places and fills a domain's strings, arrays, and the bytes that are copied into its memory."""
    at, blocks = {}, []
    for name, base, data in (
        ("information", found.information.base, found.information.data),
        ("acpi", found.acpi.base, found.acpi.data),
    ):
        at[name] = out.add(f"{name} of {domain.name}", data)
        blocks.append(record("block", source=at[name], size=len(data), guest=base))
    loads = []
    for load in found.loads:
        pieces = out.array(f"pieces of module {load.module}", [piece.record() for piece in load.pieces])
        loads.append(record("load", module=load.module, nr_pieces=len(load.pieces), pieces=pieces))
    fields = dict(
        name=out.string(domain.name),
        kernel=out.string(domain.kernel.name),
        ramdisk=out.string(domain.ramdisk.name if domain.ramdisk else ""),
        cmdline=out.string(domain.cmdline),
        protocol=out.string(domain.kernel.protocol),
        nr_loads=len(loads),
        loads=out.array(f"loads of {domain.name}", loads),
        nr_blocks=len(blocks),
        blocks=out.array(f"blocks of {domain.name}", blocks),
        nr_patches=len(found.acpi.patches),
        patches=out.array(f"patches of {domain.name}", [patch.record() for patch in found.acpi.patches]),
    )
    return {**at, "fields": fields}


def _fill(domain: DomainRequest, place: DomainPlaces, fields: dict[str, int], first: int, out: Layout) -> None:
    """Writes a domain's record, and those of its vcpus, of which `first` is the number of the first."""
    abi = load_abi()
    found = place.guest
    banks = [abi.struct("bank")(guest=bank.guest.start, size=bank.guest.size) for bank in found.regions.banks]
    shares = [
        abi.struct("share")(number=view.number, writable=int(view.share.writable), guest=view.guest.start)
        for view in found.regions.views
    ]
    written = record(
        "domain",
        **fields,
        domid=domain.domid,
        flags=_flags(domain),
        first_vcpu=first,
        nr_vcpus=len(domain.vcpus),
        banks=banks + [abi.struct("bank")()] * (abi.constants["MAX_BANKS"] - len(banks)),
        entry=found.entry,
        entry_rbx=found.rbx,
        entry_rsi=found.rsi,
        vmcb=place.vmcb,
        io_bitmap=place.io_bitmap,
        tables=place.tables.start,
        nr_tables=place.tables.size // abi.constants["PAGE_SIZE"],
        nr_shares=len(shares),
        shares=shares + [abi.struct("share")()] * (abi.constants["MAX_SHARES"] - len(shares)),
        console_kind=domain.console.kind if domain.console else abi.constants["CONSOLE_NONE"],
        console_port=domain.console.port if domain.console else 0,
        ring=place.ring,
        restart_limit=domain.restarts or 0,
    )
    out.put(place.record, written)
    for number, (own, wanted) in enumerate(zip(place.vcpus, domain.vcpus, strict=True)):
        vcpu = record(
            "vcpu",
            vmcb=own.vmcb,
            host_save=own.host_save,
            scratch=own.scratch,
            root=own.root,
            lapic_entry=own.lapic_entry,
            domain=place.record,
            number=number,
            wanted_id=abi.constants["ANY_CPU"] if wanted is None else wanted,
            asid=ASID,
            state=abi.constants["VCPU_ABSENT"],
        )
        out.put(own.record, vcpu)


def _flags(domain: DomainRequest) -> int:
    constants = load_abi().constants
    held = {"CONTROL": domain.control, "INITIAL": domain.initial, "RESTARTS": domain.restarts is not None}
    return sum(constants[f"DOMAIN_{name}"] for name, there in held.items() if there)
