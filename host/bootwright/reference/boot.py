"""A whole boot, computed: every line that the stub prints on a machine, and every byte it tells the kernel.

    found = boot(machine, tables.decode(blob), len(blob))       # Generic() for the generic stub
    found.lines; found.information; found.failure

This is the reference for stub/boot/main.asm and what it calls, with the stub's choices of memory: the same steps
in the same order, and the same failures. Not checked is what only the machine can know: hashes, and whether
LZ4 blocks are sound. Where a partition is launched, its resident part's boot follows (reference/partition.py).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bootwright.common.abi import load as load_abi
from bootwright.common.messages import BootFailure, line
from bootwright.common.ranges import Range
from bootwright.hyperlaunch import builder
from bootwright.hyperlaunch.cmdline import Hypervisor, Reader
from bootwright.hyperlaunch.model import BootInfo, BootModule, DomainBuilder, MemoryRange
from bootwright.kernels import protocols, sections
from bootwright.kernels.sections import Sections
from bootwright.plan import tables, xen
from bootwright.plan.records import Generic, Plan, PlannedModule
from bootwright.reference import handover, kernel_probe, loading, partition, profiles, resident, tree_reader
from bootwright.reference.loading import Loading
from bootwright.reference.machine import Efi, LoaderModule, Machine, Platform, all_ram, joined, normalise

KIND_NAMES = ("unknown", "xen", "fdt", "kernel", "ramdisk", "xsm", "ucode", "dtb", "config", "module")
LAUNCHER_NAMES = {  # others are called as they are
    "pvh": "PVH",
    "linux": "the Linux boot protocol",
    protocols.HYPERVISOR: "multiboot2, with EFI boot services",
}
# Lines for log = "debug".
DETAILS = ("memory: [", "firmware: ", "boot device: ")
PVH_ENTRY = "PVH"
WARNING = "warning: "


@dataclass(frozen=True)
class Boot:
    """How a boot goes. lines: those of log = "debug"; failure: what it ends with, None for a launch.

    protocol, entry: how the kernel is entered; information: the bytes it is told, from address
    information_start on, in the area `handover`; modules: where each module of the tables is in the end; pieces: where
    those of each are; memory, cpus: of a partition, what was given to whom.
    """

    lines: tuple[str, ...]
    failure: BootFailure | None
    protocol: str = ""
    entry: int = 0
    information_start: int = 0
    information: bytes = b""
    modules: tuple[Range, ...] = ()
    pieces: tuple[tuple[Range, ...], ...] = ()
    handover: Range | None = None
    memory: tuple[tuple[str, Range], ...] = ()
    cpus: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def shown(self, log: int) -> tuple[str, ...]:
        """The lines that are printed at a log level (LOG_*), with that of the failure."""
        found = [text for text in self.lines if log >= _level(text)]
        return (*found, *([self.failure.line] if self.failure else []))


def _level(text: str) -> int:
    """The least log level at which a line is printed."""
    abi = load_abi()
    said = text.removeprefix(abi.strings["M_PREFIX"])
    if said.startswith(WARNING):
        return abi.constants["LOG_QUIET"]
    return abi.constants["LOG_DEBUG" if said.startswith(DETAILS) else "LOG_NORMAL"]


def boot(machine: Machine, plan: Plan | Generic, tables_size: int = 0, key: int = 0) -> Boot:
    """Boot an image with this plan, or the generic stub, on this machine. tables_size: bytes of the tables; of
    several profiles theirs are asked. key: the profile that a key chooses, from 1 on; 0 for no key.

    For the generic stub, and for a kernel entered by the Linux boot protocol, machine.contents has the modules that
    the stub looks into; for a partition all of them.
    """
    said: tuple[str, ...] = ()
    if isinstance(plan, Plan) and plan.profiles:
        said, plan = profiles.chosen(plan, machine.cmdline, key)
        tables_size = len(tables.encode(plan))
    run = _Run(machine, plan, tables_size, said)
    failure = None
    try:
        for step in run.stages():
            run.lines.append(step)
    except BootFailure as ended:
        failure = ended
    return replace(run.result, lines=tuple(run.lines), failure=failure)


def _given(plan: Plan) -> list[int]:
    """The domains, by their index, that a hypervisor is given a kernel for."""
    return [index for index, planned in enumerate(plan.domains) if planned.domain.kernel is not None]


def _efi_lines(protocol: str, efi: Efi | None) -> Iterator[str]:
    """What a kernel that is told of EFI is told."""
    if efi and protocol == protocols.HYPERVISOR:
        yield line("M_EFI_SERVICES", efi.system, efi.handle)
    elif efi and (protocol == "multiboot2" or (protocol == "linux" and efi.map)):
        place = Range.sized(efi.map_start, len(efi.map))
        yield line("M_EFI", efi.system, place.start, place.end, efi.descriptor_size, efi.descriptor_version)


class _Run(builder.Machine):
    """The stages of stub/boot/main.asm."""

    def __init__(self, machine: Machine, plan: Plan | Generic, tables_size: int, said: tuple[str, ...] = ()) -> None:
        self._said = said
        self._constants = load_abi().constants
        self._machine = machine
        self._plan = plan
        self._tables_size = tables_size
        self._ranges: tuple[MemoryRange, ...] = ()
        self._info = BootInfo((), cmdline=machine.cmdline, loader=machine.loader or "")
        self._loading = Loading(machine, (), ())
        self._domains: dict[int, tuple[str, int]] = {}  # protocol and entry, by index
        self._rooms: dict[int, int] = {}  # for the command line, where the kernel says it, by index
        self.lines: list[str] = []
        self.result = Boot((), None)

    def stages(self) -> Iterator[str]:
        """Every line, until the launch. Raises BootFailure."""
        machine, plan = self._machine, self._plan
        name, stub, loader = plan.image.name if isinstance(plan, Plan) else "-", machine.stub, machine.loader or "-"
        yield line("M_ENTRY", name, machine.build, stub.start, stub.end, machine.entry, loader)
        yield line("M_CPU", machine.cpu)
        if screen := machine.framebuffer:
            shape = screen.width, screen.height, screen.bpp
            yield line("M_SCREEN", *shape, screen.address, screen.pitch)
        if device := machine.boot_device:
            yield line("M_BOOT_DEVICE", device.disk, device.partition, device.sub_partition)
        if machine.memory_type is not None:
            yield line("M_UNCACHED", stub.start, machine.memory_type)
        match plan:
            case Generic():
                yield from self._make_tables()
            case Plan():
                yield from self._said
                self._take_tables(plan)
                yield line("M_TABLES", self._tables_size, len(plan.domains), len(plan.modules))
        yield from self._memory()
        yield from self._find_modules()
        if isinstance(plan, Plan) and plan.hypervisor is not None:
            yield from self._hypervisor(plan)
        else:
            outcome = builder.Outcome(self._info)
            settings = Hypervisor.of_cmdline(self._info.cmdline)
            yield from builder.run(outcome, builder.NATIVE, settings, self)
            assert outcome.hwdom is not None
            yield from self._launch_domain(outcome.hwdom)

    # --- tables ---

    def _take_tables(self, plan: Plan) -> None:
        mods = tuple(self._boot_module(module) for module in plan.modules)
        domains = tuple(planned.domain for planned in plan.domains)
        for index, planned in enumerate(plan.domains):
            if planned.protocol:
                self._domains[index] = protocols.name(planned.protocol), planned.entry
            self._rooms[index] = planned.cmdline_room
        hypervisor = plan.hypervisor.module if plan.hypervisor else None
        made = DomainBuilder(domains)
        self._info = replace(self._info, mods=mods, builder=made, hypervisor=hypervisor)
        self._loading = Loading(self._machine, plan.modules, mods)

    def _boot_module(self, module: PlannedModule) -> BootModule:
        kind = "BOOTSTR_CMDLINE" if module.string else "BOOTSTR_EMPTY"
        return BootModule(module.kind, module.size, 0, module.string, self._constants[kind], name=module.name)

    def _make_tables(self) -> Iterator[str]:
        """Without tables: a device tree, or the fallback (stub/generic)."""
        machine, constants = self._machine, self._constants
        if not machine.modules:
            raise BootFailure("E_NOTHING_TO_BOOT")
        string = constants["BOOTSTR_STRING"]
        mods = tuple(
            BootModule(0, m.size, m.start, m.string, string if m.string else 0, name=f"module{number}")
            for number, m in enumerate(machine.modules)
        )
        loader = PVH_ENTRY if machine.entry == PVH_ENTRY else machine.loader or ""
        info = replace(self._info, mods=mods, loader=loader)
        blob = machine.contents.get(0, b"")
        is_tree = tree_reader.check_tree(blob) is not None
        if is_tree:
            yield line("M_DEVICE_TREE", mods[0].size)
        lines: list[str] = []
        found = builder.builder_init(info, lambda start: tree_reader.read_tree(blob, start, lines), dom0_pvh=True)
        yield from lines
        if not is_tree:
            choice = builder.choose_ramdisk(found)
            yield from builder.fallback_lines(choice)
            found = choice.info
        self._info = found
        # A tree may name more, by their addresses.
        machine = replace(machine, modules=tuple(LoaderModule(m.start, m.size, m.string) for m in found.mods))
        flag = constants["MODULE_LOADER"]
        records = [
            PlannedModule(m.name, m.kind, flag, m.string, number, m.size, m.size, 0, b"")
            for number, m in enumerate(found.mods)
        ]
        self._loading = Loading(machine, records, found.mods)

    # --- memory and modules ---

    def _memory(self) -> Iterator[str]:
        self._ranges = normalise(self._machine.ranges)
        self._loading.ranges = self._ranges
        for part in self._ranges:
            yield line("M_RANGE", part.start, part.end, part.type)
        self._info = replace(self._info, mmap=self._ranges)
        total = builder.machine_memory(self._info) or 0
        if not total:
            raise BootFailure("E_NO_RAM", joined(self._machine.ranges))
        yield line("M_MEMORY", len(self._ranges), total >> 20, self._machine.rsdp)

    def _find_modules(self) -> Iterator[str]:
        for number, module in enumerate(self._loading.records):
            place = self._loading.find(number)
            if not all_ram(self._ranges, place):
                raise BootFailure("E_MODULE_RAM", module.name, place.start, place.end)
            yield line("M_MODULE", number, KIND_NAMES[module.kind], module.name, place.start, place.end)
        for number in self._loading.left_over:
            yield line("M_MODULE_LEFT", number, self._machine.modules[number].string)

    # --- the domain builder's calls ---

    def probe(self, built: builder.BuiltDomain) -> Iterator[str]:
        """What the stub looks into where no host has (builder.Machine)."""
        index, domain = built.index, built.domain
        if index in self._domains or domain.kernel is None or isinstance(self._plan, Plan):
            return
        file = self._machine.contents.get(domain.kernel, b"")
        name = self._info.mods[domain.kernel].name
        found = kernel_probe.probe(file, domain.name, name, self._loading.find_place)
        self._domains[index] = found.protocol, found.entry
        self._rooms[index] = found.cmdline_room
        self._loading.set_pieces(domain.kernel, found.pieces, found.movable)
        name = LAUNCHER_NAMES.get(found.protocol, found.protocol)
        yield line("M_PROBED", built.domid, domain.name, name, found.entry)

    def reader(self, built: builder.BuiltDomain) -> Reader | None:
        """The kernel, if it says how much it reads (builder.Machine)."""
        room = self._rooms.get(built.index)
        return Reader(room, self._info.mods[built.domain.kernel or 0].name) if room else None

    def load(self, built: builder.BuiltDomain) -> Iterator[str]:
        """construct_domain's part on the machine (builder.Machine)."""
        domain = built.domain
        assert domain.kernel is not None
        old, distance = self._loading.move_kernel(domain.kernel)
        if distance:
            protocol, entry = self._domains[built.index]
            self._domains[built.index] = protocol, entry + distance
            new = Range.sized(old.start + distance, old.size)
            yield line("M_KERNEL_MOVED", built.domid, old.start, old.end, new.start, new.end)
        yield from self._loading.evacuate_modules()
        self._loading.check(domain.kernel)
        for step in (self._loading.check, self._loading.load):
            for number in domain.told:
                step(number)
        self._loading.load(domain.kernel)

    # --- the launch ---

    def _hypervisor(self, plan: Plan) -> Iterator[str]:
        assert plan.hypervisor is not None
        yield from xen.lines(self._info, _given(plan), partition=plan.partition)
        yield from self._loading.evacuate_modules()
        numbers = range(len(plan.modules))
        for step in (self._loading.check, self._loading.load):
            for number in numbers:
                step(number)
        found, name = plan.hypervisor, plan.modules[plan.hypervisor.module].name
        others = [number for number in numbers if number != found.module]
        protocol = protocols.name(found.protocol)
        yield from self._launch(name, found.module, protocol, found.entry, found.cmdline, others)
        if plan.partition and self._machine.platform is not None:
            yield from self._partition(plan.modules[found.module], found.module, others, self._machine.platform)

    def _partition(self, own: PlannedModule, number: int, others: Sequence[int], platform: Platform) -> Iterator[str]:
        """What the resident part does with what it was told."""
        contents, places = self._machine.contents, self._loading.places
        told = partition.Told(
            self._ranges,
            tuple(places[other] for other in others),
            tuple(contents[other] for other in others),
            self._machine.rsdp,
        )
        found = partition.Partition(resident.unpack(own, contents[number]), platform, told)
        try:
            yield from found.lines()
        finally:
            self.result = replace(self.result, memory=tuple(found.memory), cpus=tuple(found.cpus))

    def _launch_domain(self, built: builder.BuiltDomain) -> Iterator[str]:
        domain = built.domain
        assert domain.kernel is not None
        if built.index not in self._domains:
            raise BootFailure("E_PROTOCOL", domain.name, self._constants["PROTOCOL_NONE"])
        protocol, entry = self._domains[built.index]
        yield from self._launch(domain.name, domain.kernel, protocol, entry, built.cmdline, domain.told)

    def _launch(
        self, who: str, kernel: int, protocol: str, entry: int, cmdline: str, modules: Sequence[int]
    ) -> Iterator[str]:
        machine, constants = self._machine, self._constants
        self._check_entry(who, kernel, entry)
        made = self._loading.open_handover()
        if isinstance(self._plan, Plan) and self._plan.hypervisor and protocol == "multiboot2" and machine.efi:
            if machine.efi.given is None:
                raise BootFailure("E_EFI_ENDED", who, machine.loader or "-")
            protocol, entry = protocols.HYPERVISOR, self._plan.hypervisor.efi_entry
            self._check_entry(who, kernel, entry)
        places = self._loading.places
        told = handover.HandoverInput(
            who,
            entry,
            cmdline,
            tuple((places[m].start, places[m].size, self._info.mods[m].string) for m in modules),
            self._ranges,
            machine.rsdp,
            machine.rsdp_bytes,
            machine.framebuffer,
            machine.efi,
            machine.contents.get(kernel, b""),
            min(piece.dest for piece in self._loading.records[kernel].pieces),
            self._sections(kernel),
            machine.boot_device,
        )
        length = len(handover.information(protocol, told, made))
        if protocol == "linux":
            loading.check_real_mode(machine, self._ranges, told.file, who)
        area = self._loading.place_handover(made, constants["HANDOVER_INFORMATION"] + length)
        data = handover.information(protocol, told, area)
        start = area.start + constants["HANDOVER_INFORMATION"]
        yield from _efi_lines(protocol, machine.efi)
        name = LAUNCHER_NAMES.get(protocol, protocol)
        targets = tuple(tuple(piece.range for piece in record.pieces) for record in self._loading.records)
        self.result = Boot((), None, protocol, entry, start, data, tuple(places), targets, area)
        yield line("M_LAUNCH", name, entry, start, start + len(data), zlib.crc32(data))

    def _sections(self, kernel: int) -> Sections | None:
        """What a kernel is told of: of one that no host has looked into, what is not loaded stays in its file."""
        if isinstance(self._plan, Plan):
            return self._loading.records[kernel].sections
        file = self._machine.contents.get(kernel, b"")
        found = sections.find(io.BytesIO(file))
        return found and sections.place(found, self._loading.places[kernel].start, len(file))

    def _check_entry(self, who: str, kernel: int, entry: int) -> None:
        pieces = self._loading.records[kernel].pieces
        if not any(piece.dest <= entry < piece.dest + piece.dest_size for piece in pieces):
            raise BootFailure("E_ENTRY", who, entry)
