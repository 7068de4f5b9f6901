"""What an image was made of, as NAME.json records it, and whether building it now would make the same.

    gathering = Gathering(path)                 # before the description is read
    gathering.add_own(described)                # before the files that it names are
    gathering.inputs()                          # the record of all of them
    changed(origin, path, output)               # None, or why the image in `output` is not current

A file is what its bytes are: how old it is says nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from bootwright import __version__
from bootwright.common import abi, paths
from bootwright.common.hashes import Hashes
from bootwright.common.json_shape import NUMBER, PATH, TEXT, Items, Keys, Shape, check
from bootwright.description.load import Description
from bootwright.devicetree.dtc import DTC
from bootwright.inputs import debian, resolve

# Libraries whose version may be seen in the bytes of an output.
LIBRARIES = ("dissect.cstruct", "keystone-engine", "lief", "lz4", "pycdlib", "zstandard")


@dataclass(frozen=True)
class Tool:
    """The bootwright that made it: its version, and a SHA-256 over its sources and the libraries that it uses."""

    version: str
    sha256: str


@dataclass(frozen=True)
class Input:
    """A file that went in, with its size in bytes and its SHA-256 in hex. path: as places.recorded has it, or of a
    Debian package the pattern that finds it there.
    """

    path: str
    size: int
    sha256: str
    package: str = ""


@dataclass(frozen=True)
class Options:
    """What the command line said. modules: files of a device tree, as "N=FILE"; key and certificate of the signature,
    "" for none, and the certificate's SHA-256; media: what was said of the media.
    """

    modules: tuple[str, ...] = ()
    key: str = ""
    certificate: str = ""
    certificate_sha256: str = ""
    media: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """A file of the image, by its path in the image's folder, with its size in bytes and its SHA-256 in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class MadeMedium:
    """A medium in the image's folder. medium: its name; settings: what it was made with; size: of all its bytes;
    tools: a SHA-256 over what other packages gave to it, "" for nothing.
    """

    medium: str
    settings: Mapping[str, Any]
    size: int
    tools: str


@dataclass(frozen=True)
class Origin:
    """What an image was made of, and what belongs to it. media: by the name of the file or folder."""

    tool: Tool
    description: str
    inputs: tuple[Input, ...]
    options: Options = Options()
    outputs: tuple[Output, ...] = ()
    media: Mapping[str, MadeMedium] = field(default_factory=dict)


_FILE: dict[str, Shape] = {"path": PATH, "size": NUMBER, "sha256": TEXT}
_OPTIONS: dict[str, Shape] = {"modules": Items(TEXT), "key": PATH, "certificate": PATH, "certificate_sha256": TEXT}
SHAPE = Keys(
    {
        "tool": Keys({"version": TEXT, "sha256": TEXT}),
        "description": PATH,
        "inputs": Items(Keys(_FILE | {"package": TEXT})),
        "options": Keys(_OPTIONS | {"media": Keys({})}),
        "outputs": Items(Keys(_FILE)),
        "media": Keys({}),
    }
)
_MEDIUM = Keys({"medium": TEXT, "settings": Keys({}), "size": NUMBER, "tools": TEXT})


def read(data: Mapping[str, Any]) -> Origin:
    """The origin in what NAME.json says. Raises ShapeError and TypeError for what is none."""
    check(data, SHAPE)
    for medium in data["media"].values():
        check(medium, _MEDIUM)
    options = dict(data["options"])
    return Origin(
        Tool(**data["tool"]),
        data["description"],
        tuple(Input(**part) for part in data["inputs"]),
        Options(tuple(options.pop("modules")), **options),
        tuple(Output(**part) for part in data["outputs"]),
        {name: MadeMedium(**part) for name, part in data["media"].items()},
    )


# --- the tool itself ---


