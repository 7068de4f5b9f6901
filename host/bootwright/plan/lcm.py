"""The launch control module: the device tree that Xen with Hyperlaunch finds as module 0.

    info = lcm.add(described, info, workdir)    # BootInfo with the tree as module 0, in a file in workdir
    blob = lcm.make(described, info)            # its bytes
    lcm.notes(described)                        # sentences for the user

The Hyperlaunch series' parser trusts its tree: what docs/domain-builder.md says crashes it is refused here,
and only what it reads is written. Kernels are handed over as ELF files, unpacked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import (
    BootwrightError,
    DescriptionError,
    ErrorList,
    KernelError,
    about,
    listed,
    why,
)
from bootwright.description.load import Description, DomainDescription
from bootwright.description.records import Table
from bootwright.devicetree import fdt, writer
from bootwright.devicetree.bindings import ARCHITECTURE, CONFIG, HYPERVISOR, KINDS, text
from bootwright.devicetree.fdt import Node
from bootwright.hyperlaunch.model import BootDomain, BootInfo, BootModule, DomainBuilder
from bootwright.inputs import resolve
from bootwright.kernels import bzimage, elf, protocols

NEEDED = {"xenstore": "FUNCTION_XENSTORE", "console": "FUNCTION_CONSOLE"}


def add(description: Description, info: BootInfo, workdir: Path) -> BootInfo:
    """The model with the blob as module 0, all others one further, and every kernel of a domain as an ELF file, which
    is unpacked into workdir where it is not one. Raises as make does, and for a kernel that cannot be unpacked.
    """
    errors: list[BootwrightError] = []
    try:
        blob = make(description, info)
    except ErrorList as error:
        errors.append(error)
    try:
        info = replace(info, mods=_unpacked(description, info, workdir))
    except ErrorList as error:
        errors.append(error)
    if errors:
        raise ErrorList(errors)
    names = {module.name for module in info.mods}
    name = next(name for name in (f"lcm{'_' * count}.dtb" for count in range(len(names) + 1)) if name not in names)
    path = workdir / name
    path.write_bytes(blob)
    first = BootModule(load_abi().constants["BOOTMOD_FDT"], len(blob), name=name, path=path)

    domains = tuple(domain.renumbered(lambda mod: mod + 1) for domain in info.domains)
    return replace(
        info,
        mods=(first, *info.mods),
        builder=DomainBuilder(domains, fdt_enabled=True),
        hypervisor=None if info.hypervisor is None else info.hypervisor + 1,
    )


def make(description: Description, info: BootInfo, numbers: Mapping[int, int] | None = None) -> bytes:
    """The blob for the domains of `info`, which is the model of `description`.

    numbers: the number that Xen will find a module of info.mods under, its place behind the blob: by default one
    more than its place among those that are handed over. Raises ErrorList of everything that would crash Xen's
    parser.
    """
    if numbers is None:
        numbers = {mod: number for number, mod in enumerate(_handed_over(info), 1)}
    domains = info.domains
    errors = list(_check_roles(description))
    for domain, described in zip(domains, description.domains, strict=True):
        errors += [*_check_mode(described), *_check_numbers(described, _modules(domain), numbers)]
    if description.hypervisor is not None:
        errors += _check_numbers(description.hypervisor, _own(info), numbers)
    if errors:
        raise ErrorList(errors)
    nodes = tuple(
        _node(domain, described, info, numbers) for domain, described in zip(domains, description.domains, strict=True)
    )
    config = _config(description, info, numbers)
    hypervisor = Node("hypervisor", {"compatible": text(HYPERVISOR, ARCHITECTURE)}, (*config, *nodes))
    return fdt.write(Node("", {}, (Node("chosen", {}, (hypervisor,)),)))


def notes(description: Description) -> Iterator[str]:
    """What the description says and Xen will not know."""
    for domain in description.domains:
        unread = [
            key
            for key, there in (
                ("uuid", any(domain.uuid)),
                ("memory-min", domain.memory_min is not None),
                ("memory-max", domain.memory_max is not None),
            )
            if there
        ]
        if unread:
            them = "it" if len(unread) == 1 else "them"
            yield f"{domain.subject}: {listed(unread)}: Xen does not read {them} from a device tree"


def _modules(domain: BootDomain) -> dict[str, int]:
    """A domain's modules; one without a kernel is not built, and nothing of it is handed over."""
    return domain.modules if domain.kernel is not None else {}


