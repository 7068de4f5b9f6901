"""A disk's first and last sectors: a GUID partition table (UEFI 2.10, section 5.3) under a protective MBR,
and the small MBR of a hybrid ISO.

Everything is a pure function of its arguments: GUIDs are derived from a seed. A table counts in sectors of the
device that it is on, 512 bytes or 4096: on the other kind nothing finds it.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

SECTOR = 512
SECTORS = (SECTOR, 4096)  # the sizes that there are media for
ALIGNMENT = 1 << 20  # bytes, as every partitioning program does it

EFI_SYSTEM = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649")

_ENTRIES, _ENTRY_SIZE = 128, 128
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_CHECKSUM = slice(16, 20)
_SIGNATURE, _REVISION = b"EFI PART", 0x10000
_ENTRIES_AT = 2
_MBR_CODE = 440
_MBR_ENTRY = struct.Struct("<B3sB3sII")
_MBR_PROTECTIVE = 0xEE
# What stands for an address beyond what cylinder, head and sector can say.
_BEYOND = b"\xfe\xff\xff"
_MBR_TABLE = 446


@dataclass(frozen=True)
class Partition:
    """A partition: its type's GUID, its name, first sector and number of sectors."""

    kind: uuid.UUID
    name: str
    start: int
    size: int


@dataclass(frozen=True)
class MbrEntry:
    """An entry of an MBR: type, first sector, number of sectors, whether a BIOS is to boot it; and its first and
    its last sector once more, as cylinder, head and sector.
    """

    kind: int
    start: int
    size: int
    active: bool = False
    begins: bytes = _BEYOND
    ends: bytes = _BEYOND


