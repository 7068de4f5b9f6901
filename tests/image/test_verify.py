"""verify: whatever is damaged in an image is noticed, by name."""

import errno
import hashlib
import io
import os
import random
import struct
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import lief
import pytest
from project import ROOT

from bootwright.common.errors import SourceError, VerifyError
from bootwright.description import load as description_load
from bootwright.hyperlaunch import model
from bootwright.image import built, efi_image, embed
from bootwright.image.verify import verify
from bootwright.inputs import resolve
from bootwright.plan import make, tables
from bootwright.plan.make import Plan

DEMO = ROOT / "images/demo.toml"
PHDR = 0x34


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    work = tmp_path_factory.mktemp("work")
    described = description_load.load(DEMO)
    return make.make(described, model.build(described, resolve.resolve(described, work)), work)


def test_a_good_image_reads_back(demo: built.Built, planned: Plan) -> None:
    image = verify(demo.elf, planned)
    assert image.code_and_rodata == demo.stub_size
    assert image.segments[0].address == 0x100000
    assert {s.address for s in image.segments} >= {module.load_address for module in planned.modules}
    assert image.entry != image.pvh_entry


def flip(value: bytes, distance: int = 0, last: bool = False) -> Callable[[bytearray], None]:
    """Damage the byte `distance` behind the first (or last) place where `value` stands."""

    def damage(data: bytearray) -> None:
        found = data.rfind(value) if last else data.find(value)
        assert found >= 0
        data[found + distance] ^= 0x40

    return damage


def word(offset: int, value: int) -> Callable[[bytearray], None]:
    """Put a 32-bit word at a file offset."""
    return lambda data: struct.pack_into("<I", data, offset, value)


def header(field: int, value: int, kind: int = 1, index: int = 0) -> Callable[[bytearray], None]:
    """Change a field of the program header that is number `index` of its kind."""

    def damage(data: bytearray) -> None:
        (count,) = struct.unpack_from("<H", data, 44)
        places = [PHDR + i * 32 for i in range(count)]
        matching = [place for place in places if struct.unpack_from("<I", data, place)[0] == kind]
        struct.pack_into("<I", data, matching[index] + field, value)

    return damage


def cut(data: bytearray) -> None:
    del data[-1:]


MULTIBOOT1 = struct.pack("<I", 0x1BADB002)
MULTIBOOT2 = struct.pack("<I", 0xE85250D6)
P_TYPE, P_OFFSET, P_PADDR, P_FILESZ, P_MEMSZ, P_FLAGS = 0, 4, 12, 16, 20, 24


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip(MULTIBOOT1), "multiboot1 header: none with a right checksum"),
        (flip(MULTIBOOT1, 8), "multiboot1 header: none with a right checksum"),
        (flip(MULTIBOOT2, 12), "multiboot2 header: none with a right checksum"),
        (flip(struct.pack("<3I", 4, 4, 18) + b"Xen\0", 12), "PVH note: missing"),
        (flip(b"GNU\0"), "build id: missing"),
        (word(0, 0), "does not read back"),
        (word(18, 62), "is not an ELF32 executable for i386"),
        (word(24, 0x500000), "entry: 0x500000 lies in no executable segment"),
        (word(28, 0x1FF0), "program headers: end at"),
        (header(P_TYPE, 0, kind=4), "PVH note: missing"),
        (header(P_FLAGS, 4), "lies in no executable segment"),
        (header(P_MEMSZ, 0x10), "has more bytes in the file"),
        (header(P_MEMSZ, 0xFFFFFFFF), "ends above 4 GiB"),
        (header(P_OFFSET, 0x1001), "is not congruent to its address"),
        (header(P_OFFSET, 0x1000, index=1), "overlap in the file"),
        (header(P_PADDR, 0x100000, index=1), "overlap in memory"),
        (header(P_PADDR, 0x300000, index=-1), "module .*: no segment"),
        (flip(b"BWTABLES", last=True), "tables: magic"),
        (flip(b"BWTABLES", 0x30, last=True), "tables: the checksum"),
        (flip(b"This file travels"), "module demo.txt: the bytes at file offset"),
        (cut, "ends behind the file"),
    ],
)
def test_damage_is_noticed(
    damage: Callable[[bytearray], None], message: str, demo: built.Built, planned: Plan, tmp_path: Path
) -> None:
    data = bytearray(demo.elf.read_bytes())
    damage(data)
    damaged = tmp_path / "damaged.elf"
    damaged.write_bytes(data)
    with pytest.raises(VerifyError, match=message) as caught:
        verify(damaged, planned)
    assert str(caught.value).startswith(f"{damaged}: ")
    assert "\n" not in str(caught.value)


# Shim's SBAT.md: what the section begins with, and a line of our own.
SBAT = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n"
OURS = "bootwright,1,bootwright,bootwright,1,none\n"


def test_the_application_says_what_it_is_made_of(demo: built.Built) -> None:
    assert demo.efi is not None
    application = lief.PE.parse(str(demo.efi))
    assert application is not None
    (section,) = [section for section in application.sections if section.name == ".sbat"]
    assert bytes(section.content)[: section.virtual_size] == (SBAT + OURS).encode()
    assert section.sizeof_raw_data >= section.virtual_size, "shim takes no other"


