"""Writes a medium to a device, so that it is either what was meant or boots nothing.

    write(image, to, progress, warn)    # Figures: seconds of writing and of reading back; to: a Target

The first MiB, with everything that a firmware starts from, is cleared first and written last, when all the
rest has been read back and is right; of that MiB the boot sector comes last, and is cleared again if it reads
back wrong. Block devices are written and read past the kernel's cache (O_DIRECT), so rates
are the device's own, and what is compared is what the device has.

Where the image has a block map beside it, what is free space by that is neither written nor read back.

On a device larger than the image the backup of the image's partition table goes to the device's end (UEFI 2.10,
section 5.3.2), and both tables say so. An image whose table counts in other sectors than the device has is refused:
no firmware would find it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootwright.common.errors import DeviceError, SourceError, Where, why
from bootwright.common.ranges import Range, align_up
from bootwright.flash.source import Source, open_source
from bootwright.flash.target import Target, opened
from bootwright.media import bmap, gpt

CHUNK = 4 << 20  # bytes of one write: large enough for any stick's own blocks
FIRST = 4096  # boot sector and, on disks with blocks of 512 bytes, the head of the partition table
HEAD = 1 << 20  # boot sector, partition table, ISO 9660 and El Torito descriptors
TAIL = 64 << 10  # at a device's end: the backup of an older partition table, which a firmware might go by
ISO_SIGNATURE_AT, ISO_SIGNATURE = 0x8001, b"CD001"  # ISO 9660 (ECMA-119), 8.1
SYNC_EVERY = 8  # chunks between two flushes where there is a cache
BLKFLSBUF = 0x1261  # linux/fs.h
BLKRRPART = 0x125F

Progress = Callable[[str, int, int], None]
"""progress(what, done, total): what is "writing" or "reading back", in bytes."""


@dataclass(frozen=True)
class Figures:
    """What was written, in bytes, and the seconds that writing and reading back took."""

    size: int
    writing: float
    reading: float


def write(image: Path, to: Target, progress: Progress, warn: Callable[[str], None], size: int | None = None) -> Figures:
    """Write the file `image` over the target, read all of it back and compare; where it has a block map beside it
    (bmap), all that the map says. size: of the image unpacked, where that is known already.

    Raises DeviceError for a device that fails, is full, was pulled, or reads back otherwise; SourceError if
    the image cannot be read. What is no error (an interruption) passes, after warn was given a sentence that
    says, as those of the errors do, whether the target is unfinished.
    """
    with open_source(image, size) as source:
        head = bytearray(min(HEAD, source.size))
        try:
            source.fill(memoryview(head), 0)
        except OSError as error:
            raise SourceError(f"cannot be read: {why(error)}", Where(str(image))) from error
        check_sectors(str(image), bytes(head), to)
        mapped = _mapped(image, source, progress)
        return _write(image, source, bytes(head), mapped, to, progress, warn)


def _mapped(image: Path, source: Source, progress: Progress) -> tuple[bmap.Mapped, ...]:
    """What the image's block map says, checked before anything is written: what it leaves out is not."""
    file = bmap.path(image)
    if not file.exists():
        return ()
    found = bmap.read(file, source.size)
    buffer = memoryview(bytearray(CHUNK))
    checked, total = 0, sum(one.range.size for one in found)
    for one in found:
        digest = hashlib.sha256()
        for offset, size in _chunks([one.range]):
            try:
                source.fill(buffer[:size], offset)
            except OSError as error:
                raise SourceError(f"cannot be read: {why(error)}", Where(str(image))) from error
            digest.update(buffer[:size])
            checked += size
            progress("checking the map", checked, total)
        if one.sha256 not in (None, digest.hexdigest()):
            message = f"{one.range} of {image.name} has another SHA-256 than this map says: it is that of another image"
            raise SourceError(f"{message}; remove it, or make it again", Where(str(file)))
    return found


