"""The PVH protocol: an ELF kernel with Xen's PHYS32_ENTRY note, or a bzImage that holds one.

Specification: Xen docs/misc/pvh.pandoc and public/elfnote.h.
"""

from __future__ import annotations

from pathlib import Path

from bootwright import bzimage, elf
from bootwright.errors import KernelError
from bootwright.kernel import Kernel, Protocol


def look(path: Path, folder: Path) -> Kernel:
    """The kernel at `path`; a bzImage is unpacked to folder/NAME.unpacked. Raises KernelError; OSError
    passes.
    """
    with path.open("rb") as stream:
        head = stream.read(bzimage.HEADER_END)
    packed = bzimage.is_bzimage(head)
    if packed:
        unpacked = folder / f"{path.name}.unpacked"
        bzimage.unpack(path, unpacked)
        path = unpacked
        with path.open("rb") as stream:
            head = stream.read(len(elf.MAGIC))
    if not head.startswith(elf.MAGIC):
        raise KernelError(
            "is a bzImage whose payload is no ELF file"
            if packed
            else "is no kernel: neither an ELF file nor a bzImage"
        )
    kernel = elf.read(path)
    if kernel.pvh_entry is None:
        raise KernelError("has no PVH note (XEN_ELFNOTE_PHYS32_ENTRY), so protocol pvh cannot enter it")
    return Kernel(path, kernel.size, "pvh", kernel.pvh_entry, kernel.segments)


PROTOCOL = Protocol("pvh", look)
