"""The Linux boot protocol: what a bzImage's header makes of it. (Broken ones: descriptions/bad/linux-*.)"""

from __future__ import annotations

from pathlib import Path

import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st

from bootwright.common import abi
from bootwright.common.errors import KernelError, PlanError
from bootwright.common.ranges import Range, Relocation
from bootwright.description import load
from bootwright.description.records import OfDomain
from bootwright.hyperlaunch import model
from bootwright.kernels import linux
from bootwright.kernels.kernel import Kernel, OtherProtocol
from bootwright.plan import make, tables

C = abi.load().constants
NARROW = Relocation(0x200000, 0x1000000, 0x7FFFFFFF)  # without a 64-bit entry: as far as its ramdisk may lie


def parse(folder: Path, data: bytes) -> Kernel:
    path = folder / "bzImage"
    path.write_bytes(data)
    return linux.parse(path, folder)


def test_a_modern_kernel(tmp_path: Path) -> None:
    found = parse(tmp_path, samples.linux())
    assert (found.protocol, found.entry) == ("linux", 0x1000200)
    (segment,) = found.segments
    assert (segment.p_offset, segment.p_filesz, segment.p_paddr) == (1024, 0x400, 0x1000000)
    # init_size is 0x3000: what is behind the code is its own as well.
    assert found.reserve_pages == 3 and found.span == Range(0x1000000, 0x1000400 + 3 * C["PAGE_SIZE"])
    assert (found.max_cmdline, found.ramdisk_end) == (255, 0x80000000)
    assert found.movable == Relocation(0x200000, lowest=0x1000000, highest=0xFFFFFFFF)
    assert found.stored and found.size == found.path.stat().st_size


@pytest.mark.parametrize(
    ("fields", "entry", "movable"),
    [
        ({"xloadflags": 0}, 0x1000000, NARROW),
        ({"version": 0x20B}, 0x1000000, NARROW),
        ({"version": 0x20B, "initrd_addr_max": 0x37FFFFFF}, 0x1000000, Relocation(0x200000, 0x1000000, 0x37FFFFFF)),
        ({"version": 0x209}, 0x100000, None),  # does not say how much memory it would need elsewhere
        ({"version": 0x204, "relocatable_kernel": 1}, 0x100000, None),
        ({"relocatable_kernel": 0}, 0x1000200, None),
        ({"code32_start": 0, "version": 0x207}, 0x100000, None),
    ],
)
def test_older_and_other_kernels(
    fields: dict[str, int], entry: int, movable: Relocation | None, tmp_path: Path
) -> None:
    found = parse(tmp_path, samples.linux(**fields))
    assert (found.entry, found.movable) == (entry, movable)


def test_limits_that_old_kernels_do_not_say(tmp_path: Path) -> None:
    found = parse(tmp_path, samples.linux(version=0x205, cmdline_size=9999))
    assert found.max_cmdline == 255
    found = parse(tmp_path, samples.linux(version=0x202))
    assert found.ramdisk_end == linux.OLD_RAMDISK_END


def test_a_last_paragraph_that_is_not_whole(tmp_path: Path) -> None:
    """As memtest86+ has it: syssize counts the paragraph, the file ends in it."""
    code = b"\xf4" * 0x3F8
    assert parse(tmp_path, samples.linux(code)).segments[0].p_filesz == 0x3F8
    with pytest.raises(KernelError, match="ends early: its header says"):
        parse(tmp_path, samples.linux(code, syssize=0x41))


def test_setup_code_that_is_too_long_for_real_mode(tmp_path: Path) -> None:
    assert "real mode" in parse(tmp_path, samples.linux(code32_start=0)).reason
    with pytest.raises(KernelError, match="starts in real mode and has 102912 bytes of setup code"):
        parse(tmp_path, samples.linux(code32_start=0, setup_sects=200))


