"""The Linux boot protocol: a bzImage, entered at its 64-bit entry, or its 32-bit one, whichever it has.

One with neither is entered in real mode, which needs a BIOS: it says so itself (code32_start 0, as iPXE's), or it is
older than those entries, as memdisk and GRUB's lnxboot.

The file travels as it is, because the stub copies its setup header into boot_params; its protected-mode part
is one piece. Specification: Linux Documentation/arch/x86/boot.rst.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import KernelError
from bootwright.common.ranges import FOUR_GIB, Range, Relocation
from bootwright.kernels import bzimage
from bootwright.kernels.elf import Segment
from bootwright.kernels.kernel import Kernel, OtherProtocol, Protocol, Refused

# The limit of kernels too old to say it (boot.rst, "initrd_addr_max").
OLD_RAMDISK_END = 0x38000000
VERSION_RAMDISK_END = 0x203
REAL_MODE = "starts in real mode, which needs a BIOS: under UEFI the boot stops"


def parse(path: Path, folder: Path) -> Kernel:
    """The bzImage at `path`. Raises KernelError for one that ends early, or is to lie below 1 MiB or beyond
    4 GiB; OSError passes.
    """
    constants = load_abi().constants
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(constants["BOOT_PARAMS_PAD7"])
    if not bzimage.is_bzimage(head):
        raise OtherProtocol("is no bzImage, so the Linux boot protocol cannot enter it")
    header = load_abi().struct("boot_params")(head.ljust(constants["BOOT_PARAMS_SIZEOF"], b"\0"))
    code = _code(header, len(head), size)
    place = _place(header, code)
    xloadflags = header.xloadflags if header.version >= constants["LINUX_VERSION_XLOADFLAGS"] else 0
    entry = constants["LINUX_ENTRY64"] if xloadflags & constants["LINUX_XLF_KERNEL_64"] else 0
    if entry >= code.size:
        raise KernelError(f"ends early: its 64-bit entry would be byte {entry:#x} of {code.size:#x}")
    high = header.version >= VERSION_RAMDISK_END
    real_mode = starts_in_real_mode(header)
    return Kernel(
        path,
        size,
        "linux",
        place.start + entry,
        (Segment(code.start, code.size, place.start, code.size),),
        f"is a bzImage that {REAL_MODE}" if real_mode else "is a bzImage, and is told of EFI where there is EFI",
        REAL_MODE if real_mode else "",
        stored=True,
        reserve_pages=-(-(place.size - code.size) // constants["PAGE_SIZE"]),
        movable=_movable(header, bool(entry)),
        max_cmdline=bzimage.max_cmdline(head),
        ramdisk_end=header.initrd_addr_max + 1 if high else OLD_RAMDISK_END,
    )


def starts_in_real_mode(header: Any) -> bool:
    """Whether a bzImage with this header, as boot_params, has no entry but the one in real mode. One that may be moved
    can be started in 32 bits, and was by kexec, before the protocol said so.
    """
    constants = load_abi().constants
    if not header.code32_start:
        return True
    movable = header.version >= constants["LINUX_VERSION_RELOCATABLE"] and header.relocatable_kernel
    return header.version < constants["LINUX_VERSION_32BIT"] and not movable


def _code(header: Any, head_size: int, size: int) -> Range:
    """The protected-mode part, as bytes of the file."""
    constants = load_abi().constants
    if head_size < constants["BOOT_PARAMS_PAD7"]:
        raise KernelError(
            f"ends early: the header of a bzImage takes {constants['BOOT_PARAMS_PAD7']} bytes, but the file has {size}"
        )
    if not header.loadflags & constants["LINUX_LOADED_HIGH"]:
        raise Refused("is a zImage, which would lie below 1 MiB; only a bzImage can be launched")
    start = ((header.setup_sects or constants["LINUX_DEFAULT_SECTORS"]) + 1) * constants["LINUX_SECTOR"]
    if starts_in_real_mode(header) and start > constants["REAL_MODE_HEAP_END"]:
        raise Refused(f"starts in real mode and has {start} bytes of setup code; {constants['REAL_MODE_HEAP_END']} fit")
    # syssize counts paragraphs, and the last one need not be whole in the file.
    paragraph = constants["LINUX_PARAGRAPH"]
    said = header.syssize * paragraph if header.version >= constants["LINUX_VERSION_SYSSIZE"] else 0
    if start >= size or start + said >= size + paragraph:
        raise KernelError(f"ends early: its header says {start + said} bytes, but the file has {size}")
    return Range(start, size)


def _place(header: Any, code: Range) -> Range:
    """Where it wants to be, with all that it needs there."""
    constants = load_abi().constants
    start, size = constants["LINUX_LEGACY_ADDRESS"], code.size
    if header.version >= constants["LINUX_VERSION_INIT_SIZE"]:
        start, size = header.pref_address, max(size, header.init_size)
    place = Range.sized(start, size)
    if place.start < constants["IMAGE_BASE"] or place.end > FOUR_GIB:
        raise Refused(f"wants to lie at {place}, which is not between 1 MiB and 4 GiB")
    return place


def _movable(header: Any, wide: bool) -> Relocation | None:
    """Where else it may be: not below where it wants to be, for it would move itself up there again. wide: it has the
    64-bit entry; others reach no farther than they say for a ramdisk, as kexec has it. One too old for init_size
    does not say how much memory it would need elsewhere.
    """
    constants = load_abi().constants
    if header.version < constants["LINUX_VERSION_INIT_SIZE"] or not header.relocatable_kernel:
        return None
    alignment = header.kernel_alignment
    if alignment < constants["PAGE_SIZE"] or alignment & (alignment - 1):
        raise KernelError(f"has the alignment {alignment:#x}, which is not a power of two of a page or more")
    return Relocation(alignment, header.pref_address, FOUR_GIB - 1 if wide else header.initrd_addr_max)


PROTOCOL = Protocol("linux", parse)
