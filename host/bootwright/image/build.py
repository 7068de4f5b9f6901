"""The recipe: from a description to an image, its map and its listing.

    built = build(Path("images/demo.toml"), stage=print)     # built.Built

Everything is written into a folder of its own beside the output and moved there at the end, so that a build
that fails leaves what was there before. Outputs are a pure function of the inputs: same inputs, same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bootwright.common import paths as common_paths
from bootwright.common import scratch
from bootwright.common.errors import BootwrightError, ErrorList, Where, about
from bootwright.common.hashes import Hashes
from bootwright.common.ranges import Range
from bootwright.description.load import Description, FaultyDescription
from bootwright.devicetree import reader
from bootwright.hyperlaunch import model
from bootwright.image import built as image_built
from bootwright.image import efi_image, embed, image_map, manifest, origin, patcher, verify
from bootwright.image.sign import Signing, check, sign
from bootwright.image.stub import Stubs, link_stubs, payloads
from bootwright.inputs import resolve
from bootwright.link.linked import Linked
from bootwright.plan import make as plan_make
from bootwright.plan import tables
from bootwright.plan.records import Generic, Plan

Stage = Callable[[str], None]


@dataclass(frozen=True)
class Reading:
    """A description's file that was read, once for all that a command does with it. gathering: as from before that."""

    document: reader.Document
    gathering: origin.Gathering


@dataclass(frozen=True)
class Media:
    """What is made of an image before it is published. make: makes media beside the image, and says what it made, by
    the name of the file; settings: what the command line says of them.
    """

    make: Callable[[image_built.Built], Mapping[str, origin.MadeMedium]] = lambda built: {}
    settings: Mapping[str, object] = field(default_factory=dict)


def read(path: Path) -> Reading:
    """Read the description's file at `path`. Raises as describe does."""
    gathering = origin.Gathering(path)
    return Reading(reader.read(path), gathering)


def build(
    source: Path | Reading,
    stage: Stage,
    modules: reader.Files | None = None,
    signing: Signing | None = None,
    media: Media | None = None,
) -> image_built.Built:
    """Build the image that a description describes, below places.output, with media of it.

    source: its file, or what was read of that; stage is told what is being done; modules: the files of a device tree,
    by module-index; signing: sign the EFI application for Secure Boot. Raises BootwrightError for everything that a
    person can put right.
    """
    patcher.start()
    stage("reading the description")
    media = media or Media()
    reading = source if isinstance(source, Reading) else read(source)
    path, gathering = reading.document.path, reading.gathering
    described = describe(reading, modules or {})
    gathering.add_own(described)
    options = _options(modules or {}, signing, media)
    output = common_paths.output(described.image.name)
    output.parent.mkdir(parents=True, exist_ok=True)
    with scratch.own(output.parent, output.name) as folder:
        work, made = folder / "work", folder / "made"
        work.mkdir()
        made.mkdir()
        stage("fetching what it names")
        planned = plan_image(described, work, stage)
        stage("assembling the stub")
        stubs = link_stubs(planned)
        tool, inputs = origin.tool(), gathering.inputs()
        said = manifest.encode(manifest.make(described.image.name, tool, path, inputs))
        stage("writing the image, and reading it back")
        elf = made / f"{output.name}.elf"
        sbat = described.image.sbat
        # Beside the ELF file: copying and hashing, which is most of what large modules cost, do not hold Python's lock.
        with ThreadPoolExecutor(1) as pool:
            application = pool.submit(_write_application, planned, stubs, sbat, signing, said, elf.with_suffix(".efi"))
            if isinstance(planned, Plan):
                write_modules(planned, made)
            # As late as can be: LIEF is imported meanwhile.
            patched = embed.patch(stubs.elf.image, stubs.tables, stubs.payloads, stubs.build_id, elf, said)
            image = verify.verify(elf, planned)
            application.result()
        if isinstance(planned, Plan) and stubs.efi is None:
            note = "no EFI application: the hypervisor has no multiboot2 entry for EFI (header tag 9)"
            planned = replace(planned, notes=(*planned.notes, note))
        found = image_map.map_image(described.image, planned, stubs.elf, patched, image)
        elf.with_suffix(".map").write_text(image_map.text(found), encoding="utf-8")
        elf.with_suffix(".lst").write_text(stubs.elf.listing, encoding="utf-8")
        made_of = origin.Origin(tool, common_paths.recorded(path), inputs, options, _outputs(made))
        record = elf.with_suffix(".json")
        record.write_text(image_built.as_json(found, made_of), encoding="utf-8")
        with _published_places(made, output):
            made_of = replace(made_of, media=media.make(image_built.of(found, made_of, record)))
        record.write_text(image_built.as_json(found, made_of), encoding="utf-8")
        publish(made, output)
        _remember(made_of.outputs, output)
    return image_built.of(found, made_of, output / record.name)


def describe(reading: Reading, modules: reader.Files | None = None) -> Description:
    """As reader.understand; where it raises, files that are named and missing are among what is wrong."""
    try:
        return reader.understand(reading.document, modules)
    except FaultyDescription as faulty:
        raise ErrorList([faulty, *resolve.missing(faulty)]) from faulty


