"""The plan: everything that can be fixed before boot, fixed.

    plan = make(description, info, workdir)      # Plan
    for module in plan.modules:                  # the bytes of module.payload go to module.load_address
        ...

make looks into the kernels of the domains that the launcher builds, packs the modules into files in the
work folder, gives them addresses, and refuses what does not fit. Modules of domains that this launcher does
not build are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bootwright import builder, protocols
from bootwright.abi import load as load_abi
from bootwright.description import Description, ImageDescription
from bootwright.errors import BootwrightError, ErrorList, KernelError, PlanError, SourceError
from bootwright.kernel import Kernel
from bootwright.model import BootDomain, BootInfo
from bootwright.pack import Packed, Piece, pack_kernel, pack_ramdisk
from bootwright.placement import Memory, Placement
from bootwright.ranges import Range, align_up

Progress = Callable[[str, int, int], None]  # what is being done, bytes done, bytes in all

MIB = 1 << 20


@dataclass(frozen=True)
class PlannedImage:
    """The image's settings, as numbers of stub/abi/tables.h."""

    name: str
    console: int
    serial_port: int
    serial_divisor: int
    log: int
    on_failure: int
    reboot_seconds: int


@dataclass(frozen=True)
class PlannedModule:
    """struct module_record with its pieces. payload: the file with the `size` bytes that are embedded or
    loaded.
    """

    name: str
    kind: int
    flags: int
    string: str
    load_address: int
    size: int
    unpacked_size: int
    start: int
    sha256: bytes
    pieces: tuple[Piece, ...] = ()
    payload: Path | None = field(default=None, compare=False)

    @property
    def embedded(self) -> bool:
        """Whether it is part of the image."""
        return bool(self.flags & load_abi().constants["MODULE_EMBEDDED"])

    @property
    def load_range(self) -> Range:
        """Where the loader puts its packed bytes; empty at 0 for one that is not embedded."""
        return Range.sized(self.load_address, self.size if self.embedded else 0)


@dataclass(frozen=True)
class PlannedDomain:
    """A domain with its modules as indices into Plan.modules; protocol: PROTOCOL_*; entry: physical
    address.
    """

    domain: BootDomain
    protocol: int
    entry: int


@dataclass(frozen=True)
class Plan:
    """All of it. placements: what was placed, for the map. transcript: what the domain builder will print
    at boot. notes: sentences a user may want to know. The last three are not part of the tables.
    """

    image: PlannedImage
    domains: tuple[PlannedDomain, ...]
    modules: tuple[PlannedModule, ...]
    placements: tuple[Placement, ...] = field(default=(), compare=False)
    transcript: tuple[str, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)