def check_sectors(what: str, head: bytes, to: Target) -> None:
    """Raises DeviceError where what begins so is for sectors of another size than the target's."""
    is_iso = head[ISO_SIGNATURE_AT:].startswith(ISO_SIGNATURE)
    sector = gpt.SECTOR if is_iso else gpt.sector_of(head)
    if None not in (sector, to.sector) and sector != to.sector:
        raise DeviceError(
            f"{to.path} has sectors of {to.sector} bytes, and {what} is for those of {sector}: "
            "no firmware would find anything on it"
        )


def _write(
    image: Path,
    source: Source,
    head: bytes,
    mapped: Sequence[bmap.Mapped],
    to: Target,
    progress: Progress,
    warn: Callable[[str], None],
) -> Figures:
    with opened(to) as (device, direct):
        job = _Job(source, device, direct, mapped, to, progress)
        job.fit(head)
        try:
            return job.run()
        except OSError as error:
            where = f"{job.doing} at byte {job.at:#x} failed: {why(error)}"
            job.abandon()
            if job.reads_source:
                raise SourceError(f"{where}; {job.state}", Where(str(image))) from error
            raise DeviceError(f"{to.path}: {where}; {job.state}") from error
        except (DeviceError, SourceError) as error:
            job.abandon()
            raise type(error)(f"{error.message}; {job.state}", error.where) from error
        except BaseException:
            job.abandon()
            warn(f"{to.path}: {job.state}")
            raise


