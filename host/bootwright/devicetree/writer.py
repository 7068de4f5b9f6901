"""A description as a Hyperlaunch device tree: what reader.load reads back to the same description.

    tree = tree(described, folder)                       # fdt.Node; paths as seen from `folder`
    write(described, "dts", Path("build/lab/lab.dts"))

Module N of the tree is number N behind the tree itself, so that the same tree serves a stub that finds its
modules at boot. The bindings: docs/domain-builder.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import DescriptionError
from bootwright.common.words import none_of
from bootwright.description import roles, values
from bootwright.description.load import Description, DomainDescription, ImageDescription, SharedDescription
from bootwright.description.records import Table
from bootwright.description.values import (
    COM_PORTS,
    DEFAULT_CONSOLE,
    HANDED_KEY,
    UART_CLOCK,
    Console,
    FileSource,
    Source,
)
from bootwright.devicetree import bindings, dts, fdt
from bootwright.devicetree.bindings import HANDED, OWN, cells, text
from bootwright.devicetree.fdt import Node

FORMATS = ("dts", "dtb")

Key = tuple[str, Source, str, str]  # a module: its kind, its file, its string, the domain whose own it is or ""


def write(description: Description, form: str, output: Path) -> None:
    """Write the tree of a description. form: one of FORMATS. Raises DescriptionError."""
    if form not in FORMATS:
        raise DescriptionError(f"format: {none_of(form, FORMATS)}")
    made = tree(description, output.parent)
    output.write_bytes(dts.write(made).encode() if form == "dts" else fdt.write(made))


def tree(description: Description, folder: Path) -> Node:
    """The tree of a description; files are named as seen from `folder`.

    Raises DescriptionError where there are more modules than a loader can bring.
    """
    numbers = _numbers(description)
    children = [
        *([_config(description, numbers, folder)] if description.hypervisor else []),
        *(_domain(description, domain, numbers, folder) for domain in description.domains),
        *(_shared(one) for one in description.shared),
    ]
    properties = {"compatible": text(bindings.HYPERVISOR, bindings.ARCHITECTURE), **_image(description.image)}
    hypervisor = Node("hypervisor", properties, tuple(children))
    return Node("", {}, (Node("chosen", {}, (hypervisor,)),))


def config_name(description: Description) -> str:
    """A name for the node of Xen's own settings that no domain has."""
    names = {domain.name for domain in description.domains}
    numbered = (f"config-{number}" for number in range(load_abi().constants["MAX_DOMAINS"]))
    return next(name for name in ("config", *numbered) if name not in names)


def _numbers(description: Description) -> dict[Key, int]:
    """The module-index of every module: as in the model, the same module is there once, or for each domain."""
    limit = load_abi().constants["MAX_MODULES"] - 1
    found: dict[Key, int] = {}
    named: list[tuple[Table, Key]] = []
    for domain in description.domains:
        named += [(domain, key) for key in _modules(description, domain)]
    if hypervisor := description.hypervisor:
        named += [(hypervisor, (key, source, "", "")) for key, source in hypervisor.modules.items()]
    for table, module_key in named:
        number = found.setdefault(module_key, len(found) + 1)
        if number > limit:
            message = f"is module {number}, but at most {limit} are possible behind a device tree"
            raise table.error(module_key[0], message)
    return found


def _modules(description: Description, domain: DomainDescription) -> list[Key]:
    """Those of `modules` are each one of its own, whatever others there are; all are where Xen builds the domains."""
    shared = description.hypervisor is None or not description.hypervisor.lcm
    handed = domain.handed
    found: list[Key] = []
    for key, source in domain.files.items():
        string = handed[key].string if key in handed else domain.cmdline if key == "kernel" else ""
        found.append((key, source, string, "" if shared and key not in handed else domain.name))
    return found


def _image(image: ImageDescription) -> dict[str, bytes]:
    """The settings of the image that are not the defaults, and its name."""
    default = ImageDescription(image.name)
    settings: dict[str, bytes] = {"name": text(image.name)}
    for key in ("launcher", "log", "pack", "modules"):
        if getattr(image, key) != getattr(default, key):
            settings[key] = text(getattr(image, key))
    if image.console != DEFAULT_CONSOLE:
        settings["console"] = text(*_console(image.console))
    if image.sbat != default.sbat:
        settings["sbat"] = text(*image.sbat)
    if image.on_failure is not None:
        settings["on-failure"] = text(f"reboot after {image.on_failure} s")
    for key in ("verify", "generic"):
        if getattr(image, key) != getattr(default, key):
            settings[key] = cells(getattr(image, key))
    return {OWN + key: value for key, value in settings.items()}


def _console(console: Console) -> list[str]:
    ports = {port: name for name, port in COM_PORTS.items()}
    serial = []
    if console.serial_port is not None:
        name = ports.get(console.serial_port, f"{console.serial_port:#x}")
        serial.append(f"{name},{UART_CLOCK // console.serial_divisor}")
    return serial + ["vga"] * console.vga