def test_the_application_is_what_GRUB_can_load_flat(demo: built.Built) -> None:
    """Every byte lies in the file where it lies in memory, and the multiboot2 header says so (specification 2.0, 3.1.5:
    the header's own address, where loading starts, and 0 for the rest of the file; 3.1.7 and 3.1.12)."""
    assert demo.efi is not None
    data = demo.efi.read_bytes()
    application = lief.PE.parse(str(demo.efi))
    assert application is not None
    sections = sorted(application.sections, key=lambda section: section.virtual_address)
    for section, following in pairwise(sections):
        assert section.pointerto_raw_data == section.virtual_address
        assert section.virtual_address + section.sizeof_raw_data == following.virtual_address
    header = next(at for at in range(0, 0x8000, 8) if data[at : at + 4] == struct.pack("<I", 0xE85250D6))
    size, checksum = struct.unpack_from("<II", data, header + 8)
    assert (0xE85250D6 + size + checksum) % (1 << 32) == 0
    tags, at = {}, header + 16
    while at < header + size:
        kind, _, length = struct.unpack_from("<HHI", data, at)
        tags[kind] = struct.unpack_from(f"<{(length - 8) // 4}I", data, at + 8)
        at += -(-length // 8) * 8
    header_address, load, load_end, bss_end = tags[2]
    assert header - (header_address - load) == sections[0].pointerto_raw_data
    assert (load, load_end, bss_end) == (0x100000, 0, 0)
    assert tags[10] == (0x100000, 0xFFFFFFFF, 0x1000, 2), "anywhere, in whole pages, as high as possible"
    entry = tags[3][0] - load + sections[0].pointerto_raw_data
    assert data[entry : entry + 2] == b"\x8d\x63", "lea esp, [ebx + ...]"
    done = subprocess.run(["grub-file", "--is-x86-multiboot2", demo.efi], check=False)
    assert done.returncode == 0


def test_an_application_that_says_otherwise_is_noticed(demo: built.Built, planned: Plan, tmp_path: Path) -> None:
    assert demo.efi is not None
    sbat = (OURS.strip(),)
    moved = plan_of(demo.efi)
    efi_image.verify(demo.efi, moved, sbat)
    with pytest.raises(VerifyError, match=r"demo\.efi: section \.sbat does not say what was planned"):
        efi_image.verify(demo.efi, moved, ("lab,1,Lab,bootwright,1,none",))
    bare = tmp_path / "bare.efi"
    bare.write_bytes(demo.efi.read_bytes().replace(b".sbat\0", b".none\0"))
    with pytest.raises(VerifyError, match="checksum"):
        efi_image.verify(bare, moved, sbat)


def word_sum(data: bytes) -> int:
    """As the specification of PE has it: words added one by one, each carry added again."""
    total = 0
    for (word,) in struct.iter_unpack("<H", data + bytes(len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_LIEF_reads_the_application_as_it_was_planned(demo: built.Built) -> None:
    assert demo.efi is not None and demo.efi.stat().st_size < 1 << 20
    found = lief.PE.parse(str(demo.efi))
    assert found is not None
    header, data = found.optional_header, demo.efi.read_bytes()
    at = struct.unpack_from("<I", data, 0x3C)[0] + 24 + 64
    expected = word_sum(data[:at] + bytes(4) + data[at + 4 :]) + len(data)
    assert header.checksum == found.compute_checksum() == expected
    assert header.subsystem == lief.PE.OptionalHeader.SUBSYSTEM.EFI_APPLICATION
    assert found.header.machine == lief.PE.Header.MACHINE_TYPES.AMD64
    (code,) = [section for section in found.sections if section.name == ".text"]
    assert code.virtual_address <= header.addressof_entrypoint < code.virtual_address + code.virtual_size
    sections = {section.virtual_address + header.imagebase: section for section in found.sections}
    modules = [module for module in plan_of(demo.efi).modules if module.embedded]
    for module in modules:
        section = sections[module.load_address]
        assert hashlib.sha256(bytes(section.content)[: module.size]).digest() == module.sha256
    assert modules and max(s.virtual_address + s.virtual_size for s in found.sections) <= header.sizeof_image


@pytest.mark.parametrize("length", [1, 2, 4095, 4097, 70001])
def test_the_checksum_is_the_same_with_parts_that_were_summed_before(length: int) -> None:
    data = random.Random(length).randbytes(3 * 70001)
    part = data[4096 : 4096 + length]
    with_part = efi_image.checksum_of(io.BytesIO(data), len(data), [(4096, length, word_sum(part))])
    assert with_part == efi_image.checksum_of(io.BytesIO(data), len(data), []) == word_sum(data) + len(data)


@pytest.mark.parametrize("by_kernel", [True, False])
def test_copied_to_where_a_file_stands(by_kernel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object, **kwargs: object) -> int:
        raise OSError(errno.EXDEV, "between file systems")

    if not by_kernel:
        monkeypatch.setattr(os, "copy_file_range", refused)
    source = tmp_path / "source"
    source.write_bytes(random.Random(1).randbytes(3 << 20))
    with (tmp_path / "target").open("w+b") as target:
        target.write(b"in front")
        assert embed.copy_into(source, target) == 3 << 20
        target.write(b"behind")
        target.seek(4)
        assert target.read() == b"ront" + source.read_bytes() + b"behind"


def test_a_module_that_changed_is_not_summed(tmp_path: Path) -> None:
    payload = embed.Payload("ramdisk", tmp_path / "file", 0, 4, hashlib.sha256(b"what").digest())
    payload.path.write_bytes(b"that")
    with pytest.raises(SourceError, match="changed while it was read"):
        efi_image._sum_of(payload)


def plan_of(application: Path) -> Plan:
    """What the tables in an application say."""
    found = lief.PE.parse(str(application))
    assert found is not None
    (section,) = [section for section in found.sections if section.name == ".tables"]
    return tables.decode(tables.of_section(bytes(section.content)))


def test_a_missing_image(planned: Plan, tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match="does not read back"):
        verify(tmp_path / "none.elf", planned)