def _options(modules: reader.Files, signing: Signing | None, media: Media) -> origin.Options:
    files = tuple(f"{number}={common_paths.recorded(file)}" for number, file in sorted(modules.items()))
    if signing is None:
        return origin.Options(files, media=media.settings)
    key, certificate = (common_paths.recorded(file) for file in (signing.key, signing.cert))
    return origin.Options(files, key, certificate, check(signing), media.settings)


def _outputs(made: Path) -> tuple[origin.Output, ...]:
    hashes = Hashes()
    files = sorted(file for file in made.rglob("*") if file.is_file())
    with ThreadPoolExecutor() as pool:  # side by side, since hashing large files is most of what they cost
        found = pool.map(hashes.of, files)
    return tuple(
        origin.Output(file.relative_to(made).as_posix(), *said) for file, said in zip(files, found, strict=True)
    )


def _remember(outputs: Sequence[origin.Output], output: Path) -> None:
    """So that who reads them first need not hash them again."""
    hashes = Hashes()
    with suppress(OSError):  # another build may have put its own there
        for made in outputs:
            hashes.remember(output / made.path, made.sha256)
        hashes.save()


@contextmanager
def _published_places(made: Path, output: Path) -> Iterator[None]:
    """An error about a file that is being made names the place that it was meant for."""
    try:
        yield
    except BootwrightError as error:
        if error.where and Path(error.where.path).is_relative_to(made):
            place = output / Path(error.where.path).relative_to(made)
            raise type(error)(error.message, Where(str(place))) from error
        raise


def plan_image(described: Description, work: Path, stage: Stage) -> Plan | Generic:
    """What goes into the image; packed files and unpacked kernels go to `work`."""
    if described.image.generic:
        return Generic()
    first = _plan(described, work, stage, {})
    plans = [first]
    for profile, variant in zip(described.profiles, described.variants, strict=True):
        carried = {module.sha256: module.load_range for plan in plans for module in plan.modules if module.embedded}
        folder = work / f"profile-{profile.name}"
        folder.mkdir()
        with about(profile.subject):
            planned = _plan(variant, folder, stage, carried)
        title = f": {profile.title}" if profile.title else ""
        plans.append(replace(planned, image=replace(planned.image, profile=profile.name, profile_title=title)))
    if len(plans) == 1:
        return first
    image = replace(first.image, profile=described.image.profile, menu_seconds=described.image.menu)
    notes = dict.fromkeys(note for plan in plans for note in plan.notes)
    return replace(first, image=image, profiles=tuple(plans[1:]), notes=tuple(notes))


def _plan(described: Description, work: Path, stage: Stage, carried: Mapping[bytes, Range]) -> Plan:
    info = model.build(described, resolve.resolve(described, work))
    return plan_make.make(described, info, work, _bytes_done(stage), carried)


def _write_application(
    planned: Plan | Generic, stubs: Stubs, sbat: Sequence[str], signing: Signing | None, said: bytes, output: Path
) -> None:
    """The same as an EFI application, signed where that is asked for, read back; nothing where there can be none."""
    if not isinstance(planned, Plan) or stubs.efi is None:
        return
    moved = write_application(planned, stubs.efi, stubs.build_id, sbat, output, said)
    if signing:
        sign(output, signing)
    efi_image.verify(output, moved, sbat, signed=signing is not None)


def write_application(
    planned: Plan, linked: Linked, identity: bytes, sbat: Sequence[str], output: Path, said: bytes = b""
) -> Plan:
    """The same as an EFI application, and its plan: modules lie right behind the stub, wherever that is put."""
    embedded = [module for module in planned.carried if module.embedded]
    addresses = efi_image.place(linked.symbols["__image_end"], [module.size for module in embedded])
    moved = planned.moved(dict(zip((module.load_address for module in embedded), addresses, strict=True)))
    efi_image.write(linked, tables.encode(moved), payloads(moved), identity, sbat, output, said)
    return moved


def write_modules(planned: Plan, directory: Path) -> None:
    """Copy the modules that a loader is to bring to modules/NAME."""
    for module in planned.modules:
        if not module.embedded and module.payload is not None:
            file = directory / image_map.module_file(module.name)
            file.parent.mkdir(exist_ok=True)
            shutil.copyfile(module.payload, file)


def publish(made: Path, output: Path) -> None:
    """Move what is in `made` to `output`, over what an earlier build left, with nobody else doing so meanwhile.

    NAME.json is what makes a set of these files: it goes first, and comes last. What is killed in between leaves none,
    but the new one under another name (built.pending).
    """
    output.mkdir(exist_ok=True)
    with scratch.locked(output):
        record = output / f"{output.name}.json"
        (made / record.name).replace(image_built.pending(record))
        record.unlink(missing_ok=True)
        shutil.rmtree(output / image_map.MODULES, ignore_errors=True)
        if not (made / f"{output.name}.efi").exists():
            (output / f"{output.name}.efi").unlink(missing_ok=True)
        for file in sorted(made.iterdir()):
            if file.is_dir():
                shutil.rmtree(output / file.name, ignore_errors=True)
            file.replace(output / file.name)
        image_built.pending(record).replace(record)
        scratch.sweep(output)


def _bytes_done(stage: Stage) -> plan_make.Progress:
    return lambda what, done, total: stage(f"{what}: {done / total:.0%}" if total else what)
