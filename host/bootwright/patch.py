"""The linked stub becomes the image: tables, build id and program headers patched, modules streamed behind.

LIEF patches the small stub in place: `.tables` and `.note.gnu.build-id` get their contents (of the sizes
that the linker reserved), and one reserved PT_NULL program header for each embedded module becomes its
PT_LOAD. Module bytes never pass through LIEF, which would hold them many times over: they are copied into
the file behind the stub, page aligned, so that file offset and load address are congruent.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lief

from bootwright.errors import LinkError, SourceError, Where

PAGE = 0x1000
BUILD_ID_SIZE = 20
_COPY_BUFFER = 1 << 20
_PATCHED_SECTIONS = (".tables", ".note.gnu.build-id")

# ELF32 (System V ABI, "Program Header"): where e_phoff lies, the size of a header, where p_offset lies in it.
_E_PHOFF = 28
_PHDR_SIZE = 32
_P_OFFSET = 4


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


def build_id(stub: bytes, tables: bytes, payloads: Sequence[Payload]) -> bytes:
    """The first 20 bytes of a SHA-256 over stub, tables and the modules' hashes: same inputs, same id."""
    digest = hashlib.sha256(stub)
    digest.update(tables)
    for payload in payloads:
        digest.update(payload.sha256)
    return digest.digest()[:BUILD_ID_SIZE]


def patch(stub: bytes, tables: bytes, payloads: Sequence[Payload], output: Path) -> Patched:
    """Write the image of a linked stub to `output`.

    stub is the linker's ELF file with `len(tables)` bytes or more reserved for `.tables` and at least one
    PT_NULL program header for each payload. Raises LinkError where the stub has no room for something,
    SourceError when a payload is not of its size any more.
    """
    identity = build_id(stub, tables, payloads)
    offsets = _file_offsets(len(stub), payloads)
    header = _patch_stub(stub, tables, identity, payloads, offsets)
    with output.open("wb") as file:
        file.write(header)
        for payload, offset in zip(payloads, offsets, strict=True):
            file.seek(offset)
            with payload.path.open("rb") as source:
                shutil.copyfileobj(source, file, _COPY_BUFFER)
            if file.tell() != offset + payload.size:
                message = f"is {file.tell() - offset} bytes long, but {payload.size} were planned"
                raise SourceError(f"module {payload.name}: {message}", Where(str(payload.path)))
        size = file.tell()
    return Patched(identity, offsets, size)


def _page_up(value: int) -> int:
    return -(-value // PAGE) * PAGE


def _file_offsets(start: int, payloads: Sequence[Payload]) -> tuple[int, ...]:
    offsets = []
    for payload in payloads:
        start = _page_up(start)
        offsets.append(start)
        start += payload.size
    return tuple(offsets)


def _patch_stub(
    stub: bytes, tables: bytes, identity: bytes, payloads: Sequence[Payload], offsets: Sequence[int]
) -> bytes:
    lief.logging.disable()  # it reports a segment whose content is not there yet, which is so on purpose
    elf = lief.ELF.parse(list(stub))
    if not isinstance(elf, lief.ELF.Binary):
        raise LinkError("the linked stub is not an ELF file")
    if tables:
        _replace(elf, ".tables", 0, tables)
    # A note is three words (name size, content size, type), the name padded to four bytes, then its content.
    _replace(elf, ".note.gnu.build-id", 16, identity)
    indices = _claim_headers(elf, payloads, _page_up(len(stub)))
    builder = lief.ELF.Builder(elf, _nothing_rebuilt())
    builder.build()
    patched = bytearray(builder.get_build())
    _set_offsets(patched, dict(zip(indices, offsets, strict=True)))
    _check_in_place(stub, patched, elf)
    return bytes(patched)


def _replace(elf: lief.ELF.Binary, name: str, at: int, content: bytes) -> None:
    """Overwrite a section's bytes from `at` on; what lies behind is filled with zeros, the size stays."""
    section = elf.get_section(name)
    if section is None:
        raise LinkError(f"the linked stub has no section {name}")
    if at + len(content) > section.size:
        raise LinkError(f"section {name} has {section.size} bytes, but {at + len(content)} are needed")
    replaced = bytes(section.content)[:at] + content
    section.content = memoryview(replaced.ljust(section.size, b"\0"))


def _claim_headers(elf: lief.ELF.Binary, payloads: Sequence[Payload], offset: int) -> list[int]:
    """Turn reserved PT_NULL headers into the payloads' PT_LOADs, all at file offset `offset` for now.

    LIEF pads the file up to the highest offset it sees, in memory: the final ones are set afterwards.
    Returns the headers' indices.
    """
    reserved = [index for index, segment in enumerate(elf.segments) if int(segment.type) == 0]
    if len(reserved) < len(payloads):
        raise LinkError(
            f"{len(payloads)} modules, but the linked stub has only {len(reserved)} reserved program headers"
        )
    claimed = reserved[: len(payloads)]
    for index, payload in zip(claimed, payloads, strict=True):
        segment = elf.segments[index]
        segment.type = lief.ELF.Segment.TYPE.LOAD
        segment.flags = lief.ELF.Segment.FLAGS.R
        segment.file_offset = offset
        segment.virtual_address = segment.physical_address = payload.load_address
        segment.physical_size = segment.virtual_size = payload.size
        segment.alignment = PAGE
    return claimed


def _nothing_rebuilt() -> lief.ELF.Builder.config_t:
    """LIEF writes the sections as they are, instead of building their contents anew from what it parsed."""
    config = lief.ELF.Builder.config_t()
    for name in dir(config):
        if not name.startswith("_"):
            setattr(config, name, False)
    return config


def _set_offsets(image: bytearray, offsets: Mapping[int, int]) -> None:
    """Set p_offset of the program headers with the given indices."""
    (headers,) = struct.unpack_from("<I", image, _E_PHOFF)
    for index, offset in offsets.items():
        struct.pack_into("<I", image, headers + index * _PHDR_SIZE + _P_OFFSET, offset)


def _check_in_place(stub: bytes, patched: bytes | bytearray, elf: lief.ELF.Binary) -> None:
    """Everything that is loaded lies where the linker put it, and only what was patched has changed.

    (LIEF writes the table of section names in an order of its own; no loader reads it.)
    """
    before, after = bytearray(stub), bytearray(patched[: len(stub)])
    for name in _PATCHED_SECTIONS:
        section = elf.get_section(name)
        if section is not None:
            changed = slice(section.file_offset, section.file_offset + section.size)
            before[changed] = after[changed] = bytes(section.size)
    for segment in elf.segments:
        loaded = slice(segment.file_offset, segment.file_offset + segment.physical_size)
        if loaded.stop <= len(stub) and before[loaded] != after[loaded]:
            raise LinkError(f"patching changed the segment at {segment.virtual_address:#x} elsewhere")