def tool() -> Tool:
    """The bootwright that runs."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parent.parent
    own = ((file, file.relative_to(package)) for file in package.rglob("*.py"))
    folders = (abi.stub_directory(), abi.linker_directory())
    others = ((file, file.relative_to(folder.parent)) for folder in folders for file in folder.rglob("*"))
    for file, name in sorted((*own, *others), key=lambda found: found[1].as_posix()):
        if file.is_file() and not name.name.startswith(".") and not name.name.endswith("~"):
            digest.update(f"{name.as_posix()}\0{_digest(file)}\n".encode())
    for library in LIBRARIES:
        digest.update(f"{library} {metadata.version(library)}\n".encode())
    return Tool(__version__, digest.hexdigest())


def fingerprint(files: Iterable[Path]) -> str:
    """A SHA-256 over files of other packages, by name and content; "" for none."""
    found = [f"{file.name}\0{_digest(file)}\n" for file in sorted(files)]
    return hashlib.sha256("".join(found).encode()).hexdigest() if found else ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- what goes into an image ---


class Gathering:
    """The inputs of an image while it is built, each hashed before it is read: what changes in between is seen as
    changed afterwards. What cannot be read is left out: the build says what is wrong with it.
    """

    def __init__(self, path: Path) -> None:
        self._hashes = Hashes()
        self._found: dict[tuple[str, str], Input] = {}
        self._packages: list[resolve.PackageSource] = []
        self._add(path)

    def add_own(self, described: Description) -> None:
        """The files that a description names, and what they include."""
        included = DTC.included(described.path) if described.path.suffix == ".dts" else ()
        for path in (*included, *resolve.named(described)):
            self._add(path)
        self._packages = list(resolve.packaged(described))
        self._hashes.save()  # whoever packs them need not hash them again

    def inputs(self) -> tuple[Input, ...]:
        """All of them, when those out of packages have been fetched."""
        for source in self._packages:
            path = debian.cached(source.package, source.file, resolve.cache_directory())
            if path is not None:
                self._add(path, source.package, source.file)
        self._hashes.save()
        return tuple(self._found.values())

    def _add(self, path: Path, package: str = "", pattern: str = "") -> None:
        name = pattern or paths.recorded(path)
        if (package, name) not in self._found:
            with suppress(OSError, ValueError):
                self._found[package, name] = Input(name, *self._hashes.of(path), package)


# --- whether it is current ---


def changed(origin: Origin, description: Path, output: Path) -> str | None:
    """Why the image in `output` is not what the description would make now, None where it is."""
    here = paths.shown(output)
    if origin.description != paths.recorded(description):
        return f"{here} is what {origin.description} describes"
    hashes = Hashes()
    try:
        for part in origin.inputs:
            if why := _input_changed(part, hashes):
                return why
        if origin.tool != tool():
            return f"{here} was made by another bootwright"
        certificate = paths.root() / origin.options.certificate
        with suppress(OSError):  # without it, what was signed is signed
            if origin.options.certificate and hashes.of(certificate)[1] != origin.options.certificate_sha256:
                return f"{paths.shown(certificate)} has changed"
        for made in origin.outputs:
            if _differs(output / made.path, made.size, made.sha256, hashes):
                return f"{paths.shown(output / made.path)} is not as it was built"
    finally:
        hashes.save()
    return None


def _input_changed(part: Input, hashes: Hashes) -> str | None:
    if part.package:
        cached = debian.cached(part.package, part.path, resolve.cache_directory())
        if cached is None:
            return f"{part.path} of package {part.package} is not in the cache any more"
        path, name = cached, f"{part.path} of package {part.package}"
    else:
        path = paths.root() / part.path
        name = paths.shown(path)
    if not path.exists():
        return f"{name} is not there any more"
    return f"{name} has changed" if _differs(path, part.size, part.sha256, hashes) else None


def _differs(path: Path, size: int, sha256: str, hashes: Hashes) -> bool:
    """Whether a file has other bytes; also where it cannot be read."""
    try:
        return path.stat().st_size != size or hashes.of(path)[1] != sha256
    except OSError:
        return True
