"""The multiboot protocols: headers that are found, and what they may require. (Faults: descriptions/bad.)"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st

from bootwright.common.errors import KernelError
from bootwright.kernels import multiboot
from bootwright.kernels.kernel import Kernel, OtherProtocol, Refused

ENTRY = 0x400030


def parse(folder: Path, data: bytes, version: int) -> Kernel:
    path = folder / "kernel"
    path.write_bytes(data)
    return (multiboot.parse1 if version == 1 else multiboot.parse2)(path, folder)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize(("version", "header"), [(1, samples.multiboot1()), (2, samples.multiboot2())])
def test_a_header_and_the_file_s_entry(version: int, header: bytes, bits: int, tmp_path: Path) -> None:
    found = parse(tmp_path, samples.headed(header, bits, ENTRY), version)
    assert (found.protocol, found.entry) == (f"multiboot{version}", ENTRY)
    assert found.reason == f"has a multiboot{version} header" and not found.stored
    with pytest.raises(OtherProtocol, match=f"has no multiboot{3 - version} header in its first"):
        parse(tmp_path, samples.headed(header, bits, ENTRY), 3 - version)


def test_an_entry_of_the_header_s_own(tmp_path: Path) -> None:
    header = samples.multiboot2(samples.tag2(3, 0x400038))
    assert parse(tmp_path, samples.headed(header), 2).entry == 0x400038
    addresses = (0x400000, 0x400000, 0x400040, 0x400040, 0x400038)
    assert parse(tmp_path, samples.headed(samples.multiboot1(1 << 16, *addresses)), 1).entry == 0x400038
    with pytest.raises(KernelError, match="has its entry 0x500000 outside of all its segments"):
        parse(tmp_path, samples.headed(samples.multiboot1(1 << 16, *addresses[:4], 0x500000)), 1)


@pytest.mark.parametrize(
    "tag",
    [
        samples.tag2(1, 1, 2, 3, 4, 6, 14, 15),
        samples.tag2(1, *range(22)),  # all that the specification knows: 2.0, 3.6
        samples.tag2(1, 5, 99, optional=True),
        samples.tag2(4, 2),
        samples.tag2(5, 1024, 768, 32),
        samples.tag2(6),
        samples.tag2(7, optional=True),
        samples.tag2(9, 0x400000),
        samples.tag2(77, optional=True),
    ],
)
def test_tags_that_can_be_met(tag: bytes, tmp_path: Path) -> None:
    assert parse(tmp_path, samples.headed(samples.multiboot2(tag)), 2).protocol == "multiboot2"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (samples.multiboot2(samples.tag2(1, 22)), "requires multiboot2 information that nobody knows .tag 22."),
        (samples.multiboot2(samples.tag2(1, 5, 99)), "requires multiboot2 information that nobody knows .tag 99."),
        (samples.multiboot2(samples.tag2(2, 0, 0, 0, 0)), "has addresses and no entry in its multiboot2 header"),
        (samples.multiboot2(struct.pack("<HHI", 4, 0, 4)), "tags do not end where it does"),
        (samples.multiboot2(struct.pack("<HHI", 4, 0, 4096)), "tags do not end where it does"),
    ],
)
def test_tags_that_cannot(header: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=message):
        parse(tmp_path, samples.headed(header), 2)


@pytest.mark.parametrize("flags", [0, 1, 2, 3, 4, 7, 1 << 17 | 3])
def test_flags_that_can_be_met(flags: int, tmp_path: Path) -> None:
    """Pages, memory, a screen, and what need not be understood: Multiboot 0.6.96, 3.1.2."""
    assert parse(tmp_path, samples.headed(samples.multiboot1(flags)), 1).protocol == "multiboot1"


def test_flags_that_cannot(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"requires more than it can be told \(multiboot1 header flags 0x8\)"):
        parse(tmp_path, samples.headed(samples.multiboot1(15)), 1)


def test_headers_that_are_none(tmp_path: Path) -> None:
    wrong = bytearray(samples.multiboot2())
    wrong[12] ^= 1
    mips = struct.pack("<4I", 0xE85250D6, 4, 24, -(0xE85250D6 + 4 + 24) & 0xFFFFFFFF)
    for header in (bytes(wrong), mips, b""):
        with pytest.raises(OtherProtocol, match="has no multiboot2 header"):
            parse(tmp_path, samples.headed(header), 2)
    with pytest.raises(OtherProtocol, match="is no ELF file"):
        parse(tmp_path, samples.multiboot2(), 2)


@given(st.sampled_from([1, 2]), st.integers(0, 63), st.binary(min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_any_header_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, version: int, place: int, noise: bytes
) -> None:
    header = samples.multiboot1() if version == 1 else samples.multiboot2(samples.tag2(3, ENTRY))
    data = bytearray(samples.headed(header))
    start = len(data) - 64
    data[start + place : start + place + len(noise)] = noise
    try:
        found = parse(tmp_path_factory.getbasetemp(), bytes(data), version)
    except KernelError:
        return
    assert any(found.entry in segment.range for segment in found.segments)
