"""An image to be written to a device: a file as it is, or one that is unpacked while it is read (.xz, .zst).

    with open_source(path) as source:
        source.fill(view, offset)       # source.size bytes in all

A packed one is read from its start on, and from there again where an earlier byte is asked for. How large it is
unpacked is found by unpacking it.
"""

from __future__ import annotations

import lzma
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

from bootwright.common.errors import SourceError, Where, why

SUFFIXES = (".xz", ".zst")
_XZ, _ZST = b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"  # The .xz File Format 1.2, 2.1.1.1; RFC 8878, 3.1.1
_BLOCK = 1 << 20
_SLICE = 1 << 10  # of what zstd packed: it may pack a block of 128 KiB to 4 bytes


class Source(Protocol):
    """Bytes by offset. size: of all of them."""

    size: int

    def fill(self, view: memoryview, offset: int) -> None:
        """Fill `view` with the bytes from `offset` on. Raises OSError where they are not there any more, or damaged."""


@contextmanager
def open_source(path: Path, size: int | None = None) -> Iterator[Source]:
    """The image at `path`, packed or not as its first bytes say. size: of it unpacked, where that is known already.

    Raises SourceError where it cannot be read.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(str(path))) from error
    with file:
        try:
            source = _source(file, size)
        except OSError as error:
            raise SourceError(f"cannot be read: {why(error)}", Where(str(path))) from error
        yield source


def _source(file: BinaryIO, size: int | None) -> Source:
    start = file.read(len(_XZ))
    if start == _XZ:
        return _Packed(file, lzma.LZMAFile, size)
    if start.startswith(_ZST):
        return _Packed(file, _Zst, size)
    return _Plain(file)


class _Plain:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file.fileno()
        self.size = os.fstat(self._file).st_size

    def fill(self, view: memoryview, offset: int) -> None:
        done = 0
        while done < len(view):
            got = os.preadv(self._file, [view[done:]], offset + done)
            if not got:
                raise OSError(0, "it became shorter meanwhile")
            done += got


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Packed:
    def __init__(self, file: BinaryIO, unpack: Callable[[BinaryIO], _Stream], size: int | None) -> None:
        self._file, self._unpack = file, unpack
        self._restart()
        self.size = self._length() if size is None else size

    def _restart(self) -> None:
        self._file.seek(0)
        self._stream, self._at = self._unpack(self._file), 0

    def _length(self) -> int:
        while self._read(_BLOCK):
            pass
        return self._at

    def fill(self, view: memoryview, offset: int) -> None:
        if offset < self._at:
            self._restart()
        done = 0
        while done < len(view):
            skips = self._at < offset
            data = self._read(min(_BLOCK, offset - self._at if skips else len(view) - done))
            if not data:
                raise OSError(0, "it became shorter meanwhile")
            if not skips:
                view[done : done + len(data)] = data
                done += len(data)

    def _read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except (lzma.LZMAError, zstandard.ZstdError, EOFError) as error:
            raise OSError(0, f"it is damaged: {error}") from error
        self._at += len(data)
        return data


class _Zst:
    """The bytes of zstd frames, one behind the other: its own reader takes a file that ends early for whole."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._frame, self._ready = file, zstandard.ZstdDecompressor().decompressobj(), b""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end. Raises EOFError for a file that ends within a frame."""
        while not self._ready:
            packed = self._frame.unused_data or self._file.read(_SLICE)
            if not packed and not self._frame.eof:
                raise EOFError("it ends early")
            if not packed:
                return b""
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._ready = self._frame.decompress(packed)
        given, self._ready = self._ready[:size], self._ready[size:]
        return given
