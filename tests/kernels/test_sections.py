"""Section headers of multiboot kernels: found, given addresses, carried, told of. pyelftools reads the same files."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
import samples
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import C
from worlds import LOW, MIB, World, booted

from bootwright.description import load as description_load
from bootwright.description.records import OfDomain
from bootwright.hyperlaunch import model
from bootwright.kernels import elf, multiboot, sections
from bootwright.plan import make, tables

TABLES = [b"symbols, " * 48, b"\0names\0of\0symbols\0", b"\0.symtab\0.strtab\0.shstrtab\0"]
HEADERS = samples.multiboot1() + bytes(4) + samples.multiboot2()


def kernel(bits: int, paddr: int = 0x400000, entry: int = 0x400040, **more: int) -> bytes:
    """A kernel with both multiboot headers, symbols, and a section that is loaded."""
    load = samples.Load(paddr, HEADERS.ljust(0x100, b"\xf4"), memsz=0x1800)
    return samples.with_sections(samples.elf([load], b"", bits=bits, entry=entry, align=8), bits, TABLES, **more)


@pytest.mark.parametrize("bits", [32, 64])
def test_what_is_found_is_what_is_there(bits: int) -> None:
    data = kernel(bits)
    found, file = sections.find(io.BytesIO(data)), ELFFile(io.BytesIO(data))
    assert found is not None and found.count == file.num_sections() == 2 + len(TABLES)
    assert (found.size, found.names) == (file["e_shentsize"], file["e_shstrndx"])
    for header, section in zip(found.records, file.iter_sections(), strict=True):
        assert (header.sh_offset, header.sh_size) == (section["sh_offset"], section["sh_size"])
        part = sections.not_loaded(header, len(data))
        expected = section.data() if section["sh_type"] in ("SHT_SYMTAB", "SHT_STRTAB") else None
        assert (data[part.start : part.end] if part else None) == expected


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("version", [1, 2])
def test_what_is_not_loaded_is_carried_behind_the_kernel(bits: int, version: int, tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(data := kernel(bits))
    found = (multiboot.parse1 if version == 1 else multiboot.parse2)(path, tmp_path)
    assert found.sections is not None
    loaded, carried = found.segments
    assert (loaded.p_paddr, loaded.p_memsz) == (0x400000, 0x1800)
    assert carried.p_paddr >= loaded.range.end and carried.p_paddr // 4096 == 0x402
    for header, table in zip(list(found.sections.records)[2:], TABLES, strict=True):
        start = carried.p_offset + header.sh_addr - carried.p_paddr
        assert data[start : start + header.sh_size] == table
        assert header.sh_addr % 16 == header.sh_offset % 16, "alignment is kept"


def test_it_is_clear_of_the_stub(tmp_path: Path) -> None:
    """What goes to where the stub is has to wait, and pieces that wait are few."""
    path = tmp_path / "kernel"
    path.write_bytes(kernel(32, 0x100000, 0x100040))
    assert multiboot.parse2(path, tmp_path).segments[1].p_paddr >= C["IMAGE_LIMIT"]


@pytest.mark.parametrize(
    "more",
    [
        {"e_shnum": 0},
        {"e_shentsize": 41},
        {"e_shoff": 0xFFFFFFF0},
        {"e_shnum": 0xFFF0},
    ],
)
@pytest.mark.parametrize("bits", [32, 64])
def test_a_kernel_with_headers_that_cannot_be_told_of_has_none(bits: int, more: dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(kernel(bits, **more))
    found = multiboot.parse2(path, tmp_path)
    assert found.sections is None and len(found.segments) == 1


def test_a_plan_and_its_tables_have_them(tmp_path: Path) -> None:
    (tmp_path / "good.elf").write_bytes(kernel(32))
    described = description_load.parse(samples.DOMAIN, tmp_path / "lab.toml")
    info = model.build(described, {(OfDomain(0), "kernel"): tmp_path / "good.elf"})
    made = make.make(described, info, tmp_path / "work")
    (module,) = made.modules
    assert module.sections is not None and len(module.pieces) == 2
    assert tables.decode(tables.encode(made)).modules[0].sections == module.sections


# --- by the stub ---


def generic(data: bytes, start: int = 8 * MIB) -> World:
    """The generic stub with a kernel of the loader's."""
    found = World(0, ranges=[LOW, (MIB, 63 * MIB, 1)], files=[(start, data, "kernel")], loader="GRUB 2.06")
    found.contents[0] = data
    return found


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("start", [8 * MIB, 4 * MIB])
def test_the_generic_stub_leaves_them_in_the_file(bits: int, start: int) -> None:
    """Wherever that was moved: at 4 MiB it is in the kernel's own way."""
    data = kernel(bits)
    stub, expected = booted(generic(data, start), C["LOG_NORMAL"])
    assert expected.protocol == "multiboot2"
    told = tag(expected.information, C["MULTIBOOT2_TAG_ELF_SECTIONS"])
    count, size, names = struct.unpack_from("<III", told)
    assert (count, size, names) == (2 + len(TABLES), 64 if bits == 64 else 40, 1 + len(TABLES))
    shape = "<IIQQQQIIQQ" if bits == 64 else "<10I"
    headers = list(struct.iter_unpack(shape, told[12:]))
    for header, table in zip(headers[2:], TABLES, strict=True):
        assert stub.read(header[3], header[5]) == table
    assert headers[1][3] == 0x400000


def tag(information: bytes, wanted: int) -> bytes:
    place = 8
    while place < len(information):
        kind, size = struct.unpack_from("<II", information, place)
        if kind == wanted:
            return information[place + 8 : place + size]
        place += -(-size // 8) * 8
    raise AssertionError(f"no tag {wanted}")


@pytest.mark.slow
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_section_headers_by_the_generic_stub(data: st.DataObject) -> None:
    """Damaged at will: stub and reference agree, and the boot goes on."""
    bits = data.draw(st.sampled_from((32, 64)))
    file = bytearray(kernel(bits))
    word = data.draw(st.sampled_from((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, len(file), 0x40)))
    headers = len(file) - (2 + len(TABLES)) * (64 if bits == 64 else 40)
    for place in data.draw(st.lists(st.integers(headers // 4, len(file) // 4 - 1), min_size=1, max_size=6)):
        struct.pack_into("<I", file, place * 4, word)
    booted(generic(bytes(file)), C["LOG_NORMAL"])


def test_elf_files_of_other_kinds_have_none(tmp_path: Path) -> None:
    for data in (b"", b"\x7fELF", samples.linux(), samples.elf()):
        assert sections.find(io.BytesIO(data)) is None
    assert elf.MAGIC == b"\x7fELF"
