"""What a multiboot kernel is told, compared with what GRUB tells the same kernel on the same machine. The kernel
(kernels/told.asm) writes all of it out; it requires information that no machine has all of.
"""

from __future__ import annotations

import io
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from comparing import ROOT, C, compare_boot, facts
from elftools.elf.elffile import ELFFile

from bootwright.asm import assemble
from bootwright.common import paths
from bootwright.emulate import qemu, run
from bootwright.emulate.qemu import Outcome
from bootwright.image import build
from bootwright.link import layout, linker

pytestmark = pytest.mark.slow

MEMORY = 192 << 20
END = "\nEND\n"
# Of these GRUB asks the BIOS, or its network; we do not.
ASKED_OF_A_BIOS = {7, 10, 16}
# Tags whose content is the machine's, and must be the same; the others differ by where things lie.
SAME = {5, 12, 14, 15, 21}


@dataclass(frozen=True)
class Told:
    """info: the information's bytes; runs: symbols and strings of the kernel, behind each other."""

    info: bytes
    runs: tuple[bytes, ...]

    @property
    def tags(self) -> dict[int, bytes]:
        """Of multiboot2, by type: Multiboot2 2.0, 3.4."""
        found, place = {}, 8
        while place < len(self.info):
            kind, size = struct.unpack_from("<II", self.info, place)
            found[kind] = self.info[place + 8 : place + size]
            place += -(-size // 8) * 8
        return found


def parse(transcript: str) -> Told:
    lines = [line.split(" ") for line in transcript[: transcript.index(END)].splitlines()]
    runs = [bytes.fromhex(words[1]) for words in lines if len(words) == 2 and len(words[0]) == 8]
    return Told(runs[0], tuple(runs[1:]))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("told") / "told"
    path.write_bytes(linker.link([assemble.assemble(ROOT / "tests/kernels/told.asm")], layout.load("kernel")).image)
    return path


def by_grub(kernel: Path, command: str, firmware: str, folder: Path) -> Told:
    config = folder / "grub.cfg"
    text = f"serial\nterminal_output console serial\ntimeout=0\nmenuentry x {{\n{command} /told a b\n}}\n"
    config.write_text(text)
    iso = folder / "x.iso"
    grafts = [f"boot/grub/grub.cfg={config}", f"told={kernel}"]
    subprocess.run(["grub-mkrescue", "-o", iso, *grafts], check=True, capture_output=True)
    started = qemu.command(qemu.Machine(MEMORY, firmware=firmware), ["-cdrom", str(iso)])
    result = qemu.run(started, expect=END.strip(), timeout=90, show=lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    return parse(result.transcript + "\n")


def by_us(kernel: Path, protocol: str, firmware: str, folder: Path) -> Told:
    path = folder / "told.toml"
    path.write_text(
        '[image]\nname = "told"\nlog = "debug"\n[[domain]]\nname = "dom0"\nfunctions = ["initial-domain"]\n'
        f'memory = "64M"\nprotocol = "{protocol}"\nkernel = "{kernel}"\ncmdline = "a b"\n'
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: folder)
        built = build.build(path, lambda stage: None)
    options = run.Options(via="grub", firmware=firmware, memory=MEMORY, expect=END.strip(), timeout=90)
    result = run.boot(built, options, lambda text: None, facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert compare_boot(result.transcript, built, memory=result.memory).protocol == protocol
    return parse(result.transcript + "\n")


def sections(headers: bytes) -> list[tuple[int, ...]]:
    return list(struct.iter_unpack("<10I", headers))


def check_sections(headers: bytes, runs: tuple[bytes, ...], kernel: Path) -> None:
    """They are the file's, with addresses for what no segment loads, and that is there."""
    elf = ELFFile(io.BytesIO(kernel.read_bytes()))
    told = sections(headers)
    assert len(told) == elf.num_sections() > 3
    for section, header in zip(elf.iter_sections(), told, strict=True):
        assert header[1] == elf.structs.Elf_Shdr.sizeof() or header[5] == section["sh_size"]
        assert (header[4], header[5]) == (section["sh_offset"], section["sh_size"])
        assert header[3] == section["sh_addr"] or (section["sh_addr"] == 0 and section["sh_size"] and header[3])
    tables = [s.data() for s in elf.iter_sections() if s["sh_type"] in ("SHT_SYMTAB", "SHT_STRTAB")]
    assert list(runs) == tables


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_multiboot2_as_grub_tells_it(firmware: str, kernel: Path, tmp_path: Path) -> None:
    theirs, ours = by_grub(kernel, "multiboot2", firmware, tmp_path), by_us(kernel, "multiboot2", firmware, tmp_path)
    # For the stub GRUB describes a graphics screen under UEFI, which this kernel has not asked it for.
    assert set(theirs.tags) - ASKED_OF_A_BIOS == set(ours.tags) - ({8} if firmware == "uefi" else set())
    assert firmware == "uefi" or ours.tags[8].startswith(theirs.tags[8][:22]), "a text screen has no colours behind"
    # Under UEFI GRUB has a table of ACPI 1.0 beside the newer one; ours is the beginning of that.
    assert ours.tags[14].startswith(b"RSD PTR ") and len(ours.tags[14]) == 20 and sum(ours.tags[14]) % 256 == 0
    for kind in (SAME & set(theirs.tags)) - ({14} if firmware == "uefi" else set()):
        assert ours.tags[kind] == theirs.tags[kind], f"tag {kind}"
    assert ours.tags[1] == b"a b\0"
    for told in (theirs, ours):
        count, size, names = struct.unpack_from("<III", told.tags[9])
        assert (size, names) == (40, count - 1)
        check_sections(told.tags[9][12:], told.runs, kernel)
    assert struct.unpack("<I", ours.tags[21]) == (0x400000,)
    if firmware == "uefi":
        assert {12, 17} <= set(ours.tags) and ours.tags[17][:8] == theirs.tags[17][:8]
    else:
        assert ours.tags[5][:4] == b"\xe0\0\0\0", "SeaBIOS' number of the CD"


def test_multiboot1_as_grub_tells_it(kernel: Path, tmp_path: Path) -> None:
    theirs, ours = by_grub(kernel, "multiboot", "bios", tmp_path), by_us(kernel, "multiboot1", "bios", tmp_path)
    flags = [struct.unpack_from("<I", told.info)[0] for told in (theirs, ours)]
    screen, modules = 1 << 11 | 1 << 12, 1 << 3
    assert flags[0] & ~screen | modules == flags[1], "GRUB sets the flag of the modules when there are any"
    boot_device = C["MULTIBOOT1_INFO_BOOT_DEVICE"]
    assert ours.info[boot_device : boot_device + 4] == theirs.info[boot_device : boot_device + 4]
    for told in (theirs, ours):
        count, size, _, names = struct.unpack_from("<4I", told.info, C["MULTIBOOT1_INFO_SYMS_NUM"])
        assert (size, names) == (40, count - 1)
        check_sections(told.runs[0], told.runs[1:], kernel)
