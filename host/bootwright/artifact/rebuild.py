"""A finished image made anew out of itself, where another module has no room in it: by the description in its manifest,
with the modules that it holds in place of the files that the description names.

    made = rebuilt(image, "initrd.img", Path("larger.img"), work)       # Rebuilt
    write(path, [image], made, signing, work)                           # the file, or the medium, in one step

All that a build checks is checked. Of a packed kernel an image holds its segments alone: one that only its whole file
can be entered as, such as a bzImage by the Linux boot protocol, is refused by the same rules.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bootwright.artifact import modules
from bootwright.artifact.stored import StoredImage
from bootwright.common import scratch
from bootwright.common.errors import PlanError, SourceError, about
from bootwright.common.ranges import MIB
from bootwright.description import load
from bootwright.description.records import Description, DomainDescription
from bootwright.description.values import FileSource, HandedModule
from bootwright.image import build, efi_image, embed, manifest, verify
from bootwright.image.built import Built
from bootwright.image.manifest import Manifest
from bootwright.image.sign import Signing, sign
from bootwright.image.stub import Stubs, link_stubs
from bootwright.kernels import protocols
from bootwright.media import disk, gpt, iso
from bootwright.media.medium import Medium, Settings
from bootwright.plan.records import Plan, PlannedDomain


@dataclass(frozen=True)
class Rebuilt:
    """An image that was made anew, before it is written. says: what was changed, in a sentence."""

    described: Description
    plan: Plan
    stubs: Stubs
    manifest: Manifest
    says: str


def rebuilt(image: StoredImage, name: str, new: Path, work: Path) -> Rebuilt:
    """The image with another file for the module with this name. What it takes meanwhile goes to `work`.

    Raises what a build raises, for an image that does not hold its description, too.
    """
    plan, said = image.plan, image.manifest
    assert plan is not None
    if not said.description.endswith(".toml") or plan.partition:
        raise PlanError(
            f"{image.path}: only of a description in TOML, for domains that are no partitions, is one made anew"
        )
    parts = work / "parts"
    parts.mkdir()
    # A module is called by its file's name, and this one goes on being called as it was.
    held = new.absolute()
    if new.suffix != ".asm":
        held = parts / name
        held.symlink_to(new.absolute())
    found: dict[str, Path] = {name: held}
    for module in image.modules:
        if module.planned.name != name:
            owner = next(one for one in (plan, *plan.profiles) if module.planned in one.modules)
            found[module.planned.name] = modules.extract(module, owner, parts).absolute()
    with about(f"module {name}: the image is made anew with {new.name}"):
        described = load.parse(said.text, work / Path(said.description).name)
        variants = tuple(
            _held(variant, planned, found, name)
            for variant, planned in zip(described.variants, plan.profiles, strict=True)
        )
        described = replace(_held(described, plan, found, name), variants=variants)
        folder = work / "plan"
        folder.mkdir()
        planned = build.plan_image(described, folder, lambda stage: None)
        assert isinstance(planned, Plan)
        stubs = link_stubs(planned)
    says = f"module {name}: {new.name}, {new.stat().st_size} bytes; the image was made anew"
    return Rebuilt(described, planned, stubs, manifest.changed(said, [says]), says)


def _held(described: Description, plan: Plan, files: Mapping[str, Path], changed: str) -> Description:
    """The description with the image's own modules in place of files, and its command lines as they are now."""
    domains = tuple(
        _domain(domain, planned, plan, files, changed)
        for domain, planned in zip(described.domains, plan.domains, strict=True)
    )
    hypervisor = described.hypervisor
    if hypervisor is not None and plan.hypervisor is not None:
        source = files[plan.modules[plan.hypervisor.module].name]
        hypervisor = replace(hypervisor, kernel=FileSource(str(source)))
        if hypervisor.microcode or hypervisor.xsm_policy or hypervisor.lcm:
            raise PlanError(
                "with microcode, a security policy or a device tree of Xen's it is built from its description"
            )
    return replace(described, domains=domains, hypervisor=hypervisor)


