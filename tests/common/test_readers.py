"""Everything that reads a file, a device or another program's words: whatever is in it, the reader comes back, or
raises a BootwrightError. 2,000 damaged files each, the same ones every time.
"""

from __future__ import annotations

import ast
import dataclasses
import gzip
import hashlib
import json
import lzma
import random
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import lab_report
import mutations
import pictures
import pytest
import samples
import trees
import zstandard
from elftools.elf.elffile import ELFFile
from project import ROOT

from bootwright.artifact import describe, foreign, stored
from bootwright.asm import assemble
from bootwright.chart import boots, timeline
from bootwright.cli import chart as cli_chart
from bootwright.cli import explain as cli_explain
from bootwright.common import abi, asciicast, paths, store
from bootwright.common.errors import BootwrightError, Where
from bootwright.common.hashes import Hashes
from bootwright.common.ranges import Range
from bootwright.description import load, toml_tree
from bootwright.devicetree import dts, fdt
from bootwright.devicetree import reader as devicetree_reader
from bootwright.emulate import secure_boot
from bootwright.flash import block_devices
from bootwright.flash import source as flash_source
from bootwright.image import built, efi_image, origin, verify
from bootwright.inputs import debian, resolve
from bootwright.kernels import elf, linux, multiboot, protocols, pvh
from bootwright.lab import explain as explaining
from bootwright.lab import report as machine_report
from bootwright.link import layout
from bootwright.media import bmap, gpt
from bootwright.netboot import dhcp, rules
from bootwright.plan import lcm, modules, notes, tables
from bootwright.plan.records import Plan
from bootwright.reference import transcript

CASES = 2000
ABI = abi.load()


@dataclasses.dataclass(frozen=True)
class Reader:
    """read: what is tried with each file. samples: sound files. damage: makes a bad one. name: what it is called."""

    read: Callable[[Path], object]
    samples: tuple[bytes, ...]
    name: str = "file"
    damage: Callable[[random.Random, bytes], bytes] = mutations.damaged
    cases: int = CASES


# --- how they are read ---


def read_report(path: Path) -> None:
    """All that is done with a report, whether it comes from a line or from a file."""
    capture = path.read_bytes()
    machine_report.is_complete(capture)
    use_report(machine_report.extract(capture, Where("line")), path)


def use_report(found: machine_report.Report, path: Path) -> None:
    machine_report.describe(found).encode()
    machine_report.suggest_name(found).encode()
    assert found.ram >= 0 and len(found.rsdp_bytes) == ABI.constants["RSDP_SIZEOF"]
    _ = found.framebuffer, found.cpu
    folder = path.parent / "machines"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(machine_report, "directory", lambda: folder)
        shutil.rmtree(folder, ignore_errors=True)
        machine_report.load(str(machine_report.store(found, "lab")))


def read_disks(path: Path) -> None:
    proc = path.parent / "proc"
    (proc / "self").mkdir(parents=True, exist_ok=True)
    (proc / "self/mountinfo").write_bytes(path.read_bytes())
    (proc / "swaps").write_bytes(path.read_bytes())
    block = path.parent / "sys/block/sda"
    block.mkdir(parents=True, exist_ok=True)
    for name in ("size", "dev", "removable", "ro"):
        (block / name).write_bytes(path.read_bytes())
    block_devices.disks(block_devices.System(path.parent / "sys", proc, path.parent))


def draw_log(path: Path) -> None:
    """All that `map --log` does with a log."""
    text, planned = cli_chart._text(str(path)), pictures.planned("demo")
    recording = asciicast.read(text)
    boots.of_log(recording.text if recording else text, planned.fit, planned.build, planned.parts, "by a log")
    if recording:
        timeline.of_recording(recording)


def read_map(path: Path) -> None:
    """All that is done with the map of an image before it is taken, and when a medium of it has been made."""
    found = built.load(path)
    origin.changed(found.origin, Path("images/demo.toml"), path.parent)
    medium = origin.MadeMedium("disk", {}, 512, "")
    built.add_medium(path, "disk", medium)


