"""Packing: what a module's bytes look like in the image, and the pieces that bring them to their place.

A kernel's segments are cut into chunks of at most MAX_CHUNK bytes. Each becomes a piece: an LZ4 block where
that pays, the bytes themselves otherwise; zeros at the end of a chunk are cleared at boot, not carried. A
ramdisk that is stored stays the file that it is and has no pieces. Everything is read once, in chunks, and
hashed on the way.

LZ4's level: Debian's 6.1 cloud kernel (44.1 MiB of segments) on two cores packs to 12.88 MiB in 0.21 s at
level 3, to 12.56 MiB in 0.48 s at 9, to 12.52 MiB in 1.68 s at 12. Unpacking costs the same at all levels.
Specification: LZ4 Block Format Description, blocks without frame.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import lz4.block

from bootwright.common.abi import load as load_abi
from bootwright.common.pieces import Piece
from bootwright.common.ranges import align_up
from bootwright.kernels.elf import Segment

if TYPE_CHECKING:
    from concurrent.futures import Future

LEVEL = 9
PAYS = 0.9  # packed must be below this share of stored
SAMPLES = 16
SAMPLE_SIZE = 64 << 10

Progress = Callable[[int], None]  # bytes done since the last call


@dataclass(frozen=True)
class PackedPiece:
    """A piece before its module has a place: what it makes begins `offset` bytes behind the start of all that the
    module becomes, which for a kernel is its lowest segment. All else is as in Piece.
    """

    source: int
    source_size: int
    offset: int
    dest_size: int
    zero_size: int
    method: int
    reserve_pages: int = 0

    def at(self, start: int) -> Piece:
        """The piece of a module that becomes what it is at address `start`, as seen by whoever is entered."""
        sizes = self.dest_size, self.zero_size
        return Piece(self.source, self.source_size, start + self.offset, *sizes, self.method, self.reserve_pages)


@dataclass(frozen=True)
class Packed:
    """A module as it goes into the image. path: the file with its `size` bytes; sha256: of those bytes.
    pieces: none for one that is used where it lies.
    """

    path: Path
    size: int
    sha256: bytes
    pieces: tuple[PackedPiece, ...] = ()

    def with_part(self, start: int, size: int, reserve_pages: int = 0) -> Packed:
        """The same stored file with one piece: the `size` bytes from `start` on, as they are."""
        piece = PackedPiece(start, size, 0, size, 0, load_abi().constants["PACK_STORED"], reserve_pages)
        return replace(self, pieces=(piece,))


@dataclass(frozen=True)
class _Chunk:
    """Bytes, and zeros behind them; offset: as in PackedPiece."""

    offset: int
    data: bytes
    zeros: int


def pack_kernel(
    source: Path, segments: Iterable[Segment], out: Path, pack: str, progress: Progress | None = None
) -> Packed:
    """Write the packed segments of the kernel file `source` to `out`. pack: "auto", "lz4" or "none"."""
    with source.open("rb") as stream:
        return _write(_segment_chunks(stream, segments), out, pack, progress)


def pack_file(source: Path, out: Path, pack: str, progress: Progress | None = None) -> Packed:
    """Pack a file that is used as it is, such as a ramdisk, to `out` if it pays ("auto") or is asked for
    ("lz4"); else only hash it.
    """
    size = source.stat().st_size
    if pack == "lz4" or (pack == "auto" and _sample_pays(source, size)):
        with source.open("rb") as stream:
            packed = _write(_segment_chunks(stream, [Segment(0, size, 0, size)]), out, pack, progress)
        # One that is all zeros would leave nothing to load.
        if packed.size and (pack == "lz4" or pays(packed.size, size)):
            return packed
        out.unlink()
    return store(source, progress)


def store(source: Path, progress: Progress | None = None) -> Packed:
    """The file as it is, hashed."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as stream:
        while data := stream.read(_chunk_size()):
            digest.update(data)
            size += len(data)
            if progress:
                progress(len(data))
    return Packed(source, size, digest.digest())


def pays(packed: int, stored: int) -> bool:
    """Whether `packed` bytes instead of `stored` are worth it: below 90 %, and a page less."""
    page = load_abi().constants["PAGE_SIZE"]
    return packed < PAYS * stored and align_up(packed, page) < align_up(stored, page)


def _chunk_size() -> int:
    return load_abi().constants["MAX_CHUNK"]


def _sample_pays(source: Path, size: int) -> bool:
    """A quick look at a few places, so that a large compressed file is not packed only to be thrown away."""
    if not pays(0, size):
        return False
    packed = stored = 0
    step = max(size // SAMPLES, SAMPLE_SIZE)
    with source.open("rb") as stream:
        for start in range(0, size, step):
            stream.seek(start)
            data = stream.read(SAMPLE_SIZE)
            stored += len(data)
            packed += len(lz4.block.compress(data, store_size=False))
    return packed < PAYS * stored


def _segment_chunks(stream: BinaryIO, segments: Iterable[Segment]) -> Iterator[_Chunk]:
    limit, segments = _chunk_size(), list(segments)
    start = min((segment.p_paddr for segment in segments), default=0)
    for segment in segments:
        zeros_at_end = segment.p_memsz - segment.p_filesz
        stream.seek(segment.p_offset)
        left, offset = segment.p_filesz, segment.p_paddr - start
        pending = _Chunk(offset, b"", 0)
        while left:
            data = stream.read(min(limit, left))
            if not data:
                raise OSError(f"{segment.p_filesz} bytes at {segment.p_offset} end early")
            kept = data.rstrip(b"\0")
            if kept:
                if pending.data or pending.zeros:
                    yield pending
                pending = _Chunk(offset, kept, len(data) - len(kept))
            else:
                pending = replace(pending, zeros=pending.zeros + len(data))
            left -= len(data)
            offset += len(data)
        yield replace(pending, zeros=pending.zeros + zeros_at_end)


def _write(chunks: Iterator[_Chunk], out: Path, pack: str, progress: Progress | None) -> Packed:
    constants = load_abi().constants
    digest, size, pieces = hashlib.sha256(), 0, []
    with out.open("wb") as target:
        for chunk, packed in _in_order(chunks, pack):
            method = constants["PACK_STORED"] if packed is None else constants["PACK_LZ4"]
            data = chunk.data if packed is None else packed
            pieces.append(PackedPiece(size, len(data), chunk.offset, len(chunk.data), chunk.zeros, method))
            target.write(data)
            digest.update(data)
            size += len(data)
            if progress:
                progress(len(chunk.data) + chunk.zeros)
    return Packed(out, size, digest.digest(), tuple(pieces))


def _in_order(chunks: Iterator[_Chunk], pack: str) -> Iterator[tuple[_Chunk, bytes | None]]:
    """Each chunk with its LZ4 block, None where it is stored; packed side by side, given in order.

    Only as many chunks as there are workers are held at a time.
    """
    if pack == "none":
        for chunk in chunks:
            yield chunk, None
        return
    from concurrent.futures import ThreadPoolExecutor

    workers = min(os.cpu_count() or 1, 4)
    waiting: deque[tuple[_Chunk, Future[bytes | None]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(_compress, chunk.data, pack)))
            if len(waiting) > workers:
                done, block = waiting.popleft()
                yield done, block.result()
        while waiting:
            done, block = waiting.popleft()
            yield done, block.result()


def _compress(data: bytes, pack: str) -> bytes | None:
    if not data:
        return None
    block: bytes = lz4.block.compress(data, mode="high_compression", compression=LEVEL, store_size=False)
    return block if pack == "lz4" or len(block) < PAYS * len(data) else None