class _Job:
    """One image on its way to one device. doing and at: what is being done, and to which byte, for errors."""

    def __init__(
        self,
        source: Source,
        device: int,
        direct: bool,
        mapped: Sequence[bmap.Mapped],
        to: Target,
        progress: Progress,
    ) -> None:
        self._source, self._device, self._direct = source, device, direct
        self._size, self._to, self._progress = source.size, to, progress
        self._mapped = mapped
        self._block = to.sector or 1
        self._instead: tuple[tuple[int, bytes], ...] = ()
        self._tail = Range(self._size, self._size)
        # Page-aligned, as O_DIRECT wants it.
        self._buffer = memoryview(mmap.mmap(-1, CHUNK))
        self._back = memoryview(mmap.mmap(-1, CHUNK))
        self._touched = self._complete = False
        self.doing, self.at, self.reads_source = "writing", 0, False

    def fit(self, head: bytes) -> None:
        """Have the partition table of an image that begins so moved to the end of a larger device."""
        limit = self._to.limit or 0
        if limit >= max(HEAD + TAIL, self._size + 1) and (instead := gpt.moved(head, limit)):
            self._instead = instead
            offset, backup = instead[-1]
            end = offset + len(backup)
            self._tail = Range(min(max(offset, align_up(self._size, self._block)), end), end)

    def run(self) -> Figures:
        """All of it, in the order that leaves nothing half-written that boots."""
        head = Range(0, min(HEAD, self._size))
        body = self._body(head.end)
        started = time.monotonic()
        self._clear()
        self._write(body)
        self._write_tail()
        writing = time.monotonic() - started
        self._read_back(body)
        self._read_back([self._tail])
        read = time.monotonic()
        self._write_head(head)
        last = time.monotonic()
        self._read_back([head])
        ended = time.monotonic()
        reading = read - started - writing + ended - last
        if self._to.disk:
            with contextlib.suppress(OSError):  # so that the new partitions can be seen; nothing needs them
                fcntl.ioctl(self._device, BLKRRPART)
        return Figures(head.size + sum(part.size for part in body), writing + last - read, reading)

    def _body(self, start: int) -> list[Range]:
        """What is behind the head, but for what a block map leaves out."""
        if not self._mapped:
            return [Range(start, self._size)]
        found: list[Range] = []
        for one in self._mapped:  # in whole blocks of the device, which may be larger than the map's
            first = max(one.range.start // self._block * self._block, start)
            end = min(align_up(one.range.end, self._block), self._size)
            if found and first <= found[-1].end:
                first = found.pop().start
            if first < end:
                found.append(Range(first, end))
        return found

    @property
    def state(self) -> str:
        """What the device is left as, for who has to go on from there."""
        return "it is unfinished and must be written again" if self._touched else "nothing was written"

    def _clear(self) -> None:
        zeros = memoryview(mmap.mmap(-1, HEAD))
        self._put(zeros[: align_up(min(HEAD, self._size), self._block)], 0)
        limit = self._to.limit or 0
        if limit >= HEAD + TAIL:
            self._put(zeros[:TAIL], (limit - TAIL) // self._block * self._block)
        os.fsync(self._device)

    def _write_head(self, head: Range) -> None:
        self._fill(0, head.size)
        end = align_up(head.size, self._block)
        self._put(self._buffer[min(FIRST, end) : end], min(FIRST, end))
        os.fsync(self._device)
        self._complete = True
        self._put(self._buffer[: min(FIRST, end)], 0)
        os.fsync(self._device)

    def abandon(self) -> None:
        """See to it that what is on the device does not boot, as far as the device still lets us."""
        if self._complete:
            with contextlib.suppress(OSError):
                self._clear()

    def _write(self, parts: Sequence[Range]) -> None:
        done = min(HEAD, self._size)
        total = done + sum(part.size for part in parts)
        self._progress("writing", done, total)
        for number, (offset, size) in enumerate(_chunks(parts), 1):
            self._fill(offset, size)
            self._put(self._buffer[: align_up(size, self._block)], offset)
            if not self._direct and number % SYNC_EVERY == 0:
                os.fdatasync(self._device)
            done += size
            self._progress("writing", done, total)
        os.fsync(self._device)

    def _write_tail(self) -> None:
        if self._tail.size:
            self._fill(self._tail.start, self._tail.size)
            self._put(self._buffer[: self._tail.size], self._tail.start)
            os.fsync(self._device)

    def _read_back(self, parts: Sequence[Range]) -> None:
        self._forget()
        compared = min(HEAD, self._size)
        total = compared + sum(part.size for part in parts)
        for offset, size in _chunks(parts):
            self._fill(offset, size)
            self.doing, self.at = "reading back", offset
            back = self._back[: align_up(size, self._block)]
            done = 0
            while done < size:
                got = os.preadv(self._device, [back[done:]], offset + done)
                if not got:
                    raise DeviceError(f"{self._to.path}: ends at byte {offset + done:#x} when read back")
                done += got
            # As bytes: views are compared item by item, slower than a fast stick reads.
            if bytes(self._buffer[:size]) != bytes(back[:size]):
                differs = next(at for at in range(size) if self._buffer[at] != back[at])
                raise DeviceError(f"{self._to.path}: byte {offset + differs:#x} reads back otherwise than written")
            if offset:  # the head is no more than a moment
                compared += size
                self._progress("reading back", compared, total)

    def _fill(self, offset: int, size: int) -> None:
        """Read that much of the image into the buffer, with what the device has instead; zeros behind it, up to a whole
        block.
        """
        self.doing, self.at, self.reads_source = "reading the image", offset, True
        held = max(0, min(size, self._size - offset))
        self._source.fill(self._buffer[:held], offset)
        end = align_up(size, self._block)
        self._buffer[held:end] = bytes(end - held)
        for start, content in self._instead:
            part = Range(max(start, offset), min(start + len(content), offset + end))
            if part.start < part.end:
                self._buffer[part.start - offset : part.end - offset] = content[part.start - start : part.end - start]
        self.doing, self.reads_source = "writing", False

    def _put(self, data: memoryview, offset: int) -> None:
        self.doing, self.at = "writing", offset
        done = 0
        while done < len(data):
            done += os.pwrite(self._device, data[done:], offset + done)
            self._touched = True
            self.at = offset + done

    def _forget(self) -> None:
        """Drop what the kernel has cached of the device, for where O_DIRECT is not to be had."""
        self.doing = "flushing"
        os.fsync(self._device)
        os.posix_fadvise(self._device, 0, 0, os.POSIX_FADV_DONTNEED)
        if self._to.disk:
            with contextlib.suppress(OSError):  # needs CAP_SYS_ADMIN; O_DIRECT does without it
                fcntl.ioctl(self._device, BLKFLSBUF)


def _chunks(parts: Iterable[Range]) -> Iterator[tuple[int, int]]:
    for part in parts:
        for offset in range(part.start, part.end, CHUNK):
            yield offset, min(CHUNK, part.end - offset)