@pytest.mark.parametrize(
    ("header", "real"),
    [
        ({}, False),
        ({"code32_start": 0}, True),  # iPXE
        ({"version": 0x203}, True),  # memdisk, GRUB's lnxboot, Linux 2.4; what later headers have is other bytes there
        ({"version": 0x204}, True),
        ({"version": 0x205}, False),  # Linux 2.6.20 that may be moved: kexec starts it in 32 bits
        ({"version": 0x205, "relocatable_kernel": 0}, True),
        ({"version": 0x206, "relocatable_kernel": 0}, False),
    ],
)
def test_a_kernel_without_another_entry_starts_in_real_mode(header: dict[str, int], real: bool, tmp_path: Path) -> None:
    found = parse(tmp_path, samples.linux(**header))
    said = "starts in real mode, which needs a BIOS: under UEFI the boot stops"
    assert (found.remark, said in found.reason) == (said if real else "", real)


def test_what_is_no_bzimage(tmp_path: Path) -> None:
    for data in (b"", b"text", samples.elf()):
        with pytest.raises(OtherProtocol, match="is no bzImage"):
            parse(tmp_path, data)


@pytest.mark.slow
@given(st.integers(0, 0x260), st.binary(min_size=1, max_size=16))
@settings(max_examples=200, deadline=None)
def test_any_header_is_taken_or_refused(tmp_path_factory: pytest.TempPathFactory, place: int, noise: bytes) -> None:
    data = bytearray(samples.linux())
    data[place : place + len(noise)] = noise
    try:
        found = parse(tmp_path_factory.getbasetemp(), bytes(data))
    except KernelError:
        return
    assert C["IMAGE_BASE"] <= found.span.start <= found.entry < found.span.end <= (1 << 32) + C["PAGE_SIZE"]
    assert found.segments[0].p_offset + found.segments[0].p_filesz == len(data)


# --- in a plan ---


def planned(folder: Path, kernel: bytes, more: str = "") -> make.Plan:
    samples.write_kernels(folder)
    (folder / "bzImage").write_bytes(kernel)
    text = samples.DOMAIN.replace("good.elf", "bzImage") + 'ramdisk = "ramdisk"\n' + more
    described = load.parse(text, folder / "lab.toml")
    files = {(OfDomain(0), "kernel"): folder / "bzImage", (OfDomain(0), "ramdisk"): folder / "ramdisk"}
    return make.make(described, model.build(described, files), folder / "work")


def test_it_travels_as_it_is(tmp_path: Path) -> None:
    found = planned(tmp_path, samples.linux(), 'protocol = "linux"\n')
    kernel = found.modules[0]
    assert (kernel.payload, kernel.start) == (tmp_path / "bzImage", 0)
    (piece,) = kernel.pieces
    assert (piece.source, piece.dest, piece.dest_size, piece.reserve_pages) == (1024, 0x1000000, 0x400, 3)
    assert (piece.method, piece.source_size) == (C["PACK_STORED"], 0x400)
    assert found.domains[0].protocol == C["PROTOCOL_LINUX"] and found.domains[0].entry == 0x1000200


def test_the_tables_say_that_it_may_be_moved(tmp_path: Path) -> None:
    blob = tables.encode(planned(tmp_path, samples.linux(), 'protocol = "linux"\n'))
    head = abi.load().struct("tables")(blob)
    records = [
        abi.load().struct("module_record")(blob[head.modules + number * C["MODULE_RECORD_SIZEOF"] :])
        for number in range(2)
    ]
    said = [(record.alignment, record.lowest, record.highest) for record in records]
    assert said == [(0x200000, 0x1000000, 0xFFFFFFFF), (0, 0, 0)]


def test_where_the_stub_is(tmp_path: Path) -> None:
    """As memtest86+ wants it; nothing that we place is there."""
    kernel = samples.linux(pref_address=0x100000, relocatable_kernel=0)
    found = planned(tmp_path, kernel)
    assert found.modules[0].pieces[0].dest == 0x100000
    limit = C["IMAGE_LIMIT"]
    assert all(module.load_address >= limit for module in found.modules)
    reason = "is a bzImage, and is told of EFI where there is EFI"
    assert found.notes[-1] == f'domain "dom0": protocol auto is linux: kernel bzImage {reason}'


def test_a_ramdisk_beyond_its_reach(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="ends above 0x200001, beyond its kernel's reach"):
        planned(tmp_path, samples.linux(initrd_addr_max=0x200000), 'protocol = "linux"\n')
