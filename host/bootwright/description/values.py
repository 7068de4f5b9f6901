"""What is particular to bootwright's descriptions: amounts of memory, consoles, files. Readers as in
readers.py.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError, ErrorList, Where
from bootwright.common.ranges import Range
from bootwright.common.words import nearest
from bootwright.description.readers import (
    Field,
    bounded_string,
    fail,
    integer,
    name,
    quoted,
    read_table,
    shape,
    shaped,
    string,
    table_shape,
    typed,
)
from bootwright.description.toml_tree import Node

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
MAX_MEMORY = 1 << 46  # what 4-level paging on x86_64 can address physically
COM_PORTS = {"com1": 0x3F8, "com2": 0x2F8, "com3": 0x3E8, "com4": 0x2E8}
UART_CLOCK = 115200  # baud at divisor 1
MIN_BAUD = 300  # below it a character takes longer than the stub waits for a UART
MAX_REBOOT_SECONDS = 3600
MAX_APIC_ID = 0xFFFFFFFE  # the last one is a broadcast
DEFAULT_SLACK, MAX_SLACK = 4 << 10, 256 << 10
MAX_WAIT = 30 * 24 * 3600  # seconds that any task may be told to wait: select() takes no more than some years


@dataclass(frozen=True)
class FileSource:
    """A file by its path as written, relative to the description; .asm is assembled first."""

    path: str


@dataclass(frozen=True)
class PackageSource:
    """A file out of a Debian package: `file` is its path in there, with * and ? as wildcards.

    init: of a ramdisk, the script (path relative to the description) that becomes /init beside that file; programs:
    paths of what becomes /bin/NAME there; .asm is assembled to a program for Linux first.
    """

    package: str
    file: str
    init: str | None = None
    programs: tuple[str, ...] = ()

    @property
    def own(self) -> tuple[str, ...]:
        """The files that are not of the package, by their paths."""
        return (*([self.init] if self.init is not None else ()), *self.programs)


Source = FileSource | PackageSource


HANDED_KEY = "modules"


@dataclass(frozen=True)
class HandedModule:
    """A file for a kernel that takes more than a ramdisk, and the string that it is handed over with."""

    source: Source
    string: str = ""
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Console:
    """serial_port: I/O port of the UART, None for none; serial_divisor: 115200 / baud; vga: VGA text as
    well.
    """

    serial_port: int | None
    serial_divisor: int
    vga: bool


# A line of a PE file's section .sbat (shim's SBAT.md); shim takes none with an empty column.
SBAT_COLUMNS = ("component", "generation", "vendor", "package", "version", "address")
DEFAULT_SBAT = ("bootwright,1,bootwright,bootwright,1,none",)
MAX_GENERATION = (1 << 16) - 1

DEFAULT_CONSOLE = Console(COM_PORTS["com1"], 1, True)


AMOUNT = r"([0-9]{1,18})\s*([KMGT])(?:iB)?"
UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
PACKAGE = "[a-z0-9][a-z0-9+.-]+"  # Debian Policy 5.6.1
PORTS = "0x([0-9a-fA-F]{1,4})(?:-0x([0-9a-fA-F]{1,4}))?"
REBOOT = "reboot after 0*([0-9]+) ?s"
TEXT = {"type": "string", "minLength": 1}


def _is(pattern: str) -> dict[str, str]:
    """The JSON schema of a string that is all of a pattern."""
    return {"type": "string", "pattern": f"^({pattern})$"}


def amount(text: str) -> int | None:
    """Bytes of an amount such as "512M", "3T" or "64 KiB"; None for what is none."""
    match = re.fullmatch(AMOUNT, text)
    return int(match[1]) * UNITS[match[2]] if match else None


def in_units(size: int) -> str:
    """An amount as descriptions have it: bytes, whole KiB, in the largest unit that keeps the number whole."""
    unit = next(unit for unit in reversed(UNITS) if size % UNITS[unit] == 0)
    return f"{size // UNITS[unit]}{unit}"


@shaped(**_is(AMOUNT))
def memory(node: Node) -> int:
    """An amount of memory such as "512M", in bytes: whole pages, at least one, at most MAX_MEMORY."""
    if isinstance(node.data, int) and not isinstance(node.data, bool):
        raise fail(node, f'{node.data} is a number without a unit; write "{node.data}M" for MiB')
    typed(node, str, 'a string such as "512M"')
    text = string(node)
    size = amount(text)
    if size is None:
        raise fail(node, f'{quoted(text)} is no amount of memory; write a number and K, M, G or T, such as "512M"')
    page = load_abi().constants["PAGE_SIZE"]
    if size == 0 or size % page:
        raise fail(node, f"{quoted(text)} is not a whole number of {page}-byte pages, and at least one")
    if size > MAX_MEMORY:
        raise fail(node, f"{quoted(text)} is more than {MAX_MEMORY >> 40}T")
    return size


@shaped(**_is(UUID))
def uuid_bytes(node: Node) -> bytes:
    """A UUID in its usual spelling, as its 16 bytes in that order (RFC 9562)."""
    text = string(node)
    if not re.fullmatch(UUID, text):
        raise fail(node, f'{quoted(text)} is no UUID such as "6f1c1f9e-6f3b-4a53-9d2e-0a6f4a2b7c11"')
    return uuid.UUID(text).bytes


@shaped(
    type="array",
    minItems=1,
    uniqueItems=True,
    items={"anyOf": [{"enum": ["com1,115200", "vga"]}, _is(f"({'|'.join(COM_PORTS)}|0x[0-9a-fA-F]{{1,4}})(,[0-9]*)?")]},
)
def console(node: Node) -> Console:
    """An array of "com1,115200" (or "0x3f8,9600") and "vga", the screen, each at most once, at least one."""
    typed(node, list, 'an array such as ["com1,115200", "vga"]')
    serial: tuple[int, int] | None = None
    vga = False
    for element in node.elements:
        text = string(element)
        if text == "vga":
            if vga:
                raise fail(element, '"vga" is there twice')
            vga = True
        elif serial is not None:
            raise fail(element, f"{quoted(text)} is a second serial console; only one is possible")
        else:
            serial = _serial(element, text)
    if serial is None and not vga:
        raise fail(node, 'is empty, so nobody could see what happens; name "com1,115200", "vga" or both')
    port, divisor = serial or (None, 1)
    return Console(port, divisor, vga)


def _serial(node: Node, text: str) -> tuple[int, int]:
    where, _, baud = text.partition(",")
    if where in COM_PORTS:
        port = COM_PORTS[where]
    elif re.fullmatch(r"0x[0-9a-fA-F]{1,4}", where):
        port = int(where, 16)
    else:
        raise fail(
            node,
            f'{quoted(text)} is no console: "vga", or com1 to com4 or an I/O port such as 0x3f8, '
            f'with its baud rate: "com1,115200"{nearest(text, ("vga",))}',
        )
    if not 0 < port <= 0xFFF8:
        raise fail(node, f'"{where}" is no I/O port that has 8 registers')
    rate = int(baud) if re.fullmatch(r"[0-9]{1,6}", baud) else UART_CLOCK if not baud else 0
    if not MIN_BAUD <= rate <= UART_CLOCK or UART_CLOCK % rate:
        raise fail(node, f"{quoted(baud)} is no baud rate from {MIN_BAUD} to {UART_CLOCK} that divides {UART_CLOCK}")
    return port, UART_CLOCK // rate


@shaped(type="array", minItems=1, uniqueItems=True, items=shape(integer(0, MAX_APIC_ID)))
def cpu_ids(node: Node) -> tuple[int, ...]:
    """An array of APIC ids, each once, at least one."""
    typed(node, list, "an array of APIC ids, such as [2, 3]")
    found: list[int] = []
    for element in node.elements:
        number = integer(0, MAX_APIC_ID)(element)
        if number in found:
            raise fail(element, f"{number} is there twice")
        found.append(number)
    if not found:
        raise fail(node, "is empty; leave it out for the next cpus that there are")
    return tuple(found)


@shaped(type="array", items=_is(PORTS))
def ports(node: Node) -> tuple[Range, ...]:
    """An array of ports, as "0x60", or "0x2f8-0x2ff" with the last one in it, that do not overlap."""
    typed(node, list, 'an array of I/O ports, such as ["0x60", "0x2f8-0x2ff"]')
    found: list[Range] = []
    for element in node.elements:
        text = string(element)
        match = re.fullmatch(PORTS, text)
        if match is None:
            raise fail(element, f'{quoted(text)} is no I/O port such as "0x60", nor ports such as "0x2f8-0x2ff"')
        first = int(match[1], 16)
        last = int(match[2], 16) if match[2] else first
        if last < first:
            raise fail(element, f"{quoted(text)} ends before it begins")
        own = Range(first, last + 1)
        if other := next((range for range in found if own.overlaps(range)), None):
            raise fail(element, f"{quoted(text)} overlaps {other}")
        found.append(own)
    return tuple(found)


@dataclass(frozen=True)
class DomainConsole:
    """A domain's serial port. kind: "virtual", "ring", "none", or "passed": the UART of the machine at `port`."""

    kind: str
    port: int = 0


