"""Which protocol a kernel is entered by."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import samples
from assembling import link_text

from bootwright.common import abi
from bootwright.common.errors import KernelError, LinkError
from bootwright.common.ranges import Range
from bootwright.image.stub import link_generic, link_stub
from bootwright.kernels import protocols
from bootwright.link import layout

C = abi.load().constants


def choose(wanted: str, data: bytes, folder: Path) -> tuple[str, str]:
    (folder / "kernel").write_bytes(data)
    found = protocols.choose(wanted, folder / "kernel", folder)
    return found.protocol, found.reason


NO_EFI = ", by which no kernel is told of EFI"
EFI = "is a bzImage, and is told of EFI where there is EFI"


def payload(kernel: bytes, cut: int = 0, **header: int) -> bytes:
    """A bzImage that holds a kernel, less the last bytes of it."""
    packed = samples.pack_payload(kernel, "gzip")
    packed = packed[: len(packed) - cut]
    return samples.linux(bytes(0x400) + packed, payload_offset=0x400, payload_length=len(packed), **header)


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
        (samples.elf(), ("pvh", "has a PVH note" + NO_EFI)),
        (samples.linux(), ("linux", EFI)),
        (payload(samples.elf()), ("linux", EFI)),  # it has a PVH note as well
        (payload(samples.elf(notes=b"")), ("linux", EFI)),
        (gzip.compress(samples.elf(), mtime=0), ("pvh", "has a PVH note" + NO_EFI)),
    ],
)
def test_auto_decides_from_the_file(data: bytes, expected: tuple[str, str], tmp_path: Path) -> None:
    protocol, reason = choose("auto", data, tmp_path)
    assert (protocol, reason if expected[1] else "") == expected


def test_a_bzimage_without_a_pvh_note(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="has no PVH note"):
        choose("pvh", payload(samples.elf(notes=b"")), tmp_path)


REQUIRES = samples.multiboot2(samples.tag2(1, 99))
BOTH = samples.multiboot1(3 | 8) + bytes(4) + REQUIRES
ASKS = "requires multiboot2 information that nobody knows (tag 99)"


@pytest.mark.parametrize(
    ("data", "protocol", "reason"),
    [
        (
            samples.headed(samples.multiboot1() + bytes(4) + REQUIRES),
            "multiboot1",
            f"has a multiboot1 header; it is not entered by multiboot2, because it {ASKS}",
        ),
        (
            samples.elf([samples.Load(0x400000, BOTH.ljust(64, b"\xf4"))], entry=0x400000, align=8),
            "pvh",
            f"has a PVH note{NO_EFI}; it is not entered by multiboot2, because it {ASKS}; it is not entered by "
            "multiboot1, because it requires more than it can be told (multiboot1 header flags 0x8)",
        ),
        (
            payload(samples.elf(), pref_address=0x8000),
            "pvh",
            f"is a bzImage whose payload has a PVH note{NO_EFI}; it is not entered by linux, because it wants to lie "
            "at [0x8000, 0xb000), which is not between 1 MiB and 4 GiB",
        ),
    ],
)
def test_auto_takes_the_next_one_where_the_first_is_refused(
    data: bytes, protocol: str, reason: str, tmp_path: Path
) -> None:
    assert choose("auto", data, tmp_path) == (protocol, reason)


def test_where_all_that_fit_are_refused_the_first_says_why(tmp_path: Path) -> None:
    data = samples.headed(BOTH)
    with pytest.raises(KernelError, match=r"^requires multiboot2 information that nobody knows"):
        choose("auto", data, tmp_path)


def test_a_kernel_that_is_broken_is_not_tried_in_another_way(tmp_path: Path) -> None:
    data = payload(samples.elf(), cut=20)
    with pytest.raises(KernelError, match="has a damaged gzip payload"):
        choose("auto", data, tmp_path)
    assert choose("linux", data, tmp_path)[0] == "linux"


def test_every_protocol_is_one_of_the_stub_s() -> None:
    for name in protocols.NAMES:
        assert C[f"PROTOCOL_{name.upper()}"] and (abi.stub_directory() / "launch" / f"{name}.asm").is_file()


@pytest.mark.parametrize("name", protocols.NAMES)
@pytest.mark.parametrize("more", [(), ("relocate",)])
def test_a_native_stub_stays_within_its_limit(name: str, more: tuple[str, ...]) -> None:
    limit = 21 * 1024
    assert link_stub(4096, 0, (name, *more)).code_size <= limit == C["STUB_LIMIT"]


@pytest.mark.parametrize(
    ("reasons", "limited"),
    [
        *(((name,), True) for name in protocols.NAMES),
        *(((name, "relocate", "sections"), True) for name in protocols.NAMES),
        (("pvh", "efi", "application"), False),
        (("multiboot2", "multiboot2_efi", "efi", "services"), False),
        ((*protocols.NAMES, "generic"), False),
        (("pvh", "linux"), False),
    ],
)
def test_which_stubs_have_a_limit(tmp_path: Path, reasons: tuple[str, ...], limited: bool) -> None:
    how = layout.load("stub", {"always", *reasons})
    limit = C["STUB_LIMIT"] - 36  # the note of the build id: twelve bytes, its name and itself
    text = "start: nop\n.section .rodata\n.space {}\n"
    link_text(tmp_path, text.format(limit - 16), layout=how)
    if limited:
        with pytest.raises(LinkError, match=r"stub\.toml: code and read-only data of a native stub must stay within"):
            link_text(tmp_path, text.format(limit - 15), layout=how)
    else:
        link_text(tmp_path, text.format(limit - 15), layout=how)


@pytest.mark.slow
def test_an_image_holds_only_the_launchers_that_it_uses() -> None:
    sizes = {used: link_stub(4096, 0, used).code_size for used in [("pvh",), ("linux",), protocols.NAMES]}
    generic = link_generic()
    assert sizes["pvh",] < sizes["linux",] < sizes[protocols.NAMES] < generic.code_size
    assert {"tell_pvh", "tell_linux", "make_fallback", "probe_kernel", "move_kernel"} <= set(generic.symbols)
    assert not {"tell_linux", "move_kernel", "find_sections"} & set(link_stub(4096, 0, ("pvh",)).symbols)
    assert {"tell_multiboot1", "find_sections"} <= set(link_stub(4096, 0, ("multiboot1",)).symbols)
