"""The description: what the user writes, checked.

    description = load(Path("images/demo.toml"))        # a Description; raises ErrorList of all that is wrong
    description.domains[0].cmdline                      # the value of a key
    description.domains[0].place("cmdline")             # Where: file, line and column, for later errors

The keys are in schema.py, and in docs/description.md. What is checked here needs nothing but the text: keys,
types, ranges, and the rules between domains. Whether files exist and fit is found out later (`inputs`, `plan`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError, DescriptionError, ErrorList, Where, about
from bootwright.description import consoles, profiles, readers, rules, schema, toml_tree
from bootwright.description.readers import Field
from bootwright.description.records import (
    Description,
    DomainDescription,
    HypervisorDescription,
    ImageDescription,
    ProfileDescription,
    SharedDescription,
)
from bootwright.description.toml_tree import Node
from bootwright.description.values import Console, FileSource, HandedModule, PackageSource, Source

__all__ = [
    "Console",
    "Description",
    "DomainDescription",
    "FaultyDescription",
    "FileSource",
    "HypervisorDescription",
    "ImageDescription",
    "PackageSource",
    "ProfileDescription",
    "SharedDescription",
    "Source",
    "load",
    "parse",
]


T = TypeVar("T")


class FaultyDescription(ErrorList):
    """All that is wrong with a description, and the files that it names all the same: for each what names it
    (`domain "dom0": kernel`), where, and what it is. folder: what paths start from.
    """

    def __init__(self, errors: Iterable[BootwrightError], root: Node, path: Path) -> None:
        super().__init__(errors)
        self.folder = path.parent
        self.files = tuple(_files(root))


def load(path: Path) -> Description:
    """Read and check the description at `path`. Raises DescriptionError or ErrorList: all that is wrong."""
    return _description(toml_tree.load(path), path)


def parse(text: str, path: Path) -> Description:
    """Like load, of `text` that stands for the file at `path`."""
    return _description(toml_tree.parse(text.encode(errors="surrogateescape"), str(path)), path)


def read(root: Node, path: Path) -> Description:
    """Like load, of a document that was read from something else than TOML (devicetree/reader.py)."""
    return _description(root, path)


def _files(root: Node) -> Iterator[tuple[str, Where, Source]]:
    """The files that a document names, as far as they can be read whatever else is wrong."""
    domains = root.parts["domain"].elements if "domain" in root.parts else ()
    tables = [(_subject(node, number), node, schema.domain()) for number, node in enumerate(domains)]
    if "hypervisor" in root.parts:
        tables.append((HypervisorDescription.subject, root.parts["hypervisor"], schema.hypervisor()))
    for subject, node, known in tables:
        for key, part in node.parts.items():
            with suppress(BootwrightError):
                value = known[key].read(part) if key in known else None
                for source in value if isinstance(value, tuple) else (value,):
                    if isinstance(source, FileSource | PackageSource):
                        yield f"{subject}: {key}", part.where, source
                    elif isinstance(source, HandedModule):
                        yield f"{subject}: {key}", source.where or part.where, source.source


def _description(root: Node, path: Path) -> Description:
    try:
        return _read(root, path)
    except ErrorList as error:
        raise FaultyDescription([error], root, path) from error


def _read(root: Node, path: Path) -> Description:
    top = {
        "image": Field(lambda node: _image(node, path), own_subject=True),
        "hypervisor": Field(_hypervisor, own_subject=True),
        "domain": Field(_domains, default=(), own_subject=True),
        "shared": Field(_shared, default=(), own_subject=True),
        "profile": Field(_profiles, default=(), own_subject=True),
    }
    found, _ = readers.read_table(root, top)
    image = found["image"] or _image(Node({}, root.where, root.where), path)
    domains = found["domain"]
    if len(domains) == 1 and not image.generic:
        domains = (domains[0].as_the_only_one(),)
    told = Description(path, image, domains, found["hypervisor"], found["shared"], found["profile"])
    variants = [consoles.fill(profiles.applied(told, one)) for one in told.profiles]
    description = replace(consoles.fill(told), variants=tuple(variants))
    errors = [*rules.check(description), *profiles.check(description)]
    if not errors:
        errors = [error for variant in variants for error in rules.check(variant)]
    if errors:
        raise ErrorList(errors)
    return description


def _image(node: Node, path: Path) -> ImageDescription:
    if not isinstance(node.data, dict):
        raise DescriptionError(f"image: is {readers.kind_of(node.data)}, not a table: write [image]", node.where)
    with about(ImageDescription.subject):
        read, places = readers.read_table(node, schema.image())
        if read["name"] is None:
            with about("name is missing, and the file's own will not do"):
                read["name"] = readers.name(Node(path.stem, node.where, node.where))
    return ImageDescription(**read, where=node.where, places=MappingProxyType(places))


def _hypervisor(node: Node) -> HypervisorDescription:
    if not isinstance(node.data, dict):
        message = f"hypervisor: is {readers.kind_of(node.data)}, not a table: write [hypervisor]"
        raise DescriptionError(message, node.where)
    with about(HypervisorDescription.subject):
        read, places = readers.read_table(node, schema.hypervisor())
    return HypervisorDescription(**read, where=node.where, places=MappingProxyType(places))


def _domains(node: Node) -> tuple[DomainDescription, ...]:
    return _tables(node, "domain", load_abi().constants["MAX_DOMAINS"], _domain)


def _shared(node: Node) -> tuple[SharedDescription, ...]:
    return _tables(node, "shared", load_abi().constants["MAX_SHARED"], _shared_range)


def _profiles(node: Node) -> tuple[ProfileDescription, ...]:
    return _tables(node, "profile", load_abi().constants["MAX_PROFILES"] - 1, _profile)


def _profile(node: Node, index: int) -> ProfileDescription:
    with about(_subject(node, index, "profile")):
        read, places = readers.read_table(node, schema.profile())
    return ProfileDescription(**read, where=node.where, places=MappingProxyType(places))


def _tables(node: Node, key: str, limit: int, read: Callable[[Node, int], T]) -> tuple[T, ...]:
    """An array of tables, at most `limit`, each read by `read`, with all that is wrong in them."""
    if not isinstance(node.data, list) or not all(isinstance(element, dict) for element in node.data):
        raise DescriptionError(
            f"{key}: is {readers.kind_of(node.data)}, not an array of tables: write [[{key}]], in double brackets",
            node.where,
        )
    if len(node.elements) > limit:
        raise DescriptionError(
            f"{key}: this is number {limit + 1} of {len(node.elements)}, but at most {limit} are possible",
            node.elements[limit].where,
        )
    found: list[T] = []
    errors: list[BootwrightError] = []
    for index, element in enumerate(node.elements):
        try:
            found.append(read(element, index))
        except ErrorList as error:
            errors.append(error)
    if errors:
        raise ErrorList(errors)
    return tuple(found)


def _domain(node: Node, index: int) -> DomainDescription:
    with about(_subject(node, index)):
        read, places = readers.read_table(node, schema.domain())
    return DomainDescription(**read, where=node.where, places=MappingProxyType(places))


def _shared_range(node: Node, index: int) -> SharedDescription:
    with about(_subject(node, index, "shared range")):
        read, places = readers.read_table(node, schema.shared())
    kind = read.pop("as")
    return SharedDescription(**read, kind=kind, where=node.where, places=MappingProxyType(places))


def _subject(node: Node, index: int, what: str = "domain") -> str:
    """How an error calls a domain, or another thing of which there are several."""
    named = node.parts.get("name")
    shown = named.data if named is not None and isinstance(named.data, str) else None
    return f"{what} {readers.quoted(shown)}" if shown else f"{what} number {index + 1}"
