"""Flattened device trees: the blob that device trees travel as, read with every bound checked, and written.

    root = parse(blob)                      # Blob; raises Damage
    tree = strict(root)                     # Node, for the host; raises Damage
    blob = write(tree)

Specification: Devicetree Specification 0.4, chapter 5. The records are declared in stub/abi/fdt.h. `parse`
and its errors follow stub/generic/device_tree_blob.asm step by step, for it is the stub's reference as well:
it takes what the stub takes. `strict` refuses what the specification forbids beyond that.

Why no library: libfdt's Python binding is only to be had as C source, which asks every user for a compiler;
the pure Python ones read damaged trees without a word. dtc and libfdt's own tools check this module in the
tests.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError
from bootwright.common.ranges import align_up

CELL = 4
# The status of a node that counts: Devicetree Specification 0.4, section 2.3.4; the second in older trees.
ENABLED = (b"okay\0", b"ok\0")
NAME = re.compile(rb"[0-9A-Za-z,._+*#?@-]*")  # what dtc takes; the root's is empty


class Damage(BootwrightError):
    """A blob that is no sound tree. name: the stub's error for it, "" where the stub reads on; values: its
    values.
    """

    def __init__(self, message: str, name: str = "", values: tuple[int | str, ...] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.values = values


@dataclass(frozen=True)
class Property:
    """A property as it lies in a blob. offset: of its value, in bytes from the blob's start."""

    name: bytes
    value: bytes
    offset: int


@dataclass(frozen=True)
class Blob:
    """A node as it lies in a blob. offset: of its name. late: properties behind a child, of no effect."""

    name: bytes
    offset: int
    properties: tuple[Property, ...]
    late: tuple[Property, ...]
    children: tuple[Blob, ...]

    def find(self, name: bytes) -> Property | None:
        """The first property with this name."""
        return next((found for found in self.properties if found.name == name), None)

    def compatible(self, word: bytes) -> bool:
        """Whether `word` is in the node's list `compatible`, with a zero byte behind it."""
        found = self.find(b"compatible")
        return found is not None and word in found.value.split(b"\0")[:-1]

    @property
    def enabled(self) -> tuple[Blob, ...]:
        """Its children, less those whose status says that they are not there."""
        stated = ((child, child.find(b"status")) for child in self.children)
        return tuple(child for child, status in stated if status is None or status.value in ENABLED)


@dataclass(frozen=True)
class Node:
    """A node of a sound tree: property values as bytes, by name, in order. comments: by property."""

    name: str
    properties: Mapping[str, bytes] = field(default_factory=dict)
    children: tuple[Node, ...] = ()
    comments: Mapping[str, str] = field(default_factory=dict, compare=False)

    def child(self, name: str) -> Node | None:
        """The first child of that name, whatever its unit address."""
        return next((node for node in self.children if node.name.partition("@")[0] == name), None)

    def pruned(self) -> Node:
        """The same without the nodes in it, at any depth, whose status is anything but ENABLED."""
        kept = (node.pruned() for node in self.children if node.properties.get("status", ENABLED[0]) in ENABLED)
        return replace(self, children=tuple(kept))


@dataclass(frozen=True)
class _Blocks:
    """Where structure and strings lie: half-open, in bytes from the blob's start."""

    start: int
    end: int
    strings: bytes


def is_tree(blob: bytes) -> bool:
    """Whether a file that starts like this is a device tree: header and magic are there."""
    constants = load_abi().constants
    return len(blob) >= constants["FDT_HEADER_SIZEOF"] and _cell(blob, 0) == constants["FDT_MAGIC"]


def parse(blob: bytes) -> Blob:
    """The root of the tree in `blob`, which may be longer than the tree. Raises Damage."""
    return _Walker(blob, _blocks(blob)).root()


def _cell(blob: bytes, offset: int) -> int:
    return int.from_bytes(blob[offset : offset + CELL], "big")


def _blocks(blob: bytes) -> _Blocks:
    constants = load_abi().constants

    def header(name: str) -> int:
        return _cell(blob, constants[f"FDT_HEADER_{name}"])

    def bound(size: int, what: str, end: int, *, sound: bool = True) -> None:
        if end > size or not sound:
            message = f"the device tree is {size} bytes long, but its {what} ends at byte {end:#x}"
            raise Damage(message, "E_FDT_CUT_SHORT", (size, what, end))

    size, least = len(blob), constants["FDT_HEADER_SIZEOF"]
    bound(size, "header", least)
    if not is_tree(blob):
        raise Damage(f"starts with {_cell(blob, 0):#x}, not with the magic of a device tree")
    total = header("TOTALSIZE")
    bound(size, "total size", total)
    bound(total, "header", least)
    low, high = constants["FDT_FIRST_VERSION"], constants["FDT_LAST_VERSION"]
    version, compatible = header("VERSION"), header("LAST_COMP_VERSION")
    if version < low or compatible > high:
        shown = version if version < low else compatible
        message = f"the device tree is version {shown}; versions from {low} to {high} can be read"
        raise Damage(message, "E_FDT_VERSION", (shown, low, high))
    strings = header("OFF_DT_STRINGS")
    end = strings + header("SIZE_DT_STRINGS")
    bound(total, "strings block", end)
    bound(total, "strings block", end, sound=end == strings or blob[end - 1] == 0)
    start = header("OFF_DT_STRUCT")
    stop = total
    if version >= high:  # version 16 does not say how long it is
        stop = start + header("SIZE_DT_STRUCT")
        bound(total, "structure block", stop)
    return _Blocks(start, stop, blob[strings:end])