class _Folders:
    """Paths that start from one folder, as seen from another."""

    def __init__(self, old: Path, new: Path) -> None:
        self._old, self._new = old, new

    def path(self, path: str) -> str:
        if self._old == self._new or Path(path).is_absolute():
            return path
        return os.path.relpath(self._old / path, self._new)

    def source(self, source: Source) -> dict[str, bytes]:
        """A file by bootwright's own properties."""
        if isinstance(source, FileSource):
            return {f"{OWN}path": text(self.path(source.path))}
        found = {f"{OWN}package": text(source.package), f"{OWN}file": text(source.file)}
        if source.init is not None:
            found[f"{OWN}init"] = text(self.path(source.init))
        if source.programs:
            found[f"{OWN}programs"] = text(*(self.path(path) for path in source.programs))
        return found


def _config(description: Description, numbers: Mapping[Key, int], folder: Path) -> Node:
    hypervisor = description.hypervisor
    assert hypervisor is not None
    properties = {"compatible": text(bindings.CONFIG)}
    if hypervisor.cmdline:
        properties["bootargs"] = text(hypervisor.cmdline)
    if hypervisor.lcm:
        properties[f"{OWN}lcm"] = cells(1)
    folders = _Folders(description.folder, folder)
    modules = tuple(
        module(kind, numbers[kind, source, "", ""], "", folders.source(source))
        for kind, source in hypervisor.modules.items()
    )
    return Node(config_name(description), {**properties, **folders.source(hypervisor.kernel)}, modules)


def _domain(description: Description, domain: DomainDescription, numbers: Mapping[Key, int], folder: Path) -> Node:
    properties = domain_properties(domain)
    if domain.protocol != "auto":
        properties[f"{OWN}protocol"] = text(domain.protocol)
    for key, size in (("memory-min", domain.memory_min), ("memory-max", domain.memory_max)):
        if size is not None:
            properties[OWN + key] = text(values.in_units(size))
    properties |= _partition_properties(domain)
    folders = _Folders(description.folder, folder)
    modules = tuple(
        module(key[0], numbers[key], key[2], folders.source(key[1])) for key in _modules(description, domain)
    )
    return Node(domain.name, properties, modules, comments(domain))


def _partition_properties(domain: DomainDescription) -> dict[str, bytes]:
    """What only the partition launcher knows of a domain, where it is not the default."""
    default = DomainDescription(domain.name, domain.memory)
    found: dict[str, bytes] = {}
    if domain.cpu_ids:
        found["cpu-ids"] = cells(*domain.cpu_ids)
    if domain.ports:
        found["ports"] = text(*(f"{ports.start:#x}-{ports.end - 1:#x}" for ports in domain.ports))
    if domain.console != default.console:
        passed = domain.console.kind == "passed"
        found["console"] = text(f"{domain.console.port:#x}" if passed else domain.console.kind)
    if domain.on_end != default.on_end:
        found["on-end"] = text(domain.on_end)
    if domain.restarts != default.restarts:
        found["restarts"] = cells(domain.restarts)
    return {OWN + key: value for key, value in found.items()}


def _shared(shared: SharedDescription) -> Node:
    """The node of a [[shared]]."""
    properties = {
        "compatible": text(bindings.SHARED),
        f"{OWN}size": text(values.in_units(shared.size)),
        f"{OWN}between": text(*shared.between),
        f"{OWN}mode": text(shared.mode),
        f"{OWN}as": text(shared.kind),
    }
    return Node(shared.name, properties)


def domain_properties(domain: DomainDescription) -> dict[str, bytes]:
    """The bindings' own properties of a domain."""
    properties = {
        "compatible": text(bindings.DOMAIN),
        "domid": cells(domain.domid),
        "permissions": cells(domain.permissions),
        "functions": cells(domain.functions),
        "mode": cells(roles.modes()[domain.mode]),
    }
    if any(domain.uuid):
        properties["domain-uuid"] = domain.uuid
    properties |= {"cpus": cells(domain.cpus), "memory": text(values.in_units(domain.memory))}
    if domain.security_id:
        properties["security-id"] = text(domain.security_id)
    return properties


def comments(domain: DomainDescription) -> dict[str, str]:
    """What the cells of a domain mean."""
    return {
        "permissions": ", ".join(roles.words("PERMISSION_", domain.permissions)) or "none",
        "functions": ", ".join(roles.words("FUNCTION_", domain.functions)) or "none",
        "mode": f"{domain.mode.upper()}, 64-bit",
    }


def module(kind: str, number: int, cmdline: str = "", more: Mapping[str, bytes] | None = None) -> Node:
    """The node of module `number`; kind: a key of a domain's files."""
    handed = kind.startswith(HANDED_KEY)
    compatible = HANDED if handed else f"module,{kind}"
    properties = {"compatible": text(compatible, "module,index"), "module-index": cells(number)}
    if cmdline:
        properties["bootargs"] = text(cmdline)
    return Node(f"module-{number}" if handed else kind, {**properties, **(more or {})})