KINDS = ("virtual", "ring", "none")
VIRTUAL_CONSOLE = DomainConsole("virtual")


@shaped(anyOf=[{"enum": [*KINDS, *COM_PORTS]}, _is("0x[0-9a-fA-F]{1,4}")])
def domain_console(node: Node) -> DomainConsole:
    """ "virtual", "ring" or "none", or a UART of the machine: com1 to com4 or a port."""
    text = string(node)
    if text in KINDS:
        return DomainConsole(text)
    if text in COM_PORTS:
        return DomainConsole("passed", COM_PORTS[text])
    if re.fullmatch(r"0x[0-9a-fA-F]{1,4}", text) and 0 < int(text, 16) <= 0xFFF8:
        return DomainConsole("passed", int(text, 16))
    listed = ", ".join(quoted(word) for word in (*KINDS, *COM_PORTS))
    raise fail(node, f'{quoted(text)} is none of {listed}, nor a port such as "0x3f8"{nearest(text, KINDS)}')


@shaped(type="array", minItems=2, uniqueItems=True, items=shape(name))
def names(node: Node) -> tuple[str, ...]:
    """An array of names, each once, at least two."""
    typed(node, list, 'an array of names, such as ["dom0", "guest"]')
    found: list[str] = []
    for element in node.elements:
        one = name(element)
        if one in found:
            raise fail(element, f"{quoted(one)} is there twice")
        found.append(one)
    if len(found) < 2:
        raise fail(node, f"names {len(found)}, and it takes two to share")
    return tuple(found)


