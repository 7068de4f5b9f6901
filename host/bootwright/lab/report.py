"""What the probe kernel reports of a machine: found in a capture of its serial line, checked, stored.

    report = extract(capture)               # bytes of a log, with whatever else is in it
    store(report, name)                     # machines/NAME.json
    load("lab1").ranges                     # its memory map

stub/kernels/probe.asm writes the report, stub/abi/probe.h says how it is marked. Numbers in hex are strings
in it, as JSON has none.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootwright.common import paths, scratch, utf8
from bootwright.common.abi import load as load_abi
from bootwright.common.errors import SourceError, Where, why
from bootwright.common.json_shape import (
    BYTE,
    HEX,
    HEX32,
    NUMBER,
    TEXT,
    WORD,
    Items,
    Keys,
    Nullable,
    Plain,
    Shape,
    ShapeError,
    check,
    check_text,
)
from bootwright.common.messages import pattern
from bootwright.common.terminal import without_control
from bootwright.hyperlaunch.model import MemoryRange
from bootwright.reference.machine import Framebuffer

_CHECKSUM_WORD = b"CRC-32 "
_CHECKSUM = re.compile(rb"CRC-32 0x([0-9a-f]{1,8})\n")

# What firmware says when nobody told it what it is part of.
_NO_NAME = re.compile(
    r"|to be filled.*|system product name|default string|not (specified|applicable)|none|o\.?e\.?m\.?", re.I
)

_TABLE: dict[str, Shape] = {"signature": Nullable(TEXT), "address": HEX}
_OEM = Plain(
    "text of 6 bytes", lambda value: isinstance(value, str) and re.fullmatch(r"[\0-\xff]{0,6}", value) is not None
)
_ACPI: dict[str, Shape] = {"revision": BYTE, "oem": _OEM, "rsdt": HEX32, "xsdt": HEX}
_ACPI |= {"tables": Items(Keys(_TABLE))}
_REGISTERS: dict[str, Shape] = dict.fromkeys(("leaf", "eax", "ebx", "ecx", "edx"), HEX)
_CPU: dict[str, Shape] = {
    "vendor": TEXT,
    "brand": TEXT,
    "family": NUMBER,
    "model": NUMBER,
    "stepping": NUMBER,
}
_CPU |= {"hypervisor": TEXT, "microcode": Nullable(HEX)}
_SMBIOS = dict.fromkeys(("bios_vendor", "bios_version", "manufacturer", "product", "serial"), TEXT)
_SCREEN: dict[str, Shape] = dict.fromkeys(("pitch", "width", "height"), WORD)
_SCREEN |= {"bpp": BYTE, "type": BYTE, "address": HEX, "colours": Items(BYTE, 6)}
_FIRST: dict[str, Shape] = {
    "format": NUMBER,
    "memory": Items(Keys({"start": HEX, "size": HEX, "type": WORD})),
    "acpi": Nullable(Keys(_ACPI)),
    "cpus": NUMBER,
    "cpuid": Items(Keys(_REGISTERS)),
    "cpu": Keys(_CPU),
    "smbios": Nullable(Keys(_SMBIOS)),
    "framebuffer": Nullable(Keys(_SCREEN)),
    "booted": Keys({"protocol": TEXT, "loader": TEXT, "cmdline": TEXT, "efi": HEX}),
}
_SECOND: dict[str, Shape] = {
    "cpuid": Items(Keys(_REGISTERS | {"subleaf": WORD})),
    "msrs": Items(Keys({"msr": HEX32, "value": Nullable(HEX)})),
    "processors": Items(Keys({"apic_id": WORD, "uid": WORD, "flags": HEX32})),
}
# By format: the present one, and those that reports were once stored in.
SHAPES = {1: Keys(_FIRST), 2: Keys(_FIRST | _SECOND)}
_STUB = Nullable(Keys({"protocol": TEXT, "loader": TEXT, "rsdp": HEX}))


@dataclass(frozen=True)
class Registers:
    """What CPUID answered."""

    eax: int
    ebx: int
    ecx: int
    edx: int


@dataclass(frozen=True)
class Report:
    """A machine as the probe saw it.

    document: the report itself. entered: how the stub in front of it was entered, as its own lines in the
    capture say it ({"protocol", "loader", "rsdp"}); None where the capture has not got them.
    """

    document: dict[str, Any]
    entered: dict[str, str] | None = None

    @property
    def ranges(self) -> tuple[MemoryRange, ...]:
        """The memory map."""
        parts = self.document["memory"]
        starts = [int(part["start"], 16) for part in parts]
        return tuple(
            MemoryRange(start, start + int(part["size"], 16), part["type"])
            for start, part in zip(starts, parts, strict=True)
        )

    @property
    def ram(self) -> int:
        """Bytes of RAM."""
        kind = load_abi().constants["XEN_HVM_MEMMAP_TYPE_RAM"]
        return sum(part.end - part.start for part in self.ranges if part.type == kind)

    @property
    def cpu(self) -> str:
        """What the cpu calls itself."""
        return str(self.document["cpu"]["brand"] or self.document["cpu"]["vendor"])

    @property
    def asks_all(self) -> bool:
        """Whether the probe asked for all that one asks for today, so that what is not there the cpu does not have."""
        return bool(self.document["format"] == load_abi().constants["PROBE_FORMAT"])

    @property
    def cpuid(self) -> dict[tuple[int, int], Registers]:
        """What the boot cpu answered, by leaf and subleaf."""
        names = ("eax", "ebx", "ecx", "edx")
        return {
            (int(leaf["leaf"], 16), leaf.get("subleaf", 0)): Registers(*(int(leaf[name], 16) for name in names))
            for leaf in self.document["cpuid"]
        }

    @property
    def msrs(self) -> dict[int, int | None]:
        """MSRs of the boot cpu by number; None for one that it refused to read."""
        found = self.document.get("msrs", ())
        return {int(one["msr"], 16): one["value"] and int(one["value"], 16) for one in found}

    @property
    def names(self) -> dict[str, str]:
        """What SMBIOS says; empty where there is none."""
        return dict(self.document["smbios"] or {})

    @property
    def framebuffer(self) -> Framebuffer | None:
        """The screen, where a loader said what it is."""
        screen = self.document["framebuffer"]
        if screen is None:
            return None
        pitch, width, height, bpp, kind = (screen[key] for key in ("pitch", "width", "height", "bpp", "type"))
        address, colours = int(screen["address"], 16), bytes(screen["colours"])
        return Framebuffer(address, pitch, width, height, bpp, kind, colours)

    @property
    def rsdp_bytes(self) -> bytes:
        """The ACPI RSDP, put together again (ACPI 6.5, 5.2.5.3); zeros where there is none."""
        constants, acpi = load_abi().constants, self.document["acpi"]
        size, first = constants["RSDP_SIZEOF"], constants["RSDP_V1_LENGTH"]
        if acpi is None:
            return bytes(size)
        record = load_abi().struct("rsdp")(
            signature=constants["RSDP_SIGNATURE"],
            oem_id=acpi["oem"].encode("latin-1").ljust(6, b"\0"),
            revision=acpi["revision"],
            rsdt=int(acpi["rsdt"], 16),
            length=size,
            xsdt=int(acpi["xsdt"], 16),
        )
        record.checksum = -sum(record.dumps()[:first]) & 0xFF
        record.extended_checksum = -sum(record.dumps()) & 0xFF
        return bytes(record.dumps())


def extract(capture: bytes, where: Where | None = None) -> Report:
    """The last whole report in a capture. Raises SourceError where there is none, or a damaged one."""
    strings = load_abi().strings
    begin, end = strings["PROBE_BEGIN"].encode(), strings["PROBE_END"].encode()
    if begin not in capture and (encoding := utf8.other(capture)):  # as some terminals and shells write files
        raise SourceError(f"the capture {utf8.sentence(encoding)}", where)
    data = _text(capture)
    before, *parts = data.split(begin)
    if not parts:
        raise SourceError(f'holds no report: there is no line "{strings["PROBE_BEGIN"].strip()}" in it', where)
    failure: SourceError | None = None
    for number in range(len(parts) - 1, -1, -1):
        try:
            document = _document(parts[number], end, where)
        except SourceError as error:
            failure = failure or error
            continue
        said = begin.join([before, *parts[:number]]).decode(errors="replace")
        return Report(document, _entered(said))
    assert failure is not None
    raise failure


def _text(capture: bytes) -> bytes:
    return without_control(capture).replace(b"\0", b"")  # which noise on a serial line reads as


def is_complete(capture: bytes) -> bool:
    """Whether a whole report, good or damaged, has arrived."""
    end = load_abi().strings["PROBE_END"].encode()
    if _CHECKSUM_WORD not in capture:  # cheap, for a line that says something every few bytes
        return False
    _, found, rest = _text(capture).rpartition(end)
    return bool(found and _CHECKSUM.match(rest))


def _document(part: bytes, end: bytes, where: Where | None) -> dict[str, Any]:
    text, found, rest = part.partition(end)
    if not found:
        raise SourceError(f'the report is cut off: there is no line "{end.decode().strip()}" behind it', where)
    checksum = _CHECKSUM.match(rest)
    if checksum is None:
        raise SourceError("the report is cut off: its CRC-32 is not behind it", where)
    said, is_so = int(checksum[1], 16), zlib.crc32(text)
    if said != is_so:
        message = f"the report was damaged on the way: its CRC-32 is {is_so:#x}, and should be {said:#x}"
        raise SourceError(message, where)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"the report is no JSON: {error}", where) from error
    return _checked(document, where)


def _checked(document: Any, where: Where | None) -> dict[str, Any]:
    newest = load_abi().constants["PROBE_FORMAT"]
    number = document.get("format") if isinstance(document, dict) else None
    if isinstance(number, int) and number not in SHAPES:
        message = f"the report has format {number}; this is for formats up to {newest}"
        raise SourceError(message, where)
    try:
        check(document, SHAPES[number if isinstance(number, int) else newest])
        check_text(document)
    except ShapeError as error:
        raise SourceError(f"the report is not as it should be: {error}", where) from error
    return dict(document)


def _entered(said: str) -> dict[str, str] | None:
    entries, memory = pattern("M_ENTRY").findall(said), pattern("M_MEMORY").findall(said)
    if not entries:
        return None
    *_, protocol, loader = entries[-1]
    return {"protocol": protocol, "loader": loader, "rsdp": memory[-1][-1] if memory else "0x0"}


# --- stored ---


def suggest_name(report: Report) -> str:
    """A name for a machine: the product of SMBIOS, or its board, or "machine"."""
    for key in ("product", "board_product", "manufacturer"):
        said = report.names.get(key, "").strip()
        if not _NO_NAME.fullmatch(said) and (name := re.sub(r"[^A-Za-z0-9._]+", "-", said).strip("-.")):
            return name
    return "machine"


def directory() -> Path:
    """Where machines are kept."""
    return paths.root() / "machines"


def store(report: Report, name: str) -> Path:
    """Write machines/NAME.json. Raises SourceError for a bad name, or where another machine has it."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", name):
        raise SourceError(f"name: {name!r} may have letters, digits, and any of ._+- behind the first")
    path = directory() / f"{name}.json"
    if path.exists():
        other, own = load(str(path)).names, report.names
        if any(other.get(key) != own.get(key) for key in ("manufacturer", "product", "serial")):
            message = f"{name} is another machine ({_title(other)}); give this one a name of its own"
            raise SourceError(message, Where(paths.shown(path)))
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _lines(report.document | {"entered": report.entered})
    with scratch.own(path.parent, path.name) as folder:
        (folder / path.name).write_text(text + "\n", encoding="utf-8")
        (folder / path.name).replace(path)
    return path


