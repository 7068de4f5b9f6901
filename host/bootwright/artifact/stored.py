"""The images in a file or on a device: NAME.elf and NAME.efi, by themselves or on an ISO, a disk, a stick.

    for image in find(path):
        image.form, image.place, image.plan, image.manifest, image.build_id
        for module in image.modules:
            module.place, module.is_right()

They are found by their first bytes, wherever a sector begins: media of ours keep each file in one piece. What has the
form of an ELF or PE file is an image of bootwright's where it has a manifest.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from elftools.elf.elffile import ELFFile

from bootwright.common import abi
from bootwright.common.errors import SourceError, VerifyError, Where, about, why
from bootwright.common.hashes import blocks
from bootwright.common.ranges import Range, align_up
from bootwright.image import manifest
from bootwright.image.manifest import Manifest
from bootwright.kernels.elf import BROKEN
from bootwright.link.layout import PAGE
from bootwright.plan import tables
from bootwright.plan.records import Plan, PlannedModule

_NOWHERE = Range(0, 0)
_SECTOR = 512
_BLOCK = 4 << 20
# A device is searched this far behind the last image that was found, and from its start.
_FAR = 512 << 20
_NOTE = struct.Struct("<III4s")  # gABI, "Note Section": sizes of name and content, type, name
_NOTE_BUILD_ID = 3


@dataclass(frozen=True)
class StoredModule:
    """A module: what is planned of it, and where its bytes lie in the file, None for one that the loader brings.
    header: offset of what says how long it is: its program header, or its section's.
    """

    planned: PlannedModule
    path: Path
    place: Range | None
    header: int = 0

    def is_right(self) -> bool:
        """Whether its bytes are those that were planned; a loader's module is not looked at. OSError passes."""
        if self.place is None:
            return True
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            for block in blocks(file, self.place.start, self.place.size):
                digest.update(block)
        return digest.digest() == self.planned.sha256


@dataclass(frozen=True)
class StoredImage:
    """An image. path: of the file or device; form: "elf" or "efi"; place: its bytes there; plan: None for the generic
    stub; tables, manifest_at: the room of these sections; build_id in hex, and where its bytes lie; pe: of an EFI
    application, where its headers begin; signature: where it lies, empty for none.
    """

    path: Path
    form: str
    place: Range
    plan: Plan | None
    manifest: Manifest
    tables: Range
    manifest_at: int
    build_id: str
    build_id_at: int
    modules: tuple[StoredModule, ...]
    pe: int = 0
    signature: Range = _NOWHERE

    @property
    def name(self) -> str:
        """The image's."""
        return self.manifest.name


def find(path: Path) -> tuple[StoredImage, ...]:
    """All images in a file, on a device, or in the files of a folder, in their order; a folder's by their names.

    Raises SourceError where it cannot be read; VerifyError for an image that is damaged.
    """
    if path.is_dir():
        files = sorted(one for one in path.rglob("*") if one.is_file())
        return tuple(image for file in files for image in find(file))
    try:
        with path.open("rb") as file, about("", Where(str(path))):
            size = file.seek(0, os.SEEK_END)
            return tuple(_images(path, file, size))
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(str(path))) from error


def _images(path: Path, file: BinaryIO, size: int) -> Iterator[StoredImage]:
    at, limit = 0, min(size, _FAR)
    while (start := _next(file, at, limit)) is not None:
        image = _read(path, file, start, size)
        at = start + _SECTOR
        if image is not None:
            yield image
            at = align_up(image.place.end, _SECTOR)
            limit = min(size, at + _FAR)


def _next(file: BinaryIO, start: int, limit: int) -> int | None:
    """Where the next sector begins that may be the first of an image."""
    for at in range(start, limit, _BLOCK):
        file.seek(at)
        block = file.read(min(_BLOCK, limit - at))
        found = [position for magic in (b"\x7fELF\x01\x01", b"MZ") for position in _positions(block, magic)]
        if found:
            return at + min(found)
    return None


def _positions(block: bytes, magic: bytes) -> Iterator[int]:
    """The first place of the magic where a sector begins."""
    position = block.find(magic)
    while position >= 0:
        if position % _SECTOR == 0:
            yield position
            return
        position = block.find(magic, position + 1)


