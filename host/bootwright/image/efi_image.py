"""The image as an EFI application: the linked stub with its tables and modules in a PE32+ file.

    places = place(linked.symbols["__image_end"], [payload.size for payload in payloads])
    write(linked, blob, payloads, output)           # payloads at those places

Everything is position independent, so that the firmware may put it anywhere; a module lies as far from the
stub as the tables say (load address less IMAGE_BASE). Module bytes are streamed. The checksum is filled in and
nothing lies behind the last section: the file can be signed.

What lies at which offset of the file lies there in memory, too, zeros included: so GRUB on a BIOS loads the same file
by multiboot2, flat (stub/entry/multiboot2_flat.asm), and media carry the modules once. Specification: Microsoft's PE
and COFF; UEFI 2.10, 2.1.1.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from elftools.elf.elffile import ELFFile

from bootwright.common import abi
from bootwright.common.errors import SourceError, VerifyError, Where, about
from bootwright.common.hashes import LARGE, blocks
from bootwright.common.ranges import align_up
from bootwright.common.store import Store
from bootwright.image.embed import Payload, copy_into
from bootwright.inputs import resolve
from bootwright.link.layout import PAGE
from bootwright.link.linked import Linked
from bootwright.plan.records import Plan
from bootwright.plan.tables import decode, of_section

_BUFFER = 1 << 20
_MODULE_NAMES = ".m{}"
_SBAT = b".sbat"  # shim 15.3 and later start nothing without it
_SBAT_HEAD = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md"
# What reading headers raises where the file ends early, or has numbers that cannot be.
_BROKEN = (EOFError, ValueError, OverflowError)
_MODULUS = 0xFFFF  # of sums of 16-bit words with their carries
_CHECKSUM_OFFSET = 24 + 64  # from the signature, in the optional header


@dataclass(frozen=True)
class Section:
    """A section: its address relative to the image's base, which is its offset in the file, and its size in bytes,
    there and in memory; zeros follow `data`, which is None for a payload.
    """

    name: str
    rva: int
    size: int
    flags: int
    data: bytes | None = None
    payload: Payload | None = None


def place(image_end: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """Load addresses for modules of these sizes behind the stub, one page-aligned behind the other."""
    places = []
    for size in sizes:
        image_end = _align(image_end)
        places.append(image_end)
        image_end += size
    return tuple(places)


def write(
    linked: Linked,
    tables: bytes,
    payloads: Sequence[Payload],
    identity: bytes,
    sbat: Sequence[str],
    output: Path,
    manifest: bytes = b"",
) -> None:
    """Write the application, with this build id and this manifest, and in section .sbat these lines behind the one that
    says what they are. Raises SourceError when a payload is not of its size any more.
    """
    sections = _sections(linked, tables, manifest, payloads, identity, sbat)
    with output.open("w+b") as stream:
        for section in sections:
            stream.seek(section.rva)
            _write_section(stream, section)
        end = _end(sections)
        stream.truncate(end)
        stream.seek(0)
        stream.write(_headers(linked, sections, 0))
        summed = [(section.rva, section.size, _sum_of(section.payload)) for section in sections if section.payload]
        checksum = checksum_of(stream, end, summed)
        stream.seek(0)
        stream.write(_headers(linked, sections, checksum))


def verify(path: Path, plan: Plan, sbat: Sequence[str], signed: bool = False) -> None:
    """Read an application back from its bytes: headers, checksum, tables, every module and .sbat must be as planned.

    Where it is `signed` there is a signature, behind all sections; nothing else may lie there.

    Raises VerifyError, which names the file and what differs.
    """
    with about("", Where(str(path))):
        try:
            _verify(path, plan, sbat, signed)
        except (OSError, *_BROKEN) as error:
            raise VerifyError(f"does not read back: {error or type(error).__name__}") from error


def _verify(path: Path, plan: Plan, sbat: Sequence[str], signed: bool) -> None:
    known, constants = abi.load(), abi.load().constants
    with path.open("rb") as stream:
        head = stream.read(PAGE)
        start = known.struct("pe_dos_header")(head).e_lfanew
        start_of_checksum = start + _CHECKSUM_OFFSET
        file_header = known.struct("pe_file_header")(head[start:])
        start += constants["PE_FILE_HEADER_SIZEOF"]
        optional = known.struct("pe_optional_header")(head[start:])
        start += file_header.size_of_optional_header
        size = constants["PE_SECTION_HEADER_SIZEOF"]
        sections = [
            known.struct("pe_section_header")(head[start + size * index :])
            for index in range(file_header.number_of_sections)
        ]
        end = max((section.pointer_to_raw_data + section.size_of_raw_data for section in sections), default=0)
        # The signature is the one directory whose place is an offset in the file (PE and COFF, "Certificate Table").
        signature = optional.directories[constants["PE_DIRECTORY_SECURITY"]]
        if bool(signature.size) != signed or (signed and signature.rva != end):
            found_there = f"at {signature.rva:#x}" if signature.size else "nowhere"
            raise VerifyError(f"the signature is {found_there}, not {f'at {end:#x}' if signed else 'nowhere'}")
        end += signature.size
        if end != path.stat().st_size:
            raise VerifyError(f"what it consists of ends at {end:#x}, the file at {path.stat().st_size:#x}")
        base = constants["IMAGE_BASE"] - PAGE
        found = {section.virtual_address + base: section for section in sections}
        summed: list[tuple[int, int, int]] = []
        for module in (module for module in plan.carried if module.embedded):
            section = found.get(module.load_address)
            if section is None or section.virtual_size != module.size:
                raise VerifyError(f"module {module.name} is not at {module.load_address:#x}")
            at = section.pointer_to_raw_data
            digest, words = _read_module(stream, at, module.size, module.sha256)
            if digest != module.sha256:
                raise VerifyError(f"module {module.name} has other bytes than planned")
            summed.append((at, module.size, words))
        if optional.checksum != checksum_of(stream, end, summed, start=start_of_checksum):
            raise VerifyError(f"the checksum in the header, {optional.checksum:#x}, is wrong")
        table = next((section for section in sections if bytes(section.name).startswith(b".tables")), None)
        if table is None:
            raise VerifyError("there is no section .tables")
        stream.seek(table.pointer_to_raw_data)
        if decode(of_section(stream.read(table.virtual_size))) != plan:
            raise VerifyError("the tables do not say what was planned")
        said = next((section for section in sections if bytes(section.name).rstrip(b"\0") == _SBAT), None)
        if said is None or _read(stream, said.pointer_to_raw_data, said.virtual_size) != _sbat_text(sbat):
            raise VerifyError("section .sbat does not say what was planned")


def _read(stream: BinaryIO, offset: int, size: int) -> bytes:
    stream.seek(offset)
    return stream.read(size)


def _sbat_text(lines: Sequence[str]) -> bytes:
    """The contents of section .sbat (shim's SBAT.md)."""
    return "".join(f"{line}\n" for line in (_SBAT_HEAD, *lines)).encode("ascii")


def _read_module(stream: BinaryIO, offset: int, size: int, expected: bytes) -> tuple[bytes, int]:
    """SHA-256 and sum (_sum) of a module's bytes as they are in the file; the sum of bytes that were summed before is
    not worked out again.
    """
    digest, total, known = hashlib.sha256(), 0, _SUMS.get(expected)
    for block in blocks(stream, offset, size):
        digest.update(block)
        total += _words(block) if known is None else 0
    return digest.digest(), total % _MODULUS if known is None else known


# Sums (_sum) of bytes by their SHA-256.
_SUMS: dict[bytes, int] = {}


def _sum_of(payload: Payload) -> int:
    """The sum of a module's words: kept for large ones, for it takes longer than all else that is done with them.

    The SHA-256 comes of the same bytes. Raises SourceError where it is not the one that was planned.
    """
    if payload.sha256 not in _SUMS:
        cache = resolve.cache_directory() / "sums" if payload.size >= LARGE else None
        store = Store(cache, made_by="words of 16 bits, added modulo 65535")
        _SUMS[payload.sha256] = store.get(payload.sha256, lambda: (_summed(payload), ()))
    return _SUMS[payload.sha256]


def _summed(payload: Payload) -> int:
    total, digest = 0, hashlib.sha256()
    with payload.path.open("rb") as stream:
        while block := stream.read(_BUFFER):
            digest.update(block)
            total += _words(block)
    if digest.digest() != payload.sha256:
        raise SourceError(f"{payload.path} changed while it was read: it has another SHA-256 than planned")
    return total % _MODULUS


def _align(value: int) -> int:
    return align_up(value, PAGE)


def _sections(
    linked: Linked, tables: bytes, manifest: bytes, payloads: Sequence[Payload], identity: bytes, sbat: Sequence[str]
) -> list[Section]:
    """The linker's segments with what is patched in them, the payloads, .sbat, and the relocations that are none."""
    constants = abi.load().constants
    base = constants["IMAGE_BASE"] - PAGE
    sections: list[Section] = []
    end = max([linked.symbols["__image_end"], *(payload.load_address + payload.size for payload in payloads)])
    for segment in ELFFile(io.BytesIO(linked.image)).iter_segments("PT_LOAD"):
        data = bytearray(segment.data())
        start = segment["p_paddr"]
        size = (end - constants["IMAGE_BASE"]).to_bytes(8, "little")
        _patch(data, start, linked.symbols["efi_image_size"], size)
        _patch(data, start, linked.symbols["__start_tables"], tables)
        _patch(data, start, linked.symbols["__start_manifest"], manifest)
        _patch(data, start, linked.symbols["__end_note_gnu_build_id"] - len(identity), identity)
        executable = bool(segment["p_flags"] & 1)
        kind = "CODE" if executable else "DATA"
        flags = constants[f"PE_SECTION_{kind}"] | constants["PE_SECTION_READ"]
        flags |= constants["PE_SECTION_EXECUTE" if executable else "PE_SECTION_WRITE"]
        name = (".text", ".data", ".tables")[len(sections)]
        sections.append(Section(name, start - base, segment["p_memsz"], flags, bytes(data)))
    flags = constants["PE_SECTION_DATA"] | constants["PE_SECTION_READ"]
    for index, payload in enumerate(payloads):
        name = _MODULE_NAMES.format(index)
        sections.append(Section(name, payload.load_address - base, payload.size, flags, payload=payload))
    said = _sbat_text(sbat)
    at = _align(end) - base
    sections.append(Section(_SBAT.decode(), at, len(said), flags, said))
    at += _align(len(said))
    relocation = abi.load().struct("pe_base_relocation")
    size_of_block = constants["PE_BASE_RELOCATION_SIZEOF"]
    block = bytes(relocation(page_rva=at, block_size=size_of_block).dumps())
    flags |= constants["PE_SECTION_DISCARDABLE"]
    return [*sections, Section(".reloc", at, len(block), flags, block)]


def _patch(data: bytearray, start: int, address: int, content: bytes) -> None:
    """Put content at an address, if it is in this segment, which starts at `start`."""
    if start <= address < start + len(data):
        data[address - start : address - start + len(content)] = content


def _end(sections: Sequence[Section]) -> int:
    return sections[-1].rva + _align(sections[-1].size)


def _write_section(stream: BinaryIO, section: Section) -> None:
    if section.data is not None:
        stream.write(section.data)
        return
    payload = section.payload
    assert payload is not None
    if copy_into(payload.path, stream) != payload.size:
        raise SourceError(f"{payload.path} changed while it was read: {payload.size:#x} bytes were planned")


def _headers(linked: Linked, sections: Sequence[Section], checksum: int) -> bytes:
    known = abi.load()
    constants = known.constants

    def record(structure: str, /, **fields: Any) -> bytes:
        return bytes(known.struct(structure)(**fields).dumps())

    base = constants["IMAGE_BASE"] - PAGE
    lfanew = constants["PE_DOS_HEADER_SIZEOF"]
    directories = [known.struct("pe_directory")(rva=0, size=0) for _ in range(constants["PE_DIRECTORIES"])]
    relocations = sections[-1]
    directories[constants["PE_DIRECTORY_BASERELOC"]] = known.struct("pe_directory")(
        rva=relocations.rva, size=relocations.size
    )
    optional = record(
        "pe_optional_header",
        magic=constants["PE_MAGIC_PE32PLUS"],
        size_of_code=_align(sections[0].size),
        size_of_initialized_data=sum(_align(section.size) for section in sections[1:]),
        address_of_entry_point=linked.symbols["efi_start"] - base,
        base_of_code=sections[0].rva,
        image_base=base,
        section_alignment=PAGE,
        file_alignment=PAGE,
        major_image_version=0,
        size_of_image=_end(sections),
        size_of_headers=PAGE,
        checksum=checksum,
        subsystem=constants["PE_SUBSYSTEM_EFI_APPLICATION"],
        dll_characteristics=constants["PE_NX_COMPAT"],
        number_of_rva_and_sizes=constants["PE_DIRECTORIES"],
        directories=directories,
    )
    head = record("pe_dos_header", e_magic=constants["PE_DOS_MAGIC"], e_lfanew=lfanew)
    head += record(
        "pe_file_header",
        signature=constants["PE_SIGNATURE"],
        machine=constants["PE_MACHINE_X64"],
        number_of_sections=len(sections),
        size_of_optional_header=len(optional),
        characteristics=constants["PE_EXECUTABLE_IMAGE"]
        | constants["PE_LINE_NUMS_STRIPPED"]
        | constants["PE_LARGE_ADDRESS_AWARE"],
    )
    head += optional
    for section in sections:
        head += record(
            "pe_section_header",
            name=section.name.encode(),
            virtual_size=section.size,
            virtual_address=section.rva,
            size_of_raw_data=_align(section.size),
            pointer_to_raw_data=section.rva,
            characteristics=section.flags,
        )
    return head.ljust(PAGE, b"\0")


def checksum_of(
    stream: BinaryIO, size: int, summed: Iterable[tuple[int, int, int]] = (), start: int | None = None
) -> int:
    """The PE checksum: the 16-bit words added with their carries, and the file's size.

    summed: parts that are not read, each with its offset, its size and its sum; start: where the checksum itself stands
    in the first block, None while it is 0.
    """
    total, at = 0, 0
    for offset, length, words in (*sorted(summed), (size, 0, 0)):
        stream.seek(at)
        while at < offset and (block := stream.read(min(offset - at, _BUFFER))):
            if start is not None:
                block = block[:start] + bytes(4) + block[start + 4 :]
                start = None
            total += _words(block) << 8 * (at % 2)  # behind a part of odd length a block starts within a word
            at += len(block)
        total += words
        at = offset + length
    return (total % _MODULUS or (_MODULUS if total else 0)) + size


def _words(block: bytes) -> int:
    """A number that is the sum of the block's words modulo _MODULUS: adding words with their carries is what a number
    to the base 65536 is modulo 65535. Numbers of many digits are added faster than they are divided.
    """
    return int.from_bytes(block, "little")
