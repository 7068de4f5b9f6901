"""The description: what the user writes, checked.

    description = load(Path("images/demo.toml"))        # Description; raises ErrorList of all that is wrong
    at once description.domains[0].cmdline description.domains[0].place("cmdline")             # Where:
    file, line and column, for later errors

The format is in docs/design.md. What is checked here needs nothing but the text: keys, types, ranges, and
the rules between domains. Whether files exist and fit is found out later (sources, plan).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from bootwright import fields, toml, values
from bootwright.abi import load as load_abi
from bootwright.errors import BootwrightError, DescriptionError, ErrorList, Where
from bootwright.fields import Field
from bootwright.toml import Node
from bootwright.values import Console, FileSource, PackageSource, Source

__all__ = [
    "Console",
    "Description",
    "DomainDescription",
    "FileSource",
    "ImageDescription",
    "PackageSource",
    "Source",
    "load",
    "parse",
]

LAUNCHERS = ("native",)
LAUNCHERS_LATER = ("xen", "partition")
PACKS = ("auto", "lz4", "none")
MODULES = ("embedded", "loader")
LOG_LEVELS = ("quiet", "normal", "debug")
MAX_CPUS = 4096


@dataclass(frozen=True)
class ImageDescription:
    """The [image] table. Keys, defaults and meaning as in the description; on_failure: seconds, None for
    halt.
    """

    name: str
    launcher: str = "native"
    console: Console = values.DEFAULT_CONSOLE
    log: str = "normal"
    on_failure: int | None = None
    pack: str = "auto"
    modules: str = "embedded"
    verify: bool = True
    where: Where | None = field(default=None, compare=False)
    places: Mapping[str, Where] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class DomainDescription:
    """One [[domain]] table. permissions and functions are PERMISSION_* and FUNCTION_* bits, mode one of
    "pvh", "pv", "hvm", memory sizes are bytes, uuid is 16 bytes, domid 0 asks for the next free one.
    """

    name: str
    memory: int
    permissions: int = 0
    functions: int = 0
    mode: str = "pvh"
    protocol: str = "auto"
    domid: int = 0
    uuid: bytes = bytes(16)
    cpus: int = 1
    memory_min: int | None = None
    memory_max: int | None = None
    security_id: str = ""
    kernel: Source | None = None
    ramdisk: Source | None = None
    cmdline: str = ""
    where: Where | None = field(default=None, compare=False)
    places: Mapping[str, Where] = field(default_factory=dict, compare=False, repr=False)

    @property
    def initial(self) -> bool:
        """Whether it has the initial-domain function."""
        return bool(self.functions & load_abi().constants["FUNCTION_INITIAL_DOMAIN"])

    @property
    def hardware(self) -> bool:
        """Whether it may be the hardware domain: the initial domain, or one with the hardware permission."""
        return self.initial or bool(self.permissions & load_abi().constants["PERMISSION_HARDWARE"])

    def place(self, key: str) -> Where | None:
        """Where the value of `key` is written; where the domain starts if it is not there."""
        return self.places.get(key, self.where)


@dataclass(frozen=True)
class Description:
    """A whole description. path: its file as given; files named in it are relative to its folder."""

    path: Path
    image: ImageDescription
    domains: tuple[DomainDescription, ...]

    @property
    def folder(self) -> Path:
        """The folder that paths in the description start from."""
        return self.path.parent


def load(path: Path) -> Description:
    """Read and check the description at `path`. Raises DescriptionError or ErrorList: all that is wrong."""
    return _description(toml.load(path), path)


def parse(text: str, path: Path) -> Description:
    """Like load, of `text` that stands for the file at `path`."""
    return _description(toml.parse(text.encode(errors="surrogateescape"), str(path)), path)


def _description(root: Node, path: Path) -> Description:
    top = {
        "image": Field(lambda node: _image(node, path), own_subject=True),
        "domain": Field(_domains, default=(), own_subject=True),
    }
    found, _ = fields.read_table(root, top, "")
    image = found["image"] or _image(Node({}, root.where, root.where), path)
    description = Description(path, image, found["domain"])
    errors = tuple(_check(description))
    if errors:
        raise ErrorList(errors)
    return description


def _image(node: Node, path: Path) -> ImageDescription:
    if not isinstance(node.data, dict):
        raise DescriptionError(
            f"image: is {fields.kind_of(node.data)}, not a table: write [image]", node.where
        )
    readers = {
        "name": Field(fields.name),
        "launcher": Field(fields.choice(LAUNCHERS, LAUNCHERS_LATER), default="native"),
        "console": Field(values.console, default=values.DEFAULT_CONSOLE),
        "log": Field(fields.choice(LOG_LEVELS), default="normal"),
        "on-failure": Field(values.on_failure),
        "pack": Field(fields.choice(PACKS), default="auto"),
        "modules": Field(fields.choice(MODULES), default="embedded"),
        "verify": Field(fields.boolean, default=True),
    }
    read, places = fields.read_table(node, readers, "[image]")
    if read["name"] is None:
        stem = Node(path.stem, node.where, node.where)
        try:
            read["name"] = fields.name(stem)
        except DescriptionError as error:
            raise DescriptionError(
                f"[image]: name is missing, and the file's own will not do: {error.message}", node.where
            ) from error
    return ImageDescription(**read, where=node.where, places=MappingProxyType(places))


def _domains(node: Node) -> tuple[DomainDescription, ...]:
    if not isinstance(node.data, list) or not all(isinstance(element, dict) for element in node.data):
        raise DescriptionError(
            f"domain: is {fields.kind_of(node.data)}, not an array of tables: "
            "write [[domain]], in double brackets",
            node.where,
        )
    limit = load_abi().constants["MAX_DOMAINS"]
    if len(node.elements) > limit:
        raise DescriptionError(
            f"domain: this is number {limit + 1} of {len(node.elements)}, but at most {limit} are possible",
            node.elements[limit].where,
        )
    found: list[DomainDescription] = []
    errors: list[BootwrightError] = []
    for index, element in enumerate(node.elements):
        try:
            found.append(_domain(element, index))
        except ErrorList as error:
            errors.append(error)
    if errors:
        raise ErrorList(errors)
    return tuple(found)


def _domain_fields() -> dict[str, Field]:
    constants = load_abi().constants

    def bits(prefix: str) -> dict[str, int]:
        return {
            key.removeprefix(prefix).lower().replace("_", "-"): value
            for key, value in constants.items()
            if key.startswith(prefix)
        }

    protocols = sorted(
        key.removeprefix("PROTOCOL_").lower()
        for key, number in constants.items()
        if key.startswith("PROTOCOL_") and number
    )
    return {
        "name": Field(fields.name, True),
        "permissions": Field(fields.flags(bits("PERMISSION_")), default=0),
        "functions": Field(fields.flags(bits("FUNCTION_")), default=0),
        "mode": Field(fields.choice(("pvh", "pv", "hvm")), default="pvh"),
        "protocol": Field(fields.choice(("auto", *protocols)), default="auto"),
        "domid": Field(fields.integer(0, constants["DOMID_FIRST_RESERVED"] - 1), default=0),
        "uuid": Field(values.uuid_bytes, default=bytes(16)),
        "cpus": Field(fields.integer(1, MAX_CPUS), default=1),
        "memory": Field(values.memory, True),
        "memory-min": Field(values.memory),
        "memory-max": Field(values.memory),
        "security-id": Field(
            fields.bounded_string(
                constants["BOOT_DOMAIN_KERNEL"] - constants["BOOT_DOMAIN_SECURITY_ID"], terminated=False
            ),
            default="",
        ),
        "kernel": Field(values.kernel),
        "ramdisk": Field(values.ramdisk),
        "cmdline": Field(fields.bounded_string(constants["MAX_STRING"]), default=""),
    }


def _domain(node: Node, index: int) -> DomainDescription:
    named = node.parts.get("name")
    shown = named.data if named is not None and isinstance(named.data, str) else None
    subject = f"domain {fields.quoted(shown)}" if shown else f"domain number {index + 1}"
    read, places = fields.read_table(node, _domain_fields(), subject)
    return DomainDescription(**read, where=node.where, places=MappingProxyType(places))


def _check(description: Description) -> Iterator[BootwrightError]:
    """What must hold between the domains, and between a domain's own values."""
    domains = description.domains
    if not domains:
        yield DescriptionError(
            "there is no domain: at least one [[domain]] is needed", Where(str(description.path))
        )
        return
    yield from _duplicates(domains, "name", lambda domain: domain.name)
    yield from _duplicates(domains, "domid", lambda domain: domain.domid or None)
    for domain in domains:
        yield from _check_domain(domain)
    initial = [domain for domain in domains if domain.initial]
    hardware = [domain for domain in domains if domain.hardware]
    if not hardware:
        yield DescriptionError(
            f"none of the {len(domains)} domains is a hardware domain: give one "
            'permissions = ["hardware"] or functions = ["initial-domain"]',
            domains[0].where,
        )
    elif not initial:
        yield DescriptionError(
            f"none of the {len(domains)} domains is the initial domain, the only one that the native "
            f'launcher builds: give "{hardware[0].name}" functions = ["initial-domain"]',
            hardware[0].where,
        )
    for second in initial[1:]:
        yield DescriptionError(
            f'domain "{second.name}": functions: domain "{initial[0].name}" is the initial domain '
            "already; there can be only one",
            second.place("functions"),
        )