@shaped(anyOf=[{"enum": ["halt"]}, _is(REBOOT)])
def on_failure(node: Node) -> int | None:
    """ "halt" (None) or "reboot after N s" (N, in seconds)."""
    text = string(node)
    if text == "halt":
        return None
    match = re.fullmatch(REBOOT, text)
    if not match:
        raise fail(node, f'{quoted(text)} is neither "halt" nor "reboot after N s"')
    # First their number: Python reads no number of thousands of digits.
    if len(match[1]) > len(str(MAX_REBOOT_SECONDS)) or int(match[1]) > MAX_REBOOT_SECONDS:
        raise fail(node, f"{quoted(text)} is more than {MAX_REBOOT_SECONDS} s")
    return int(match[1])


@shaped(**_is(AMOUNT))
def slack(node: Node) -> int:
    """Bytes, as "4K"."""
    text = string(node)
    size = amount(text)
    if size is None or size > MAX_SLACK:
        raise fail(node, f"{quoted(text)} is no amount from {quoted('0K')} to {quoted(in_units(MAX_SLACK))}")
    return size


@shaped(type="array", minItems=1, items=_is(",".join(["[^,]+"] * len(SBAT_COLUMNS))))
def sbat(node: Node) -> tuple[str, ...]:
    """An array of lines "COMPONENT,GENERATION,VENDOR,PACKAGE,VERSION,ADDRESS", each component once."""
    typed(node, list, f"an array of lines such as {quoted(DEFAULT_SBAT[0])}")
    lines: dict[str, str] = {}
    for element in node.elements:
        text = string(element)
        columns = text.split(",")
        if len(columns) != len(SBAT_COLUMNS) or not all(columns) or not text.isascii():
            raise fail(element, f"{quoted(text)} is no line of ASCII with {','.join(SBAT_COLUMNS)}, none of them empty")
        name, generation = columns[:2]
        if not re.fullmatch(r"[1-9][0-9]{0,4}", generation) or int(generation) > MAX_GENERATION:
            raise fail(element, f"generation {quoted(generation)} is no number from 1 to {MAX_GENERATION}")
        if name in lines or name == "sbat":
            raise fail(element, f"component {quoted(name)} is there already")
        lines[name] = text
    if not lines:
        raise fail(node, "is empty, and shim starts nothing without a component")
    return tuple(lines.values())


