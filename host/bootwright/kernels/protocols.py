"""The launch protocols there are. A new one is a module with a Protocol, and its place in the list.

The stub has stub/launch/NAME.asm for each. A stub without tables tries them in this order as well.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import KernelError
from bootwright.kernels import bzimage, elf, linux, multiboot, pvh
from bootwright.kernels.kernel import Kernel, OtherProtocol, Protocol, Refused

# In the order in which "auto" prefers them. A bzImage whose kernel has a PVH note is entered as the bzImage that it is,
# on a BIOS as well: only so Linux is told of EFI, and one protocol for both firmwares is easier to see through.
PROTOCOLS = (multiboot.MULTIBOOT2, multiboot.MULTIBOOT1, linux.PROTOCOL, pvh.PROTOCOL)
# How a domain of the partition launcher is entered: its machine has neither EFI nor a BIOS.
OF_PARTITIONS = (pvh.PROTOCOL, linux.PROTOCOL)
NAMES = tuple(protocol.name for protocol in PROTOCOLS)
# By which a hypervisor is entered that has two ways in: multiboot2, and that with EFI's boot services running.
HYPERVISOR = "multiboot2_efi"

GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20


def name(number: int) -> str:
    """The protocol with the number PROTOCOL_*; for a hypervisor's two ways in, that without boot services."""
    numbers = load_abi().constants
    wanted = numbers["PROTOCOL_MULTIBOOT2"] if number == numbers[f"PROTOCOL_{HYPERVISOR.upper()}"] else number
    return next((name for name in NAMES if numbers[f"PROTOCOL_{name.upper()}"] == wanted), "")


def choose(wanted: str, path: Path, folder: Path, order: Sequence[Protocol] = PROTOCOLS) -> Kernel:
    """The kernel at `path`, entered by the protocol `wanted`, or for "auto" by the first of `order` that fits and does
    not refuse it.

    A gzip file is unpacked to `folder` first. Raises KernelError, without the file's name in front, when none
    fits, or the first that does finds it broken; Refused, that of the first, when all that fit refuse it.
    """
    path = gunzipped(path, folder)
    if wanted != "auto":
        return next(protocol for protocol in PROTOCOLS if protocol.name == wanted).parse(path, folder)
    refused: list[tuple[str, Refused]] = []
    for protocol in order:
        try:
            found = protocol.parse(path, folder)
        except OtherProtocol:
            continue
        except Refused as error:
            refused.append((protocol.name, error))
            continue
        if found.stored:  # it unpacks itself, and would find out only at boot
            bzimage.check(path)
        others = (f"; it is not entered by {other}, because it {error.message}" for other, error in refused)
        return replace(found, reason="".join((found.reason, *others)))
    if refused:
        raise refused[0][1]
    with path.open("rb") as stream:
        is_elf = stream.read(len(elf.MAGIC)) == elf.MAGIC
    if not is_elf:
        raise KernelError(
            "is no kernel: neither an ELF file nor a bzImage, nor has it a multiboot header with addresses"
        )
    raise KernelError("has neither a multiboot header nor a PVH note, so no protocol can enter it")


def fitting(path: Path, folder: Path) -> list[str]:
    """The names of the protocols that could enter the kernel at `path`."""
    found, path = [], gunzipped(path, folder)
    for protocol in PROTOCOLS:
        with suppress(KernelError):
            protocol.parse(path, folder)
            found.append(protocol.name)
    return found


def gunzipped(path: Path, folder: Path) -> Path:
    """The file itself, or what is in it if it is gzip's. Raises KernelError where that is damaged."""
    with path.open("rb") as source:
        if source.read(len(GZIP_MAGIC)) != GZIP_MAGIC:
            return path
        source.seek(0)
        out = folder / path.name.removesuffix(".gz")
        out = out if out != path else folder / f"{path.name}.gunzipped"
        inflate, written = zlib.decompressobj(wbits=31), 0
        with out.open("wb") as target:
            try:
                while not inflate.eof:
                    data = inflate.unconsumed_tail or source.read(CHUNK)
                    if not data:
                        raise KernelError("is a gzip file that ends early")
                    written += target.write(inflate.decompress(data, CHUNK))
                    if written > bzimage.MAX_UNPACKED:
                        raise KernelError(f"is a gzip file of more than {bzimage.MAX_UNPACKED} bytes")
            except zlib.error as error:
                raise KernelError(f"is a damaged gzip file: {error}") from error
    return out
