"""A kernel as the plan needs it: its segments, its entry, and the protocol by which it is entered.

Each launch protocol is a module of its own that offers one Protocol; protocols.py lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import KernelError
from bootwright.common.ranges import Range, Relocation
from bootwright.kernels.elf import Segment
from bootwright.kernels.sections import Sections


class OtherProtocol(KernelError):
    """The file is not made for the protocol that looked at it; nothing says that it is broken."""


class Refused(KernelError):
    """The file is made for the protocol that looked at it, and wants what is not done here; another may do."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be launched.

    path: the file that holds the segments (an unpacked one lies in the work folder). size: bytes of that
    file. protocol: PROTOCOL_*, by name. entry: physical address where the protocol enters. reason: what of
    the file makes the protocol fit, as in "has a PVH note"; remark: what one who chose the protocol may want to
    know, in the same form; "" for nothing.

    stored: it travels as the file that it is, because the stub reads its header at boot. reserve_pages: RAM
    behind the last segment that it uses before it looks at the memory map. movable: where else it may lie; None
    for a kernel that cannot be moved.
    max_cmdline: bytes of command line that it reads, without the terminator; ramdisk_end: address that its
    ramdisk must end below; None for no such limit. sections: the headers that it is told of.
    efi_entry: physical address where it is entered with EFI's boot services running; None where it cannot be.
    """

    path: Path
    size: int
    protocol: str
    entry: int
    segments: tuple[Segment, ...]
    reason: str = ""
    remark: str = ""
    stored: bool = False
    reserve_pages: int = 0
    movable: Relocation | None = None
    max_cmdline: int | None = None
    ramdisk_end: int | None = None
    efi_entry: int | None = None
    sections: Sections | None = None

    @property
    def ranges(self) -> tuple[Range, ...]:
        """The physical addresses that it takes, by address."""
        *first, last = (segment.range for segment in self.segments)
        reserved = self.reserve_pages * load_abi().constants["PAGE_SIZE"]
        return (*first, Range(last.start, last.end + reserved))

    @property
    def span(self) -> Range:
        """From its lowest to its highest byte."""
        return Range(self.ranges[0].start, self.ranges[-1].end)

    def moved(self, distance: int) -> Kernel:
        """The same, `distance` bytes further up."""
        segments = tuple(replace(segment, p_paddr=segment.p_paddr + distance) for segment in self.segments)
        return replace(self, segments=segments, entry=self.entry + distance)


@dataclass(frozen=True)
class Protocol:
    """A way to enter a kernel. parse(file, folder for what is unpacked) gives the Kernel; raises OtherProtocol
    or another KernelError that says, without the file's name in front, why it cannot be entered this way.
    """

    name: str
    parse: Callable[[Path, Path], Kernel]
