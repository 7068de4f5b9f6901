"""The linked stub, an ELF32 file in memory, patched in place by LIEF: the one module that imports it.

    python -m bootwright.image.elf_image        # patches for `patcher`, request by request, until its input ends

`.tables`, `.manifest` and `.note.gnu.build-id` get their contents, of the sizes that the linker reserved, and one
reserved PT_NULL program header for each embedded module becomes its PT_LOAD. Nothing else changes, which is checked:
asked for more (a new segment, a longer section), LIEF would move program headers and addresses.
"""

from __future__ import annotations

import pickle
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import lief

from bootwright.common.errors import LinkError

_PATCHED_SECTIONS = (".tables", ".manifest", ".note.gnu.build-id")

# ELF32 (System V ABI, "Program Header"): where e_phoff lies, the size of a header, where p_offset lies in it.
_EHDR_SIZE = 52
_E_PHOFF = 28
_PHDR_SIZE = 32
_P_OFFSET = 4


@dataclass(frozen=True)
class Load:
    """What a PT_LOAD says of a module: offset in the file, physical address, size in bytes, alignment."""

    offset: int
    address: int
    size: int
    alignment: int


def patch_in_place(stub: bytes, tables: bytes, manifest: bytes, identity: bytes, loads: Sequence[Load]) -> bytes:
    """The linked stub with its tables, its manifest, its build id, and a PT_LOAD for each module, in the order of their
    offsets.

    Raises LinkError where the stub has no room for something.
    """
    lief.logging.disable()  # it reports a segment whose content is not there yet, which is so on purpose
    elf = lief.ELF.parse(list(stub))
    if not isinstance(elf, lief.ELF.Binary):
        raise LinkError("the linked stub is not an ELF file")
    for name, content in ((".tables", tables), (".manifest", manifest)):
        if content:
            _replace(elf, name, 0, content)
    # A note is three words (name size, content size, type), the name padded to four bytes, then its content.
    _replace(elf, ".note.gnu.build-id", 16, identity)
    indices = _claim_headers(elf, loads)
    builder = lief.ELF.Builder(elf, _nothing_rebuilt())
    builder.build()
    patched = bytearray(builder.get_build())
    symbols = elf.get_section(".symtab")
    if symbols is not None:
        _keep_tail(stub, patched, symbols.file_offset)
    _set_offsets(patched, dict(zip(indices, (load.offset for load in loads), strict=True)))
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


def _claim_headers(elf: lief.ELF.Binary, loads: Sequence[Load]) -> list[int]:
    """Turn reserved PT_NULL headers into the modules' PT_LOADs, all at the file offset of the first for now.

    LIEF pads the file up to the highest offset it sees, in memory: the final ones are set afterwards.
    Returns the headers' indices.
    """
    reserved = [index for index, segment in enumerate(elf.segments) if int(segment.type) == 0]
    if len(reserved) < len(loads):
        raise LinkError(f"{len(loads)} modules, but the linked stub has only {len(reserved)} reserved program headers")
    claimed = reserved[: len(loads)]
    for index, load in zip(claimed, loads, strict=True):
        segment = elf.segments[index]
        segment.type = lief.ELF.Segment.TYPE.LOAD
        segment.flags = lief.ELF.Segment.FLAGS.R
        segment.file_offset = loads[0].offset
        segment.virtual_address = segment.physical_address = load.address
        segment.physical_size = segment.virtual_size = load.size
        segment.alignment = load.alignment
    return claimed


def _nothing_rebuilt() -> lief.ELF.Builder.config_t:
    """LIEF writes the sections as they are, instead of building their contents anew from what it parsed."""
    config = lief.ELF.Builder.config_t()
    for name in dir(config):
        if not name.startswith("_"):
            setattr(config, name, False)
    return config


def _keep_tail(stub: bytes, patched: bytearray, start: int) -> None:
    """Take what is not loaded, from the symbols at `start` to the section headers, as the linker wrote it.

    LIEF writes its own table of section names, over the names of the symbols. Raises LinkError where the ELF
    header has changed, which says where all that is.
    """
    if patched[:_EHDR_SIZE] != stub[:_EHDR_SIZE]:
        raise LinkError("patching changed the ELF header")
    patched[start : len(stub)] = stub[start:]


def _set_offsets(image: bytearray, offsets: Mapping[int, int]) -> None:
    """Set p_offset of the program headers with the given indices."""
    (headers,) = struct.unpack_from("<I", image, _E_PHOFF)
    for index, offset in offsets.items():
        struct.pack_into("<I", image, headers + index * _PHDR_SIZE + _P_OFFSET, offset)


def _check_in_place(stub: bytes, patched: bytes | bytearray, elf: lief.ELF.Binary) -> None:
    """Everything that is loaded lies where the linker put it, and only what was patched has changed."""
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


def main() -> None:
    """Patch what standard input asks for: a pickle of the arguments, with tuples for the loads. The answer is a pickle
    of the bytes, or of the sentence that says why there are none.
    """
    answer: bytes | str
    while True:
        try:
            stub, tables, manifest, identity, loads = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = patch_in_place(stub, tables, manifest, identity, [Load(*load) for load in loads])
        except LinkError as error:
            answer = error.message
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
