"""A finished image changed: another command line, another ramdisk, in place, with all that refers to it.

    changed = with_cmdline(image, "dom0", "quiet")              # Change
    changed = with_module(image, "initrd", Path("new"), work)
    apply(path, [changed], signing)

What is changed has room where it lies: the tables by `slack`, a module up to the end of its last page. What does not
fit is refused, with the room that there is: an image with other places is built anew. A change is written down in the
manifest, and the build id becomes another one, made of the old one and the new tables.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from bootwright.artifact.stored import Part, StoredImage, StoredModule, find
from bootwright.common import abi, scratch, words
from bootwright.common.errors import PlanError, SourceError, VerifyError, Where, why
from bootwright.common.hashes import blocks
from bootwright.common.ranges import align_up
from bootwright.image import efi_image, manifest
from bootwright.image.embed import copy_into
from bootwright.image.sign import Signing, sign
from bootwright.kernels import protocols
from bootwright.link.layout import PAGE
from bootwright.plan import pack, tables
from bootwright.plan.records import Plan, PlannedModule

HYPERVISOR = "hypervisor"
# What the host adds to a hypervisor's command line where the description does not say it (plan/xen.py).
_ADDED = ("ucode=", "dom0_mem=", "dom0_max_vcpus=")
_CONSOLE = "{console}"
_P_FILESZ = 16  # in a program header of ELF-32: sizes in the file and in memory
_VIRTUAL_SIZE = 8  # in a section header of PE


class NoRoom(PlanError):
    """What is to be changed has no room where it lies, or has to be planned: rebuild.py makes the image anew."""


@dataclass(frozen=True)
class Change:
    """What is to become of an image: its plan; says: a sentence for the manifest; payloads: new bytes of modules, by
    their numbers.
    """

    image: StoredImage
    plan: Plan
    says: str
    payloads: tuple[tuple[int, Path], ...] = ()


def with_cmdline(image: StoredImage, name: str, line: str, profile: str = "") -> Change:
    """The image with another command line of the domain with this name, or of the hypervisor. profile: in which, "" for
    the first.

    Raises PlanError for a domain or a profile that there is not, and for a line that cannot be.
    """
    whole = _plan(image)
    plans = {one.image.profile: one for one in (whole, *whole.profiles)}
    if profile and profile not in plans:
        known = ", ".join(filter(None, plans)) or "none"
        raise PlanError(f"there is no profile {profile}; there is: {known}")
    plan = plans[profile or whole.image.profile]
    if _CONSOLE in line or any(ord(character) < 32 or ord(character) == 127 for character in line):
        raise PlanError(f"{line!r}: a command line has no control characters, and {_CONSOLE} is known to a build alone")
    if plan.hypervisor is not None and name in (HYPERVISOR, plan.modules[plan.hypervisor.module].name):
        told = plan.modules[plan.hypervisor.module].name
        new = _bounded(_hypervisors(told, plan.hypervisor.cmdline, line), f"{HYPERVISOR}: cmdline")
        plan = replace(plan, hypervisor=replace(plan.hypervisor, cmdline=new))
    else:
        plan = _domains(plan, name, line)
    changed = {**plans, plan.image.profile: replace(plan, profiles=())}
    first, *others = changed.values()
    said = f"cmdline of {name}{f' in profile {profile}' if profile else ''}: {line}"
    return Change(image, _fitting(image, replace(first, profiles=tuple(others))), said)


def with_module(image: StoredImage, name: str, file: Path, work: Path) -> Change:
    """The image with other bytes of a module that is used as it is, such as a ramdisk; packed ones go to `work`.

    Raises PlanError for a module that cannot be replaced, or has no room for so many bytes; SourceError for a file that
    cannot be read.
    """
    plan = _plan(image)
    number = next((number for number, one in enumerate(plan.carried) if one.name == name), None)
    if number is None:
        raise PlanError(f"there is no module {name}; there is: {', '.join(one.name for one in plan.carried)}")
    old, place = plan.carried[number], image.modules[number].place
    if plan.partition or old.kind in (_constant("BOOTMOD_KERNEL"), _constant("BOOTMOD_XEN"), _constant("BOOTMOD_FDT")):
        raise NoRoom(f"module {name}: it is looked into and placed when an image is built: build the image anew")
    try:
        packed = pack.pack_file(file, work / name, "lz4") if old.pieces else pack.store(file)
        size = file.stat().st_size
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(str(file))) from error
    rooms = [("", packed.size, old.size)] if place else []
    rooms += [(", unpacked", size, old.unpacked_size)] if old.pieces else []
    for what, needed, had in rooms:
        if not 0 < needed <= align_up(had, PAGE):
            room = f"[0x1, {align_up(had, PAGE):#x}] fit where it lies{what}"
            raise NoRoom(f"module {name}: {file.name} has {needed:#x} bytes, and {room}: build the image anew")

    def changed(module: PlannedModule) -> PlannedModule:
        if (module.name, module.load_address) != (old.name, old.load_address):
            return module
        pieces = tuple(piece.at(module.start) for piece in packed.pieces)
        return replace(module, size=packed.size, unpacked_size=size, sha256=packed.sha256, pieces=pieces)

    first, *others = (
        replace(one, modules=tuple(map(changed, one.modules)), profiles=()) for one in (plan, *plan.profiles)
    )
    digest = packed.sha256.hex()[:16]
    says = f"module {name}: {file.name}, {size} bytes, SHA-256 as packed {digest}..."
    payloads = ((number, packed.path),) if place else ()
    return Change(image, _fitting(image, replace(first, profiles=tuple(others))), says, payloads)


def apply(path: Path, changes: Sequence[Change], signing: Signing | None = None) -> tuple[str, ...]:
    """Make the changes, one for each image of the file or device at `path`; gives notes. A file is written beside and
    renamed; a device is written in place.

    Raises SourceError, VerifyError where it does not read back; ToolError where signing fails. OSError passes.
    """
    notes = [f"{one.image.form}: the signature is off" for one in changes if one.image.signature.size and not signing]
    if path.is_block_device():
        with path.open("r+b", buffering=0) as device:
            for one in changes:
                _write(device, one)
            os.fsync(device.fileno())
        _check(path, changes)
        return tuple(notes)
    with scratch.own(path.parent, path.name) as folder:
        new = folder / path.name
        with path.open("rb"), new.open("wb") as target:
            copy_into(path, target)
        with new.open("r+b") as file:
            for one in changes:
                _write(file, one)
                if one.image.signature.size and one.image.place.start == 0:
                    file.truncate(one.image.signature.start)
        if signing:
            if len(changes) != 1 or changes[0].image.form != "efi" or changes[0].image.place.start:
                raise SourceError(f"{path}: only an EFI application by itself can be signed")
            sign(new, signing)
        _check(new, changes)
        shutil.copymode(path, new)
        new.replace(path)
    return tuple(notes)


def _plan(image: StoredImage) -> Plan:
    if image.plan is None:
        raise PlanError(f"{image.path}: the generic stub has no domains; the loader's modules say what to boot")
    return image.plan


def _constant(name: str) -> int:
    return abi.load().constants[name]


def _hypervisors(told: str, old: str, line: str) -> str:
    """As plan/xen.py makes it: the name, the words, and what was added, unless the words say it themselves."""
    own, extra = words.split_hypervisors(line)
    added = [word for word in words.split_hypervisors(old)[0].split(" ") if word.startswith(_ADDED)]
    kept = [word for word in added if not words.has(own, f"{word.partition('=')[0]}=")]
    joined = " ".join([told, *filter(None, [own]), *kept])
    return f"{joined} {words.MARK}{extra}" if extra else joined


def _domains(plan: Plan, name: str, line: str) -> Plan:
    planned = next((one for one in plan.domains if one.domain.name == name), None)
    if planned is None:
        known = [one.domain.name for one in plan.domains] + ([HYPERVISOR] if plan.hypervisor else [])
        raise PlanError(f"there is no domain {name}; there is: {', '.join(known)}")
    kernel = planned.domain.kernel
    if kernel is None:
        raise PlanError(f"domain {name}: it is not built, so that nobody reads its command line")
    if plan.partition or any(module.kind == _constant("BOOTMOD_FDT") for module in plan.modules):
        raise PlanError(f"domain {name}: its command line is in data that a build makes: build it anew")
    module = plan.modules[kernel]
    new = line
    if plan.hypervisor is not None:
        new = f"{module.name} {line}".rstrip(" ")
    elif planned.cmdline_room and len(line.encode()) >= planned.cmdline_room:
        reader = protocols.name(planned.protocol)
        raise PlanError(f"domain {name}: cmdline: {reader} takes at most {planned.cmdline_room - 1} bytes")
    new = _bounded(new, f"domain {name}: cmdline")
    return replace(plan, modules=(*plan.modules[:kernel], replace(module, string=new), *plan.modules[kernel + 1 :]))


def _bounded(text: str, what: str) -> str:
    size, limit = len(text.encode()) + 1, _constant("MAX_STRING")
    if size > limit:
        raise PlanError(f"{what} would be {size} bytes long with its terminating zero byte; {limit} fit into the stub")
    return text


def _fitting(image: StoredImage, plan: Plan) -> Plan:
    size = len(tables.encode(plan))
    if size > image.tables.size:
        room = f"there is room for {image.tables.size:#x} (`slack` in [image])"
        raise PlanError(f"{image.name}: the tables would have {size:#x} bytes, and {room}: build the image anew")
    return plan


def _identity(change: Change) -> bytes:
    digest = hashlib.sha256(bytes.fromhex(change.image.build_id))
    digest.update(tables.encode(_without_places(change.plan)))
    return digest.digest()[: _constant("BUILD_ID_SIZE")]


def _without_places(plan: Plan) -> Plan:
    """The same for NAME.elf and for NAME.efi, in which modules lie elsewhere: both get the same build id."""
    return plan.moved({module.load_address: 0 for module in plan.carried})


def _write(file: BinaryIO, change: Change) -> None:
    """Modules first; the tables, which say what they must be, at the end."""
    image = change.image
    for number, payload in change.payloads:
        _write_module(file, image.modules[number], change.plan.carried[number], payload, image.form)
    said = manifest.encode(manifest.changed(image.manifest, [change.says]))
    _put(file, image.manifest_at, said.ljust(manifest.ROOM, b"\0"))
    _put(file, image.build_id_at, _identity(change))
    _put(file, image.tables.start, tables.encode(change.plan).ljust(image.tables.size, b"\0"))
    if image.form == "efi":
        _finish_application(file, image)


def _write_module(file: BinaryIO, stored: StoredModule, new: PlannedModule, payload: Path, form: str) -> None:
    assert stored.place is not None
    file.seek(stored.place.start)
    with payload.open("rb") as source:
        for block in blocks(source, 0, new.size):
            file.write(block)
    left = align_up(stored.place.size, PAGE) - new.size
    # Behind the last module an ELF file may end within the page.
    end = file.seek(0, os.SEEK_END)
    _put(file, stored.place.start + new.size, bytes(min(left, max(0, end - stored.place.start - new.size))))
    if form == "efi":
        _put(file, stored.header + _VIRTUAL_SIZE, struct.pack("<I", new.size))
    else:
        _put(file, stored.header + _P_FILESZ, struct.pack("<II", new.size, new.size))


def _finish_application(file: BinaryIO, image: StoredImage) -> None:
    """Take the signature off, and work out the checksum of the headers."""
    known, constants = abi.load(), abi.load().constants
    end = image.signature.start if image.signature.size else image.place.end
    optional = image.pe + constants["PE_FILE_HEADER_SIZEOF"]
    directory = known.struct("pe_optional_header").fields["directories"].offset
    entry = len(known.struct("pe_directory")) * constants["PE_DIRECTORY_SECURITY"]
    _put(file, optional + directory + entry, bytes(len(known.struct("pe_directory"))))
    at = optional + known.struct("pe_optional_header").fields["checksum"].offset
    part = io.BufferedReader(Part(file, image.place.start, end))
    checksum = efi_image.checksum_of(part, end - image.place.start, start=at - image.place.start)
    _put(file, at, struct.pack("<I", checksum))


def _put(file: BinaryIO, at: int, data: bytes) -> None:
    file.seek(at)
    file.write(data)


def _check(path: Path, changes: Sequence[Change]) -> None:
    """Raises VerifyError where what was written is not what was meant."""
    found = find(path)
    right = all(module.is_right() for image in found for module in image.modules)
    if not right or [image.plan for image in found] != [change.plan for change in changes]:
        raise VerifyError("what was changed does not read back as it was meant", Where(str(path)))
