"""bzImages of every packing, cut off anywhere, damaged anywhere. What each fault says is in
descriptions/bad."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st

from bootwright.common.errors import KernelError
from bootwright.kernels import bzimage

METHODS = ["gzip", "xz", "lz4", "zstd", "bzip2", "lzma"]
DATA = samples.elf() + bytes(range(256)) * 40


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [0, 3 << 20])
def test_unpack(method: str, size: int, tmp_path: Path) -> None:
    data = DATA + bytes(size)
    (tmp_path / "bz").write_bytes(samples.bzimage(samples.pack_payload(data, method)))
    bzimage.unpack(tmp_path / "bz", tmp_path / "elf")
    assert (tmp_path / "elf").read_bytes() == data


def test_lz4_of_several_blocks(tmp_path: Path) -> None:
    data = bytes(9 << 20) + b"end"
    (tmp_path / "bz").write_bytes(samples.bzimage(samples.pack_payload(data, "lz4")))
    bzimage.unpack(tmp_path / "bz", tmp_path / "elf")
    assert (tmp_path / "elf").read_bytes() == data


def unpack_error(data: bytes, folder: Path) -> str:
    (folder / "bz").write_bytes(data)
    with pytest.raises(KernelError) as caught:
        bzimage.unpack(folder / "bz", folder / "elf")
    return caught.value.message


@pytest.mark.parametrize("method", METHODS)
def test_a_payload_that_ends_early(method: str, tmp_path: Path) -> None:
    payload = samples.pack_payload(DATA, method)
    assert unpack_error(samples.bzimage(payload[:-40]), tmp_path)


@pytest.mark.parametrize("method", METHODS)
def test_a_payload_of_another_size_than_it_says(method: str, tmp_path: Path) -> None:
    payload = samples.pack_payload(DATA, method)
    name = {"lz4": "LZ4", "lzma": "LZMA"}.get(method, method)
    less = payload[:-4] + struct.pack("<I", len(DATA) - 1)
    more = payload[:-4] + struct.pack("<I", len(DATA) + 1)
    if method == "gzip":  # its trailer is its own check
        assert unpack_error(samples.bzimage(more), tmp_path).startswith("has a damaged gzip payload: ")
        return
    start = f"has a damaged {name} payload: it says"
    assert unpack_error(samples.bzimage(less), tmp_path) == f"{start} {len(DATA) - 1} bytes and unpacks to more"
    end = f"and unpacks to only {len(DATA)}"
    assert unpack_error(samples.bzimage(more), tmp_path) == f"{start} {len(DATA) + 1} bytes {end}"


def test_a_payload_that_says_it_is_huge(tmp_path: Path) -> None:
    message = unpack_error(samples.bzimage(b"\x28\xb5\x2f\xfd" + b"\xff" * 8), tmp_path)
    assert message == "says that it unpacks to 4294967295 bytes, more than 1073741824"


def test_an_old_boot_protocol(tmp_path: Path) -> None:
    message = unpack_error(samples.bzimage(b"\x1f\x8b" + bytes(8), version=0x204), tmp_path)
    assert message.startswith("is a bzImage of boot protocol 2.04, too old")


@given(st.sampled_from(METHODS), st.integers(0, 4000), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_damage_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, method: str, offset: int, value: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    data = bytearray(samples.bzimage(samples.pack_payload(samples.elf(), method)))
    data[offset % len(data)] = value
    (folder / "bz").write_bytes(data)
    try:
        bzimage.unpack(folder / "bz", folder / "elf")
    except KernelError as error:
        assert "\n" not in error.message
