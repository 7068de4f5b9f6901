"""A Hyperlaunch device tree as another spelling of a description.

    described = describe(path, {1: Path("vmlinuz")})     # .dts, .dtb, or .toml: Description
    described = load(Path("lab.dts"), {1: Path("vmlinuz"), 2: Path("initrd.gz")})

What the tree says is put into the keys of a TOML description, each with its place in the tree, and then read
and checked as one: the same rules, the same words. Settings that a tree does not have take a description's
defaults, or come from `bootwright,*` properties. The bindings: docs/domain-builder.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bootwright.common import words
from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError, DescriptionError, SourceError, Where, counted, why
from bootwright.common.words import nearest
from bootwright.description import load as description_load
from bootwright.description import toml_tree
from bootwright.description.load import Description
from bootwright.description.readers import quoted
from bootwright.description.toml_tree import MAX_BYTES
from bootwright.description.toml_tree import Node as TomlNode
from bootwright.description.values import HANDED_KEY
from bootwright.devicetree import bindings, dts, fdt
from bootwright.devicetree.bindings import OWN, Value

SOURCE, BLOB = ".dts", ".dtb"
SUFFIXES = (SOURCE, BLOB)

Files = Mapping[int, Path]


@dataclass(frozen=True)
class Document:
    """What a file says, whatever its spelling, before it is understood as a description: TOML, or a tree, with the
    places of its nodes and properties.
    """

    path: Path
    said: TomlNode | tuple[fdt.Node, Mapping[str, Where]]


def read(path: Path) -> Document:
    """Read the file at `path`. Raises as load does."""
    if path.suffix in SUFFIXES:
        return Document(path, dts.read(path) if path.suffix == SOURCE else (_blob(path), {}))
    return Document(path, toml_tree.load(path))


def understand(document: Document, modules: Files | None = None) -> Description:
    """The description that a document is; modules as for load. Raises as load does."""
    path, said = document.path, document.said
    if isinstance(said, tuple):
        return _Reader(path, said[1], modules).read(said[0])
    _check_modules(path, modules)
    return description_load.read(said, path)


def _check_modules(path: Path, modules: Files | None) -> None:
    if modules and path.suffix not in SUFFIXES:
        raise SourceError(f"--module {next(iter(modules))}: {path} is no device tree; it names its files itself")


def describe(path: Path, modules: Files | None = None) -> Description:
    """The description at `path`, whatever its spelling; modules as for load. Raises as load does."""
    _check_modules(path, modules)
    return understand(read(path), modules)


def files(arguments: Iterable[str]) -> dict[int, Path]:
    """The modules that a command line names, each as "N=FILE". Raises SourceError."""
    found: dict[int, Path] = {}
    for argument in arguments:
        match = re.fullmatch(r"([0-9]{1,9})=(.+)", argument)
        if match is None:
            raise SourceError(f"--module {argument}: write N=FILE, where N is a tree's module-index")
        number = int(match[1])
        if number in found:
            raise SourceError(f"--module {argument}: module {number} is {found[number]} already")
        found[number] = Path(match[2])
    return found


def load(path: Path, modules: Files | None = None) -> Description:
    """The description that the tree at `path` is. modules: the file for each module-index that the tree does
    not name by a path itself; None where files do not matter (then such a file is called "module N").

    Raises DescriptionError or ErrorList: everything wrong at once, with the place in source text, or the
    node in a blob. ToolError without dtc, for source text.
    """
    return understand(Document(path, dts.read(path) if path.suffix == SOURCE else (_blob(path), {})), modules)


def _blob(path: Path) -> fdt.Node:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise DescriptionError(f"the device tree is larger than {MAX_BYTES} bytes", Where(str(path)))
        return fdt.strict(fdt.parse(raw))
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise DescriptionError(f"the device tree cannot be read: {why(error)}", Where(str(path))) from error
    except fdt.Damage as error:
        raise DescriptionError(error.message, Where(str(path))) from error


class _Reader:
    """What reading one tree shares. Errors are gathered; `read` raises them all."""

    def __init__(self, path: Path, places: Mapping[str, Where], files: Files | None) -> None:
        self._path = path
        self._places = places
        self._files = files
        self._used: set[int] = set()
        self._modules: dict[int, tuple[object, str]] = {}  # by index: what it is, and the node that said so
        self._errors: list[BootwrightError] = []

    def read(self, tree: fdt.Node) -> Description:
        tree = tree.pruned()
        chosen = tree.child("chosen")
        node = chosen.child("hypervisor") if chosen else None
        if chosen is None or node is None:
            raise DescriptionError(
                "the device tree has no node /chosen/hypervisor", self._where("/chosen" if chosen else "/")
            )
        root = self._hypervisor(node, f"/{chosen.name}/{node.name}")
        for number in sorted(set(self._files or ()) - self._used):
            self._errors.append(
                DescriptionError(
                    f"--module {number}: no node that is enabled refers to module {number}", Where(str(self._path))
                )
            )
        if self._errors:
            raise description_load.FaultyDescription(self._errors, root, self._path)
        return description_load.read(root, self._path)

    def _where(self, node: str, name: str | None = None) -> Where:
        """The place of a node or property in the source; in a blob the node itself is the place."""
        if not self._places:
            return Where(f"{self._path}:{node}")
        found = self._places.get(node) or Where(str(self._path))
        return self._places.get(f"{node}:{name}", found) if name else found

    def _fail(self, message: str, node: str, name: str | None = None) -> None:
        if not self._places:
            message = message.removeprefix(f"{node}: ")  # the place says it
        self._errors.append(DescriptionError(message, self._where(node, name)))

    def _value(self, node: fdt.Node, path: str, name: str, read: Callable[[bytes], Value]) -> TomlNode | None:
        """The value of a property as a description's, None if it is not there or wrong (an error then)."""
        if name not in node.properties:
            return None
        try:
            return self._node(read(node.properties[name]), path, name)
        except ValueError as error:
            self._fail(f"{path}: {name}: {error}", path, name)
            return None

    def _node(self, value: Value, path: str, name: str | None = None) -> TomlNode:
        where = self._where(path, name)
        elements = tuple(TomlNode(one, where, where) for one in value) if isinstance(value, list) else ()
        return TomlNode(value, where, where, elements=elements)

    def _table(self, parts: Mapping[str, TomlNode | None], path: str) -> TomlNode:
        where, there = self._where(path), {key: part for key, part in parts.items() if part is not None}
        return TomlNode({key: part.data for key, part in there.items()}, where, where, parts=there)

    def _compatible(self, node: fdt.Node, path: str) -> list[str]:
        try:
            return bindings.strings(node.properties.get("compatible", b"\0"))
        except ValueError as error:
            self._fail(f"{path}: compatible: {error}", path, "compatible")
            return []

    def _only(self, node: fdt.Node, path: str, known: list[str]) -> None:
        """Every property must be one of `known`, or another vendor's."""
        for name in node.properties:
            foreign = "," in name and not name.startswith(OWN)
            if name not in known and name not in bindings.GENERAL and not foreign:
                self._fail(f"{path}: {quoted(name)} is not a known property{nearest(name, known)}", path, name)

    def _hypervisor(self, node: fdt.Node, path: str) -> TomlNode:
        compatible = self._compatible(node, path)
        for wanted in (bindings.HYPERVISOR, bindings.ARCHITECTURE):
            if wanted not in compatible:
                self._fail(f'{path}: compatible: does not have "{wanted}"', path, "compatible")
        self._only(node, path, [OWN + key for key in bindings.IMAGE_PROPERTIES])
        image = {key: self._value(node, path, OWN + key, read) for key, read in bindings.IMAGE_PROPERTIES.items()}
        domains: list[TomlNode] = []
        configs: list[TomlNode] = []
        shared: list[TomlNode] = []
        for child in node.children:
            inner = f"{path}/{child.name}"
            compatible = self._compatible(child, inner)
            if bindings.DOMAIN in compatible:
                domains.append(self._domain(child, inner))
            elif bindings.CONFIG in compatible:
                if configs:
                    self._fail(f'{inner}: is a second node that is compatible with "{bindings.CONFIG}"', inner)
                configs.append(self._config(child, inner))
            elif bindings.SHARED in compatible:
                shared.append(self._shared(child, inner))
            else:
                shown = ", ".join(quoted(word) for word in compatible)
                close = nearest(compatible[0], (bindings.DOMAIN, bindings.CONFIG)) if compatible else ""
                wanted = f'neither "{bindings.DOMAIN}" nor "{bindings.CONFIG}"{close}'
                self._fail(f"{inner}: compatible: {shown or 'nothing'} is {wanted}", inner, "compatible")
        parts: dict[str, TomlNode | None] = {"image": self._table(image, path)}
        launcher = image["launcher"]
        if configs and ("kernel" in configs[0].parts or (launcher and launcher.data == "xen")):
            parts["hypervisor"] = configs[0]
        elif configs:
            domains = [_with_kextra(domain, configs[0], alone=len(domains) == 1) for domain in domains]
        where = self._where(path)
        for key, tables in (("domain", domains), ("shared", shared)):
            if tables:
                parts[key] = TomlNode([one.data for one in tables], where, where, elements=tuple(tables))
        return self._table(parts, path)

    def _shared(self, node: fdt.Node, path: str) -> TomlNode:
        known = bindings.SHARED_PROPERTIES
        self._only(node, path, list(known))
        parts: dict[str, TomlNode | None] = {"name": self._node(node.name, path)}
        parts |= {key: self._value(node, path, name, read) for name, (key, read) in known.items()}
        return self._table(parts, path)

    def _domain(self, node: fdt.Node, path: str) -> TomlNode:
        known = bindings.DOMAIN_PROPERTIES
        self._only(node, path, list(known))
        # A unit address and a comma are no part of a name; so they are spelled as one.
        plain = node.name.replace("@", "-").replace(",", "-")
        parts: dict[str, TomlNode | None] = {"name": self._node(plain, path)}
        for name, (key, read) in known.items():
            parts[key] = self._value(node, path, name, read) or parts.get(key)
        self._children(node, path, ("kernel", "ramdisk", "device-tree", "config", HANDED_KEY), parts)
        return self._table(parts, path)

    def _config(self, node: fdt.Node, path: str) -> TomlNode:
        known = bindings.HYPERVISOR_PROPERTIES
        self._only(node, path, [*known, *(OWN + key for key in bindings.FILE_PROPERTIES)])
        parts = {key: self._value(node, path, name, read) for name, (key, read) in known.items()}
        parts["kernel"] = self._file(node, path)
        self._children(node, path, ("microcode", "xsm-policy"), parts)
        return self._table(parts, path)

    def _children(self, node: fdt.Node, path: str, wanted: tuple[str, ...], parts: dict[str, TomlNode | None]) -> None:
        """The modules in a node, as parts of it under their kind; a kernel's bootargs as cmdline."""
        handed: list[tuple[int, TomlNode]] = []
        for child in node.children:
            inner = f"{path}/{child.name}"
            compatible = self._compatible(child, inner)
            kinds = [
                word.partition(",")[2]
                for word in compatible
                if word.startswith(bindings.KIND_PREFIXES) and word.partition(",")[2] in bindings.KINDS
            ]
            way = next((word for word in compatible if word in (*bindings.BY_INDEX, bindings.BY_ADDRESS[0])), None)
            if not kinds and bindings.HANDED in compatible:
                kinds = [HANDED_KEY]
            if not kinds:
                listed = ", ".join(f'"module,{kind}"' for kind in wanted if kind != HANDED_KEY)
                self._fail(f"{inner}: compatible: names no kind of module; write {listed}", inner, "compatible")
            elif way is None:
                self._fail(
                    f'{inner}: compatible: does not say how the module is named; write "module,index"',
                    inner,
                    "compatible",
                )
            elif kinds[0] not in wanted:
                self._fail(f'{inner}: a module of kind "{kinds[0]}" has no use in {path}', inner, "compatible")
            elif kinds[0] == HANDED_KEY:
                handed.append(self._handed(child, inner, way))
            elif kinds[0] in parts:
                self._fail(f"{inner}: is a second {kinds[0]} of {path}", inner)
            else:
                parts[kinds[0]] = self._module(child, inner, way, kinds[0])
                if kinds[0] == "kernel":
                    parts["cmdline"] = self._value(child, inner, "bootargs", bindings.string)
        if handed:
            where, tables = self._where(path), [table for _, table in sorted(handed, key=lambda one: one[0])]
            parts[HANDED_KEY] = TomlNode([one.data for one in tables], where, where, elements=tuple(tables))

    def _handed(self, node: fdt.Node, path: str, way: str) -> tuple[int, TomlNode]:
        """An element of a domain's `modules`, and its number: the stub, too, hands them over by number."""
        file = self._module(node, path, way, HANDED_KEY)
        parts: dict[str, TomlNode | None] = {"string": self._value(node, path, "bootargs", bindings.string)}
        if file is not None:
            parts |= file.parts if isinstance(file.data, dict) else {"path": file}
        number = node.properties.get(bindings.BY_INDEX.get(way, ""), b"")
        last = load_abi().constants["MAX_MODULES"]
        return int.from_bytes(number, "big") if number else last, self._table(parts, path)

    def _module(self, node: fdt.Node, path: str, way: str, kind: str) -> TomlNode | None:
        """The file that a module's node stands for."""
        name = bindings.BY_INDEX.get(way, bindings.BY_ADDRESS[1])
        known = [name, *(OWN + key for key in bindings.FILE_PROPERTIES)]
        self._only(node, path, [*known, "bootargs"] if kind in ("kernel", HANDED_KEY) else known)
        if name not in node.properties:
            self._fail(f'{path}: {name} is missing, and compatible has "{way}"', path)
            return None
        before = len(self._errors)
        file = self._file(node, path)
        if name == bindings.BY_ADDRESS[1]:
            if len(node.properties[name]) != 16:
                size = counted(len(node.properties[name]), "byte")
                self._fail(f"{path}: {name}: is {size} long, not an address and a size", path, name)
            elif file is None and len(self._errors) == before:
                self._fail(f"{path}: {name}: an image needs the file itself; name it by {OWN}path", path, name)
            return file
        index = self._value(node, path, name, bindings.cell)
        if index is None or len(self._errors) > before:
            return None
        return self._indexed(index.data, file, node, path, name, kind)

    def _indexed(
        self, index: int, file: TomlNode | None, node: fdt.Node, path: str, name: str, kind: str
    ) -> TomlNode | None:
        limit = load_abi().constants["MAX_MODULES"] - 1
        if not 1 <= index <= limit:
            which = "the device tree itself is module 0" if index == 0 else f"modules are 1 to {limit}"
            self._fail(f"{path}: {name}: {index} is no module; {which}", path, name)
            return None
        given = (self._files or {}).get(index)
        if given is not None:
            self._used.add(index)
            folder = self._path.parent
            relative = given if given.is_absolute() else Path(os.path.relpath(given, folder))
            file = self._node(str(relative), path, name)
        elif file is None and self._files is None:
            file = self._node(f"module {index}", path, name)
        elif file is None:
            self._fail(
                f"{path}: module {index} has no file: name it with --module {index}=FILE, or by a property {OWN}path",
                path,
                name,
            )
            return None
        what = (kind, file.data, node.properties.get("bootargs", b""))
        known, first = self._modules.setdefault(index, (what, path))
        if known != what:
            self._fail(f"{path}: {name}: module {index} is another one in {first}", path, name)
        return file

    def _file(self, node: fdt.Node, path: str) -> TomlNode | None:
        """What bootwright's own properties say of the file: a path, or where it is in a package."""
        parts = {key: self._value(node, path, OWN + key, read) for key, read in bindings.FILE_PROPERTIES.items()}
        there = {key: part for key, part in parts.items() if part is not None}
        if "path" not in there:
            return self._table(there, path) if there else None
        for key in there:
            if key != "path":
                self._fail(f"{path}: {OWN}{key}: {OWN}path is there already", path, OWN + key)
        return there["path"]


def _with_kextra(domain: TomlNode, config: TomlNode, *, alone: bool) -> TomlNode:
    """Without Xen all that its command line is good for is what it hands on to the initial domain."""
    functions, given = domain.parts.get("functions"), config.parts.get("cmdline")
    kextra = words.split_hypervisors(given.data)[1] if given else ""
    initial = alone or (functions is not None and "initial-domain" in functions.data)
    if given is None or not kextra or not initial:
        return domain
    own = domain.parts.get("cmdline") or replace(given, data="")
    parts = {**domain.parts, "cmdline": replace(own, data=f"{own.data}{kextra}")}
    return replace(domain, data={key: part.data for key, part in parts.items()}, parts=parts)
