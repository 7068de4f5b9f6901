"""The tables: a plan as the bytes that the stub reads, and back.

    blob = encode(plan)
    decode(blob) == plan            # raises VerifyError for bytes that are no tables

Layout: struct tables, the arrays (8-byte aligned), section headers, the strings, each once, in the order in which they
are first referred to; the last byte is a zero. The records are those of stub/abi/tables.h and builder.h. The same
plan gives the same bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import VerifyError
from bootwright.common.pieces import Piece
from bootwright.common.ranges import Range, Relocation, align_up
from bootwright.hyperlaunch.model import BootDomain, MemorySize
from bootwright.kernels.sections import Sections
from bootwright.plan.records import Plan, PlannedDomain, PlannedHypervisor, PlannedImage, PlannedModule

ARRAY_ALIGN = 8


class _Strings:
    """The string area: each string once, zero-ended; offset 0 is "none"."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._offsets: dict[str, int] = {}
        self.data = bytearray()

    def add(self, text: str) -> int:
        """The offset of `text` from the start of the tables; 0 for the empty string."""
        if not text:
            return 0
        if text not in self._offsets:
            self._offsets[text] = self._start + len(self.data)
            self.data += text.encode() + b"\0"
        return self._offsets[text]


def encode(plan: Plan) -> bytes:
    """The tables of a plan, and behind them those of its profiles."""
    data = bytearray()
    for one in (plan, *plan.profiles):
        data += bytes(-len(data) % ARRAY_ALIGN) + _encode(one)
    return bytes(data)


def _encode(plan: Plan) -> bytes:
    abi = load_abi()
    constants = abi.constants
    pieces = [piece for module in plan.modules for piece in module.pieces]
    offset = align_up(constants["TABLES_SIZEOF"], ARRAY_ALIGN)
    starts: list[int] = []
    for count, size in (
        (len(plan.domains), constants["BOOT_DOMAIN_SIZEOF"]),
        (len(plan.modules), constants["MODULE_RECORD_SIZEOF"]),
        (len(pieces), constants["PIECE_SIZEOF"]),
    ):
        starts.append(offset if count else 0)
        offset = align_up(offset + count * size, ARRAY_ALIGN)
    headers: dict[int, int] = {}  # where a module's section headers are
    for number, module in enumerate(plan.modules):
        if module.sections:
            headers[number] = offset
            offset = align_up(offset + len(module.sections.headers), ARRAY_ALIGN)
    strings = _Strings(offset)
    name = strings.add(plan.image.name)
    profile, title = strings.add(plan.image.profile), strings.add(plan.image.profile_title)
    arrays = (
        [_encode_domain(domain, strings) for domain in plan.domains],
        _encode_modules(plan, strings, headers),
        [piece.record() for piece in pieces],
        *([module.sections.headers] for module in plan.modules if module.sections),
    )
    hypervisor = plan.hypervisor
    cmdline = strings.add(hypervisor.cmdline) if hypervisor else 0
    head = dict(
        magic=constants["TABLES_MAGIC_VALUE"],
        version=constants["TABLES_VERSION_VALUE"],
        length=offset + len(strings.data),
        console=plan.image.console,
        serial_port=plan.image.serial_port,
        serial_divisor=plan.image.serial_divisor,
        log=plan.image.log,
        on_failure=plan.image.on_failure,
        reboot_seconds=plan.image.reboot_seconds,
        name=name,
        nr_domains=len(plan.domains),
        domains=starts[0],
        nr_modules=len(plan.modules),
        modules=starts[1],
        nr_pieces=len(pieces),
        pieces=starts[2],
        hypervisor=_reference(hypervisor.module if hypervisor else None),
        hypervisor_protocol=hypervisor.protocol if hypervisor else 0,
        hypervisor_cmdline=cmdline,
        hypervisor_entry=hypervisor.entry if hypervisor else 0,
        hypervisor_efi_entry=hypervisor.efi_entry if hypervisor else 0,
        profile=profile,
        profile_title=title,
        menu_seconds=plan.image.menu_seconds,
    )

    def blob(checksum: int) -> bytes:
        data = bytearray(abi.struct("tables")(checksum=checksum, **head).dumps())
        for records in arrays:
            data += bytes(-len(data) % ARRAY_ALIGN)
            data += b"".join(records)
        data += bytes(-len(data) % ARRAY_ALIGN)
        return bytes(data + strings.data)

    return blob(zlib.crc32(blob(0)))


