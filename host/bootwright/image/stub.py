"""The stub of an image, linked: which files it needs, and the two links of it, for NAME.elf and for NAME.efi.

    linked = link_stubs(planned)
    linked.elf.image, linked.efi.symbols["__image_end"], linked.tables

The files are listed in linker/stub.toml, by the reason for which they are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from bootwright.common import abi
from bootwright.image.embed import Payload
from bootwright.inputs import resolve
from bootwright.kernels import protocols
from bootwright.link import layout
from bootwright.link.linked import Linked
from bootwright.link.program import program
from bootwright.plan import tables
from bootwright.plan.records import Plan

LAYOUT = "stub"
RELOCATE = "relocate"
SECTIONS = "sections"  # of use to these:
TOLD_OF_SECTIONS = ("multiboot2", "multiboot1", protocols.HYPERVISOR)


def launch_files(planned: Plan) -> tuple[str, ...]:
    """The files of stub/launch that an image needs: one for each protocol by which what is in it is entered, and
    what moves a kernel that may be moved.
    """
    numbers = {domain.protocol for domain in planned.domains}
    files = [RELOCATE] if any(module.movable for module in planned.modules) else []
    if planned.hypervisor is not None:
        numbers = {planned.hypervisor.protocol}
        files += [protocols.HYPERVISOR] if planned.hypervisor.efi_entry else []
    found = {protocols.name(number) for number in numbers}
    return (*(name for name in protocols.NAMES if name in found), *files)


@dataclass(frozen=True)
class Stubs:
    """The stub of an image, linked; the tables that go into it (none for the generic stub), and the build id.

    efi: the stub of the EFI application, None where there can be none.
    """

    elf: Linked
    efi: Linked | None
    tables: bytes
    build_id: bytes


def link_stubs(planned: Plan, generic: bool = False) -> Stubs:
    """All that is linked for an image."""
    if generic:
        elf, efi, blob = link_stub(0, 0, None), None, b""
    else:
        blob, used = tables.encode(planned), launch_files(planned)
        elf = link_stub(len(blob), len(payloads(planned)), used)
        able = planned.hypervisor is None or planned.hypervisor.efi_entry
        efi = link_stub(len(blob), 0, used, efi=True) if able else None
    linked = [stub.image for stub in (elf, efi) if stub is not None]
    return Stubs(elf, efi, blob, build_id(linked, blob, payloads(planned)))


def build_id(stubs: Sequence[bytes], tables: bytes, payloads: Sequence[Payload]) -> bytes:
    """The first bytes of a SHA-256 over the hashes of the linked stubs, of the tables and of the modules: same
    inputs, same id. It is one for all files of an image, which may hold the stub twice.
    """
    digest = hashlib.sha256()
    for part in (*stubs, tables):
        digest.update(hashlib.sha256(part).digest())
    for payload in payloads:
        digest.update(payload.sha256)
    return digest.digest()[: abi.load().constants["BUILD_ID_SIZE"]]


def link_stub(tables_size: int, modules: int, used: Sequence[str] | None = ("pvh",), *, efi: bool = False) -> Linked:
    """The stub with that many bytes reserved for tables, that many spare program headers, and the launchers that are
    `used`.

    None for the generic stub: all launchers, in the order in which they look at a kernel, and what finds out
    at boot which domains there are. efi adds the entry of an EFI application; a hypervisor that is entered with
    boot services running needs that as well, and that of a loader that leaves them running.
    """
    files = layout.load(LAYOUT).files
    launchers = {*protocols.NAMES, RELOCATE} if used is None else set(used)
    wanted = {"always", *launchers}
    services = used is not None and protocols.HYPERVISOR in used
    wanted |= {"efi"} if efi or services else set()
    wanted |= {"application"} if efi else set()
    wanted |= {"services"} if services else set()
    wanted |= {"generic"} if used is None else set()
    wanted |= {SECTIONS} if launchers & set(TOLD_OF_SECTIONS) else set()
    paths = [
        abi.stub_directory() / f"{name}.asm" for reason, names in files.items() if reason in wanted for name in names
    ]
    reserve = {"tables": tables_size}
    return program(paths, LAYOUT, resolve.cache_directory(), reasons=wanted, reserve=reserve, spare_headers=modules)


def payloads(planned: Plan) -> list[Payload]:
    """The modules that travel in the image."""
    return [
        Payload(m.name, m.payload, m.load_address, m.size, m.sha256)
        for m in planned.modules
        if m.embedded and m.payload is not None
    ]
