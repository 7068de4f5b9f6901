"""Where descriptions and output lie: in a checkout below its root, else below the working directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootwright.common.abi import stub_directory
from bootwright.common.errors import SourceError
from bootwright.common.words import nearest

# How the name of a description ends.
SUFFIXES = (".toml", ".dts", ".dtb")

# Files that are given in place of a description, by what stands where in them; the first that fits.
_KINDS = {
    "a Linux kernel (bzImage)": [(0x202, b"HdrS")],
    "an EFI application": [(0, b"MZ")],
    "an ELF file": [(0, b"\x7fELF")],
    "an ISO": [(0x8001, b"CD001")],
    "a disk image": [(512, b"EFI PART"), (4096, b"EFI PART")],
    "a device tree blob whose name does not end in .dtb": [(0, b"\xd0\x0d\xfe\xed")],
    "device tree source whose name does not end in .dts": [(0, b"/dts-v1/")],
    "a ramdisk (cpio)": [(0, b"070701")],
    "a compressed file": [(0, b"\x1f\x8b"), (0, b"\xfd7zXZ"), (0, b"\x28\xb5\x2f\xfd"), (0, b"BZh")],
}
_HEAD = 0x8800
# What outputs_in was given, the innermost last.
_said: list[Path] = []


def root() -> Path:
    """The project's root in a checkout; the working directory for an installed bootwright."""
    holder = stub_directory().parent
    return Path.cwd() if holder == Path(__file__).resolve().parent.parent else holder


def descriptions() -> dict[str, Path]:
    """Those that a name means, in order of their names: the project's own, and behind these bootwright's."""
    places = (stub_directory().parent / "images", root() / "images")
    found = {path.stem: path for place in places for path in place.glob("*.toml") if path.is_file()}
    return dict(sorted(found.items()))


def description(name: str) -> Path:
    """The description that `name` means: a path ending in .toml, .dts or .dtb, or NAME for images/NAME.toml.

    An installed bootwright also has the images that came with it. Raises SourceError.
    """
    if name.endswith(SUFFIXES):
        return Path(name)
    known = descriptions()
    if name in known:
        return Path(shown(known[name]))
    if Path(name).exists():
        named = f"one of {', '.join(known)}, or " if known else ""
        endings = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise SourceError(f"{name} is {_kind(Path(name))}, no description: name {named}a path ending in {endings}")
    raise SourceError(
        f"no description images/{name}.toml; there is: {', '.join(known) or 'none'}{nearest(name, known)}"
    )


def _kind(path: Path) -> str:
    """What the file or folder at a path is, by its first bytes."""
    if path.is_dir():
        return "a folder"
    if not path.is_file():
        return "no regular file"
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"
    return next((kind for kind, places in _KINDS.items() if any(head[at:].startswith(m) for at, m in places)), "a file")


def outputs() -> Path:
    """The folder with a folder for each image's output: build/ below root, or what was said in its place."""
    return _said[-1] if _said else root() / "build"


@contextmanager
def outputs_in(folder: str | Path) -> Iterator[None]:
    """Have outputs go to another folder meanwhile; "": where they go anyway. For all threads of this process."""
    if not str(folder):
        yield
        return
    _said.append(Path(os.path.abspath(folder)))
    try:
        yield
    finally:
        _said.pop()


def output(image: str) -> Path:
    """The directory that the output of the image with this name goes to."""
    return outputs() / image


def recorded(path: Path) -> str:
    """A path as records have it: relative to the project's root where it lies below, else absolute."""
    absolute, top = Path(os.path.abspath(path)), Path(os.path.abspath(root()))
    return str(absolute.relative_to(top)) if absolute.is_relative_to(top) else str(absolute)


def shown(path: Path) -> str:
    """A path as people like to read it: relative to the working directory where it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