def read_hashes(path: Path) -> None:
    """A file of hashes that is damaged is as none."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: path.parent)
        (path.parent / "build").mkdir(exist_ok=True)
        (path.parent / "build/.hashes.json").write_bytes(path.read_bytes())
        Hashes().of(path)


def read_table(path: Path) -> None:
    gpt.moved(path.read_bytes(), 1 << 30)


def read_stored(path: Path) -> None:
    for image in stored.find(path):
        describe.text(describe.record(image))


def read_packed(path: Path) -> None:
    with flash_source.open_source(path) as source:
        source.fill(memoryview(bytearray(source.size)), 0)


def a_block_map() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        image, file = Path(folder, "lab.img"), Path(folder, "map")
        image.write_bytes(bytes(16384))
        bmap.write(image, [Range(0, 4096), Range(8192, 16384)], file)
        return file.read_bytes()


def read_package(path: Path) -> None:
    out = path.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    debian._extract(path, "*/readme", out)


def read_store(path: Path) -> None:
    """An entry that is damaged is made anew."""
    kept = store.Store(path.parent, "test")
    raw = path.read_bytes()
    path.unlink()
    assert kept.get("key", lambda: ("value", [])) == "value"
    (entry,) = (one for one in path.parent.iterdir() if len(one.name) == 64)
    entry.write_bytes(raw + entry.read_bytes()[len(raw) :])
    assert kept.get("key", lambda: ("value", [])) == "value"


# --- how they are damaged ---


def damaged_capture(dice: random.Random, sample: bytes) -> bytes:
    """Of a report the document with its checksum, or the lines as they come."""
    begin, end = ABI.strings["PROBE_BEGIN"].encode(), ABI.strings["PROBE_END"].encode()
    if dice.random() < 0.3:
        return mutations.damaged(dice, begin + sample + end + b"CRC-32 %#x\n" % zlib.crc32(sample))
    text = mutations.damaged_json(dice, sample.decode())
    return begin + text + b"\n" + end + b"CRC-32 %#x\n" % zlib.crc32(text + b"\n")


def damaged_document(dice: random.Random, sample: bytes) -> bytes:
    return mutations.damaged_json(dice, sample.decode())


def damaged_tables(dice: random.Random, sample: bytes) -> bytes:
    """Mostly with a checksum that is right."""
    blob = bytearray(mutations.damaged(dice, sample))
    start = ABI.constants["TABLES_CHECKSUM"]
    if dice.random() < 0.8 and len(blob) > start + 4:
        length = ABI.constants["TABLES_LENGTH"]
        blob[length : length + 4] = len(blob).to_bytes(4, "little")
        blob[start : start + 4] = bytes(4)
        blob[start : start + 4] = zlib.crc32(blob).to_bytes(4, "little")
    return bytes(blob)


def damaged_map(dice: random.Random, data: bytes) -> bytes:
    """Damaged, with a right SHA-256 of its own half of the time."""
    text = mutations.damaged(dice, data)
    found = re.search(rb"BmapFileChecksum> ([0-9a-f]{64}) ", text)
    if found and dice.random() < 0.5:
        plain = text.replace(found[1], b"0" * 64)
        text = text.replace(found[1], hashlib.sha256(plain).hexdigest().encode())
    return text


def damaged_disk(dice: random.Random, sample: bytes) -> bytes:
    """Mostly with a header whose checksum is right."""
    disk = bytearray(mutations.damaged(dice, sample))
    if dice.random() < 0.8 and len(disk) > 604:
        disk[528:532] = bytes(4)
        disk[528:532] = zlib.crc32(disk[512:604]).to_bytes(4, "little")
    return bytes(disk)


# --- what there is ---

PARTITION = gpt.Partition(gpt.guid("x", "kind"), "boot", 64, 1000)
DISK = b"".join(gpt.tables(4096, [PARTITION], "x", b"code"))
CERTIFICATE = f"-----BEGIN CERTIFICATE-----\n{'TGFi' * 40}\n-----END CERTIFICATE-----\n".encode()
TREE = trees.hyperlaunch(trees.domain(trees.module(), memory=b"64M\0"), trees.domain(name="dom1"))
SOURCE = b"""; A program.
.include "none.inc"
.section .text
.macro say text, count
        lea  rdi, [rip + \\text]
        mov  ecx, \\count * 2 + PAGE_SIZE
.endm
start:
        say  words, 3
.loop:
        dec  ecx
        jnz  .loop
        mov  qword ptr [rax + rcx * 8 + 16], 5
        ret
.section .rodata
words:  .asciz "words\\n"
        .long words - start, (1 << 3) | 1
