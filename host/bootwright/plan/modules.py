"""The modules that go into an image: looked into, and packed into files; not placed yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError, ErrorList, KernelError, SourceError, about, why
from bootwright.common.ranges import Range
from bootwright.description.load import Description, DomainDescription
from bootwright.description.records import OfDomain, OfHypervisor, Owner
from bootwright.hyperlaunch.model import BootInfo
from bootwright.inputs import resolve
from bootwright.kernels import bzimage, elf, linux, protocols
from bootwright.kernels.kernel import Kernel, OtherProtocol, Refused
from bootwright.plan.kept import Keeper
from bootwright.plan.pack import Packed, pack_file, pack_kernel, store

Progress = Callable[[str, int, int], None]  # what is being done, bytes done, bytes in all

# What a hypervisor gets for itself, and itself: under which key of [hypervisor].
HYPERVISOR_KEYS = {
    "BOOTMOD_FDT": "lcm",
    "BOOTMOD_UCODE": "microcode",
    "BOOTMOD_XSM": "xsm-policy",
    "BOOTMOD_XEN": "kernel",
}
STORED = ("microcode", "xsm-policy")  # small, and looked for early


@dataclass(frozen=True)
class Job:
    """A module that goes in: its index in BootInfo.mods, whose it is and under which key, and what it has become.
    kernel: only for one that the stub enters. load_address: where the loader puts it in the machine; place: where it is
    used, as its owner sees it; None until it was placed, and for one that is used from where a loader will put it.
    """

    mod: int
    owner: Owner
    key: str
    packed: Packed
    kernel: Kernel | None = None
    load_address: int = 0
    place: Range | None = None

    def unpacked_size(self, file: int) -> int:
        """Bytes of what the stub makes of it; file: those of the file that it was."""
        if self.kernel is not None:
            return self.kernel.size
        return file if self.packed.pieces else self.packed.size


class Jobs:
    """Makes a Job of each module. notes: sentences about what was decided."""

    def __init__(self, description: Description, info: BootInfo, workdir: Path, progress: Progress | None) -> None:
        self._description = description
        self._info = info
        self._workdir = workdir
        self._progress = progress
        self._jobs: dict[int, Job] = {}
        self._keeper = Keeper(resolve.cache_directory())
        self.notes: list[str] = []

    @property
    def done(self) -> tuple[Job, ...]:
        """What there is so far, in the order of the model."""
        return tuple(self._jobs[mod] for mod in sorted(self._jobs))

    def add_domain(self, index: int) -> None:
        """Look into and pack the modules of a domain; its configs only where a device tree tells the launcher
        which they are. Raises KernelError, SourceError, ErrorList.
        """
        told = self._info.builder is not None and self._info.builder.fdt_enabled
        modules, left = self._info.domains[index].modules, () if told else ("device-tree", "config")
        self._add(OfDomain(index), {key: mod for key, mod in modules.items() if key not in left})

    def add_hypervisor(self) -> None:
        """The same for the hypervisor and what is for it: the device tree that names the domains, microcode,
        XSM policy.
        """
        keys = {load_abi().constants[kind]: key for kind, key in HYPERVISOR_KEYS.items()}
        found = {keys[module.kind]: mod for mod, module in enumerate(self._info.mods) if module.kind in keys}
        self._add(OfHypervisor(), found)

    def _add(self, owner: Owner, modules: Mapping[str, int]) -> None:
        errors: list[BootwrightError] = []
        for key, mod in modules.items():
            try:
                if mod not in self._jobs:
                    self._jobs[mod] = self._make(mod, owner, key)
            except BootwrightError as error:
                errors.append(error)
        if errors:
            raise ErrorList(errors) if len(errors) > 1 else errors[0]

    def _make(self, mod: int, owner: Owner, key: str) -> Job:
        source = self._info.mods[mod].path or Path()
        folder = self._workdir / f"module{mod}"
        folder.mkdir(exist_ok=True)
        described = self._description.owners[owner]
        shown = resolve.shown(described.files.get(key), self._description.path.parent, source)
        with about(f"{described.subject}: {key} {shown}", described.place(key), joint=" "):
            try:
                if key == "kernel":
                    match owner:
                        case OfHypervisor():
                            return self._kernel(mod, owner, "multiboot2", folder)
                        case OfDomain(index) if self._info.hypervisor is None:
                            return self._domains_kernel(mod, self._description.domains[index], owner, folder)
                        case OfDomain():
                            _check_kernel_for_xen(source)
                return Job(mod, owner, key, self._file(mod, key, folder))
            except OSError as error:
                raise SourceError(f"cannot be read and packed: {why(error)}") from error

    def _file(self, mod: int, key: str, folder: Path) -> Packed:
        """A module that is used as the file that it is."""
        module = self._info.mods[mod]
        if not module.size or module.path is None:
            raise SourceError("is empty")
        if key in STORED:
            return store(module.path, self._step(f"hashing {module.name}", module.size))
        out, pack, path = folder / f"{module.name}.packed", self._description.image.pack, module.path
        step = self._step(f"packing {module.name}", module.size)
        _, packed = self._keeper.get(path, ("file", pack), out, lambda: (None, pack_file(path, out, pack, step)))
        return packed

    def _domains_kernel(self, mod: int, domain: DomainDescription, owner: OfDomain, folder: Path) -> Job:
        """The kernel of a domain that the stub starts: it has to read all that the domain is told."""
        job = self._kernel(mod, owner, domain.protocol, folder)
        assert job.kernel is not None
        size, limit = len(self._info.mods[mod].string.encode()), job.kernel.max_cmdline
        if limit is not None and size > limit:  # what is added at boot is checked there
            message = f"reads a command line of at most {limit} bytes, but cmdline is {size} bytes long"
            raise KernelError(message, domain.place("cmdline"))
        if domain.modules and job.kernel.protocol == linux.PROTOCOL.name:  # which has no list of modules
            message = "is entered by the Linux boot protocol, which hands over a ramdisk and no modules"
            raise KernelError(message, domain.place("modules"))
        return job

    def _kernel(self, mod: int, owner: Owner, wanted: str, folder: Path) -> Job:
        """A kernel that the stub enters."""
        module = self._info.mods[mod]
        path, out = module.path or Path(), folder / f"{module.name}.packed"
        asked = ("kernel", self._description.image.launcher, wanted, self._description.image.pack)
        kernel, packed = self._keeper.get(path, asked, out, lambda: self._packed(mod, owner, wanted, out))
        subject = self._description.owners[owner].subject
        if wanted == "auto":
            self.notes.append(f"{subject}: protocol auto is {kernel.protocol}: kernel {module.name} {kernel.reason}")
        elif kernel.remark:
            self.notes.append(f"{subject}: kernel {module.name} {kernel.remark}")
        return Job(mod, owner, "kernel", packed, kernel)

    def _packed(self, mod: int, owner: Owner, wanted: str, out: Path) -> tuple[Kernel, Packed]:
        """A kernel that the stub enters, and its segments, packed; what it is unpacked to lies beside `out`."""
        module, image, folder = self._info.mods[mod], self._description.image, out.parent
        path = module.path or Path()
        try:
            partition = image.launcher == "partition"
            order = protocols.OF_PARTITIONS if partition else protocols.PROTOCOLS
            kernel = protocols.choose(wanted, path, folder, order)
        except (OtherProtocol, Refused) as error:
            others = protocols.fitting(path, folder) if isinstance(owner, OfDomain) else []
            if not others:
                raise
            listed = " or ".join(f'"{name}"' for name in ("auto", *others))
            raise KernelError(f"{error.message}; use protocol = {listed}") from error
        if kernel.stored:
            if image.pack == "lz4":
                other = '; protocol = "pvh" takes the kernel out of it' if _has_pvh(path, folder) else ""
                raise KernelError(
                    'cannot be packed (pack = "lz4"): the Linux boot protocol needs the file as it is, with '
                    f"its setup header in front; a bzImage is compressed already{other}",
                    image.place("pack"),
                )
            (part,) = kernel.segments
            packed = store(kernel.path, self._step(f"hashing {module.name}", module.size))
            return kernel, packed.with_part(part.p_offset, part.p_filesz, kernel.reserve_pages)
        total = sum(segment.p_filesz for segment in kernel.segments)
        step = self._step(f"packing {module.name}", total)
        packed = pack_kernel(kernel.path, kernel.segments, out, image.pack, step)
        if not packed.size:
            raise KernelError("has nothing but zeros to load")
        return kernel, packed

    def _step(self, what: str, total: int) -> Callable[[int], None] | None:
        progress, done = self._progress, 0
        if progress is None:
            return None

        def step(size: int) -> None:
            nonlocal done
            done += size
            progress(what, min(done, total), total)

        return step


def _has_pvh(path: Path, folder: Path) -> bool:
    return "pvh" in protocols.fitting(path, folder)


def _check_kernel_for_xen(path: Path) -> None:
    """Xen takes a domain's kernel as a file: an ELF file, or a bzImage, which it unpacks itself."""
    with path.open("rb") as stream:
        head = stream.read(load_abi().constants["BOOT_PARAMS_PAD7"])
    if bzimage.is_bzimage(head):
        bzimage.read(path)
    elif head.startswith(elf.MAGIC):
        elf.read(path)
    else:
        raise KernelError("is no kernel: neither an ELF file nor a bzImage")
