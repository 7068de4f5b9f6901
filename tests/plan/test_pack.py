"""Packing: what the pieces make in memory is what the kernel or ramdisk was."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import lz4.block
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootwright.common import abi
from bootwright.common.pieces import Piece
from bootwright.kernels.elf import Segment
from bootwright.plan import pack
from bootwright.plan.pack import Packed

C = abi.load().constants
NOISE = random.Random(1).randbytes(1 << 20)
TEXT = b"the same again and again " * 40000


def carry_out(packed: Packed, memory: bytearray) -> None:
    """What the stub does with the pieces of what is to begin with `memory`, which was full of 0xaa."""
    data = packed.path.read_bytes()
    assert len(data) == packed.size and hashlib.sha256(data).digest() == packed.sha256
    base = 0x400000
    for piece in (piece.at(base) for piece in packed.pieces):
        source = data[piece.source : piece.source + piece.source_size]
        assert len(source) == piece.source_size and piece.dest_size <= C["MAX_CHUNK"]
        if piece.method == C["PACK_LZ4"]:
            source = lz4.block.decompress(source, uncompressed_size=piece.dest_size)
        assert len(source) == piece.dest_size
        start = piece.dest - base
        memory[start : start + piece.dest_size] = source
        end = start + piece.dest_size + piece.zero_size
        memory[start + piece.dest_size : end] = bytes(piece.zero_size)


parts = st.sampled_from([b"", bytes(5000), TEXT[:3000], NOISE[:3000], TEXT[:100] + bytes(9000) + b"x"])


@given(st.lists(st.tuples(st.lists(parts, max_size=4), st.integers(0, 5000)), max_size=4),
       st.sampled_from(["auto", "lz4", "none"]))  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_pieces_make_the_segments(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[tuple[list[bytes], int]], method: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    content, segments, base = b"head", [], 0x400000
    expected = bytearray(b"\xaa" * 200000)
    address = base
    for chunks, zeros in wanted:
        data = b"".join(chunks)
        segments.append(Segment(len(content), len(data), address, len(data) + zeros))
        offset = address - base
        expected[offset : offset + len(data) + zeros] = data + bytes(zeros)
        content += data
        address += len(data) + zeros + 7
    (folder / "kernel").write_bytes(content)
    packed = pack.pack_kernel(folder / "kernel", segments, folder / "packed", method)
    memory = bytearray(b"\xaa" * 200000)
    carry_out(packed, memory)
    assert memory == expected


def test_chunks_are_bounded_and_in_order(tmp_path: Path) -> None:
    size = C["MAX_CHUNK"] * 2 + 5000
    data = bytearray(size)
    data[:1000] = NOISE[:1000]
    data[-10:] = b"0123456789"
    (tmp_path / "kernel").write_bytes(data)
    packed = pack.pack_kernel(tmp_path / "kernel", [Segment(0, size, 0, size + 100)], tmp_path / "packed", "auto")
    assert [(piece.offset, piece.dest_size, piece.zero_size) for piece in packed.pieces] == [
        (0, 1000, 2 * C["MAX_CHUNK"] - 1000),
        (2 * C["MAX_CHUNK"], 5000, 100),
    ]
    memory = bytearray(size + 100)
    carry_out(packed, memory)
    assert memory == data + bytes(100)


def test_noise_is_stored_and_text_is_packed(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(NOISE + TEXT)
    segments = [Segment(0, len(NOISE), 0, len(NOISE)), Segment(len(NOISE), len(TEXT), 1 << 21, len(TEXT))]
    stored, lz4_ = C["PACK_STORED"], C["PACK_LZ4"]
    for method, expected in (("auto", [stored, lz4_]), ("lz4", [lz4_, lz4_]), ("none", [stored, stored])):
        packed = pack.pack_kernel(tmp_path / "kernel", segments, tmp_path / "packed", method)
        assert [piece.method for piece in packed.pieces] == expected


@pytest.mark.parametrize(
    ("data", "method", "packed"),
    [(TEXT, "auto", True), (NOISE, "auto", False), (TEXT, "none", False), (NOISE, "lz4", True),
     (TEXT[:900], "auto", False), (bytes(9000), "auto", False), (bytes(9000), "lz4", False)],
)  # fmt: skip
def test_ramdisks_are_packed_where_it_pays(data: bytes, method: str, packed: bool, tmp_path: Path) -> None:
    (tmp_path / "ramdisk").write_bytes(data)
    found = pack.pack_file(tmp_path / "ramdisk", tmp_path / "packed", method)
    assert bool(found.pieces) == packed == (tmp_path / "packed").exists()
    if packed:
        memory = bytearray(len(data))
        carry_out(found, memory)
        assert memory == data
    else:
        assert found == Packed(tmp_path / "ramdisk", len(data), hashlib.sha256(data).digest())


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes((TEXT + NOISE) * 5)
    size = 5 * len(TEXT + NOISE)
    made = [
        pack.pack_kernel(tmp_path / "kernel", [Segment(0, size, 0, size)], tmp_path / f"{i}", "auto") for i in range(2)
    ]
    assert made[0].sha256 == made[1].sha256 and made[0].pieces == made[1].pieces


def test_a_kernel_that_becomes_shorter(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"short")
    with pytest.raises(OSError, match="end early"):
        pack.pack_kernel(tmp_path / "kernel", [Segment(0, 10, 0, 10)], tmp_path / "packed", "auto")


def test_moved() -> None:
    assert Piece(1, 2, 3, 4, 5, 0).moved(0x1000) == Piece(1, 2, 0x1003, 4, 5, 0)