@shaped(**TEXT)
def _path(node: Node) -> str:
    text = string(node)
    if not text:
        raise fail(node, "is empty, not a path")
    return text


@shaped(**_is(PACKAGE))
def _package(node: Node) -> str:
    text = string(node)
    if not re.fullmatch(PACKAGE, text):
        raise fail(node, f"{quoted(text)} is no name of a Debian package")
    return text


@shaped(**TEXT)
def _pattern(node: Node) -> str:
    text = _path(node)
    if text.startswith("/") or ".." in text.split("/"):
        raise fail(node, f"{quoted(text)} is no path inside a package; write it without a leading / and without ..")
    return text


@shaped(type="array", items=TEXT)
def _programs(node: Node) -> tuple[str, ...]:
    typed(node, list, 'an array of files, such as ["port.asm"]')
    return tuple(_path(element) for element in node.elements)


# The keys of a file out of a package; with `init` the packaged one is a busybox, and the file is made of both.
PACKAGED = {
    "package": Field(_package, True),
    "file": Field(_pattern, True),
    "init": Field(_path),
    "programs": Field(_programs, default=()),
}
PACKED = {"package": PACKAGED["package"], "file": PACKAGED["file"]}


@shaped(anyOf=[TEXT, table_shape(PACKED)])
def file(node: Node) -> Source:
    """A path, or { package = "...", file = "..." }."""
    return _source(node, PACKED)


@shaped(anyOf=[TEXT, table_shape(PACKAGED)])
def ramdisk(node: Node) -> Source:
    """A path, or { package = "...", file = "...", init = "...", programs = ["..."] }."""
    found = _source(node, PACKAGED)
    if isinstance(found, PackageSource) and found.programs and found.init is None:
        raise fail(node.parts["programs"], "programs: without init there is no ramdisk that they could be put into")
    return found


_STRING = Field(bounded_string(load_abi().constants["MAX_STRING"]), default="")
HANDED = {"path": Field(_path, True), "string": _STRING}
HANDED_PACKAGED = {**PACKAGED, "string": _STRING}


@shaped(type="array", items={"anyOf": [TEXT, table_shape(HANDED), table_shape(HANDED_PACKAGED)]})
def handed_modules(node: Node) -> tuple[HandedModule, ...]:
    """An array of files, each a path, or a table of a file's keys (of a path alone: `path`) and `string`."""
    typed(node, list, 'an array of files, such as ["initrd.img"]')
    found: list[HandedModule] = []
    errors: list[BootwrightError] = []
    for element in node.elements:
        try:
            found.append(_handed_module(element))
        except BootwrightError as error:
            errors.append(error)
    if errors:
        raise ErrorList(errors)
    return tuple(found)


def _handed_module(node: Node) -> HandedModule:
    if isinstance(node.data, str):
        return HandedModule(FileSource(_path(node)), where=node.where)
    typed(node, dict, 'a path or a table such as { path = "...", string = "..." }')
    values, _ = read_table(node, HANDED_PACKAGED if "package" in node.parts else HANDED)
    given = values.pop("string")
    source = FileSource(values["path"]) if "path" in values else PackageSource(**values)
    return HandedModule(source, given, node.where)


def _source(node: Node, fields: dict[str, Field]) -> Source:
    if isinstance(node.data, str):
        return FileSource(_path(node))
    typed(node, dict, 'a path or a table { package = "...", file = "..." }')
    values, _ = read_table(node, fields)
    return PackageSource(**values)
