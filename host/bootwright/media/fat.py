"""A fresh FAT16 or FAT32 file system with a few files, laid out one behind the other and never changed.

Microsoft's "FAT: General Overview of On-Disk Format" 1.03, and UEFI 2.10, section 13.3. Names are 8.3 names.
The result is a list of pieces, so no payload is copied before it is on its medium; and it depends on no clock
and no system package, which is why it is not left to mkfs.fat and mtools.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from bootwright.media.extents import Free, Piece, padded, size_of, total

SECTOR = 512  # what is usual; each function takes the device's own
_FATS = 2
_ENTRY = struct.Struct("<8s3sBBBHHHHHHHI")
_ROOT_ENTRIES = 512  # FAT16 alone has a root folder of fixed size
_RESERVED = {16: 1, 32: 32}
_FSINFO, _BACKUP = 1, 6  # sectors, FAT32
_MEDIA = 0xF8
_DATE = 0x21  # 1980-01-01, the first there is
_DIRECTORY, _VOLUME, _ARCHIVE = 0x10, 0x08, 0x20
_LOWER_CASE = 0x18  # base and extension are shown in lower case
_END = {16: 0xFFFF, 32: 0x0FFFFFFF}

# The number of clusters decides the kind (FAT 1.03, page 14), and some drivers err by a few: distance is
# kept.
_LEAST_CLUSTERS = {16: 4085 + 16, 32: 65525 + 16}
_FAT16_LIMIT = 65525 - 16
# The bytes of a cluster of FAT32 from a size on, but at least a sector (FAT 1.03, page 20).
_LARGE = 260 << 20
_CLUSTERS = {32 << 30: 32 << 10, 16 << 30: 16 << 10, 8 << 30: 8 << 10, _LARGE: 4 << 10, 0: 0}
# Sectors are counted in 32 bits, clusters in 28, of which the last few values and the first two are taken.
_MOST_SECTORS = (1 << 32) - 1
_MOST_CLUSTERS = 0x0FFFFFF5

Files = Mapping[str, Piece]


@dataclass
class _Node:
    """A file (content) or a folder (entries, by name); the clusters it takes, one behind the other."""

    content: Piece | None = None
    entries: dict[str, _Node] = field(default_factory=dict)
    first: int = 0
    clusters: int = 0

    def walk(self) -> Iterator[_Node]:
        """This one, and all below it."""
        yield self
        for node in self.entries.values():
            yield from node.walk()


@dataclass(frozen=True)
class _Geometry:
    bits: int
    sectors: int
    sector: int

    @property
    def per_cluster(self) -> int:
        """Sectors of a cluster."""
        if self.bits == 16:
            return 1
        size = self.sectors * self.sector
        return max(next(bytes_ for least, bytes_ in _CLUSTERS.items() if size >= least) // self.sector, 1)

    @property
    def cluster(self) -> int:
        """Bytes of a cluster."""
        return self.per_cluster * self.sector

    @property
    def root_sectors(self) -> int:
        """Sectors of FAT16's root folder, which lies before the clusters."""
        return _ROOT_ENTRIES * _ENTRY.size // self.sector if self.bits == 16 else 0

    @property
    def fat_sectors(self) -> int:
        """Sectors of one FAT: enough for as many clusters as there could be at most."""
        clusters = (self.sectors - _RESERVED[self.bits] - self.root_sectors) // self.per_cluster
        return -(-(clusters + 2) * (self.bits // 8) // self.sector)

    @property
    def first_data(self) -> int:
        """The sector that cluster 2 begins at."""
        return _RESERVED[self.bits] + _FATS * self.fat_sectors + self.root_sectors

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return (self.sectors - self.first_data) // self.per_cluster


def most(sector: int = SECTOR) -> int:
    """The most bytes that a FAT32 file system can have."""
    return min(_MOST_SECTORS, _MOST_CLUSTERS * max(_CLUSTERS.values()) // sector) * sector


def choose(files: Files) -> int:
    """16 where FAT16 holds these files, else 32."""
    try:
        least(files, 16)
    except ValueError:
        return 32
    return 16


def least(files: Files, bits: int, sector: int = SECTOR) -> int:
    """The least size in bytes for these files. Raises ValueError where FAT16 cannot hold them."""
    size = _LARGE if bits == 32 and sum(size_of(f) for f in files.values()) > _LARGE - (8 << 20) else 1 << 20
    while True:
        geometry = _Geometry(bits, size // sector, sector)
        clusters = _wanted(_tree(files), geometry)
        if bits == 16 and clusters > _FAT16_LIMIT:
            raise ValueError("too large for FAT16")
        if geometry.clusters >= clusters:
            return size
        size += max(clusters - geometry.clusters, 1) * geometry.cluster


def build(files: Files, bits: int, label: str, serial: int, size: int, sector: int = SECTOR) -> list[Piece]:
    """A file system of `size` bytes, a multiple of the sector's, at least least() and at most most().

    files: contents by path, as "EFI/BOOT/BOOTX64.EFI"; label: what fits of it is taken; serial: 32 bits.
    """
    tree = _tree(files)
    geometry = _fitting(tree, _Geometry(bits, size // sector, sector))
    used = _allocate(tree, geometry)
    name = re.sub(r"[^A-Z0-9_-]", "_", label.upper()).encode()[:11].ljust(11)
    pieces: list[Piece] = list(_reserved(geometry, name, serial, used))
    table = _table(tree, geometry)
    for _ in range(_FATS):
        pieces += padded([table], geometry.fat_sectors * sector)
    root = _directory(tree, None, geometry, name)
    if bits == 16:
        pieces += padded([root], geometry.root_sectors * sector)
    for node in tree.walk():
        if node.clusters:
            content = _contents(node, tree, geometry, root)
            pieces += padded([content], node.clusters * geometry.cluster)
    missing = size - total(pieces)
    return [*pieces, Free(missing)] if missing else pieces


def _wanted(tree: _Node, geometry: _Geometry) -> int:
    """Clusters that there must be: for the files, and for the kind of FAT that it is to be taken for."""
    return max(_needed(tree, geometry), _LEAST_CLUSTERS[geometry.bits])


def _fitting(tree: _Node, geometry: _Geometry) -> _Geometry:
    """The geometry, or that of a few sectors less, the rest unused: where a sector more makes the FATs longer, fewer
    clusters are left than there were without it.
    """
    while geometry.clusters < _wanted(tree, geometry):
        geometry = replace(geometry, sectors=geometry.sectors - 1)
    return geometry


def _tree(files: Files) -> _Node:
    root = _Node()
    for path, content in files.items():
        *folders, name = path.split("/")
        node = root
        for folder in folders:
            node = node.entries.setdefault(folder, _Node())
        node.entries[name] = _Node(content)
    return root


def _clusters(node: _Node, root: _Node, geometry: _Geometry) -> int:
    if node.content is not None:
        return -(-size_of(node.content) // geometry.cluster)
    if node is root and geometry.bits == 16:
        return 0
    # A folder begins with "." and "..", the root folder with the label.
    return -(-(len(node.entries) + 2) * _ENTRY.size // geometry.cluster)


def _needed(root: _Node, geometry: _Geometry) -> int:
    return sum(_clusters(node, root, geometry) for node in root.walk())


def _allocate(root: _Node, geometry: _Geometry) -> int:
    """Give every file and folder its clusters, in the order of the tree; returns how many in all."""
    following = 2
    for node in root.walk():
        node.clusters = _clusters(node, root, geometry)
        node.first = following if node.clusters else 0
        following += node.clusters
    assert following - 2 <= geometry.clusters, f"{following - 2} clusters needed, {geometry.clusters} there"
    return following - 2


def _table(root: _Node, geometry: _Geometry) -> bytes:
    """A FAT, as long as there is something in it."""
    end = _END[geometry.bits]
    table = array("H" if geometry.bits == 16 else "I", [end & ~0xFF | _MEDIA, end])
    for node in root.walk():
        if node.clusters:
            table.extend(range(node.first + 1, node.first + node.clusters))
            table.append(end)
    return table.tobytes()


def _contents(node: _Node, root: _Node, geometry: _Geometry, encoded_root: bytes) -> Piece:
    if node.content is not None:
        return node.content
    if node is root:
        return encoded_root
    parent = next(other for other in root.walk() if node in other.entries.values())
    return _directory(node, parent if parent is not root else _Node(), geometry, b"")


def _directory(node: _Node, parent: _Node | None, geometry: _Geometry, label: bytes) -> bytes:
    """The entries of a folder; the parent of the root folder is None, and its own entry the label."""
    if parent is None:
        rows = [_entry(label[:8], label[8:], _VOLUME, 0, 0, 0)]
    else:
        rows = [
            _entry(name, b"", _DIRECTORY, 0, where, 0) for name, where in ((b".", node.first), (b"..", parent.first))
        ]
    for name, child in node.entries.items():
        base, _, extension = name.partition(".")
        case = _LOWER_CASE if name == name.lower() else 0
        short = base.upper().encode(), extension.upper().encode()
        assert len(short[0]) <= 8 and len(short[1]) <= 3, name
        attribute = _DIRECTORY if child.content is None else _ARCHIVE
        size = 0 if child.content is None else size_of(child.content)
        rows.append(_entry(*short, attribute, case, child.first, size))
    return b"".join(rows)


def _entry(base: bytes, extension: bytes, attribute: int, case: int, first: int, size: int) -> bytes:
    high, low = first >> 16, first & 0xFFFF
    names = base.ljust(8), extension.ljust(3)
    return _ENTRY.pack(*names, attribute, case, 0, 0, _DATE, _DATE, high, 0, _DATE, low, size)


def _reserved(geometry: _Geometry, label: bytes, serial: int, used: int) -> Iterator[Piece]:
    """The sectors before the first FAT. Heads and sectors are those that every driver takes for a disk."""
    small = geometry.bits == 16
    bios = struct.pack(
        "<3s8sHBHBHHBHHHII",
        b"\xeb\x58\x90" if not small else b"\xeb\x3c\x90",
        b"MSWIN4.1",  # what drivers trust (FAT 1.03, page 10)
        geometry.sector,
        geometry.per_cluster,
        _RESERVED[geometry.bits],
        _FATS,
        _ROOT_ENTRIES if small else 0,
        geometry.sectors if small and geometry.sectors < 1 << 16 else 0,
        _MEDIA,
        geometry.fat_sectors if small else 0,
        63,
        255,
        0,
        0 if small and geometry.sectors < 1 << 16 else geometry.sectors,
    )
    extended = b"" if small else struct.pack("<IHHIHH12x", geometry.fat_sectors, 0, 0, 2, _FSINFO, _BACKUP)
    kind = b"FAT16   " if small else b"FAT32   "
    extended += struct.pack("<BBBI11s8s", 0x80, 0, 0x29, serial, label, kind)
    # Not for booting from by a BIOS: the code is an endless loop.
    boot = (bios + extended + b"\xf4\xeb\xfd").ljust(SECTOR - 2, b"\0") + b"\x55\xaa"
    boot = boot.ljust(geometry.sector, b"\0")
    if small:
        yield boot
        return
    free, following = geometry.clusters - used, used + 2
    info = struct.pack("<I480xIII12xI", 0x41615252, 0x61417272, free, following, 0xAA550000)
    info = info.ljust(geometry.sector, b"\0")
    yield from padded([boot, info], _BACKUP * geometry.sector)
    yield from padded([boot, info], (_RESERVED[32] - _BACKUP) * geometry.sector)
