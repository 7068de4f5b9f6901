"""The bzImage: Linux's own boot file. Its payload, unpacked, is the ELF file of the kernel.

Specification: Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header", protocol 2.08 for
payload_offset and payload_length. The payload is read and written in pieces, never held as a whole.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import lz4.block
import zstandard

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import KernelError

SECTOR = 512
HEADER_END = 0x250  # of the fields that are used here
SETUP_MAGIC = b"HdrS"
MIN_PROTOCOL = 0x208
CHUNK = 1 << 20
MAX_UNPACKED = 1 << 30
LZ4_BLOCK = 8 << 20  # unpacked bytes of a block of LZ4's legacy format
LZ4_MAGIC = b"\x02\x21\x4c\x18"
LZMA_MEMORY = 256 << 20  # address space for a dictionary; only what is used of it becomes memory

_BROKEN = (
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    zstandard.ZstdError,
    lz4.block.LZ4BlockError,
)


class NoPayload(KernelError):
    """A bzImage may hold anything; this one's header does not say where a kernel in a known packing is."""


@dataclass(frozen=True)
class BzImage:
    """Where the payload is: byte offset and length in the file; its last 4 bytes are its unpacked size."""

    payload_offset: int
    payload_length: int


def is_bzimage(head: bytes) -> bool:
    """Whether a file that starts with `head` (HEADER_END bytes) is a bzImage."""
    return head[0x202:0x206] == SETUP_MAGIC and head[0x1FE:0x200] == b"\x55\xaa"


def read(path: Path) -> BzImage:
    """The header of the bzImage at `path`. Raises KernelError, without the file's name in front."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(HEADER_END)
    if len(head) < HEADER_END or not is_bzimage(head):
        raise KernelError("is no bzImage")
    setup_sects = head[0x1F1] or 4  # 0 means 4, says the specification
    (syssize,) = struct.unpack_from("<I", head, 0x1F4)
    (version,) = struct.unpack_from("<H", head, 0x206)
    offset, length = struct.unpack_from("<II", head, 0x248)
    if version < MIN_PROTOCOL:
        raise NoPayload(
            f"is a bzImage of boot protocol {version >> 8}.{version & 0xFF:02}, too old to say "
            "where its payload is; 2.08 is needed"
        )
    start = (setup_sects + 1) * SECTOR
    if start + syssize * 16 >= size + 16:  # paragraphs; the last need not be whole
        raise KernelError(f"ends early: its header says {start + syssize * 16} bytes, but the file has {size}")
    if not length:
        raise NoPayload("is a bzImage without a payload")
    if length < 4 or start + offset + length > size:
        raise KernelError(
            f"ends early: its payload is bytes [{start + offset:#x}, {start + offset + length:#x}) "
            f"of a file of {size:#x} bytes"
        )
    return BzImage(start + offset, length)


def max_cmdline(head: bytes) -> int:
    """Bytes of command line that a bzImage which starts with `head` (HEADER_END bytes) reads, without terminator."""
    constants = load_abi().constants
    (version,) = struct.unpack_from("<H", head, constants["BOOT_PARAMS_VERSION"])
    if version < constants["LINUX_VERSION_CMDLINE_SIZE"]:
        return int(constants["LINUX_OLD_CMDLINE_ROOM"]) - 1
    return int(struct.unpack_from("<I", head, constants["BOOT_PARAMS_CMDLINE_SIZE"])[0])


def unpack(path: Path, out: Path) -> None:
    """Write the payload of the bzImage at `path`, unpacked, to `out`. Raises KernelError as read does."""
    with out.open("wb") as target:
        for chunk in _unpacked(path):
            target.write(chunk)


def check(path: Path) -> None:
    """Whether the payload of the bzImage at `path`, if it has one that can be read, is whole. Raises KernelError."""
    with suppress(NoPayload):
        for _ in _unpacked(path):
            pass


def _unpacked(path: Path) -> Iterator[bytes]:
    image = read(path)
    with path.open("rb") as stream:
        stream.seek(image.payload_offset + image.payload_length - 4)
        (expected,) = struct.unpack("<I", stream.read(4))
        if expected > MAX_UNPACKED:
            raise KernelError(f"says that it unpacks to {expected} bytes, more than {MAX_UNPACKED}")
        stream.seek(image.payload_offset)
        name, method = _method(stream.read(6))
        stream.seek(image.payload_offset)
        written = 0
        chunks = method(_Payload(stream, image.payload_length))
        while written <= expected:
            try:
                chunk = next(chunks, None)
            except _BROKEN as error:
                raise KernelError(f"has a damaged {name} payload: {error}") from error
            if chunk is None:
                break
            written += len(chunk)
            if written <= expected:
                yield chunk
    if written != expected:
        more = "more" if written > expected else f"only {written}"
        raise KernelError(f"has a damaged {name} payload: it says {expected} bytes and unpacks to {more}")


class _Payload:
    """The payload as a stream that ends where the payload ends. trailer: bytes at its end that hold its
    size.
    """

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self._stream = stream
        self._left = length

    def drop_trailer(self) -> None:
        self._left -= 4

    def read(self, size: int = CHUNK) -> bytes:
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        return data

    def read_exactly(self, size: int) -> bytes:
        data = self.read(size)
        if len(data) != size:
            raise EOFError(f"{size} bytes are missing {size - len(data)}")
        return data


class _Decompressor(Protocol):
    """What zlib lacks and bz2 and lzma share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _stream(payload: _Payload, decompressor: _Decompressor) -> Iterator[bytes]:
    while not decompressor.eof:
        data = payload.read() if decompressor.needs_input else b""
        if not data and decompressor.needs_input:
            raise EOFError("the compressed data end early")
        yield decompressor.decompress(data, CHUNK)