def _lines(value: Any, indent: str = "") -> str:
    """JSON with a line for each range, table and leaf: that is how people read and compare them."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not any(isinstance(item, dict) or (isinstance(item, list) and len(item) > 6) for item in inside):
        return json.dumps(value, ensure_ascii=False)
    deeper = indent + " "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_lines(item, deeper)}" for key, item in value.items()]
    else:
        items = [_lines(item, deeper) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{closing}"


def load(name: str) -> Report:
    """The machine of a name, or in a file ending in .json. Raises SourceError."""
    path = Path(name) if name.endswith(".json") else directory() / f"{name}.json"
    where = Where(paths.shown(path))
    try:
        raw = path.read_bytes()
        if encoding := utf8.other(raw):
            raise SourceError(f"the report {utf8.sentence(encoding)}", where)
        document = json.loads(utf8.without_mark(raw).decode("utf-8"))
        entered = document.pop("entered", None) if isinstance(document, dict) else None
        check(entered, _STUB)
    except FileNotFoundError as error:
        known = ", ".join(path.stem for path in stored()) or "none"
        message = f"no machine {paths.shown(path)}; there is: {known} (invoke probe --read makes one)"
        raise SourceError(message) from error
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", where) from error
    except ShapeError as error:
        raise SourceError(f"the report is not as it should be: entered: {error}", where) from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"the report is no JSON: {error}", where) from error
    return Report(_checked(document, where), entered)


def stored() -> list[Path]:
    """The files of all machines, by name."""
    return sorted(directory().glob("*.json"))


def describe(report: Report) -> str:
    """A machine in one line."""
    cpus = f"{report.document['cpus'] or '?'} x {report.cpu}"
    screen = report.framebuffer
    shown = f", screen {screen.width} x {screen.height}" if screen else ""
    return f"{_title(report.names)}: {cpus}, {report.ram >> 20} MiB of RAM{shown}"


def _title(names: dict[str, str]) -> str:
    said = [names.get(key, "") for key in ("manufacturer", "product")]
    serial = names.get("serial", "")
    return " ".join(word for word in said if word) + (f", serial {serial}" if serial else "") or "no name"
