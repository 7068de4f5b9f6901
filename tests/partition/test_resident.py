"""The resident part's kernel file: a program and the data behind it, as loaders by PVH see them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from partition_data import C, pair
from project import ROOT

from bootwright.kernels import pvh
from bootwright.link.program import program
from bootwright.partition import resident
from bootwright.partition.compute import compute


@pytest.fixture(scope="module")
def linked() -> bytes:
    """A program with a PVH note and room for one more segment."""
    return program([ROOT / "stub/kernels/demo.asm"], "kernel", None, spare_headers=1).image


def test_the_data_are_a_segment_of_a_pvh_kernel(linked: bytes, tmp_path: Path) -> None:
    found = compute(pair())
    path = tmp_path / "resident.elf"
    path.write_bytes(resident.with_data(linked, found))
    kernel = pvh.parse(path, tmp_path)
    before = pvh.parse(_written(tmp_path / "program.elf", linked), tmp_path)
    assert kernel.entry == before.entry
    (added,) = [segment for segment in kernel.segments if segment not in before.segments]
    assert added.range == found.range and added.p_paddr == C["PARTITION_BASE"]
    assert path.read_bytes()[added.p_offset :][: added.p_filesz] == found.data
    assert added.p_filesz == len(found.data) < added.p_memsz == found.length
    assert set(before.segments) < set(kernel.segments)


def test_sections_and_symbols_stay(linked: bytes) -> None:
    before = ELFFile(io.BytesIO(linked))
    after = ELFFile(io.BytesIO(resident.with_data(linked, compute(pair()))))
    assert [section.name for section in after.iter_sections()] == [section.name for section in before.iter_sections()]
    start = after.get_section_by_name(".symtab").get_symbol_by_name("start")
    assert start[0]["st_value"] == after["e_entry"]
    added = [one for one in after.iter_segments() if one["p_paddr"] == C["PARTITION_BASE"]]
    assert [(one["p_type"], one["p_flags"], one["p_offset"] % one["p_align"]) for one in added] == [("PT_LOAD", 6, 0)]


def test_a_program_without_room_is_refused() -> None:
    full = program([ROOT / "stub/kernels/demo.asm"], "kernel", None).image
    with pytest.raises(ValueError, match="no program header is spare"):
        resident.with_data(full, compute(pair()))


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