def guid(seed: str, what: str) -> uuid.UUID:
    """The GUID of `what` (RFC 9562, version 8) on the medium with that seed."""
    digest = bytearray(hashlib.sha256(f"{seed}/{what}".encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(digest))


def mbr(code: bytes, signature: int, entries: Sequence[MbrEntry]) -> bytes:
    """A master boot record with boot code (at most 440 bytes of it are taken) and a disk signature."""
    table = b"".join(
        _MBR_ENTRY.pack(0x80 if e.active else 0, e.begins, e.kind, e.ends, e.start, min(e.size, 0xFFFFFFFF))
        for e in entries
    )
    head = code[:_MBR_CODE].ljust(_MBR_CODE, b"\0") + struct.pack("<IH", signature, 0)
    return head + table.ljust(4 * _MBR_ENTRY.size, b"\0") + b"\x55\xaa"


def backup(sector: int = SECTOR) -> int:
    """Sectors of the table's backup, at the end of a disk: the entries, and a header."""
    return 1 + _ENTRIES * _ENTRY_SIZE // sector


def tables(
    sectors: int, partitions: Sequence[Partition], seed: str, boot_code: bytes = b"", sector: int = SECTOR
) -> tuple[bytes, bytes]:
    """The first 1 + backup(sector) sectors, and the last backup(sector), of a disk with that many sectors.

    With boot code there is an active entry in the MBR, too: some BIOSes boot no disk without one. It is of no type
    and has the MBR's own sector, as xorriso's -mbr-force-bootable makes it. The protective entry itself must not be
    active (UEFI 2.10, table 5-4): EDK2 (PartitionDxe, Gpt.c) then finds no GPT.
    """
    entries = b"".join(_entry(p, seed) for p in partitions).ljust(_ENTRIES * _ENTRY_SIZE, b"\0")
    identity = guid(seed, "disk").bytes_le
    table = _Table(sector, sectors, 1 + backup(sector), identity, entries, _ENTRIES, _ENTRY_SIZE)
    protective = [MbrEntry(_MBR_PROTECTIVE, 1, sectors - 1, begins=b"\x00\x02\x00")]
    own = b"\x00\x01\x00"
    protective += [MbrEntry(0, 0, 1, True, own, own)] if boot_code else []
    return mbr(boot_code, 0, protective).ljust(sector, b"\0") + table.primary(), table.backup()


def sector_of(head: bytes) -> int | None:
    """The sector size that the GPT in a disk's first bytes counts in; None where there is none."""
    return next((size for size in SECTORS if head[size:].startswith(_SIGNATURE)), None)


@dataclass(frozen=True)
class Header:
    """What the header of a GPT says, in sectors. right: its own checksum; entries_checksum: that of all entries."""

    right: bool
    own: int
    other: int
    entries_at: int
    count: int
    entry_size: int
    entries_checksum: int


def header_of(sector: bytes) -> Header | None:
    """The header in a sector, None where there is none."""
    if not sector.startswith(_SIGNATURE) or len(sector) < _HEADER.size:
        return None
    _, revision, length, checksum, _, own, other, _, _, _, entries_at, count, size, crc = _HEADER.unpack_from(sector)
    bare = bytearray(sector[: min(max(length, _HEADER.size), len(sector))])
    bare[_CHECKSUM] = bytes(4)
    right = revision == _REVISION and _HEADER.size <= length <= len(sector) and zlib.crc32(bare) == checksum
    return Header(right, own, other, entries_at, count, size, crc)


def entries_of(head: bytes) -> tuple[MbrEntry, ...]:
    """The entries of the MBR in a disk's first bytes; none where there is no MBR."""
    if head[510:512] != b"\x55\xaa":
        return ()
    found = (_MBR_ENTRY.unpack_from(head, _MBR_TABLE + number * _MBR_ENTRY.size) for number in range(4))
    # A FAT file system's first sector ends like an MBR, with code where the table is.
    return tuple(
        MbrEntry(kind, start, size, active == 0x80, begins, ends)
        for active, begins, kind, ends, start, size in found
        if size and active in (0, 0x80)
    )


def moved(head: bytes, size: int) -> tuple[tuple[int, bytes], ...]:
    """How a device of `size` bytes differs from the disk image on it that has these first bytes: what it has instead,
    by offset, so that its partition table is that of the whole device; nothing where there is no GPT with right
    checksums.
    """
    sector = sector_of(head)
    if sector is None or len(head) < sector + _HEADER.size:
        return ()
    (_, revision, length, checksum, _, own, other, first_usable, _, identity, entries_at, count, entry_size, crc) = (
        _HEADER.unpack_from(head, sector)
    )
    entries = head[entries_at * sector :][: count * entry_size]
    bare = bytearray(head[sector : sector + _HEADER.size])
    bare[_CHECKSUM] = bytes(4)
    known = (revision, length, own, entries_at) == (_REVISION, _HEADER.size, 1, _ENTRIES_AT)
    if not known or (zlib.crc32(bare), zlib.crc32(entries)) != (checksum, crc):
        return ()
    table = _Table(sector, size // sector, first_usable, identity, entries, count, entry_size)
    first, last = _protecting(head[:sector], table.sectors) + table.primary(), table.backup()
    former = (other + 1) * sector - len(last)
    return (former, bytes(len(last))), (0, first), (table.sectors * sector - len(last), last)


def _protecting(first: bytes, sectors: int) -> bytes:
    """An MBR whose protective entry covers a disk of so many sectors."""
    changed = bytearray(first)
    for at in range(_MBR_TABLE, _MBR_TABLE + 4 * _MBR_ENTRY.size, _MBR_ENTRY.size):
        *same, _ = entry = _MBR_ENTRY.unpack_from(first, at)
        if entry[2] == _MBR_PROTECTIVE:
            _MBR_ENTRY.pack_into(changed, at, *same, min(sectors - 1, 0xFFFFFFFF))
    return bytes(changed)


@dataclass(frozen=True)
class _Table:
    """The partition table of a disk with so many sectors: its identity, and `count` entries of so many bytes."""

    sector: int
    sectors: int
    first_usable: int
    identity: bytes
    entries: bytes
    count: int
    entry_size: int

    @property
    def entry_sectors(self) -> int:
        return -(-len(self.entries) // self.sector)

    def primary(self) -> bytes:
        """Header and entries, behind the MBR."""
        return self._header(1, self.sectors - 1, _ENTRIES_AT) + self._padded()

    def backup(self) -> bytes:
        """Entries and header, at the disk's end."""
        return self._padded() + self._header(self.sectors - 1, 1, self.sectors - 1 - self.entry_sectors)

    def _padded(self) -> bytes:
        return self.entries.ljust(self.entry_sectors * self.sector, b"\0")

    def _header(self, own: int, other: int, entries_at: int) -> bytes:
        def pack(checksum: int) -> bytes:
            return _HEADER.pack(
                _SIGNATURE,
                _REVISION,
                _HEADER.size,
                checksum,
                0,
                own,
                other,
                self.first_usable,
                self.sectors - self.entry_sectors - 2,
                self.identity,
                entries_at,
                self.count,
                self.entry_size,
                zlib.crc32(self.entries),
            )

        return pack(zlib.crc32(pack(0))).ljust(self.sector, b"\0")


def _entry(partition: Partition, seed: str) -> bytes:
    last = partition.start + partition.size - 1
    identity = guid(seed, f"partition {partition.name}")
    return struct.pack(
        "<16s16sQQQ72s",
        partition.kind.bytes_le,
        identity.bytes_le,
        partition.start,
        last,
        0,
        partition.name.encode("utf-16-le"),
    )