def _encode_domain(planned: PlannedDomain, strings: _Strings) -> bytes:
    abi = load_abi()
    domain = planned.domain

    def memory(size: MemorySize) -> Any:
        return abi.struct("memory_size")(kind=size.kind, reserved=0, value=size.value)

    record = abi.struct("boot_domain")(
        name=strings.add(domain.name),
        permissions=domain.permissions,
        functions=domain.functions,
        mode=domain.mode,
        domid=domain.domid,
        constructed=0,
        ncpus=domain.ncpus,
        uuid=list(domain.uuid),
        mem_size=memory(domain.mem_size),
        mem_min=memory(domain.mem_min),
        mem_max=memory(domain.mem_max),
        security_id=domain.security_id.encode().ljust(_security_id_size(), b"\0"),
        kernel=_reference(domain.kernel),
        ramdisk=_reference(domain.ramdisk),
        configs=[_reference(config) for config in domain.configs],
        protocol=planned.protocol,
        cmdline_room=planned.cmdline_room,
        entry=planned.entry,
    )
    return bytes(record.dumps())


def _security_id_size() -> int:
    constants = load_abi().constants
    return constants["BOOT_DOMAIN_KERNEL"] - constants["BOOT_DOMAIN_SECURITY_ID"]


def _reference(index: int | None) -> int:
    return load_abi().constants["NO_MODULE"] if index is None else index


def _encode_modules(plan: Plan, strings: _Strings, headers: dict[int, int]) -> list[bytes]:
    record = load_abi().struct("module_record")
    handed_to = {mod: 1 + index for index, planned in enumerate(plan.domains) for mod in planned.domain.handed}
    found: list[bytes] = []
    first = 0
    for number, module in enumerate(plan.modules):
        found.append(
            bytes(
                record(
                    name=strings.add(module.name),
                    kind=module.kind,
                    flags=module.flags,
                    string=strings.add(module.string),
                    load_address=module.load_address,
                    size=module.size,
                    unpacked_size=module.unpacked_size,
                    start=module.start,
                    first_piece=first,
                    nr_pieces=len(module.pieces),
                    sha256=list(module.sha256),
                    handed_to=handed_to.get(number, 0),
                    **(asdict(module.movable) if module.movable else {}),
                    **_encode_sections(module.sections, headers.get(number, 0)),
                ).dumps()
            )
        )
        first += len(module.pieces)
    return found


def _encode_sections(found: Sections | None, start: int) -> dict[str, int]:
    if found is None:
        return {}
    return {"sections": start, "nr_sections": found.count, "section_size": found.size, "section_names": found.names}


def decode(blob: bytes) -> Plan:
    """The plan that tables say, without what they do not hold (payloads, placements, transcript, notes).

    Raises VerifyError for a wrong magic, version, length or checksum, and for references past the end.
    """
    first, *others = (_decode(part) for part in _parts(blob))
    return replace(first, profiles=tuple(others))


def _parts(blob: bytes) -> Iterator[bytes]:
    """The tables of each profile."""
    start = 0
    while True:
        end = start + max(_length(blob[start:]), load_abi().constants["TABLES_SIZEOF"])
        yield blob[start:end]
        start = align_up(end, ARRAY_ALIGN)
        if start >= len(blob):
            return


def _length(data: bytes) -> int:
    """Bytes of the tables that these bytes begin with, as they say."""
    length = load_abi().constants["TABLES_LENGTH"]
    return int.from_bytes(data[length : length + 4], "little")