class _Walker:
    """Reads the structure block, token by token; a node is put together when it ends."""

    def __init__(self, blob: bytes, blocks: _Blocks) -> None:
        self._blob = blob
        self._blocks = blocks
        self._constants = load_abi().constants
        self._at = blocks.start
        self._open: list[_Open] = []
        self._root: Blob | None = None

    def root(self) -> Blob:
        constants = self._constants
        steps: dict[int, Callable[[], int]] = {
            constants["FDT_BEGIN_NODE"]: self._begin,
            constants["FDT_END_NODE"]: self._finish,
            constants["FDT_PROP"]: self._property,
            constants["FDT_NOP"]: self._nothing,
        }
        if self._at % CELL:
            raise self._malformed()
        while True:
            if self._at + CELL > self._blocks.end:
                raise self._malformed()
            token = _cell(self._blob, self._at)
            if token == constants["FDT_END"] and self._root is not None and not self._open:
                return self._root
            if token not in steps:
                raise self._malformed()
            self._at = steps[token]()

    def _malformed(self) -> Damage:
        at = self._at - self._blocks.start
        message = f"the device tree is malformed at byte {at:#x} of its structure"
        return Damage(message, "E_FDT_STRUCTURE", (at,))

    def _nothing(self) -> int:
        return self._at + CELL

    def _begin(self) -> int:
        name = self._at + CELL
        end = self._blob.find(b"\0", name, self._blocks.end)
        if end < 0 or (self._root and not self._open) or len(self._open) == self._constants["FDT_MAX_DEPTH"]:
            raise self._malformed()
        self._open.append(_Open(self._blob[name:end], name))
        return align_up(end + 1, CELL)

    def _finish(self) -> int:
        if not self._open:
            raise self._malformed()
        node = self._open.pop().close()
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._root = node
        return self._at + CELL

    def _property(self) -> int:
        record, strings = self._at + CELL, self._blocks.strings
        value = record + self._constants["FDT_PROPERTY_SIZEOF"]
        if not self._open or value > self._blocks.end:
            raise self._malformed()
        name = _cell(self._blob, record + self._constants["FDT_PROPERTY_NAMEOFF"])
        end = value + _cell(self._blob, record + self._constants["FDT_PROPERTY_LEN"])
        if name >= len(strings) or end > self._blocks.end:
            raise self._malformed()
        found = Property(strings[name : strings.index(b"\0", name)], self._blob[value:end], value)
        self._open[-1].add(found)
        return align_up(end, CELL)


class _Open:
    """A node that has not ended yet."""

    def __init__(self, name: bytes, offset: int) -> None:
        self.children: list[Blob] = []
        self._name, self._offset = name, offset
        self._properties: list[Property] = []
        self._late: list[Property] = []

    def add(self, found: Property) -> None:
        (self._late if self.children else self._properties).append(found)

    def close(self) -> Blob:
        return Blob(self._name, self._offset, tuple(self._properties), tuple(self._late), tuple(self.children))


def strict(root: Blob) -> Node:
    """The same tree, if every name is one and is there once. Raises Damage that names the node."""
    return _strict(root, "")


def _strict(blob: Blob, outer: str) -> Node:
    if bool(outer) != bool(blob.name) or not NAME.fullmatch(blob.name):
        raise Damage(f"node {outer or '/'}: {_shown(blob.name)} is no name for a node in there")
    name = blob.name.decode("ascii")
    path = f"{outer.rstrip('/')}/{name}"
    if blob.late:
        raise Damage(f"node {path}: property {_shown(blob.late[0].name)} comes behind a node inside of it")
    for found in _twice([one.name for one in blob.properties]):
        raise Damage(f"node {path}: property {_shown(found)} is there twice")
    for found in _twice([one.name for one in blob.children]):
        raise Damage(f"node {path}: node {_shown(found)} is there twice")
    for one in blob.properties:
        if not one.name or not NAME.fullmatch(one.name):
            raise Damage(f"node {path}: {_shown(one.name)} is no name for a property")
    properties = {one.name.decode("ascii"): one.value for one in blob.properties}
    return Node(name, properties, tuple(_strict(child, path) for child in blob.children))


def _twice(names: list[bytes]) -> Iterator[bytes]:
    seen: set[bytes] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def _shown(name: bytes) -> str:
    text = name.decode("utf-8", "replace")[:60]
    return f'"{"".join(c if c.isprintable() else "?" for c in text)}"'


def write(root: Node) -> bytes:
    """The blob of a tree, version 17, readable from version 16 on; no memory reservations."""
    constants = load_abi().constants
    strings: dict[str, int] = {}
    structure = _structure(root, strings) + struct.pack(">I", constants["FDT_END"])
    names = b"".join(name.encode("ascii") + b"\0" for name in strings)
    reservations = constants["FDT_HEADER_SIZEOF"]
    off_struct = reservations + 16  # the list's end: a pair of 64-bit zeros
    off_strings = off_struct + len(structure)
    header = struct.pack(
        ">10I",
        constants["FDT_MAGIC"],
        off_strings + len(names),
        off_struct,
        off_strings,
        reservations,
        constants["FDT_LAST_VERSION"],
        constants["FDT_FIRST_VERSION"],
        0,
        len(names),
        len(structure),
    )
    return header + bytes(16) + structure + names


def _structure(node: Node, strings: dict[str, int]) -> bytes:
    constants = load_abi().constants
    parts = [struct.pack(">I", constants["FDT_BEGIN_NODE"]), _padded(node.name.encode("ascii") + b"\0")]
    for name, value in node.properties.items():
        if name not in strings:
            strings[name] = sum(len(known) + 1 for known in strings)
        parts += [struct.pack(">III", constants["FDT_PROP"], len(value), strings[name]), _padded(value)]
    parts += [_structure(child, strings) for child in node.children]
    return b"".join([*parts, struct.pack(">I", constants["FDT_END_NODE"])])


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % CELL)
