"""ELF kernels, sound, broken and random. What each fault says is in descriptions/bad."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st

from bootwright.common.errors import KernelError
from bootwright.common.ranges import Relocation
from bootwright.kernels import elf
from bootwright.kernels.elf import Segment


@pytest.mark.parametrize("bits", [32, 64])
def test_segments_and_entry(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "k"
    loads = [
        samples.Load(0x500000, b"b" * 8, memsz=32),
        samples.Load(0x600000, b"", memsz=0),
        samples.Load(0x400000, b"a" * 4),
    ]
    path.write_bytes(
        samples.elf(loads, samples.pvh_note(0x400002, 8, b"GNU") + samples.pvh_note(0x400002, 8), bits=bits)
    )
    found = elf.read(path)
    start = 64 + 4 * 56 if bits == 64 else 52 + 4 * 32
    assert found.segments == (Segment(start + 8, 4, 0x400000, 4), Segment(start, 8, 0x500000, 32))
    assert found.pvh_entry == 0x400002
    assert found.size == path.stat().st_size


@pytest.mark.parametrize(
    ("desc", "movable"),
    [
        (None, None),
        (b"", Relocation(0x200000, 0, 0xFFFFFFFF)),
        (struct.pack("<I", 0x1000000), Relocation(0x1000000, 0, 0xFFFFFFFF)),
        (struct.pack("<3I", 0x200000, 0x1000000, 0x3FFFFFFF), Relocation(0x200000, 0x1000000, 0x3FFFFFFF)),
        (struct.pack("<3I", 16, 0x400000, 0x500000) + bytes(8), Relocation(0x1000, 0x400000, 0x500000)),
    ],
)
def test_where_else_a_pvh_kernel_may_be_loaded(desc: bytes | None, movable: Relocation | None, tmp_path: Path) -> None:
    path = tmp_path / "k"
    note = b"" if desc is None else samples.note(19, desc)
    path.write_bytes(samples.elf(notes=samples.pvh_note(0x400000) + note))
    found = elf.read(path)
    assert (found.pvh_entry, found.pvh_movable) == (0x400000, movable)


def test_an_alignment_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_bytes(samples.elf(notes=samples.pvh_note(0x400000) + samples.note(19, struct.pack("<I", 0x3000))))
    with pytest.raises(KernelError, match="has a PVH note with the alignment 0x3000, which is no power of two"):
        elf.read(path)


def test_too_many_program_headers(tmp_path: Path) -> None:
    path = tmp_path / "k"
    data = bytearray(samples.elf())
    struct.pack_into("<H", data, 56, 60000)
    path.write_bytes(data)
    with pytest.raises(KernelError, match="has 60000 program headers, more than 128"):
        elf.read(path)


def test_notes_past_the_end(tmp_path: Path) -> None:
    path = tmp_path / "k"
    data = bytearray(samples.elf())
    struct.pack_into("<Q", data, 64 + 56 + 32, 1 << 40)
    path.write_bytes(data)
    with pytest.raises(KernelError, match=r"its notes are bytes \[0xf0, 0x100000000f0\)"):
        elf.read(path)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, 300))
@settings(max_examples=300, deadline=None)
def test_damaged_files_are_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(samples.elf()[: max(length, 4)] if length < 250 else samples.elf())
    for offset, value in changes:
        if offset < len(data):
            data[offset] = value
    path = tmp_path_factory.getbasetemp() / "damaged.elf"
    path.write_bytes(data)
    try:
        found = elf.read(path)
    except KernelError as error:
        assert "\n" not in error.message
    else:
        assert all(s.p_offset + s.p_filesz <= len(data) or not s.p_filesz for s in found.segments)
