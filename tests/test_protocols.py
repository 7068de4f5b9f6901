"""Which protocol a kernel is entered by."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import samples

from bootwright import abi, image, protocols
from bootwright.errors import KernelError
from bootwright.ranges import Range

C = abi.load().constants


def choose(wanted: str, data: bytes, folder: Path) -> tuple[str, str]:
    (folder / "kernel").write_bytes(data)
    found = protocols.choose(wanted, folder / "kernel", folder)
    return found.protocol, found.reason


@pytest.mark.parametrize("wanted", ["auto", "pvh"])
@pytest.mark.parametrize("name", ["good.elf", "good32.elf", "good.bz"])
def test_pvh(wanted: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(samples.kernels()[name])
    found = protocols.choose(wanted, path, tmp_path)
    assert (found.protocol, found.entry, found.span) == ("pvh", 0x400000, Range(0x400000, 0x400040))
    assert found.size == found.path.stat().st_size
    assert (found.path == path) == name.endswith("elf")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (samples.headed(samples.multiboot2()), ("multiboot2", "has a multiboot2 header")),
        (samples.headed(samples.multiboot1()), ("multiboot1", "has a multiboot1 header")),
        (samples.headed(samples.multiboot1() + bytes(4) + samples.multiboot2()), ("multiboot2", "")),
        (samples.elf(), ("pvh", "has a PVH note")),
        (samples.kernels()["good.bz"], ("pvh", "is a bzImage whose payload has a PVH note")),
        (samples.linux(), ("linux", "is a bzImage")),
        (gzip.compress(samples.elf(), mtime=0), ("pvh", "has a PVH note")),
    ],
)
def test_auto_decides_from_the_file(data: bytes, expected: tuple[str, str], tmp_path: Path) -> None:
    protocol, reason = choose("auto", data, tmp_path)
    assert (protocol, reason if expected[1] else "") == expected


def test_a_bzimage_without_a_pvh_note_is_entered_by_its_own_protocol(tmp_path: Path) -> None:
    packed = samples.pack_payload(samples.elf(notes=b""), "gzip")
    data = samples.linux(bytes(0x400) + packed, payload_offset=0x400, payload_length=len(packed))
    assert choose("auto", data, tmp_path)[0] == "linux"
    with pytest.raises(KernelError, match="has no PVH note"):
        choose("pvh", data, tmp_path)


def test_a_kernel_that_is_broken_is_not_tried_in_another_way(tmp_path: Path) -> None:
    packed = samples.pack_payload(samples.elf(), "gzip")[:-20]
    data = samples.linux(bytes(0x400) + packed, payload_offset=0x400, payload_length=len(packed))
    with pytest.raises(KernelError, match="has a damaged gzip payload"):
        choose("auto", data, tmp_path)
    assert choose("linux", data, tmp_path)[0] == "linux"


def test_every_protocol_is_one_of_the_stub_s() -> None:
    for name in protocols.NAMES:
        assert C[f"PROTOCOL_{name.upper()}"] and (abi.stub_directory() / "launch" / f"{name}.asm").is_file()


@pytest.mark.slow
def test_an_image_holds_only_the_launchers_that_it_uses() -> None:
    sizes = {
        used: image.link_stub(4096, 0, used).code_size for used in [("pvh",), ("linux",), protocols.NAMES]
    }
    generic = image.link_stub(0, 0, None)
    assert sizes["pvh",] < sizes["linux",] < sizes[protocols.NAMES] < generic.code_size
    assert {"launch_pvh", "launch_linux", "make_fallback", "probe_kernel", "move_kernel"} <= set(generic.symbols)
    assert not {"launch_linux", "move_kernel"} & set(image.link_stub(4096, 0, ("pvh",)).symbols)