def _own(info: BootInfo) -> dict[str, int]:
    """The modules for Xen itself, by their keys in a description."""
    kinds = {load_abi().constants[KINDS[key]]: key for key in ("microcode", "xsm-policy")}
    return {kinds[module.kind]: mod for mod, module in enumerate(info.mods) if module.kind in kinds}


def _handed_over(info: BootInfo) -> list[int]:
    """The modules behind the blob, in their order."""
    domains = info.domains
    found = {mod for domain in domains for mod in _modules(domain).values()}
    return sorted(found | set(_own(info).values()))


def _check_roles(description: Description) -> Iterator[DescriptionError]:
    constants = load_abi().constants
    for word, function in NEEDED.items():
        if not any(domain.functions & constants[function] for domain in description.domains):
            message = (
                f'no domain has the function "{word}", and Xen crashes on such a device tree: give it to one, as '
                f'functions = ["{word}"]'
            )
            yield (description.hypervisor or description.image).error("lcm", message)


def _check_mode(domain: DomainDescription) -> Iterator[DescriptionError]:
    if domain.mode != "pv" and not domain.initial:
        what = f'"{domain.mode}" is not what Xen builds from a device tree beside the initial domain'
        yield domain.error("mode", f'{what}; it builds "pv"')


def _check_numbers(table: Table, modules: Mapping[str, int], numbers: Mapping[int, int]) -> Iterator[DescriptionError]:
    limit = min(len(numbers), load_abi().constants["MAX_MODULES"] - 1)
    for key, mod in modules.items():
        number = numbers.get(mod)
        if number is None or not 1 <= number <= limit:
            found = "has no number" if number is None else f"is module {number}"
            told = f"{found}, which Xen does not check; modules behind the device tree are 1 to {limit}"
            yield table.error(key, told)


def _unpacked(description: Description, info: BootInfo, workdir: Path) -> tuple[BootModule, ...]:
    """The modules, with the kernels of domains unpacked. Raises ErrorList."""
    mods, errors = list(info.mods), list[BootwrightError]()
    made: dict[Path, Path] = {}
    for index, domain in enumerate(info.domains):
        module = mods[domain.kernel] if domain.kernel is not None else None
        if module is None or module.path is None or domain.kernel is None:
            continue
        described = description.domains[index]
        shown = resolve.shown(described.kernel, description.path.parent, module.path)
        try:
            with about(f"{described.subject}: kernel {shown}", described.place("kernel"), joint=" "):
                path = made.get(module.path) or _as_elf(module.path, workdir / f"unpacked{index}")
        except KernelError as error:
            errors.append(error)
            continue
        made[module.path] = path
        mods[domain.kernel] = replace(module, path=path, size=path.stat().st_size)
    if errors:
        raise ErrorList(errors)
    return tuple(mods)


def _as_elf(path: Path, folder: Path) -> Path:
    """The kernel itself, or what is in it if it is a bzImage or gzip's. Raises KernelError."""
    try:
        folder.mkdir(exist_ok=True)
        return _unpack(protocols.gunzipped(path, folder), folder)
    except OSError as error:
        raise KernelError(f"cannot be unpacked: {why(error)}") from error


def _unpack(path: Path, folder: Path) -> Path:
    with path.open("rb") as stream:
        if not bzimage.is_bzimage(stream.read(bzimage.HEADER_END)):
            return path  # an ELF file, or what the plan says is no kernel
    unpacked = folder / f"{path.name}.unpacked"
    bzimage.unpack(path, unpacked)
    with unpacked.open("rb") as stream:
        if stream.read(len(elf.MAGIC)) != elf.MAGIC:
            raise KernelError("is a bzImage whose payload is no ELF file")
    elf.read(unpacked)
    return unpacked


def _node(domain: BootDomain, described: DomainDescription, info: BootInfo, numbers: Mapping[int, int]) -> Node:
    modules = tuple(writer.module(key, numbers[mod], info.mods[mod].string) for key, mod in _modules(domain).items())
    return Node(domain.name, writer.domain_properties(described), modules)


def _config(description: Description, info: BootInfo, numbers: Mapping[int, int]) -> tuple[Node, ...]:
    """The node for Xen itself, if there is something to say in it."""
    modules = tuple(writer.module(key, numbers[mod]) for key, mod in _own(info).items())
    if not modules:
        return ()
    name = writer.config_name(description)
    return (Node(name, {"compatible": text(CONFIG)}, modules),)
