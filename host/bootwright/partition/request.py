"""What the partition launcher is asked for: frozen records, plain numbers, nothing of where it was written."""

from __future__ import annotations

from dataclasses import dataclass, field

from bootwright.common.abi import load as load_abi
from bootwright.common.pieces import Piece
from bootwright.common.ranges import Range
from bootwright.kernels.kernel import Kernel


@dataclass(frozen=True)
class ImageSettings:
    """The image's settings, as numbers of stub/abi/tables.h."""

    name: str
    console: int = 0
    serial_port: int = 0
    serial_divisor: int = 0
    log: int = 1
    on_failure: int = 0
    reboot_seconds: int = 0


@dataclass(frozen=True)
class SharedRange:
    """Memory that several domains see, `size` bytes. both: more than one may write to it."""

    name: str
    size: int
    both: bool = False


@dataclass(frozen=True)
class Share:
    """A domain's view of the shared range `name`. guest: where it sees it, None for a place of our choice; pmem: its
    map calls it persistent memory, and not reserved.
    """

    name: str
    writable: bool = False
    guest: int | None = None
    pmem: bool = False


@dataclass(frozen=True)
class GuestKernel:
    """A domain's kernel. module: its number among those that the resident part is handed; pieces: how its bytes get to
    their guest addresses; ranges: all that it takes there; entry: guest address. setup: of protocol "linux", the start
    of the bzImage, with its header.

    max_cmdline, ramdisk_end: as in kernels.kernel.Kernel.
    """

    name: str
    protocol: str
    module: int
    pieces: tuple[Piece, ...]
    ranges: tuple[Range, ...]
    entry: int
    setup: bytes = b""
    max_cmdline: int | None = None
    ramdisk_end: int | None = None


def guest_kernel(name: str, kernel: Kernel, module: int, pieces: tuple[Piece, ...]) -> GuestKernel:
    """A kernel as it was looked into and packed. Of protocol "linux" the entry in 32 bits is taken, which is where its
    code begins: the cpu starts without paging.

    OSError passes.
    """
    linux = kernel.protocol == "linux"
    setup = b""
    if linux:
        with kernel.path.open("rb") as file:
            setup = file.read(load_abi().constants["BOOT_PARAMS_SIZEOF"])
    return GuestKernel(
        name,
        kernel.protocol,
        module,
        pieces,
        kernel.ranges,
        kernel.segments[0].p_paddr if linux else kernel.entry,
        setup,
        kernel.max_cmdline,
        kernel.ramdisk_end,
    )


@dataclass(frozen=True)
class Ramdisk:
    """A domain's ramdisk of `size` bytes: number of its module, and the pieces that it is packed in, whose destinations
    count from 0; none for one that is stored as it is.
    """

    name: str
    module: int
    size: int
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True)
class DomainConsole:
    """kind: CONSOLE_*; port: the first of its UART, passed or virtual."""

    kind: int
    port: int


@dataclass(frozen=True)
class DomainRequest:
    """A domain. vcpus: for each the APIC id that it wants, None for any. memory: bytes. ports: what it owns beside a
    UART that is passed to it. restarts: how often within a minute, None for a domain that stays ended.
    """

    name: str
    domid: int
    memory: int
    vcpus: tuple[int | None, ...]
    kernel: GuestKernel
    cmdline: str = ""
    ramdisk: Ramdisk | None = None
    ports: tuple[Range, ...] = ()
    console: DomainConsole | None = None
    shares: tuple[Share, ...] = ()
    restarts: int | None = None
    control: bool = False
    initial: bool = False


@dataclass(frozen=True)
class Request:
    """All of it; domains in the order in which they are built."""

    image: ImageSettings
    domains: tuple[DomainRequest, ...]
    shared: tuple[SharedRange, ...] = field(default=())
