"""How a medium is laid out: partition tables and whether their checksums are right, partitions, file systems, files.

UEFI 2.10, section 5: an MBR, or a GPT with its backup at the end of the disk. A medium may be a file or a device; only
what is shown is read.
"""

from __future__ import annotations

import os
import struct
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bootwright.artifact import file_systems
from bootwright.common.columns import aligned
from bootwright.common.errors import SourceError, Where, format_range, why
from bootwright.common.ranges import Range
from bootwright.media import gpt

_DAMAGED = (ValueError, IndexError, struct.error, OverflowError, MemoryError)
_MOST_ENTRIES = 1 << 20  # bytes of a table
_KINDS = {gpt.EFI_SYSTEM: "EFI system", gpt.BIOS_BOOT: "BIOS boot"}
_MBR_KINDS = {
    0x0B: "FAT32",
    0x0C: "FAT32",
    0x0E: "FAT16",
    0x17: "hidden",
    0x83: "Linux",
    0xEE: "protective",
    0xEF: "EFI",
}


@dataclass(frozen=True)
class Table:
    """A GPT, or its backup: whether header and entries have the checksums that they should, and where it is."""

    at: int
    right: bool
    partitions: tuple[tuple[str, str, Range], ...]  # kind, name, bytes
    other: int = 0


def record(path: Path) -> dict[str, Any] | None:
    """What a medium has, for JSON; None for a file that is none. Raises SourceError where it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            return _record(file, size)
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(str(path))) from error


def _record(file: BinaryIO, size: int) -> dict[str, Any] | None:
    file.seek(0)
    head = file.read(1 + max(gpt.SECTORS) * 2)
    sector = gpt.sector_of(head)
    entries = list(gpt.entries_of(head))
    whole = _file_system(file, 0, size)
    if sector is None and not entries and whole is None:
        return None
    partitions = [_mbr(one, sector or gpt.SECTOR) for one in entries]
    said: dict[str, Any] = {"size": size, "sector": sector or gpt.SECTOR, "mbr": partitions, "gpt": None}
    said["file_system"] = whole
    if sector is not None:
        primary = _table(file, size, sector, sector)
        backup = _table(file, size, sector, primary.other * sector) if primary and primary.other > 0 else None
        said["gpt"] = _gpt(file, size, sector, primary, backup)
    elif whole is None:
        for one in partitions:
            one["file_system"] = _file_system(file, one["place"][0], one["place"][1] - one["place"][0])
    return said


def _mbr(entry: gpt.MbrEntry, sector: int) -> dict[str, Any]:
    kind = _MBR_KINDS.get(entry.kind, f"type {entry.kind:#04x}")
    place = [entry.start * sector, (entry.start + entry.size) * sector]
    return {"kind": kind, "type": entry.kind, "active": entry.active, "place": place}


def _gpt(file: BinaryIO, size: int, sector: int, primary: Table | None, backup: Table | None) -> dict[str, Any]:
    last = size // sector * sector - sector
    return {
        "right": bool(primary and primary.right),
        "backup": None if backup is None else {"right": backup.right, "at_the_end": backup.at == last},
        "partitions": [
            {
                "kind": kind,
                "name": name,
                "place": [place.start, place.end],
                "file_system": _file_system(file, place.start, place.size),
            }
            for kind, name, place in (primary.partitions if primary else ())
        ],
    }


def _table(file: BinaryIO, size: int, sector: int, at: int) -> Table | None:
    """The table whose header lies at an offset, None where there is none."""
    if not 0 <= at <= size - sector:
        return None
    file.seek(at)
    header = gpt.header_of(file.read(sector))
    if header is None:
        return None
    length = header.count * header.entry_size
    if header.entry_size < 128 or length > _MOST_ENTRIES:
        return Table(at, False, (), header.other)
    file.seek(header.entries_at * sector)
    entries = file.read(length)
    right = header.right and header.own * sector == at and zlib.crc32(entries) == header.entries_checksum
    return Table(at, right, tuple(_partitions(entries, header.entry_size, sector)), header.other)


def _partitions(entries: bytes, size: int, sector: int) -> Iterator[tuple[str, str, Range]]:
    for at in range(0, len(entries) - 127, size):
        kind, first, last = uuid.UUID(bytes_le=entries[at : at + 16]), *struct.unpack_from("<QQ", entries, at + 32)
        if kind.int and last >= first:
            name = entries[at + 56 : at + 128].decode("utf-16-le", "replace").split("\0")[0]
            shown = "".join(letter if letter.isprintable() else "?" for letter in name)
            yield _KINDS.get(kind, str(kind)), shown, Range(first * sector, (last + 1) * sector)


def _file_system(file: BinaryIO, start: int, size: int) -> dict[str, Any] | None:
    try:
        found = file_systems.find(file, start, size)
    except _DAMAGED as error:
        return {"kind": "damaged", "label": str(error), "free": None, "files": []}
    return asdict(found) if found else None


def text(said: Mapping[str, Any]) -> Iterator[str]:
    """The lines for people of a record."""
    yield f"medium of {said['size']:,} bytes, sectors of {said['sector']}"
    if said["mbr"]:
        rows = [(one["kind"], format_range(*one["place"]), "active" if one["active"] else "") for one in said["mbr"]]
        yield from (f"  MBR  {line}" for line in aligned(rows))
    if said["file_system"]:
        yield from _file_system_lines(said["file_system"], "  ")
    for one in said["mbr"]:
        yield from _file_system_lines(one.get("file_system"), "  ")
    if said["gpt"] is not None:
        found, backup = said["gpt"], said["gpt"]["backup"]
        state = "is missing" if backup is None else "is right" if backup["right"] else "is WRONG"
        place = "" if backup is None or backup["at_the_end"] else ", and not at the end"
        yield f"  GPT  {'is right' if found['right'] else 'is WRONG'}; its backup {state}{place}"
        for one in found["partitions"]:
            yield f"    {one['kind']} {one['name']!r} {format_range(*one['place'])}"
            yield from _file_system_lines(one["file_system"], "      ")


def _file_system_lines(found: Mapping[str, Any] | None, indent: str) -> Iterator[str]:
    if found is None:
        return
    free = "" if found["free"] is None else f", {found['free']:,} bytes free"
    yield f"{indent}{found['kind']} {found['label']!r}{free}"
    rows = [(one["path"], f"{one['size']:,}") for one in found["files"]]
    yield from (f"{indent}  {line}" for line in aligned(rows, right=(1,)))
