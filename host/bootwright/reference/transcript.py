"""The boot transcript, read back: what a stub said of the machine it ran on.

seen = parse_transcript(text)           # everything on the console; log = "debug" for the memory map
seen.lines                              # the stub's own lines
seen.ranges, seen.modules, seen.rsdp    # as the stub found them
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bootwright.common.abi import load as load_abi
from bootwright.common.messages import failure_pattern, pattern
from bootwright.common.ranges import Range
from bootwright.hyperlaunch.model import MemoryRange
from bootwright.reference.machine import X2APIC, BootDevice, Efi, Framebuffer


@dataclass(frozen=True)
class SeenModule:
    """A boot module where it was found, before anything was moved."""

    number: int
    kind: str
    name: str
    place: Range


@dataclass(frozen=True)
class Seen:
    """What the lines say. lines: but for signs of life, which depend on how fast the machine is, and for what follows
    on a failure or on the launch of a partition. build: the beginning of the build id. loader: None where the protocol
    names none. screen: RGB in an unknown order, unless it is VGA's text. efi: without the bytes of its memory map,
    which lie at efi_map; with what the firmware must have given of its memory while boot services went on. information:
    where what the kernel was told lay, None without a launch. x2apic, tsc_mhz: of a partition.
    """

    lines: tuple[str, ...]
    image: str = ""
    build: str = ""
    entry: str = ""
    loader: str | None = None
    stub: Range | None = None
    cpu: str = ""
    screen: Framebuffer | None = None
    boot_device: BootDevice | None = None
    rsdp: int = 0
    ranges: tuple[MemoryRange, ...] = ()
    modules: tuple[SeenModule, ...] = ()
    efi: Efi | None = None
    efi_map: Range | None = None
    information: Range | None = None
    memory_type: int | None = None
    x2apic: bool = False
    tsc_mhz: int = 0


def parse_transcript(text: str) -> Seen:
    """Read a console's text; lines that are not the stub's are left out. Pure: raises nothing."""
    prefix = load_abi().strings["M_PREFIX"]
    lines = tuple(line for line in _booting(text) if line.startswith(prefix) and not _is_sign_of_life(line))
    image, build, start, end, entry, loader = (_all(lines, "M_ENTRY") or [["", "", "", "", "", "-"]])[0]
    memory = _all(lines, "M_MEMORY")
    launch = _all(lines, "M_LAUNCH")
    information = Range(int(launch[0][2], 16), int(launch[0][3], 16)) if launch else None
    efi, efi_map = _efi(lines, information)
    platform = _all(lines, "M_PARTITION")
    return Seen(
        lines,
        image,
        build,
        entry,
        None if loader == "-" else loader,
        Range(int(start, 16), int(end, 16)) if start else None,
        "".join(value for values in _all(lines, "M_CPU") for value in values),
        _screen(lines),
        next((BootDevice(*(int(value, 16) for value in values)) for values in _all(lines, "M_BOOT_DEVICE")), None),
        int(memory[0][2], 16) if memory else 0,
        tuple(MemoryRange(int(start, 16), int(end, 16), int(kind)) for start, end, kind in _all(lines, "M_RANGE")),
        tuple(
            SeenModule(int(number), kind, name, Range(int(start, 16), int(end, 16)))
            for number, kind, name, start, end in _all(lines, "M_MODULE")
        ),
        efi,
        efi_map,
        information,
        next((int(kind) for _, kind in _all(lines, "M_UNCACHED")), None),
        any(apic == X2APIC for _, apic, _ in platform),
        next((int(mhz) for _, _, mhz in platform), 0),
    )


def _booting(text: str) -> Iterator[str]:
    """The lines up to the one that ends the boot."""
    for line in text.splitlines():
        yield line
        if failure_pattern().fullmatch(line) or pattern("M_PARTITION_LAUNCH").fullmatch(line):
            return


# Lines that depend on how fast a machine is, or on what it did before.
_LIFE = ("M_CHECKING", "M_LOADING", "M_LAST_BOOT", "M_LAST_BOOT_FAILED")


def _is_sign_of_life(line: str) -> bool:
    return any(pattern(name).fullmatch(line) for name in _LIFE)


def _screen(lines: tuple[str, ...]) -> Framebuffer | None:
    constants = load_abi().constants
    for width, height, bpp, start, pitch in _all(lines, "M_SCREEN"):
        address = int(start, 16)
        text = address == constants["VGA_TEXT"]
        kind = constants["MULTIBOOT2_FRAMEBUFFER_EGA_TEXT" if text else "MULTIBOOT2_FRAMEBUFFER_RGB"]
        return Framebuffer(address, int(pitch), int(width), int(height), int(bpp), kind)
    return None


def _efi(lines: tuple[str, ...], information: Range | None) -> tuple[Efi | None, Range | None]:
    constants = load_abi().constants
    for system, start, end, size, version in _all(lines, "M_EFI"):
        place = Range(int(start, 16), int(end, 16))
        found = Efi(int(system, 16), b"", place.start, int(size), int(version))
        return found, place
    for system, handle in _all(lines, "M_EFI_SERVICES"):
        given = [int(target, 16) for _, _, _, target, _ in _all(lines, "M_MODULE_MOVED")]
        if information is not None:
            given.append(information.start - constants["HANDOVER_INFORMATION"])
        return Efi(int(system, 16), handle=int(handle, 16), given=tuple(given)), None
    return None, None


def _all(lines: tuple[str, ...], name: str) -> list[list[str]]:
    """The values of each line that this message of stub/abi/messages.h made."""
    return [list(match.groups()) for line in lines if (match := pattern(name).fullmatch(line))]
