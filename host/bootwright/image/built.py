"""A built image on disk, as NAME.json has it: its map (image_map.py) and all that it was made of (origin.py). It is
what `run` and the media know of an image.

Neither has a time: they are a pure function of what went in, and of what it was called.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootwright.common import scratch
from bootwright.common.errors import SourceError, Where, why
from bootwright.common.json_shape import BOOLEAN, NUMBER, PATH, TEXT, WORD, Items, Keys, Nullable, check, check_text
from bootwright.description.values import COM_PORTS
from bootwright.image import origin
from bootwright.image.image_map import Map
from bootwright.image.origin import MadeMedium, Origin

FORMAT = 2


@dataclass(frozen=True)
class Loaded:
    """A module that a loader must bring: its name, and its file, relative to the image's directory."""

    name: str
    file: str


@dataclass(frozen=True)
class Built:
    """A built image on disk: its ELF file, modules that a loader must bring, bytes of memory it needs.

    serial_port, machine_cpus, svm: as in Map;
    stub_size: bytes of the stub's code and read-only data; notes: sentences that a user may want to know;
    efi: the same image as an EFI application, None for the generic stub; build_id: in hex; origin: what it was made of,
    None where no NAME.json says so.
    """

    name: str
    elf: Path
    modules: tuple[Loaded, ...]
    machine_memory: int
    stub_size: int
    notes: tuple[str, ...]
    efi: Path | None = None
    build_id: str = ""
    serial_port: int | None = COM_PORTS["com1"]
    machine_cpus: int = 1
    svm: bool = False
    origin: Origin | None = None


def pending(path: Path) -> Path:
    """Where NAME.json lies while the files that it is about are put into their places."""
    return path.with_name(f".{path.name}.new")


def as_json(found: Map, made_of: Origin) -> str:
    """NAME.json."""
    return _dumped({"format": FORMAT} | dataclasses.asdict(found) | dataclasses.asdict(made_of))


def _dumped(data: dict[str, Any]) -> str:
    data["media"] = dict(sorted(data["media"].items()))
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def add_medium(path: Path, name: str, medium: MadeMedium) -> None:
    """Write down in NAME.json at `path` that a medium was made. OSError passes."""
    data = json.loads(path.read_text(encoding="utf-8"))
    data["media"][name] = dataclasses.asdict(medium)
    with scratch.own(path.parent, path.name) as folder:
        (folder / path.name).write_text(_dumped(data), encoding="utf-8")
        (folder / path.name).replace(path)


# What is read of NAME.json, but for its origin.
_SHAPE = Keys(
    {
        "name": PATH,
        "modules": Items(Keys({"name": TEXT, "file": Nullable(PATH)})),
        "machine_memory": NUMBER,
        "machine_cpus": NUMBER,
        "svm": BOOLEAN,
        "stub_size": NUMBER,
        "notes": Items(TEXT),
        "build_id": TEXT,
        "serial_port": Nullable(WORD),
    }
)


def of(found: Map, made_of: Origin, path: Path) -> Built:
    """The built image that this is the map of, with its NAME.json at `path`: as load gives it."""
    application = path.with_suffix(".efi")
    return Built(
        name=found.name,
        elf=path.with_suffix(".elf"),
        modules=tuple(Loaded(module.name, module.file) for module in found.modules if module.file is not None),
        machine_memory=found.machine_memory,
        stub_size=found.stub_size,
        notes=found.notes,
        efi=application if application.name in {output.path for output in made_of.outputs} else None,
        build_id=found.build_id,
        serial_port=found.serial_port,
        machine_cpus=found.machine_cpus,
        svm=found.svm,
        origin=made_of,
    )


def load(path: Path, source: Path | None = None) -> Built:
    """The built image that NAME.json at `path` describes, or what lies at `source` for it. Raises SourceError where
    there is none.
    """
    try:
        data: Any = json.loads((source or path).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(data["format"])
        check(data, _SHAPE)
        check_text(data)
        application = path.with_suffix(".efi")
        made_of = origin.read(data)
        return Built(
            name=data["name"],
            elf=path.with_suffix(".elf"),
            modules=tuple(Loaded(m["name"], m["file"]) for m in data["modules"] if m["file"] is not None),
            machine_memory=data["machine_memory"],
            stub_size=data["stub_size"],
            notes=tuple(data["notes"]),
            efi=application if application.name in {output.path for output in made_of.outputs} else None,
            build_id=data["build_id"],
            serial_port=data["serial_port"],
            machine_cpus=data["machine_cpus"],
            svm=data["svm"],
            origin=made_of,
        )
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(str(path))) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SourceError("is not the map of an image; build the image anew", Where(str(path))) from error