.assert words == words, "it does"
"""
MOUNTS = b"24 1 8:1 / /mnt rw shared:1 - ext4 /dev/sda1 rw\nFilename Type\n/dev/sda2 partition 1 0 -2\n"
LINES = b"bootwright: image demo build e516a5d6 at [0x100000, 0x179000), entered by multiboot1 from qemu\n"
LINES += b"bootwright: memory: [0x0, 0x9fc00) type 1\nbootwright: memory: 7 ranges, 127 MiB of RAM, RSDP at 0xf59d0\n"
LINES += b"bootwright: module 0: kernel demo at [0x201000, 0x201b58)\n"
LINES += b"bootwright: firmware: system table at 0x1, memory map at [0x1, 0x2), 48 bytes an entry, version 1\n"
CAST = b'{"version": 2, "width": 80, "height": 24}\n[0.25, "o", "bootwright: image"]\n[1, "m", "done"]\n'
KERNELS = tuple(data for data in samples.kernels().values() if data)
ELFS = tuple(data for data in KERNELS if data.startswith(elf.MAGIC))
PACKED = tuple(
    samples.bzimage(samples.pack_payload(samples.elf(), method))
    for method in ("gzip", "xz", "lzma", "bzip2", "zstd", "lz4")
)


def readers() -> dict[str, Reader]:
    """Every reader there is, but for those that need an image."""
    text = (ROOT / "images/demo.toml").read_bytes(), (ROOT / "images/xen.toml").read_bytes()
    machine = json.dumps(lab_report.DOCUMENT)

    return {
        "toml": Reader(toml_tree.load, text),
        "description": Reader(load.load, text, "lab.toml"),
        "layout": Reader(layout.load, tuple(path.read_bytes() for path in sorted((ROOT / "linker").glob("*.toml")))),
        "assembly": Reader(assemble.assemble, (SOURCE.replace(b'.include "none.inc"\n', b""), SOURCE), "lab.asm"),
        "device tree": Reader(devicetree_reader.load, (fdt.write(TREE),), "lab.dtb"),
        "device tree source": Reader(devicetree_reader.load, (dts.write(TREE).encode(),), "lab.dts"),
        "elf": Reader(elf.read, ELFS),
        "bzImage": Reader(lambda path: pvh.parse(path, path.parent), PACKED),
        "linux": Reader(lambda path: linux.parse(path, path.parent), (samples.linux(), *PACKED[:1])),
        "multiboot1": Reader(lambda path: multiboot.parse1(path, path.parent), KERNELS),
        "multiboot2": Reader(lambda path: multiboot.parse2(path, path.parent), KERNELS),
        "kernel": Reader(lambda path: protocols.choose("auto", path, path.parent), KERNELS),
        "protocols": Reader(lambda path: protocols.fitting(path, path.parent), KERNELS),
        "gzip": Reader(lambda path: protocols.gunzipped(path, path.parent), (gzip.compress(samples.elf()),), "k.gz"),
        "kernel for Xen": Reader(modules._check_kernel_for_xen, (*KERNELS, *PACKED)),
        "kernel in a tree": Reader(lambda path: lcm._as_elf(path, path.parent / "lcm"), (*ELFS[:3], *PACKED)),
        "disk image": Reader(read_table, (DISK, DISK[:560]), damage=damaged_disk),
        "packed image": Reader(
            read_packed, (lzma.compress(DISK), zstandard.ZstdCompressor(write_checksum=True).compress(DISK))
        ),
        "block map": Reader(lambda path: bmap.read(path, 16384), (a_block_map(),), damage=damaged_map),
        "other file": Reader(foreign.describe, (*KERNELS, DISK)),
        "log": Reader(lambda path: explaining.read(cli_explain._text(str(path))), (b"bootwright: E0404: domain",)),
        "certificate": Reader(lambda path: secure_boot.write_variables(path, path.with_suffix(".fd")), (CERTIFICATE,)),
        "notes": Reader(notes.is_linux, KERNELS),
        "report of a machine": Reader(read_report, (machine.encode(),), damage=damaged_capture),
        "stored machine": Reader(
            lambda path: use_report(machine_report.load(str(path)), path),
            (machine.encode(),),
            "m.json",
            damaged_document,
        ),
        "recording": Reader(lambda path: asciicast.read(path.read_text("utf-8", "replace")), (CAST,), name="demo.cast"),
        "log for a picture": Reader(draw_log, (LINES, CAST)),
        "transcript": Reader(lambda path: transcript.parse_transcript(path.read_text("utf-8", "replace")), (LINES,)),
        "disks": Reader(read_disks, (MOUNTS, b"8:0\n", b"123456\n")),
        "hashes": Reader(read_hashes, (b'{"/x": [[1, 2, 3, 4, 5], "00"]}',), "hashes", damaged_document),
        "no description": Reader(lambda path: paths.description(str(path)), KERNELS),
        "init": Reader(resolve._script, (b"#!/bin/sh\nexec sh\n", samples.elf())),
        "rights": Reader(dhcp.check_rights, (b"Name: x\nCapEff:\t000001ffffffffff\nSeccomp: 0\n",)),
        "rules": Reader(rules.read, (b"rome=demo:rescue  # x\n52:54:00:12:34:56=xen\n",)),
        "store": Reader(read_store, (b"x" * 40,), "damage"),
    }


NAMES = list(readers())


def attack(name: str, reader: Reader, folder: Path) -> None:
    """All cases of a reader."""
    sound = 0
    for seed in range(reader.cases):
        dice = random.Random(f"{name} {seed}")
        path = folder / reader.name
        path.write_bytes(reader.damage(dice, dice.choice(reader.samples)))
        try:
            reader.read(path)
            sound += 1
        except BootwrightError as error:
            str(error).encode("utf-8")  # it can be printed
        except Exception as error:
            kept = path.read_bytes() if path.exists() else b""
            raise AssertionError(f"{name}, case {seed}: {type(error).__name__}: {error}; {kept[:400]!r}") from error


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_ends_in_a_sentence(name: str, tmp_path: Path) -> None:
    attack(name, readers()[name], tmp_path)


def package(folder: Path) -> bytes:
    """A small one, as dpkg-deb makes it."""
    root = folder / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "usr").mkdir()
    (root / "usr/readme").write_text("text\n" * 20)
    (root / "DEBIAN/control").write_text(
        "Package: lab\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n"
    )
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", "root", "lab.deb"], cwd=folder, check=True, capture_output=True
    )
    return (folder / "lab.deb").read_bytes()


@pytest.mark.slow
def test_a_damaged_package_ends_in_a_sentence(tmp_path: Path) -> None:
    attack("package", Reader(read_package, (package(tmp_path),), "lab.deb"), tmp_path)


def images(demo: built.Built) -> dict[str, Reader]:
    """What reads an image, of the demo's files."""
    blob = tables.of_section(ELFFile(demo.elf.open("rb")).get_section_by_name(".tables").data())
    plan: Plan = tables.decode(blob)
    assert demo.efi is not None
    return {
        "tables": Reader(lambda path: tables.decode(path.read_bytes()), (blob,), damage=damaged_tables),
        "image": Reader(lambda path: verify.verify(path, plan), (demo.elf.read_bytes(),)),
        "application": Reader(lambda path: efi_image.verify(path, plan, ()), (demo.efi.read_bytes(),)),
        "stored image": Reader(read_stored, (demo.elf.read_bytes(), demo.efi.read_bytes())),
        "map": Reader(read_map, (demo.elf.with_suffix(".json").read_bytes(),), "demo.json", damaged_document),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tables", "image", "application", "map", "stored image"])
def test_a_damaged_image_ends_in_a_sentence(name: str, demo: built.Built, tmp_path: Path) -> None:
    attack(name, images(demo)[name], tmp_path)


# --- none is forgotten -----------------------------------------------------------------------------

BYTES = "takes the bytes as they are"
PIECE = "copies what a test of media reads back"
OURS = "reads what comes with the project"
SYSTEM = "reads what the kernel says, or a process of ours"
QEMU = "reads what a QEMU that we started says"
LOCK = "opens a folder of its own, to lock it"
# Each function that opens a file: the reader above that it is tried by, or why no bytes in the file can matter to it.
MEDIUM = "tests of their own damage them: tests/artifact/test_layout.py, tests/labgrid"
OPENED = {
    "artifact.layout.record": MEDIUM,
    "artifact.rebuild._medium": BYTES,
    "artifact.change._write_module": BYTES,
    "artifact.change.apply": "stored image",
    "artifact.foreign.describe": "other file",
    "artifact.modules.extract": "stored image",
    "artifact.stored.find": "stored image",
    "artifact.stored.is_right": "stored image",
    "asm.preprocess.read_file": "assembly",
    "cli.bench._outcome": OURS,
    "cli.boards._environment": MEDIUM,
    "cli.chart._text": "log for a picture",
    "cli.descriptions._title": BYTES,
    "cli.explain._text": "log",
    "cli.pages._title": OURS,
    "cli.pages.show": OURS,
    "cli.lab.read": "report of a machine",
    "common.abi.load": OURS,
    "common.asciicast._json": "recording",
    "common.paths._kind": "no description",
    "common.excerpt._excerpt": BYTES,
    "common.hashes.__init__": "hashes",
    "common.hashes._opened": BYTES,
    "common.scratch._create": LOCK,
    "common.scratch.locked": LOCK,
    "common.scratch.sweep": LOCK,
    "common.store._hash_of": BYTES,
    "common.store._read": "store",
    "common.store.code_of": OURS,
    "description.toml_tree._key_parts": "toml",
    "description.toml_tree._statement": "toml",
    "description.toml_tree.load": "toml",
    "description.toml_tree.parse": "toml",
    "devicetree.dts._check_included": "device tree source",
    "devicetree.dtc._readable": "device tree source",
    "devicetree.dts.read": "device tree source",
    "devicetree.reader._blob": "device tree",
    "emulate.qemu._read_events": QEMU,
    "emulate.secure_boot.write_variables": "certificate",
    "flash.block_devices._text": "disks",
    "flash.source.open_source": "packed image",
    "flash.target.opened": BYTES,
    "image.built.add_medium": "map",
    "image.built.load": "map",
    "image.efi_image._verify": "application",
    "image.efi_image._summed": BYTES,
    "image.embed.copy_into": BYTES,
    "image.manifest.decode": "stored image",
    "image.manifest.make": BYTES,
    "image.origin._digest": BYTES,
    "image.sign.check": BYTES,
    "image.verify.verify": "image",
    "inputs.cpio._write_entry": BYTES,
    "inputs.debian.files": "package",
    "inputs.resolve._readable": BYTES,
    "inputs.resolve._script": "init",
    "kernels.bzimage._unpacked": "bzImage",
    "kernels.bzimage.read": "bzImage",
    "kernels.elf.read": "elf",
    "kernels.linux.parse": "linux",
    "kernels.multiboot._parse": "multiboot2",
    "kernels.multiboot._with_sections": "multiboot2",
    "kernels.protocols.choose": "kernel",
    "kernels.protocols.gunzipped": "gzip",
    "kernels.pvh.parse": "bzImage",
    "lab.explain._comments": OURS,
    "lab.fit._head": BYTES,
    "lab.places._asked": SYSTEM,
    "common.children._children": SYSTEM,
    "lab.report._document": "report of a machine",
    "lab.report.load": "stored machine",
    "lab.serial.opened": BYTES,
    "link.layout.load": "layout",
    "media.bmap.read": "block map",
    "media.bmap.write": PIECE,
    "media.extents._part": PIECE,
    "media.extents.write": PIECE,
    "media.grub.core": PIECE,
    "media.grub_bios.disk": PIECE,
    "media.grub_bios.hybrid": PIECE,
    "media.iso.make": PIECE,
    "netboot.dhcp.check_rights": "rights",
    "netboot.journal._neighbour": SYSTEM,
    "lab.serial._readers": SYSTEM,
    "lab.serial._reads": SYSTEM,
    "netboot.rules.read": "rules",
    "netboot.server.serve": SYSTEM,
    "partition.request.guest_kernel": BYTES,
    "plan.lcm._unpack": "kernel in a tree",
    "plan.modules._check_kernel_for_xen": "kernel for Xen",
    "plan.notes.is_linux": "notes",
    "plan.pack._sample_pays": BYTES,
    "plan.pack.pack_file": BYTES,
    "plan.pack.pack_kernel": BYTES,
    "plan.pack.store": BYTES,
}


def opens(call: ast.Call) -> bool:
    """Is it a call that reads a file, or takes apart what was read?"""
    if not isinstance(call.func, ast.Attribute):
        return False
    said = ast.unparse(call.func)
    if said in ("json.loads", "json.load", "tomllib.load", "tomllib.loads", "os.open", "tarfile.open"):
        return True
    if call.func.attr == "open":
        modes = [ast.unparse(one) for one in call.args]
        return not any(set(mode) & set("wx") for mode in modes[:1])
    return call.func.attr in ("read_bytes", "read_text")


def test_every_reader_is_tried() -> None:
    found = set()
    for path in sorted((ROOT / "host/bootwright").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT / "host/bootwright").with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and any(isinstance(c, ast.Call) and opens(c) for c in ast.walk(node)):
                found.add(f"{module}.{node.name}")
    assert found == set(OPENED)
    tried = {*NAMES, "tables", "image", "application", "map", "stored image", "package"}
    reasons = {BYTES, PIECE, OURS, SYSTEM, QEMU, LOCK, MEDIUM}
    assert set(OPENED.values()) - reasons <= tried