def _gzip(payload: _Payload) -> Iterator[bytes]:
    # gzip's own last 4 bytes are the size, so its trailer is part of the stream.
    inflate = zlib.decompressobj(wbits=31)
    data = b""
    while not inflate.eof:
        data = inflate.unconsumed_tail or payload.read()
        if not data:
            raise EOFError("the compressed data end early")
        yield inflate.decompress(data, CHUNK)


def _bzip2(payload: _Payload) -> Iterator[bytes]:
    payload.drop_trailer()
    return _stream(payload, bz2.BZ2Decompressor())


def _xz(payload: _Payload) -> Iterator[bytes]:
    payload.drop_trailer()
    return _stream(payload, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LZMA_MEMORY))


def _lzma(payload: _Payload) -> Iterator[bytes]:
    payload.drop_trailer()
    return _stream(payload, lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=LZMA_MEMORY))


def _zstd(payload: _Payload) -> Iterator[bytes]:
    payload.drop_trailer()
    with zstandard.ZstdDecompressor().stream_reader(payload, read_size=CHUNK) as reader:  # type: ignore[arg-type]
        while chunk := reader.read(CHUNK):
            yield chunk


def _lz4(payload: _Payload) -> Iterator[bytes]:
    """LZ4's legacy format: a magic, then blocks of at most 8 MiB, each with its packed size in front."""
    payload.drop_trailer()
    payload.read_exactly(4)
    while head := payload.read(4):
        if head == LZ4_MAGIC:
            continue
        if len(head) < 4:
            raise EOFError("the compressed data end early")
        (size,) = struct.unpack("<I", head)
        if size > LZ4_BLOCK + LZ4_BLOCK // 255 + 16:
            raise ValueError(f"a block of {size} bytes is larger than LZ4 makes them")
        yield lz4.block.decompress(payload.read_exactly(size), uncompressed_size=LZ4_BLOCK)


_METHODS: tuple[tuple[bytes, str, Callable[[_Payload], Iterator[bytes]]], ...] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"\xfd7zXZ\x00", "xz", _xz),
    (LZ4_MAGIC, "LZ4", _lz4),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
    (b"BZh", "bzip2", _bzip2),
    (b"\x5d\x00\x00", "LZMA", _lzma),
)


def _method(head: bytes) -> tuple[str, Callable[[_Payload], Iterator[bytes]]]:
    for magic, name, method in _METHODS:
        if head.startswith(magic):
            return name, method
    known = ", ".join(name for _, name, _ in _METHODS)
    raise NoPayload(f"has a payload that starts with {head.hex(' ')}, packed by none of {known}")
