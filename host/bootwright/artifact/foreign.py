"""What a file is that has no image of bootwright's in it: a sentence, by its first bytes and headers."""

from __future__ import annotations

import struct
from pathlib import Path

from bootwright.common import abi
from bootwright.common.errors import BootwrightError, Where, about, why
from bootwright.kernels.elf import BROKEN

_HEAD = 0x10000
# By what stands where; the first that fits.
_MAGICS = (
    ("a gzip file", 0, b"\x1f\x8b"),
    ("an xz file", 0, b"\xfd7zXZ"),
    ("a zstd file", 0, b"\x28\xb5\x2f\xfd"),
    ("a bzip2 file", 0, b"BZh"),
    ("a cpio archive, as a ramdisk is", 0, b"070701"),
    ("a device tree blob", 0, b"\xd0\x0d\xfe\xed"),
    ("device tree source", 0, b"/dts-v1/"),
    ("an ISO 9660 file system", 0x8001, b"CD001"),
    ("a disk with a GPT, of sectors of 512 bytes", 512, b"EFI PART"),
    ("a disk with a GPT, of sectors of 4096 bytes", 4096, b"EFI PART"),
    ("a FAT file system", 54, b"FAT"),
    ("a FAT32 file system", 82, b"FAT32"),
    ("a disk with an MBR", 510, b"\x55\xaa"),
)
_MACHINES = {3: "32-bit x86", 62: "64-bit x86", 40: "ARM", 183: "64-bit ARM", 243: "RISC-V"}
_UKI = (".linux", ".initrd", ".cmdline", ".osrel", ".uname", ".dtb", ".profile", ".sbat")
_BZIMAGE = (0x202, b"HdrS")


def describe(path: Path) -> str:
    """What the file at `path` is, as the end of a sentence. Never raises for what is in it."""
    if path.is_dir():
        return "a folder"
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        return f"cannot be read: {why(error)}"
    if not head:
        return "an empty file"
    try:
        with about("", Where(str(path))):
            return _of(path, head)
    except (*BROKEN, BootwrightError, EOFError, OverflowError, struct.error):
        return "a file that is damaged, or of a form that is not known"


def _of(path: Path, head: bytes) -> str:
    if head[_BZIMAGE[0] :].startswith(_BZIMAGE[1]):
        return _bzimage(head)
    if head.startswith(b"\x7fELF"):
        return _elf(head)
    if head.startswith(b"MZ"):
        return _application(head)
    found = next((what for what, at, magic in _MAGICS if head[at:].startswith(magic)), None)
    return found or "a file of a form that is not known"


def _bzimage(head: bytes) -> str:
    (version,) = struct.unpack_from("<H", head, 0x206)
    (at,) = struct.unpack_from("<H", head, 0x20E)
    text = head[at + 0x200 : at + 0x280].split(b"\0")[0].decode("latin-1") if at else ""
    efi = ", an EFI application as well" if head.startswith(b"MZ") else ""
    said = f": {text}" if text.isprintable() and text else ""
    return f"a Linux kernel (bzImage, boot protocol {version >> 8}.{version & 0xFF:02}{efi}){said}"


def _elf(head: bytes) -> str:
    wide = head[4:5] == b"\x02"
    kind, machine = struct.unpack_from("<HH", head, 16)
    what = {2: "an executable", 3: "a position-independent executable or library", 1: "an object"}.get(kind, "a file")
    constants = abi.load().constants
    headers = [
        name
        for name, magic, limit in (
            ("multiboot1", constants["MULTIBOOT1_HEADER_MAGIC"], 8192),
            ("multiboot2", constants["MULTIBOOT2_HEADER_MAGIC"], 32768),
        )
        if magic.to_bytes(4, "little") in head[:limit]
    ]
    headers += ["PVH"] if b"\x04\0\0\0" in head and struct.pack("<I4s", 18, b"Xen\0") in head else []
    entered = f", with headers for {' and '.join(headers)}" if headers else ""
    return f"{what} of ELF, {64 if wide else 32} bits, for {_MACHINES.get(machine, f'machine {machine}')}{entered}"


def _application(head: bytes) -> str:
    known, constants = abi.load(), abi.load().constants
    at = known.struct("pe_dos_header")(head).e_lfanew
    file_header = known.struct("pe_file_header")(head[at:])
    if file_header.signature != constants["PE_SIGNATURE"]:
        return "a DOS program"
    optional = at + constants["PE_FILE_HEADER_SIZEOF"]
    subsystem = known.struct("pe_optional_header")(head[optional:]).subsystem
    first = optional + file_header.size_of_optional_header
    size = constants["PE_SECTION_HEADER_SIZEOF"]
    names = [
        head[first + size * number :][:8].rstrip(b"\0").decode("latin-1")
        for number in range(file_header.number_of_sections)
    ]
    what = "an EFI application" if subsystem == constants["PE_SUBSYSTEM_EFI_APPLICATION"] else "a PE file"
    parts = [name for name in names if name in _UKI]
    if ".linux" in parts:
        return f"a unified kernel image ({what}) with sections {', '.join(parts)}"
    return f"{what} with sections {', '.join(name for name in names if name.isprintable())}"
