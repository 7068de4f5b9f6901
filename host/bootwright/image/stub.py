"""The stub of an image, linked: which files it needs, and the two links of it, for NAME.elf and for NAME.efi.

    linked = link_stubs(planned)
    linked.elf.image, linked.efi.symbols["__image_end"], linked.tables, linked.payloads

The files are listed in linker/stub.toml, by the reason for which they are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from bootwright.common import abi
from bootwright.common.ranges import align_up
from bootwright.image.embed import Payload
from bootwright.image.manifest import ROOM
from bootwright.inputs import resolve
from bootwright.kernels import protocols
from bootwright.link import layout
from bootwright.link.layout import PAGE
from bootwright.link.linked import Linked
from bootwright.link.program import Recipe, programs
from bootwright.plan import tables
from bootwright.plan.records import Generic, Plan

LAYOUT = "stub"
RELOCATE = "relocate"
PROFILES = "profiles"
SECTIONS = "sections"  # of use to these:
TOLD_OF_SECTIONS = ("multiboot2", "multiboot1", protocols.HYPERVISOR)


def launch_files(planned: Plan) -> tuple[str, ...]:
    """The reasons for which an image needs files: one for each protocol by which what is in it is entered, and
    what moves a kernel that may be moved.
    """
    numbers = {domain.protocol for plan in (planned, *planned.profiles) for domain in plan.domains}
    files = [RELOCATE] if any(module.movable for module in planned.carried) else []
    if planned.hypervisor is not None:
        numbers = {planned.hypervisor.protocol}
        files += [protocols.HYPERVISOR] if planned.hypervisor.efi_entry else []
    found = {protocols.name(number) for number in numbers}
    files += [PROFILES] if planned.profiles else []
    return (*(name for name in protocols.NAMES if name in found), *files)


@dataclass(frozen=True)
class Stubs:
    """The stub of an image, linked; what goes into its section .tables, the modules that travel behind it, and the
    build id. efi: the stub of the EFI application, None where there can be none.
    """

    elf: Linked
    efi: Linked | None
    tables: bytes
    payloads: tuple[Payload, ...]
    build_id: bytes


def link_stubs(planned: Plan | Generic) -> Stubs:
    """All that is linked for an image."""
    if isinstance(planned, Generic):
        return _stubs(link_generic(), None)
    blob, used, carried = tables.encode(planned), launch_files(planned), payloads(planned)
    # In whole pages, so that another command line needs no other link.
    room = align_up(len(blob) + planned.slack, PAGE)
    recipes = [_recipe(_reasons(used), room, len(carried), manifest=True)]
    if planned.hypervisor is None or planned.partition or planned.hypervisor.efi_entry:
        recipes.append(_recipe(_reasons(used, efi=True), room, manifest=True))
    elf, *application = programs(recipes, LAYOUT, resolve.cache_directory())
    return _stubs(elf, application[0] if application else None, blob, carried)


def _stubs(elf: Linked, efi: Linked | None, blob: bytes = b"", carried: tuple[Payload, ...] = ()) -> Stubs:
    linked = [stub.image for stub in (elf, efi) if stub is not None]
    return Stubs(elf, efi, blob, carried, build_id(linked, blob, carried))


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


def link_generic(tables_size: int = 0) -> Linked:
    """The generic stub: all launchers, and what finds out at boot which domains there are."""
    return _linked(_recipe({"generic", *protocols.NAMES, RELOCATE}, tables_size, manifest=not tables_size))


def link_stub(tables_size: int, modules: int, used: Sequence[str] = ("pvh",), *, efi: bool = False) -> Linked:
    """The stub with that many bytes reserved for tables, that many spare program headers, and the launchers that are
    `used`.

    efi adds the entry of an EFI application; a hypervisor that is entered with boot services running needs that as
    well, and that of a loader that leaves them running.
    """
    return _linked(_recipe(_reasons(used, efi=efi), tables_size, modules))


def _reasons(used: Sequence[str], *, efi: bool = False) -> set[str]:
    services = protocols.HYPERVISOR in used
    reasons = {*used}
    reasons |= {"efi"} if efi or services else set()
    reasons |= {"application"} if efi else set()
    reasons |= {"services"} if services else set()
    return reasons


def _recipe(reasons: set[str], tables_size: int, modules: int = 0, *, manifest: bool = False) -> Recipe:
    """The files that are there for one of these reasons, or always."""
    files = layout.load(LAYOUT).files
    wanted = {"always", *reasons}
    wanted |= {SECTIONS} if reasons & set(TOLD_OF_SECTIONS) else set()
    folder = abi.stub_directory()
    paths = (folder / f"{name}.asm" for reason, names in files.items() if reason in wanted for name in names)
    reserve = {"tables": tables_size} | ({"manifest": ROOM} if manifest else {})
    return Recipe(tuple(paths), frozenset(wanted), reserve, modules)


def _linked(recipe: Recipe) -> Linked:
    return programs([recipe], LAYOUT, resolve.cache_directory())[0]


def payloads(planned: Plan) -> tuple[Payload, ...]:
    """The modules that travel in the image."""
    return tuple(
        Payload(m.name, m.payload, m.load_address, m.size, m.sha256)
        for m in planned.carried
        if m.embedded and m.payload is not None
    )