def _check_domain(domain: DomainDescription) -> Iterator[BootwrightError]:
    subject = f'domain "{domain.name}"'
    if domain.mode != "pvh":
        wanted = (
            ' (a PV domain needs launcher = "xen", which is not there yet)' if domain.mode == "pv" else ""
        )
        yield DescriptionError(
            f'{subject}: mode: "{domain.mode}" is not what launcher = "native" builds; it builds '
            f'"pvh"{wanted}',
            domain.place("mode"),
        )
    if domain.initial and domain.kernel is None:
        yield DescriptionError(
            f"{subject}: kernel is missing, and the initial domain needs one", domain.where
        )
    if domain.initial and domain.domid != load_abi().constants["INITIAL_DOMAIN_ID"]:
        yield DescriptionError(
            f"{subject}: domid: {domain.domid} is not the initial domain's, which is 0", domain.place("domid")
        )
    low = domain.memory if domain.memory_min is None else domain.memory_min
    high = domain.memory if domain.memory_max is None else domain.memory_max
    if low > domain.memory:
        yield DescriptionError(
            f"{subject}: memory-min: {low >> 10} KiB are more than the domain's memory of "
            f"{domain.memory >> 10} KiB",
            domain.place("memory-min"),
        )
    if high < domain.memory:
        yield DescriptionError(
            f"{subject}: memory-max: {high >> 10} KiB are less than the domain's memory of "
            f"{domain.memory >> 10} KiB",
            domain.place("memory-max"),
        )


def _duplicates(
    domains: tuple[DomainDescription, ...], key: str, value_of: Callable[[DomainDescription], object]
) -> Iterator[BootwrightError]:
    first: dict[object, int] = {}
    for index, domain in enumerate(domains):
        value = value_of(domain)
        if value is None:
            continue
        if value not in first:
            first[value] = index
            continue
        other = domains[first[value]]
        place = other.place(key)
        line = f" in line {place.line}" if place else ""
        party = f'domain "{other.name}"{line}' if key != "name" else f"the domain{line}"
        shown = f'"{value}"' if isinstance(value, str) else value
        yield DescriptionError(
            f'domain "{domain.name}": {key}: {shown} is that of {party} already', domain.place(key)
        )
