"""A partition's boot, computed: every line that the resident part prints, and the places that it chooses.

    found = Partition(data, platform, told)     # data: resident.unpack's; platform: machine.Platform
    list(found.lines())                         # raises BootFailure
    found.memory                                # what went where

This is the reference for stub/partition from `start` to launch_domains: the stages in their order, each by its own
algorithm. Not computed is whether a cpu answers.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bootwright.common.abi import load as load_abi
from bootwright.common.messages import BootFailure, line
from bootwright.common.ranges import FOUR_GIB, MIB, Range, align_up
from bootwright.hyperlaunch.model import MemoryRange
from bootwright.reference import nested
from bootwright.reference.machine import HIGHEST, X2APIC, XAPIC, Platform, all_ram
from bootwright.reference.resident import Data, unpacked


@dataclass(frozen=True)
class Told:
    """What PVH hands over: the memory map, normalised; where each module lies, with its bytes; the RSDP."""

    ranges: tuple[MemoryRange, ...]
    modules: tuple[Range, ...]
    files: tuple[bytes, ...]
    rsdp: int


@dataclass(frozen=True)
class Wrong:
    """Why a domain cannot be loaded: a text of stub/abi/messages.h by name, and the number behind it."""

    text: str
    number: int

    @property
    def values(self) -> tuple[str, int]:
        """As they are printed."""
        return load_abi().strings[self.text], self.number


class Partition:
    """A boot of the resident part. memory: what was given to whom, with whose it is; cpus: APIC ids, by domain."""

    def __init__(self, data: Data, platform: Platform, told: Told) -> None:
        self._constants = load_abi().constants
        self._data = data
        self._platform = platform
        self._told = told
        self._ids: list[int] = []  # APIC id of each vcpu
        self._banks: dict[tuple[int, int], int] = {}  # machine address, by numbers of domain and bank
        self._shared: list[int] = []  # of each shared range
        self._taken: list[Range] = []
        self.memory: list[tuple[str, Range]] = []
        self.cpus: list[tuple[str, tuple[int, ...]]] = []

    def lines(self) -> Iterator[str]:
        """Every line, until the launch. Raises BootFailure."""
        self._check_data()
        yield from self._machine()
        self._assign_cpus()
        self.cpus = [(self._data.string(domain.name), tuple(self._ids_of(domain))) for domain in self._data.domains]
        yield from self._start_cpus()
        self._place()
        built = yield from self._build()
        yield self._isolation()
        code = self._platform.resident
        yield line("M_PARTITION_RESIDENT", code.size, code.start, code.end)
        yield line("M_PARTITION_LAUNCH", len(built), sum(domain.nr_vcpus for domain in built))

    # --- what the host made, and the machine ---

    def _check_data(self) -> None:
        constants, data = self._constants, self._data
        head = data.head
        if head.magic != constants["PARTITION_MAGIC_VALUE"]:
            raise BootFailure("E_PARTITION_MAGIC", data.base, head.magic)
        if head.length > constants["MAX_PARTITION"]:
            raise BootFailure("E_PARTITION_LENGTH", head.length, constants["MAX_PARTITION"])
        at = constants["PARTITION_CHECKSUM"]
        summed = bytearray(data.read(data.base, head.length))
        summed[at : at + 4] = bytes(4)
        if zlib.crc32(summed) != head.checksum:
            raise BootFailure("E_PARTITION_CHECKSUM", zlib.crc32(summed), head.checksum)
        most = constants["MAX_DOMAINS"], constants["MAX_CPUS"]
        if not (1 <= head.nr_domains <= most[0] and 1 <= head.nr_vcpus <= most[1]):
            raise BootFailure("E_PARTITION_COUNT", head.nr_domains, head.nr_vcpus, *most)

    def _machine(self) -> Iterator[str]:
        platform = self._platform
        if not platform.svm:
            raise BootFailure("E_PARTITION_INTEL" if platform.intel else "E_NO_SVM")
        if not platform.nested_paging:
            raise BootFailure("E_NO_NESTED_PAGING")
        if platform.svm_off:
            raise BootFailure("E_SVM_OFF", platform.svm_off)
        yield line("M_PARTITION", "AMD SVM", X2APIC if platform.x2apic else XAPIC, platform.tsc_mhz)
        if not self._told.rsdp:
            raise BootFailure("E_NO_RSDP", self._told.rsdp)
        if len(platform.cpus) > self._constants["MAX_MACHINE_CPUS"]:
            raise BootFailure("E_TOO_MANY_CPUS", self._constants["MAX_MACHINE_CPUS"])
        if platform.boot_cpu not in platform.cpus:
            raise BootFailure("E_BOOT_CPU", platform.boot_cpu)

    # --- cpus ---

    def _assign_cpus(self) -> None:
        """Those that are asked for by id; the others get what is left, the boot cpu before all."""
        data, cpus = self._data, self._platform.cpus
        names = [data.string(domain.name) for domain in data.domains for _ in range(domain.nr_vcpus)]
        anyone = self._constants["ANY_CPU"]
        asked = [vcpu.wanted_id for vcpu in data.vcpus]
        given: set[int] = set()
        for name, wanted in zip(names, asked, strict=True):
            if wanted == anyone:
                continue
            if wanted not in cpus:
                raise BootFailure("E_CPU_MISSING", name, wanted)
            if wanted in given:
                raise BootFailure("E_CPU_TWICE", name, wanted)
            given.add(wanted)
        first = self._platform.boot_cpu
        left = [cpu for cpu in sorted(cpus, key=lambda cpu: cpu != first) if cpu not in given]
        for name, wanted, vcpu in zip(names, asked, data.vcpus, strict=True):
            if wanted == anyone and not left:
                raise BootFailure("E_TOO_FEW_CPUS", name, vcpu.number, len(asked), len(cpus))
            self._ids.append(left.pop(0) if wanted == anyone else wanted)

    def _start_cpus(self) -> Iterator[str]:
        page = self._constants["PAGE_SIZE"]
        low = Range(page, self._constants["LOW_PAGES_END"])
        if not any(all_ram(self._told.ranges, Range.sized(at, page)) for at in range(low.start, low.end, page)):
            raise BootFailure("E_NO_LOW_PAGE", low.start, low.end)
        yield line("M_PARTITION_CPUS", len(self._platform.cpus), len({*self._ids, self._platform.boot_cpu}))

    def _ids_of(self, domain: Any) -> list[int]:
        return self._ids[domain.first_vcpu : domain.first_vcpu + domain.nr_vcpus]

    # --- memory ---

    def _place(self) -> None:
        """Places for banks and shared ranges: first banks, shared ranges, second banks; the largest of each first."""
        constants, data = self._constants, self._data
        own = Range(constants["IMAGE_LIMIT"], data.base + data.head.length)
        self._taken = [Range(0, constants["FIRST_MIB"]), own, *self._told.modules]
        self._place_banks(0, FOUR_GIB)
        wishes = [(data.string(shared.name), shared.size) for shared in data.shared]
        self._shared = self._grant("shared range", wishes, FOUR_GIB)
        self._place_banks(1, HIGHEST)

    def _place_banks(self, bank: int, limit: int) -> None:
        wishes = [(self._data.string(domain.name), domain.banks[bank].size) for domain in self._data.domains]
        for number, place in enumerate(self._grant("domain", wishes, limit)):
            self._banks[number, bank] = place

    def _grant(self, what: str, wishes: Sequence[tuple[str, int]], limit: int) -> list[int]:
        """Machine addresses for names and sizes; 0 for nothing. Raises BootFailure E_NO_BANK."""
        found = [0] * len(wishes)
        for number in sorted(range(len(wishes)), key=lambda number: -wishes[number][1]):
            name, size = wishes[number]
            if not size:
                continue
            place = self._lowest(size, limit)
            if place is None:
                raise BootFailure("E_NO_BANK", what, name, size // MIB, limit)
            found[number] = place
            given = Range.sized(place, size)
            self._taken.append(given)
            self.memory.append((f"{what} {name}", given))
        return found

    def _lowest(self, size: int, limit: int) -> int | None:
        """It begins where RAM does, or behind what is taken."""
        starts = [*(part.start for part in self._told.ranges), *(taken.end for taken in self._taken)]
        alignment = self._constants["BANK_ALIGNMENT"]
        for start in sorted(align_up(start, alignment) for start in starts):
            wanted = Range.sized(start, size)
            is_free = all_ram(self._told.ranges, wanted) and not any(wanted.overlaps(taken) for taken in self._taken)
            if is_free and wanted.end <= limit:
                return start
        return None

    def _banks_of(self, number: int) -> list[tuple[int, Range]]:
        """Guest address and machine addresses of each bank of a domain."""
        banks = enumerate(self._data.domains[number].banks)
        return [(bank.guest, Range.sized(self._banks[number, at], bank.size)) for at, bank in banks if bank.size]

    def _shares_of(self, domain: Any) -> list[tuple[Any, Range]]:
        """Each share of a domain with its machine addresses."""
        shares = self._data.shares_of(domain)
        return [(s, Range.sized(self._shared[s.number], self._data.shared[s.number].size)) for s in shares]

    # --- domains ---

    def _build(self) -> Generator[str, None, list[Any]]:
        """Gives the domains that were built."""
        data, flag = self._data, self._constants["DOMAIN_INITIAL"]
        total, built = len(data.domains), list[Any]()
        yield line("M_BUILDER", total)
        for number, domain in enumerate(data.domains):
            yield from self._introduce(number)
            outcome, name = self._load(domain), data.string(domain.name)
            if isinstance(outcome, Wrong):
                if domain.flags & flag:
                    raise BootFailure("E_DOMAIN_LOAD", name, *outcome.values)
                yield line("M_PARTITION_FAILED", name, *outcome.values)
                continue
            built.append(domain)
            yield line("M_BUILT", domain.domid, len(built), total)
            yield line("M_PARTITION_ENTRY", domain.domid, data.string(domain.protocol), domain.entry, outcome)
        if not any(domain.flags & flag for domain in built):
            raise BootFailure("E_NO_INITIAL_DOMAIN", total)
        return built

    def _introduce(self, number: int) -> Iterator[str]:
        data = self._data
        domain = data.domains[number]
        domid, memory = domain.domid, sum(bank.size for bank in domain.banks) // MIB
        names = [data.string(name) for name in (domain.name, domain.kernel, domain.ramdisk)]
        yield line("M_DOMAIN", domid, *names, memory)
        yield line("M_CMDLINE", domid, data.string(domain.cmdline))
        cpus = " ".join(str(cpu) for cpu in self._ids_of(domain))
        yield line("M_PARTITION_TABLES", domid, cpus, domain.nr_tables, domain.tables)
        for guest, place in self._banks_of(number):
            yield line("M_PARTITION_BANK", domid, place.start, place.end, guest)
        for share, place in self._shares_of(domain):
            name = data.string(data.shared[share.number].name)
            rights = "writable" if share.writable else "read-only"
            yield line("M_PARTITION_SHARE", domid, name, place.start, place.end, share.guest, rights)

    def _load(self, domain: Any) -> Wrong | int:
        """What is wrong, or the CRC-32 of the blocks as they are once they are patched."""
        data, bank = self._data, Range.sized(domain.banks[0].guest, domain.banks[0].size)
        for load in data.records("load", domain.loads, domain.nr_loads):
            wrong = self._check_pieces(load, bank)
            if wrong:
                return wrong
        blocks = data.records("block", domain.blocks, domain.nr_blocks)
        for number, block in enumerate(blocks):
            if not _inside(bank, block.guest, block.size):
                return Wrong("L_BLOCK_BEYOND", number)
        memory = bytearray(max((block.guest + block.size for block in blocks), default=0))
        for block in blocks:
            memory[block.guest : block.guest + block.size] = data.read(block.source, block.size)
        for number, patch in enumerate(data.records("patch", domain.patches, domain.nr_patches)):
            if not self._patch(patch, memory, bank, self._ids_of(domain)):
                return Wrong("L_PATCH", number)
        return zlib.crc32(b"".join(memory[block.guest : block.guest + block.size] for block in blocks))

    def _check_pieces(self, load: Any, bank: Range) -> Wrong | None:
        if load.module >= len(self._told.modules):
            return Wrong("L_NO_MODULE", load.module)
        stored, packed = self._constants["PACK_STORED"], self._constants["PACK_LZ4"]
        file = self._told.files[load.module]
        for number, piece in enumerate(self._data.records("piece", load.pieces, load.nr_pieces), 1):
            behind = load.nr_pieces - number
            if piece.source + piece.source_size > self._told.modules[load.module].size:
                return Wrong("L_PIECE_OUTSIDE", behind)
            if piece.method not in (stored, packed):
                return Wrong("L_PIECE_METHOD", behind)
            if piece.method == stored and piece.dest_size > piece.source_size:
                return Wrong("L_PIECE_OUTSIDE", behind)
            if not _inside(bank, piece.dest, piece.dest_size + piece.zero_size):
                return Wrong("L_PIECE_BEYOND", behind)
            if unpacked(piece, file) is None:
                return Wrong("L_PIECE_DAMAGED", behind)
        return None

    def _patch(self, patch: Any, memory: bytearray, bank: Range, ids: Sequence[int]) -> bool:
        """Carries a patch out in a domain's blocks; False where it cannot be."""
        kind, sizes = patch.kind, {self._constants["PATCH_APIC_ID"]: 1, self._constants["PATCH_X2APIC_ID"]: 4}
        if kind == self._constants["PATCH_CHECKSUM"]:
            if patch.number >= patch.size or not _inside(bank, patch.at, patch.size):
                return False
            memory[patch.at + patch.number] = 0
            memory[patch.at + patch.number] = -sum(memory[patch.at : patch.at + patch.size]) & 0xFF
            return True
        size = sizes.get(kind)
        if size is None or patch.number >= len(ids) or not _inside(bank, patch.at, size):
            return False
        memory[patch.at : patch.at + size] = ids[patch.number].to_bytes(4, "little")[:size]
        return True

    # --- isolation ---

    def _isolation(self) -> str:
        """Walks what every vcpu reaches. Raises BootFailure E_NESTED_*."""
        data, leaves = self._data, 0
        for number, domain in enumerate(data.domains):
            banks = [self._banks[number, bank] for bank in range(len(domain.banks))]
            tables = nested.Tables(
                domain.tables,
                data.read(domain.tables, domain.nr_tables * self._constants["PAGE_SIZE"]),
                banks,
                self._shared,
                self._platform.x2apic,
            )
            views = [(guest, place, True) for guest, place in self._banks_of(number)]
            views += [(share.guest, place, bool(share.writable)) for share, place in self._shares_of(domain)]
            for vcpu in data.vcpus_of(domain):
                lapic = None if self._platform.x2apic else vcpu.lapic_entry
                leaves += nested.check(tables, data.string(domain.name), vcpu.root, views, lapic)
        return line("M_PARTITION_ISOLATION", len(data.domains), leaves, len(data.shared))


def _inside(bank: Range, guest: int, size: int) -> bool:
    return bank.start <= guest and guest + size <= bank.end
