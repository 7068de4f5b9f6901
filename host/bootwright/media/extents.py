"""A file as a list of pieces: bytes, whole files and zeros; written or read without ever being held in
memory.

Media are put together from such lists, so that a payload of any size goes from its own file straight to its
place on the medium.
"""

from __future__ import annotations

import io
import shutil
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from bootwright.common.errors import SourceError, Where, why
from bootwright.common.ranges import Range, align_up

_COPY_BUFFER = 1 << 20


@dataclass(frozen=True)
class Zeros:
    """So many bytes of zeros."""

    size: int


@dataclass(frozen=True)
class Free(Zeros):
    """Bytes that nobody reads, such as a file system's free space: zeros in a file, anything on a device."""


@dataclass(frozen=True)
class Whole:
    """All bytes of a file, which must not change any more: its size in bytes is taken once, by whole()."""

    path: Path
    size: int


Piece = bytes | Zeros | Whole


def whole(path: Path) -> Whole:
    """The file at `path` as a piece. Raises SourceError where there is none."""
    try:
        return Whole(path, path.stat().st_size)
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(str(path))) from error


def size_of(piece: Piece) -> int:
    """Bytes of a piece."""
    return len(piece) if isinstance(piece, bytes) else piece.size


def total(pieces: Iterable[Piece]) -> int:
    """Bytes of all pieces."""
    return sum(size_of(piece) for piece in pieces)


def padded(pieces: Iterable[Piece], size: int) -> list[Piece]:
    """The pieces, and zeros up to `size` bytes in all."""
    listed = list(pieces)
    missing = size - total(listed)
    assert missing >= 0, f"{total(listed)} bytes do not fit into {size}"
    return [*listed, Zeros(missing)] if missing else listed


def used(pieces: Iterable[Piece], block: int) -> tuple[Range, ...]:
    """The blocks, of so many bytes, that have something else than free space, as ranges of bytes in ascending order."""
    found: list[Range] = []
    start = 0
    for piece in pieces:
        end = start + size_of(piece)
        if end > start and not isinstance(piece, Free):
            here = Range(start // block * block, align_up(end, block))
            if found and here.start <= found[-1].end:
                here = Range(found.pop().start, here.end)
            found.append(here)
        start = end
    return tuple(found)


def write(pieces: Iterable[Piece], output: BinaryIO) -> None:
    """Write the pieces to a new file, zeros as holes. Raises SourceError where a file changed its size."""
    for piece in pieces:
        if isinstance(piece, bytes):
            output.write(piece)
        elif isinstance(piece, Zeros):
            output.seek(piece.size, io.SEEK_CUR)
        else:
            start = output.tell()
            with piece.path.open("rb") as source:
                shutil.copyfileobj(source, output, _COPY_BUFFER)
            _check_size(piece, output.tell() - start)
    output.truncate(output.tell())


class Reader(io.RawIOBase):
    """The pieces as a readable, seekable file. It is to be closed after use."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._starts = [0, *accumulate(size_of(piece) for piece in pieces)]
        self._position = 0
        self._open: tuple[Path, BinaryIO] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._starts[-1]}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Exactly `size` bytes, fewer only at the end."""
        left = self._starts[-1] - self._position
        left = max(0, left if size is None or size < 0 else min(left, size))
        blocks = []
        while left:
            index = bisect_right(self._starts, self._position) - 1
            within = self._position - self._starts[index]
            count = min(left, self._starts[index + 1] - self._position)
            blocks.append(self._part(self._pieces[index], within, count))
            self._position += count
            left -= count
        return b"".join(blocks)

    def _part(self, piece: Piece, start: int, count: int) -> bytes:
        if isinstance(piece, bytes):
            return piece[start : start + count]
        if isinstance(piece, Zeros):
            return bytes(count)
        if self._open is None or self._open[0] != piece.path:
            self._close_file()
            self._open = piece.path, piece.path.open("rb")
        file = self._open[1]
        file.seek(start)
        block = file.read(count)
        if len(block) != count:
            _check_size(piece, start + len(block))
        return block

    def _close_file(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def close(self) -> None:
        self._close_file()
        super().close()


def _check_size(piece: Whole, found: int) -> None:
    if found != piece.size:
        message = f"is {found} bytes long now; it was {piece.size} when the medium was laid out"
        raise SourceError(message, Where(str(piece.path)))
