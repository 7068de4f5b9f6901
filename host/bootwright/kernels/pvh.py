"""The PVH protocol: an ELF kernel with Xen's PHYS32_ENTRY note, or a bzImage that holds one.

Specification: Xen docs/misc/pvh.pandoc and public/elfnote.h.
"""

from __future__ import annotations

from pathlib import Path

from bootwright.common.errors import KernelError
from bootwright.kernels import bzimage, elf
from bootwright.kernels.kernel import Kernel, OtherProtocol, Protocol


def parse(path: Path, folder: Path) -> Kernel:
    """The kernel at `path`; a bzImage is unpacked to folder/NAME.unpacked. Raises KernelError; OSError
    passes.
    """
    with path.open("rb") as stream:
        head = stream.read(bzimage.HEADER_END)
    packed = bzimage.is_bzimage(head)
    max_cmdline = None
    if packed:
        unpacked = folder / f"{path.name}.unpacked"
        try:
            bzimage.unpack(path, unpacked)
        except bzimage.NoPayload as error:
            raise OtherProtocol(error.message) from error
        max_cmdline = bzimage.max_cmdline(head)
        path = unpacked
        with path.open("rb") as stream:
            head = stream.read(len(elf.MAGIC))
    if not head.startswith(elf.MAGIC):
        raise OtherProtocol("is a bzImage whose payload is no ELF file" if packed else "is no ELF file")
    kernel = elf.read(path)
    if kernel.pvh_entry is None:
        raise OtherProtocol("has no PVH note (XEN_ELFNOTE_PHYS32_ENTRY), so protocol pvh cannot enter it")
    if not any(kernel.pvh_entry in segment.stored for segment in kernel.segments):
        raise KernelError(f"has its PVH entry at {kernel.pvh_entry:#x}, outside of all its segments")
    reason = "is a bzImage whose payload has a PVH note" if packed else "has a PVH note"
    reason += ", by which no kernel is told of EFI"
    return Kernel(
        path,
        kernel.size,
        "pvh",
        kernel.pvh_entry,
        kernel.segments,
        reason,
        "is a bzImage, and by PVH the kernel in it is not told of EFI; by protocol linux it is" if packed else "",
        movable=kernel.pvh_movable,
        max_cmdline=max_cmdline,
    )


PROTOCOL = Protocol("pvh", parse)