def _decode(blob: bytes) -> Plan:
    abi = load_abi()
    constants = abi.constants
    size = constants["TABLES_SIZEOF"]
    if len(blob) < size:
        raise VerifyError(f"tables: {len(blob)} bytes are too few; the head alone has {size}")
    head = abi.struct("tables")(blob[:size])
    for key, wanted in (
        ("magic", constants["TABLES_MAGIC_VALUE"]),
        ("version", constants["TABLES_VERSION_VALUE"]),
        ("length", len(blob)),
    ):
        if getattr(head, key) != wanted:
            raise VerifyError(f"tables: {key} is {getattr(head, key):#x}, not {wanted:#x}")
    checksum = head.checksum
    head.checksum = 0
    if zlib.crc32(head.dumps() + blob[size:]) != checksum:
        raise VerifyError(f"tables: the checksum {checksum:#x} is not that of the bytes")
    pieces = [
        Piece(r.source, r.source_size, r.dest, r.dest_size, r.zero_size, r.method, r.reserve_pages)
        for r in _records(blob, "piece", head.pieces, head.nr_pieces)
    ]
    records = _records(blob, "module_record", head.modules, head.nr_modules)
    modules = tuple(_decode_module(blob, r, pieces) for r in records)
    domains = tuple(
        _decode_domain(blob, r, tuple(n for n, module in enumerate(records) if module.handed_to == index + 1))
        for index, r in enumerate(_records(blob, "boot_domain", head.domains, head.nr_domains))
    )
    image = PlannedImage(
        _string(blob, head.name),
        head.console,
        head.serial_port,
        head.serial_divisor,
        head.log,
        head.on_failure,
        head.reboot_seconds,
        _string(blob, head.profile),
        _string(blob, head.profile_title),
        head.menu_seconds,
    )
    hypervisor = None
    if head.hypervisor != constants["NO_MODULE"]:
        cmdline = _string(blob, head.hypervisor_cmdline)
        hypervisor = PlannedHypervisor(
            head.hypervisor,
            head.hypervisor_protocol,
            cmdline,
            head.hypervisor_entry,
            head.hypervisor_efi_entry,
        )
    return Plan(image, domains, modules, hypervisor)


def of_section(data: bytes) -> bytes:
    """The tables at the start of a section that has room behind them, as many bytes as they say."""
    magic = load_abi().constants["TABLES_MAGIC_VALUE"].to_bytes(8, "little")
    end = _length(data)
    while data.startswith(magic, next_start := align_up(end, ARRAY_ALIGN)):
        end = next_start + _length(data[next_start:])
    return data[:end]


def _records(blob: bytes, name: str, start: int, count: int) -> list[Any]:
    struct = load_abi().struct(name)
    size = len(struct)
    where = Range.sized(start, count * size)
    if where.end > len(blob):
        raise VerifyError(f"tables: {count} records of {name} {where} end past the {len(blob):#x} bytes")
    return [struct(blob[start + i * size : start + (i + 1) * size]) for i in range(count)]


def _string(blob: bytes, offset: int) -> str:
    if offset == 0:
        return ""
    end = blob.find(b"\0", offset) if offset < len(blob) else -1
    if end < 0:
        raise VerifyError(f"tables: the string at {offset:#x} ends past the {len(blob):#x} bytes")
    return blob[offset:end].decode(errors="replace")


def _decode_module(blob: bytes, record: Any, pieces: list[Piece]) -> PlannedModule:
    end = record.first_piece + record.nr_pieces
    if end > len(pieces):
        raise VerifyError(f"tables: pieces {Range(record.first_piece, end)} of {len(pieces):#x}")
    return PlannedModule(
        name=_string(blob, record.name),
        kind=record.kind,
        flags=record.flags,
        string=_string(blob, record.string),
        load_address=record.load_address,
        size=record.size,
        unpacked_size=record.unpacked_size,
        start=record.start,
        sha256=bytes(record.sha256),
        pieces=tuple(pieces[record.first_piece : end]),
        movable=Relocation(record.alignment, record.lowest, record.highest) if record.alignment else None,
        sections=_decode_sections(blob, record) if record.sections else None,
    )


def _decode_sections(blob: bytes, record: Any) -> Sections:
    where = Range.sized(record.sections, record.nr_sections * record.section_size)
    if where.end > len(blob):
        raise VerifyError(f"tables: section headers {where} end past the {len(blob):#x} bytes")
    headers = blob[where.start : where.end]
    return Sections(record.nr_sections, record.section_size, record.section_names, headers)


def _decode_domain(blob: bytes, record: Any, handed: tuple[int, ...]) -> PlannedDomain:
    def module(index: int) -> int | None:
        return None if index == load_abi().constants["NO_MODULE"] else index

    def memory(size: Any) -> MemorySize:
        return MemorySize(size.kind, size.value)

    domain = BootDomain(
        name=_string(blob, record.name),
        permissions=record.permissions,
        functions=record.functions,
        mode=record.mode,
        domid=record.domid,
        mem_size=memory(record.mem_size),
        mem_min=memory(record.mem_min),
        mem_max=memory(record.mem_max),
        uuid=bytes(record.uuid),
        ncpus=record.ncpus,
        security_id=bytes(record.security_id).rstrip(b"\0").decode(errors="replace"),
        kernel=module(record.kernel),
        ramdisk=module(record.ramdisk),
        configs=(module(record.configs[0]), module(record.configs[1])),
        handed=handed,
        constructed=bool(record.constructed),
    )
    return PlannedDomain(domain, record.protocol, record.entry, record.cmdline_room)
