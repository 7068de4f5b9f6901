"""Images, for other programs: built from a description, checked without building, looked into."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bootwright import media as known_media
from bootwright.artifact import describe, stored
from bootwright.common import paths
from bootwright.common.errors import RunError
from bootwright.common.words import none_of
from bootwright.devicetree import reader
from bootwright.image import build as image_build
from bootwright.image.sign import signing
from bootwright.media.making import Making
from bootwright.plan.records import Plan


@dataclass(frozen=True)
class Image:
    """A built image. files: by medium ("elf", which is always there, "efi", "iso", "disk", "pxe": a folder); notes:
    sentences that a user may want to know; machine_memory, in bytes, and machine_cpus: what a machine must have.
    """

    name: str
    build_id: str
    files: Mapping[str, Path]
    notes: tuple[str, ...]
    machine_memory: int
    machine_cpus: int


def build(
    description: str | Path,
    *,
    media: Sequence[str] = (),
    output: str | Path = "",
    modules: Sequence[str] = (),
    size: int | None = None,
    sector: int = 512,
    key: str | Path = "",
    certificate: str | Path = "",
    progress: Callable[[str], None] | None = None,
) -> Image:
    """Build the image that a description describes, and media of it.

    description: its file; media: of "elf", "efi", "iso", "disk", "pxe", by default the first two; output: the folder in
    place of build/: files come to OUTPUT/NAME/; modules: "N=FILE" for the files of a device tree; size, in bytes, and
    sector: of the disk; key, certificate: PEM files to sign the EFI application with; progress: is told what is done.

    Raises ErrorList of all that is wrong, or another BootwrightError; then what was built before is still there.
    """
    unknown = [name for name in media if name not in known_media.MEDIA]
    if unknown:
        raise RunError(f"media: {none_of(unknown[0], known_media.MEDIA)}")
    names = tuple(dict.fromkeys(("elf", *(media or known_media.USUAL))))
    settings = known_media.settings(names, size, sector)
    wanted = [(known_media.for_sector(sector)[name], settings) for name in names]
    making = Making(wanted, () if media else known_media.USUAL)
    stage = progress or (lambda said: None)
    to_make = image_build.Media(lambda built: making.make(built, stage), asdict(settings))
    with paths.outputs_in(output):
        built = image_build.build(
            Path(description), stage, reader.files(modules), signing(str(key), str(certificate)), to_make
        )
    files = {medium.name: medium.path(built) for medium in making.made}
    notes = (*built.notes, *making.notes)
    return Image(built.name, built.build_id, MappingProxyType(files), notes, built.machine_memory, built.machine_cpus)


def check(description: str | Path) -> tuple[str, ...]:
    """What a build would say of a description, as notes, without building: its files are read, and planned with.

    Raises as build does, but for what only linking and media find.
    """
    described = image_build.describe(image_build.read(Path(description)))
    with tempfile.TemporaryDirectory(prefix="check-") as work:
        planned = image_build.plan_image(described, Path(work), lambda stage: None)
    return planned.notes if isinstance(planned, Plan) else ()


def inspect(file: str | Path, *, hashes: bool = True) -> tuple[dict[str, Any], ...]:
    """What the images in a file, a folder or on a device say of themselves: for each a record, as `inspect --json` has
    it. hashes: whether the bytes of modules are compared with theirs.

    Raises SourceError where it cannot be read, VerifyError for an image that is damaged. Empty: there is none.
    """
    return tuple(describe.record(image, hashes) for image in stored.find(Path(file)))
