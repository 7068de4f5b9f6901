"""The linked stub becomes NAME.elf: what is reserved in it is filled in, and modules are streamed behind it.

The stub itself is small, and patched in place (patcher). Module bytes are copied into the file behind it,
page aligned, so that file offset and load address are congruent; they never pass through memory.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bootwright.common.errors import SourceError, Where
from bootwright.common.ranges import align_up
from bootwright.image import patcher
from bootwright.link.layout import PAGE

_COPY_BUFFER = 1 << 20
_COPY_STEP = 1 << 30
# What copy_file_range says of files that it does not copy between (copy_file_range(2)).
_NO_COPY_RANGE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})


@dataclass(frozen=True)
class Payload:
    """A module's bytes as they travel in the image: the file that holds them, and where they are loaded.

    load_address is physical and page aligned; size in bytes; sha256 of exactly these bytes.
    """

    name: str
    path: Path
    load_address: int
    size: int
    sha256: bytes


@dataclass(frozen=True)
class Patched:
    """What patching decided: the build id, the file offset of each payload, the size of the file in bytes."""

    build_id: bytes
    offsets: tuple[int, ...]
    size: int


def patch(
    stub: bytes, tables: bytes, payloads: Sequence[Payload], identity: bytes, output: Path, manifest: bytes = b""
) -> Patched:
    """Write the image of a linked stub, with this build id, to `output`.

    stub is the linker's ELF file with `len(tables)` bytes or more reserved for `.tables`, as many as it has for
    `.manifest`, and at least one PT_NULL program header for each payload. Raises LinkError where the stub has no room
    for something, SourceError when a payload is not of its size any more.
    """
    offsets = _file_offsets(len(stub), payloads)
    placed = zip(offsets, payloads, strict=True)
    loads = [(offset, payload.load_address, payload.size, PAGE) for offset, payload in placed]
    header = patcher.patch_in_place(stub, tables, manifest, identity, loads)
    with output.open("wb") as file:
        file.write(header)
        for payload, offset in zip(payloads, offsets, strict=True):
            file.seek(offset)
            copied = copy_into(payload.path, file)
            if copied != payload.size:
                message = f"is {copied} bytes long, but {payload.size} were planned"
                raise SourceError(f"module {payload.name}: {message}", Where(str(payload.path)))
        size = file.tell()
    return Patched(identity, offsets, size)


def copy_into(source: Path, target: BinaryIO) -> int:
    """Copy a file to where `target` stands, and say how many bytes; by the kernel, which on some file systems only has
    both share them. OSError passes.
    """
    target.flush()
    start, copied = target.tell(), 0
    with source.open("rb") as stream:
        try:
            while step := os.copy_file_range(
                stream.fileno(), target.fileno(), _COPY_STEP, offset_src=copied, offset_dst=start + copied
            ):
                copied += step
        except OSError as error:
            if error.errno not in _NO_COPY_RANGE or copied:
                raise
            target.seek(start)
            shutil.copyfileobj(stream, target, _COPY_BUFFER)
            copied = target.tell() - start
    target.seek(start + copied)
    return copied


def _file_offsets(start: int, payloads: Sequence[Payload]) -> tuple[int, ...]:
    offsets = []
    for payload in payloads:
        start = align_up(start, PAGE)
        offsets.append(start)
        start += payload.size
    return tuple(offsets)
