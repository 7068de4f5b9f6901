"""Requests for the partition launcher, and its data read back: by the records of stub/abi, from the bytes alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from bootwright.common.abi import load as load_abi
from bootwright.common.pieces import Piece
from bootwright.common.ranges import MIB, Range
from bootwright.partition.compute import Partition
from bootwright.partition.request import (
    DomainConsole,
    DomainRequest,
    GuestKernel,
    ImageSettings,
    Ramdisk,
    Request,
    Share,
    SharedRange,
)

ABI = load_abi()
C = ABI.constants
GIB = 1 << 30
STEP = 2 * MIB
NONE, PASSED, VIRTUAL, RING = range(4)  # as stub/abi/partition.h counts consoles

KERNEL = GuestKernel(
    "vmlinux", "pvh", 0, (Piece(0, 0x1234, 16 * MIB, 0x3000, 0x800, 1),), (Range(16 * MIB, 18 * MIB),), 16 * MIB + 0x850
)
IMAGE = ImageSettings("pair", 1, 0x3F8, 1)


def linux_kernel(**fields: int) -> GuestKernel:
    """A bzImage's start, with fields of its header."""
    header = dict(boot_flag=0xAA55, header=0x53726448, version=0x20F, loadflags=1, jump_offset=0x6A, setup_sects=4)
    header |= dict(code32_start=MIB, relocatable_kernel=1, initrd_addr_max=0x7FFFFFFF)
    setup = ABI.struct("boot_params")(**(header | fields)).dumps()
    return replace(KERNEL, name="vmlinuz", protocol="linux", entry=16 * MIB, setup=setup, ramdisk_end=1 << 31)


def domain(name: str = "d0", **changes: Any) -> DomainRequest:
    """A small domain of one cpu."""
    return replace(DomainRequest(name, 0, 64 * MIB, (None,), KERNEL, "quiet"), **changes)


def request(*domains: DomainRequest, shared: tuple[SharedRange, ...] = ()) -> Request:
    """A request of these domains, or of a small one."""
    return Request(IMAGE, domains or (domain(),), shared)


def pair(**changes: Any) -> Request:
    """Two domains, of two cpus and of one, that share a range which the first one writes; changes: of the second."""
    first = domain(
        vcpus=(None, None),
        ramdisk=Ramdisk("initrd", 1, 5000),
        console=DomainConsole(PASSED, 0x2F8),
        shares=(Share("log", True),),
        ports=(Range(0x60, 0x61),),
        restarts=3,
        control=True,
        initial=True,
    )
    second = domain("d1", memory=5 * GIB, console=DomainConsole(VIRTUAL, 0x3F8), shares=(Share("log"),), **changes)
    return request(first, second, shared=(SharedRange("log", STEP),))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any that can be: one to five domains, with shared ranges, ports and consoles."""
    shared = [
        SharedRange(f"s{number}", draw(st.integers(1, 3)) * STEP, draw(st.booleans()))
        for number in range(draw(st.integers(0, 3)))
    ]
    count = draw(st.integers(2 if shared else 1, 5))
    users = {s.name: draw(st.sets(st.integers(0, count - 1), min_size=2)) for s in shared}
    writers = {
        s.name: draw(st.sets(st.sampled_from(sorted(users[s.name])), max_size=len(users[s.name]) if s.both else 1))
        for s in shared
    }
    cuts = sorted(draw(st.sets(st.integers(0x200, 0x3FF), max_size=2 * count)))
    ports: list[list[Range]] = [[] for _ in range(count)]
    for start, end in zip(cuts[::2], cuts[1::2], strict=False):
        ports[draw(st.integers(0, count - 1))].append(Range(start, end))
    domains = []
    for number in range(count):
        views = [Share(s.name, number in writers[s.name], pmem=draw(st.booleans())) for s in shared
                 if number in users[s.name]]  # fmt: skip
        free = 8 * GIB
        for at, view in enumerate(views):
            if draw(st.booleans()):
                free += draw(st.integers(0, 600)) * STEP
                views[at] = replace(view, guest=free)
                free += 8 * STEP
        large = draw(st.integers(0, 15)) == 0
        domains.append(
            domain(
                f"d{number}",
                memory=(draw(st.integers(1400, 1700)) if large else draw(st.integers(16, 80))) * STEP,
                vcpus=(None,) * draw(st.integers(1, 3)),
                shares=tuple(draw(st.permutations(views))),
                ports=tuple(ports[number]),
                console=draw(st.sampled_from([None, DomainConsole(VIRTUAL, 0x3F8), DomainConsole(RING, 0x2F8)]))
                if not ports[number]
                else None,
            )
        )
    return Request(IMAGE, tuple(domains), tuple(shared))


class Data:
    """The data as the resident part has them in memory."""

    def __init__(self, found: Partition) -> None:
        self.base = found.base
        self._records: dict[tuple[str, int], Any] = {}
        self.bytes = bytearray(found.data.ljust(found.length, b"\0"))

    def read(self, address: int, size: int) -> bytes:
        assert self.base <= address <= address + size <= self.base + len(self.bytes)
        return bytes(self.bytes[address - self.base : address - self.base + size])

    def record(self, name: str, address: int) -> Any:
        """As it was when it was looked at first."""
        if (name, address) not in self._records:
            self._records[name, address] = ABI.struct(name)(self.read(address, C[f"{name.upper()}_SIZEOF"]))
        return self._records[name, address]

    def records(self, name: str, address: int, count: int) -> list[Any]:
        return [self.record(name, address + number * C[f"{name.upper()}_SIZEOF"]) for number in range(count)]

    def string(self, address: int) -> str:
        end = self.bytes.index(0, address - self.base)
        return self.bytes[address - self.base : end].decode()

    @property
    def head(self) -> Any:
        return self.record("partition", self.base)

    @property
    def domains(self) -> list[Any]:
        return self.records("domain", self.head.domains, self.head.nr_domains)

    def vcpus(self, domain: Any) -> list[Any]:
        first = self.head.vcpus + domain.first_vcpu * C["VCPU_SIZEOF"]
        return self.records("vcpu", first, domain.nr_vcpus)


def guest_bytes(data: Data, domain: Any) -> dict[int, bytes]:
    """What is copied into a domain's memory, by guest address."""
    blocks = data.records("block", domain.blocks, domain.nr_blocks)
    return {block.guest: data.read(block.source, block.size) for block in blocks}
