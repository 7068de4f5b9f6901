"""File systems on a medium, looked into: what files there are, how large, and how much is free. Nothing is written.

Microsoft's "FAT: General Overview of On-Disk Format" 1.03; ISO 9660 is pycdlib's to read.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MOST_FILES = 10_000
_MOST_DEPTH = 16
_BPB = struct.Struct("<HBHBHHBHHHII")  # from offset 11 on
_FAT32_SIZE, _FAT32_ROOT = 36, 44
_ENTRY = struct.Struct("<11sBB7xHHHHI")
_LONG_NAME, _VOLUME, _FOLDER, _FREE, _LAST = 0x0F, 0x08, 0x10, 0xE5, 0x00
_LETTERS = ((1, 11), (14, 26), (28, 32))  # of a part of a long name
_LOWER_BASE, _LOWER_EXTENSION = 0x08, 0x10


@dataclass(frozen=True)
class File:
    """A file: its path, and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class FileSystem:
    """kind: as "FAT32" or "ISO 9660"; label: its name; free: bytes, None where that is not asked (a CD has none);
    files: at most some thousands, in the order of their folders.
    """

    kind: str
    label: str
    free: int | None
    files: tuple[File, ...]


def find(file: BinaryIO, start: int, size: int) -> FileSystem | None:
    """The file system that begins at an offset of a medium, None for none that is known. Raises ValueError,
    struct.error and IndexError for a damaged one, OSError where it cannot be read.
    """
    file.seek(start)
    head = file.read(0x8800)
    if head[0x8001:0x8006] == b"CD001" and start == 0:
        return _iso(file, head)
    if len(head) >= 512 and head[510:512] == b"\x55\xaa" and (head[54:57] == b"FAT" or head[82:87] == b"FAT32"):
        return _Fat(file, start, size, head).read()
    return None


class _Fat:
    def __init__(self, file: BinaryIO, start: int, size: int, head: bytes) -> None:
        sector, per_cluster, reserved, fats, entries, few, _, short, _, _, _, many = _BPB.unpack_from(head, 11)
        self._file, self._start = file, start
        self._sector, self._cluster = sector, sector * per_cluster
        fat = short or struct.unpack_from("<I", head, _FAT32_SIZE)[0]
        root = -(-entries * 32 // sector) if sector else 0
        data = reserved + fats * fat + root
        sectors = few or many
        if not self._cluster or not fat or sectors * sector > size or data >= sectors:
            raise ValueError("the boot sector's sizes do not fit together")
        self._clusters = (sectors - data) // per_cluster
        self._bits = 12 if self._clusters < 4085 else 16 if self._clusters < 65525 else 32
        self._fat = Part(start + reserved * sector, fat * sector)
        self._root = Part(start + (reserved + fats * fat) * sector, root * sector)
        self._data = start + data * sector
        self._first = struct.unpack_from("<I", head, _FAT32_ROOT)[0] if self._bits == 32 else 0
        self._label = head[71:82] if self._bits == 32 else head[43:54]

    def read(self) -> FileSystem:
        self._next = self._table()
        root = self._chain(self._first) if self._bits == 32 else self._read(self._root)
        files = list(self._files(root, "", 0))
        free = sum(1 for value in self._next[2 : self._clusters + 2] if value == 0) * self._cluster
        label = self._label.decode("latin-1").rstrip()
        return FileSystem(f"FAT{self._bits}", label if label.isprintable() else "", free, tuple(files[:_MOST_FILES]))

    def _read(self, part: Part) -> bytes:
        self._file.seek(part.start)
        return self._file.read(part.size)

    def _table(self) -> array[int]:
        wanted = (self._clusters + 2) * self._bits // 8 + 1
        data = self._read(Part(self._fat.start, min(self._fat.size, wanted)))
        if self._bits == 12:
            packed = (int.from_bytes(data[at : at + 3], "little") for at in range(0, len(data) - 2, 3))
            return array("I", [half for three in packed for half in (three & 0xFFF, three >> 12)])
        code, size = ("H", 2) if self._bits == 16 else ("I", 4)
        found = array(code)
        found.frombytes(data[: len(data) // size * size])
        return array("I", [value & 0x0FFFFFFF for value in found])

    def _chain(self, cluster: int) -> bytes:
        """The bytes of a folder, up to so many files as are shown."""
        data, left = bytearray(), _MOST_FILES * 32 // self._cluster + 2
        while 2 <= cluster < self._clusters + 2 and left:
            data += self._read(Part(self._data + (cluster - 2) * self._cluster, self._cluster))
            cluster, left = self._next[cluster], left - 1
        return bytes(data)

    def _files(self, folder: bytes, path: str, depth: int) -> Iterator[File]:
        parts: dict[int, str] = {}
        for at in range(0, len(folder) - 31, 32):
            entry = folder[at : at + 32]
            if entry[0] == _LAST:
                return
            attributes = entry[11]
            if entry[0] == _FREE:
                parts = {}
            elif attributes & 0x3F == _LONG_NAME:
                text = b"".join(entry[begin:end] for begin, end in _LETTERS).decode("utf-16-le", "replace")
                parts[entry[0] & 0x3F] = text.split("\0")[0]
            else:
                long = "".join(parts[number] for number in sorted(parts))
                parts = {}
                if attributes & _VOLUME or entry[0] == ord("."):
                    continue
                yield from self._entry(entry, long, path, depth)

    def _entry(self, entry: bytes, long: str, path: str, depth: int) -> Iterator[File]:
        name, attributes, case, high, _, _, low, size = _ENTRY.unpack(entry)
        base, extension = name[:8].decode("latin-1").rstrip(), name[8:].decode("latin-1").rstrip()
        base = base.lower() if case & _LOWER_BASE else base
        extension = extension.lower() if case & _LOWER_EXTENSION else extension
        short = f"{base}.{extension}" if extension else base
        shown = "".join(letter if letter.isprintable() else "?" for letter in f"{path}{long or short}")
        if not attributes & _FOLDER:
            yield File(shown, size)
        elif depth < _MOST_DEPTH:
            yield from self._files(self._chain(high << 16 | low), f"{shown}/", depth + 1)


@dataclass(frozen=True)
class Part:
    """Bytes of a medium."""

    start: int
    size: int


def _iso(file: BinaryIO, head: bytes) -> FileSystem:
    from pycdlib.pycdlib import PyCdlib
    from pycdlib.pycdlibexception import PyCdlibException

    iso = PyCdlib()
    try:
        iso.open_fp(file)
        files = []
        for folder, _, names in iso.walk(iso_path="/"):
            for name in names:
                path = f"{folder.rstrip('/')}/{name}"
                size = int(iso.get_record(iso_path=path).get_data_length())
                files.append(File(path.removeprefix("/").partition(";")[0].rstrip("."), size))
        label = head[0x8028:0x8048].decode("latin-1").rstrip()
        return FileSystem("ISO 9660", label if label.isprintable() else "", None, tuple(files[:_MOST_FILES]))
    except PyCdlibException as error:
        raise ValueError(str(error)) from error
    finally:
        if iso._initialized:
            iso.close()