class Part(io.RawIOBase):
    """The bytes of a file from `start` on, as a file."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file, self._start, self._end, self._at = file, start, end, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._end - self._start}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        left = max(0, self._end - self._start - self._at)
        self._file.seek(self._start + self._at)
        data = self._file.read(min(len(buffer), left))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _read(path: Path, file: BinaryIO, start: int, end: int) -> StoredImage | None:
    """The image that begins at `start`, None where there is another file of that form. Raises VerifyError."""
    part = io.BufferedReader(Part(file, start, end))
    form = "efi" if part.read(2) == b"MZ" else "elf"
    try:
        return _read_efi(path, part, start) if form == "efi" else _read_elf(path, part, start)
    except (*BROKEN, EOFError, OverflowError):
        return None


def _read_elf(path: Path, part: BinaryIO, start: int) -> StoredImage | None:
    elf = ELFFile(part)
    section = elf.get_section_by_name(".manifest")
    note = elf.get_section_by_name(".note.gnu.build-id")
    holder = elf.get_section_by_name(".tables")
    if section is None or note is None or holder is None:
        return None
    segments = [elf.get_segment(number) for number in range(elf.num_segments())]
    headers = {
        segment["p_paddr"]: (elf["e_phoff"] + number * elf["e_phentsize"], segment)
        for number, segment in enumerate(segments)
        if segment["p_type"] == "PT_LOAD"
    }
    end = max(
        [elf["e_shoff"] + elf["e_shnum"] * elf["e_shentsize"]] + [s["p_offset"] + s["p_filesz"] for s in segments]
    )

    def placed(module: PlannedModule) -> tuple[Range, int]:
        header, segment = headers[module.load_address]
        return Range.sized(start + segment["p_offset"], segment["p_filesz"]), start + header

    plan = _plan(holder.data())
    return StoredImage(
        path,
        "elf",
        Range.sized(start, end),
        plan,
        manifest.decode(section.data()),
        Range.sized(start + holder["sh_offset"], holder["sh_size"]),
        start + section["sh_offset"],
        note.data()[_NOTE.size :].hex(),
        start + note["sh_offset"] + _NOTE.size,
        _modules(path, plan, placed),
    )


def _read_efi(path: Path, part: BinaryIO, start: int) -> StoredImage | None:
    known, constants = abi.load(), abi.load().constants
    part.seek(0)
    head = part.read(PAGE)
    pe = known.struct("pe_dos_header")(head).e_lfanew
    file_header = known.struct("pe_file_header")(head[pe:])
    if file_header.signature != constants["PE_SIGNATURE"] or file_header.machine != constants["PE_MACHINE_X64"]:
        return None
    at = pe + constants["PE_FILE_HEADER_SIZEOF"]
    optional = known.struct("pe_optional_header")(head[at:])
    first, size = at + file_header.size_of_optional_header, constants["PE_SECTION_HEADER_SIZEOF"]
    sections = {
        bytes(section.name).rstrip(b"\0").decode("latin-1"): (first + size * number, section)
        for number in range(file_header.number_of_sections)
        for section in [known.struct("pe_section_header")(head[first + size * number :])]
    }
    if ".tables" not in sections or ".text" not in sections:
        return None
    holder = _content(part, sections[".tables"][1])
    text = _content(part, sections[".text"][1])
    said = next((at for at in range(0, len(holder), PAGE) if holder[at:].startswith(manifest.MAGIC)), None)
    name = _NOTE.pack(4, constants["BUILD_ID_SIZE"], _NOTE_BUILD_ID, b"GNU\0")
    if said is None or (note := text.find(name)) < 0:
        return None
    note += len(name)
    base = constants["IMAGE_BASE"] - PAGE
    by_address = {base + section.virtual_address: (at, section) for at, section in sections.values()}

    def placed(module: PlannedModule) -> tuple[Range, int]:
        header, section = by_address[module.load_address]
        return Range.sized(start + section.pointer_to_raw_data, section.virtual_size), start + header

    plan = _plan(holder[:said])
    signature = optional.directories[constants["PE_DIRECTORY_SECURITY"]]
    end = max(section.pointer_to_raw_data + section.size_of_raw_data for _, section in sections.values())
    holder_at = start + sections[".tables"][1].pointer_to_raw_data
    return StoredImage(
        path,
        "efi",
        Range.sized(start, max(end, signature.rva + signature.size)),
        plan,
        manifest.decode(holder[said:]),
        Range.sized(holder_at, said),
        holder_at + said,
        text[note : note + constants["BUILD_ID_SIZE"]].hex(),
        start + sections[".text"][1].pointer_to_raw_data + note,
        _modules(path, plan, placed),
        start + pe,
        Range.sized(start + signature.rva, signature.size) if signature.size else Range(0, 0),
    )


def _content(part: BinaryIO, section: Any) -> bytes:
    part.seek(section.pointer_to_raw_data)
    return part.read(min(section.virtual_size, section.size_of_raw_data, _BLOCK))


def _plan(data: bytes) -> Plan | None:
    """None for the generic stub, which has no tables. Raises VerifyError for damaged ones."""
    return tables.decode(tables.of_section(data)) if data.strip(b"\0") else None


def _modules(path: Path, plan: Plan | None, placed: Any) -> tuple[StoredModule, ...]:
    found = []
    for module in plan.carried if plan else ():
        try:
            place, header = placed(module) if module.embedded else (None, 0)
        except KeyError:
            raise VerifyError(
                f"module {module.name} is not at {module.load_address:#x}, where the tables say"
            ) from None
        found.append(StoredModule(module, path, place, header))
    return tuple(found)
