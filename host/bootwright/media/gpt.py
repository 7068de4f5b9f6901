"""A disk's first and last sectors: a GUID partition table (UEFI 2.10, section 5.3) under a protective MBR,
and the small MBR of a hybrid ISO.

Everything is a pure function of its arguments: GUIDs are derived from a seed.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

SECTOR = 512
ALIGNMENT = 2048  # sectors: 1 MiB, as every partitioning program does it

EFI_SYSTEM = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649")

_ENTRIES, _ENTRY_SIZE = 128, 128
_ENTRY_SECTORS = _ENTRIES * _ENTRY_SIZE // SECTOR
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_MBR_CODE = 440
_MBR_ENTRY = struct.Struct("<B3sB3sII")
_MBR_PROTECTIVE = 0xEE
# What stands for an address beyond what cylinder, head and sector can say.
_BEYOND = b"\xfe\xff\xff"

FIRST_USABLE = 2 + _ENTRY_SECTORS
BACKUP = 1 + _ENTRY_SECTORS


@dataclass(frozen=True)
class Partition:
    """A partition: its type's GUID, its name, first sector and number of sectors."""

    kind: uuid.UUID
    name: str
    start: int
    size: int


@dataclass(frozen=True)
class MbrEntry:
    """An entry of an MBR: type, first sector, number of sectors, and whether a BIOS is to boot it."""

    kind: int
    start: int
    size: int
    active: bool = False


def guid(seed: str, what: str) -> uuid.UUID:
    """The GUID of `what` (RFC 9562, version 8) on the medium with that seed."""
    digest = bytearray(hashlib.sha256(f"{seed}/{what}".encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(digest))


def mbr(code: bytes, signature: int, entries: Sequence[MbrEntry]) -> bytes:
    """A master boot record with boot code (at most 440 bytes of it are taken) and a disk signature."""
    table = b"".join(
        _MBR_ENTRY.pack(0x80 if e.active else 0, _BEYOND, e.kind, _BEYOND, e.start, min(e.size, 0xFFFFFFFF))
        for e in entries
    )
    head = code[:_MBR_CODE].ljust(_MBR_CODE, b"\0") + struct.pack("<IH", signature, 0)
    return head + table.ljust(4 * _MBR_ENTRY.size, b"\0") + b"\x55\xaa"


def tables(
    sectors: int, partitions: Sequence[Partition], seed: str, boot_code: bytes = b""
) -> tuple[bytes, bytes]:
    """The first FIRST_USABLE sectors, and the last BACKUP sectors, of a disk with that many sectors."""
    entries = b"".join(_entry(p, seed) for p in partitions).ljust(_ENTRIES * _ENTRY_SIZE, b"\0")
    primary = _header(sectors, 1, sectors - 1, 2, entries, seed)
    backup = _header(sectors, sectors - 1, 1, sectors - BACKUP, entries, seed)
    protective = _MBR_ENTRY.pack(
        0, b"\x00\x02\x00", _MBR_PROTECTIVE, _BEYOND, 1, min(sectors - 1, 0xFFFFFFFF)
    )
    first = mbr(boot_code, 0, [])
    first = first[:446] + protective + first[446 + _MBR_ENTRY.size :]
    return first + primary + entries, entries + backup


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


def _header(sectors: int, own: int, other: int, entries_at: int, entries: bytes, seed: str) -> bytes:
    def pack(checksum: int) -> bytes:
        return _HEADER.pack(
            b"EFI PART",
            0x10000,
            _HEADER.size,
            checksum,
            0,
            own,
            other,
            FIRST_USABLE,
            sectors - BACKUP - 1,
            guid(seed, "disk").bytes_le,
            entries_at,
            _ENTRIES,
            _ENTRY_SIZE,
            zlib.crc32(entries),
        )

    return pack(zlib.crc32(pack(0))).ljust(SECTOR, b"\0")