def make(description: Description, info: BootInfo, workdir: Path, progress: Progress | None = None) -> Plan:
    """Plan the image of `description`, whose model is `info`. Packed files go to workdir, which must be
    there.

    Raises PlanError, KernelError or SourceError, with the place in the description.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    lines, outcome = builder.transcript(info)
    if isinstance(outcome, builder.BootFailure):
        raise PlanError(f"this description would fail at boot with {outcome}", description.image.where)
    built = [one.index for one in outcome.built]
    planner = _Planner(description, info, workdir, progress)
    for index in built:
        planner.add_domain(index)
    planner.place()
    modules = planner.modules()
    limit = load_abi().constants["MAX_MODULES"]
    if len(modules) > limit:
        message = f"{len(modules)} modules are needed, but at most {limit} are possible"
        raise PlanError(message, description.image.where)
    return Plan(
        _image(description.image),
        planner.domains(),
        modules,
        tuple(planner.memory.placements),
        tuple(lines),
        tuple(_notes(description, built)),
    )


@dataclass(frozen=True)
class _Job:
    """A module that goes in: for which domain, under which key of it, and what it has become."""

    index: int  # in BootInfo.mods
    domain: int
    key: str
    packed: Packed
    kernel: Kernel | None = None


class _Planner:
    """The steps of make, with what they share."""

    def __init__(
        self, description: Description, info: BootInfo, workdir: Path, progress: Progress | None
    ) -> None:
        self._description = description
        self._info = info
        self._domains = info.builder.domains if info.builder else ()
        self._workdir = workdir
        self._progress = progress
        self._jobs: dict[int, _Job] = {}  # by index in BootInfo.mods
        self._placed: dict[int, tuple[int, int]] = {}  # load address and final start
        self.memory = Memory()

    def add_domain(self, index: int) -> None:
        """Look into and pack the modules of a domain; check what can be without addresses."""
        domain = self._domains[index]
        errors: list[BootwrightError] = []
        for key, mod in (("kernel", domain.kernel), ("ramdisk", domain.ramdisk)):
            try:
                if mod is not None and mod not in self._jobs:
                    self._jobs[mod] = self._pack(mod, index, key)
            except BootwrightError as error:
                errors.append(error)
        if errors:
            raise ErrorList(errors) if len(errors) > 1 else errors[0]
        self._check_memory(index)

    def _subject(self, index: int, key: str) -> str:
        return f'domain "{self._domains[index].name}": {key}'

    def _pack(self, mod: int, index: int, key: str) -> _Job:
        module = self._info.mods[mod]
        source = module.path or Path()
        folder = self._workdir / f"module{mod}"
        folder.mkdir(exist_ok=True)
        out = folder / f"{module.name}.packed"
        pack = self._description.image.pack
        where = self._description.domains[index].place(key)
        wanted = self._description.domains[index].protocol
        if key == "kernel" and wanted not in ("auto", *protocols.NAMES):
            where = self._description.domains[index].place("protocol")
        try:
            if key == "ramdisk":
                if not module.size:
                    raise SourceError("is empty")
                packed = pack_ramdisk(source, out, pack, self._step(f"packing {module.name}", module.size))
                return _Job(mod, index, key, packed)
            kernel = protocols.choose(wanted, source, folder)
            total = sum(segment.p_filesz for segment in kernel.segments)
            step = self._step(f"packing {module.name}", total)
            packed = pack_kernel(kernel.path, kernel.segments, out, pack, step)
            if not packed.size:
                raise KernelError("has nothing but zeros to load")
            return _Job(mod, index, key, packed, kernel)
        except (KernelError, SourceError) as error:
            raise type(error)(f"{self._subject(index, key)} {source} {error.message}", where) from error
        except OSError as error:
            reason = f"cannot be read and packed: {error.strerror or error}"
            raise SourceError(f"{self._subject(index, key)} {source} {reason}", where) from error

    def _step(self, what: str, total: int) -> Callable[[int], None] | None:
        progress, done = self._progress, 0
        if progress is None:
            return None

        def step(size: int) -> None:
            nonlocal done
            done += size
            progress(what, min(done, total), total)

        return step

    def _check_memory(self, index: int) -> None:
        """Kernel and ramdisk must fit into the domain's memory, wherever they go."""
        domain, kernel = self._domains[index], self._kernel(index)
        ramdisk = self._info.mods[domain.ramdisk].size if domain.ramdisk is not None else 0
        if kernel is None:
            return
        size = sum(part.size for part in kernel.ranges)
        if max(kernel.span.end, size + ramdisk) > self._memory(index):
            self._too_small(index, max(kernel.span.end, load_abi().constants["IMAGE_LIMIT"] + size + ramdisk))

    def _kernel(self, index: int) -> Kernel | None:
        mod = self._domains[index].kernel
        return self._jobs[mod].kernel if mod is not None else None

    def _memory(self, index: int) -> int:
        return self._domains[index].mem_size.pages(0) * load_abi().constants["PAGE_SIZE"]

    def _too_small(self, index: int, needed: int) -> None:
        domain, kernel = self._domains[index], self._kernel(index)
        parties = f"kernel {kernel.span}" if kernel else "what it loads"
        if domain.ramdisk is not None:
            parties += f" and ramdisk of {self._info.mods[domain.ramdisk].size:#x} bytes"
        raise PlanError(
            f"{self._subject(index, 'memory')} {Range(0, self._memory(index))} is too small for {parties}: "
            f"at least {align_up(needed, MIB) // MIB}M are needed",
            self._description.domains[index].place("memory"),
        )

    def place(self) -> None:
        """Kernels have their places; ramdisks come next, as low as possible; then what is only passing."""
        jobs = list(self._jobs.values())
        for job in jobs:
            if job.kernel is not None:
                name = self._info.mods[job.index].name
                for part in job.kernel.ranges:
                    self._guard(job, self.memory.claim, part, f"kernel {name}")
        embedded = self._description.image.modules == "embedded"
        for job in jobs:
            if job.kernel is None and (embedded or job.packed.pieces):
                self._guard(job, self._place_ramdisk, job)
        for job in jobs:
            if embedded and job.packed.pieces:
                self._guard(job, self._place_packed, job)
        for job in jobs:
            if self.memory.top > self._memory(job.domain):
                self._too_small(job.domain, self.memory.top)

    def _guard(self, job: _Job, step: Callable[..., None], *arguments: object) -> None:
        try:
            step(*arguments)
        except PlanError as error:
            where = self._description.domains[job.domain].place(job.key)
            raise PlanError(f'domain "{self._domains[job.domain].name}": {error.message}', where) from error

    def _place_ramdisk(self, job: _Job) -> None:
        module = self._info.mods[job.index]
        final = self.memory.place(module.size, f"ramdisk {module.name}", lasting=True)
        self._placed[job.index] = (0, final.start) if job.packed.pieces else (final.start, 0)

    def _place_packed(self, job: _Job) -> None:
        name = self._info.mods[job.index].name
        load = self.memory.place(job.packed.size, f"packed {job.key} {name}", lasting=False)
        self._placed[job.index] = (load.start, self._placed.get(job.index, (0, 0))[1])

    def modules(self) -> tuple[PlannedModule, ...]:
        """What goes into the tables, in the order of the model."""
        return tuple(self._module(self._jobs[index]) for index in sorted(self._jobs))

    def _module(self, job: _Job) -> PlannedModule:
        constants = load_abi().constants
        module = self._info.mods[job.index]
        load_address, start = self._placed.get(job.index, (0, 0))
        image = self._description.image
        flags = constants["MODULE_EMBEDDED"] if image.modules == "embedded" else 0
        flags |= constants["MODULE_VERIFY"] if image.verify else 0
        return PlannedModule(
            name=module.name,
            kind=module.kind,
            flags=flags,
            string=module.string,
            load_address=load_address,
            size=job.packed.size,
            unpacked_size=job.kernel.size if job.kernel else module.size,
            start=start,
            sha256=job.packed.sha256,
            pieces=tuple(piece.moved(start) for piece in job.packed.pieces),
            payload=job.packed.path,
        )

    def domains(self) -> tuple[PlannedDomain, ...]:
        """All domains; those that are not built refer to no module."""
        constants = load_abi().constants
        order = {mod: position for position, mod in enumerate(sorted(self._jobs))}
        planned: list[PlannedDomain] = []
        for index, domain in enumerate(self._domains):
            kernel = self._jobs[domain.kernel].kernel if domain.kernel in self._jobs else None
            built = any(job.domain == index for job in self._jobs.values())
            planned.append(
                PlannedDomain(
                    replace(
                        domain,
                        kernel=order.get(domain.kernel) if built and domain.kernel is not None else None,
                        ramdisk=order.get(domain.ramdisk) if built and domain.ramdisk is not None else None,
                    ),
                    constants[f"PROTOCOL_{kernel.protocol.upper()}"]
                    if built and kernel
                    else constants["PROTOCOL_NONE"],
                    kernel.entry if built and kernel else 0,
                )
            )
        return tuple(planned)


def _image(image: ImageDescription) -> PlannedImage:
    constants = load_abi().constants
    serial = constants["CONSOLE_SERIAL"] if image.console.serial_port is not None else 0
    vga = constants["CONSOLE_VGA"] if image.console.vga else 0
    reboot = image.on_failure is not None
    return PlannedImage(
        name=image.name,
        console=serial | vga,
        serial_port=image.console.serial_port or 0,
        serial_divisor=image.console.serial_divisor,
        log=constants[f"LOG_{image.log.upper()}"],
        on_failure=constants["ON_FAILURE_REBOOT" if reboot else "ON_FAILURE_HALT"],
        reboot_seconds=image.on_failure or 0,
    )


def _notes(description: Description, built: Iterable[int]) -> Iterable[str]:
    done = set(built)
    for index, domain in enumerate(description.domains):
        if index not in done:
            left = " and ".join(key for key in ("kernel", "ramdisk") if getattr(domain, key) is not None)
            what = f"; its {left} are left out of the image" if left else ""
            yield f'domain "{domain.name}" is not built by the native launcher{what}'
