"""A module's bytes as the kernel gets them, out of a stored image.

    name = extract(module, image.plan, folder)      # the file that was written

What travels as it is comes out byte for byte. A packed ramdisk is unpacked to what it was. Of a packed kernel the image
holds its segments alone: it comes out as an ELF file of these, with the same entry, which boots again.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import lz4.block

from bootwright.artifact.stored import StoredModule
from bootwright.common import abi
from bootwright.common.errors import SourceError, VerifyError, Where, about, why
from bootwright.common.hashes import blocks
from bootwright.common.pieces import Piece
from bootwright.common.ranges import align_up
from bootwright.link.layout import PAGE
from bootwright.plan.records import Plan

# System V ABI, ELF-64: header and program header.
_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_ET_EXEC, _EM_X86_64, _PT_LOAD, _PT_NOTE, _RWX = 2, 62, 1, 4, 7
_NOTE = struct.Struct("<III4sQ")


def extract(module: StoredModule, plan: Plan, folder: Path) -> Path:
    """Write a module to a file of its name in `folder`, which is not to be there yet.

    Raises SourceError where the loader brings the module, or the file is there; VerifyError for damaged bytes.
    """
    planned = module.planned
    if module.place is None:
        raise SourceError(f"module {planned.name}: the loader brings it; it is not in {module.path}")
    if not module.is_right():
        raise VerifyError(f"module {planned.name}: its bytes are not those planned", Where(str(module.path)))
    output = folder / planned.name
    try:
        with module.path.open("rb") as source, output.open("xb") as target:
            if _is_whole(module):
                for block in blocks(source, module.place.start, module.place.size):
                    target.write(block)
            else:
                entries = [one.entry for one in plan.domains if one.domain.kernel == plan.modules.index(planned)]
                is_kernel = planned.kind in (_constant("BOOTMOD_KERNEL"), _constant("BOOTMOD_XEN"))
                if plan.hypervisor is not None and plan.modules[plan.hypervisor.module] == planned:
                    entries = [plan.hypervisor.entry]
                with about(f"module {planned.name}"):
                    if is_kernel:
                        _write_elf(module, source, target, entries[0] if entries else 0)
                    else:
                        _unpack(planned.pieces, module.place.start, source, target, 0)
    except FileExistsError as error:
        raise SourceError(f"{output}: is there already; it is not written over") from error
    except OSError as error:
        raise SourceError(f"cannot be written: {why(error)}", Where(str(output))) from error
    return output


def _constant(name: str) -> int:
    return abi.load().constants[name]


def _is_whole(module: StoredModule) -> bool:
    """Whether the module is a file as it was: one without pieces, or of which all pieces are parts."""
    stored = all(piece.method == _constant("PACK_STORED") for piece in module.planned.pieces)
    return not module.planned.pieces or (stored and module.planned.size == module.planned.unpacked_size)


def _unpack(pieces: Sequence[Piece], base: int, source: BinaryIO, target: BinaryIO, at: int) -> None:
    """Write what pieces make from offset `at` of the target on; their first byte in memory comes there."""
    start = min(piece.dest for piece in pieces)
    for piece in pieces:
        source.seek(base + piece.source)
        data = source.read(piece.source_size)
        if piece.method == _constant("PACK_LZ4"):
            try:
                data = lz4.block.decompress(data, uncompressed_size=piece.dest_size)
            except (lz4.block.LZ4BlockError, ValueError) as error:
                raise VerifyError(f"a packed block at {base + piece.source:#x} does not unpack: {error}") from error
        target.seek(at + piece.dest - start)
        target.write(data)
    target.truncate(at + max(piece.dest + piece.dest_size + piece.zero_size for piece in pieces) - start)


def _write_elf(module: StoredModule, source: BinaryIO, target: BinaryIO, entry: int) -> None:
    """One segment from the lowest piece to the highest, and a PVH note for the entry."""
    assert module.place is not None
    pieces = module.planned.pieces
    start = min(piece.dest for piece in pieces)
    end = max(piece.dest + piece.dest_size + piece.zero_size for piece in pieces)
    # So that headers of multiboot, which loaders look for near the start of the file, stay there.
    offset = PAGE + start % PAGE
    note = _NOTE.pack(4, 8, _constant("XEN_ELFNOTE_PHYS32_ENTRY"), b"Xen\0", entry)
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    headers = _EHDR.pack(
        ident, _ET_EXEC, _EM_X86_64, 1, entry, _EHDR.size, 0, 0, _EHDR.size, _PHDR.size, 2, 0, 0, 0
    )  # fmt: skip
    headers += _PHDR.pack(_PT_LOAD, _RWX, offset, start, start, end - start, end - start, PAGE)
    at = align_up(_EHDR.size + 2 * _PHDR.size, 8)
    headers += _PHDR.pack(_PT_NOTE, 4, at, 0, 0, len(note), len(note), 4)
    _unpack(pieces, module.place.start, source, target, offset)
    target.seek(0)
    target.write(headers.ljust(at, b"\0") + note)
