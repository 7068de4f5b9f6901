"""A finished file as what boots it takes it: what its image says of itself, and no NAME.json is asked."""

from __future__ import annotations

from pathlib import Path

from bootwright.artifact.stored import StoredImage, find
from bootwright.common import abi
from bootwright.common.errors import RunError, SourceError, Where, listed
from bootwright.description.values import COM_PORTS
from bootwright.image import image_map
from bootwright.image.built import Built


def built(path: Path) -> Built:
    """Of the first image in the file at `path`.

    Raises SourceError where there is none, RunError for one whose modules a loader is to bring.
    """
    images = find(path)
    if not images:
        raise SourceError("holds no image of bootwright's", Where(str(path)))
    image = images[0]
    if missing := [module.planned.name for module in image.modules if module.place is None]:
        raise RunError(f"a loader is to bring {listed(missing)}, and here is none", Where(str(path)))
    needs, cpus, port = _needs(image)
    return Built(
        name=image.name,
        elf=path,
        modules=(),
        machine_memory=needs,
        stub_size=0,
        notes=(),
        efi=path if image.form == "efi" else None,
        build_id=image.build_id,
        serial_port=port,
        machine_cpus=cpus,
        svm=bool(image.plan and image.plan.partition),
    )


def _needs(image: StoredImage) -> tuple[int, int, int | None]:
    """Memory and cpus of a machine, and the I/O port that is printed on; None: none."""
    if image.plan is None:
        return image_map.LEAST_MEMORY, 1, COM_PORTS["com1"]
    plan, constants = image.plan, abi.load().constants
    ends = [piece.range.end for module in plan.modules for piece in module.pieces]
    top = max([constants["IMAGE_BASE"] + image.place.size, *ends])
    port = plan.image.serial_port if plan.image.console & constants["CONSOLE_SERIAL"] else None
    return image_map.machine_memory(plan, top), image_map.machine_cpus(plan), port