def _domain(
    domain: DomainDescription, planned: PlannedDomain, plan: Plan, files: Mapping[str, Path], changed: str
) -> DomainDescription:
    held = {key: plan.modules[mod] for key, mod in planned.domain.modules.items()}
    if "kernel" not in held:
        return domain

    def source(key: str) -> FileSource | None:
        return FileSource(str(files[held[key].name])) if key in held else None

    handed = tuple(
        HandedModule(FileSource(str(files[held[key].name])), one.string, one.where)
        for key, one in domain.handed.items()
    )
    kernel = held["kernel"]
    told = kernel.string.removeprefix(kernel.name).lstrip(" ") if plan.hypervisor is not None else kernel.string
    protocol = domain.protocol
    if planned.protocol and kernel.name != changed:
        protocol = protocols.name(planned.protocol)
    return replace(
        domain,
        kernel=source("kernel"),
        ramdisk=source("ramdisk"),
        device_tree=source("device-tree"),
        config=source("config"),
        modules=handed,
        cmdline=told,
        protocol=protocol,
    )


def write(
    path: Path, images: Sequence[StoredImage], made: Rebuilt, signing: Signing | None, work: Path
) -> tuple[str, ...]:
    """Put what was made anew in the place of the file at `path`, in one step; gives notes.

    Raises SourceError for what is not one of our files or media; ToolError where signing or a medium fails.
    """
    own = len(images) == 1 and images[0].place.start == 0
    medium = None if own else _medium(path)
    if not own and (medium is None or path.is_block_device()):
        raise SourceError(
            f"{path}: it has no room for that, and is no file that can be made anew; make it and `flash` it"
        )
    elf, efi = _files(made, signing, work)
    notes: tuple[str, ...] = ()
    if medium is not None:
        output = medium[0].path(_built(made, elf, efi))
        notes = medium[0].make(_built(made, elf, efi), medium[1]).notes
    else:
        output = elf if images[0].form == "elf" else efi or elf
        if output is elf and images[0].form == "efi":
            raise PlanError("it would have no EFI application any more")
    if any(image.signature.size for image in images) and not signing:
        notes = (*notes, "efi: the signature is off")
    with scratch.own(path.parent, path.name) as folder:
        shutil.copyfile(output, folder / path.name)
        shutil.copymode(path, folder / path.name)
        (folder / path.name).replace(path)
    return notes


def _files(made: Rebuilt, signing: Signing | None, work: Path) -> tuple[Path, Path | None]:
    elf = work / f"{made.manifest.name}.elf"
    said = manifest.encode(made.manifest)
    embed.patch(made.stubs.elf.image, made.stubs.tables, made.stubs.payloads, made.stubs.build_id, elf, said)
    verify.verify(elf, made.plan)
    if made.stubs.efi is None:
        return elf, None
    efi, sbat = elf.with_suffix(".efi"), made.described.image.sbat
    moved = build.write_application(made.plan, made.stubs.efi, made.stubs.build_id, sbat, efi, said)
    if signing:
        sign(efi, signing)
    efi_image.verify(efi, moved, sbat, signed=signing is not None)
    return elf, efi


def _built(made: Rebuilt, elf: Path, efi: Path | None) -> Built:
    return Built(made.manifest.name, elf, (), 0, 0, (), efi, made.stubs.build_id.hex())


def _medium(path: Path) -> tuple[Medium, Settings] | None:
    """Which of our media a file is, and as large as it was."""
    with path.open("rb") as file:
        head = file.read(0x9000)
    if head[0x8001:0x8006] == b"CD001":
        return iso.MEDIUM, Settings()
    sector = gpt.sector_of(head)
    if sector is None:
        return None
    medium = disk.MEDIUM if sector == gpt.SECTOR else disk.MEDIUM_4K
    return medium, Settings(path.stat().st_size // MIB * MIB, sector)
