"""Where descriptions and output lie: in a checkout below its root, else below the working directory."""

from __future__ import annotations

import os
from pathlib import Path

from bootwright.abi import stub_directory
from bootwright.errors import SourceError


def root() -> Path:
    """The project's root in a checkout; the working directory for an installed bootwright."""
    holder = stub_directory().parent
    return Path.cwd() if holder == Path(__file__).resolve().parent else holder


def description(name: str) -> Path:
    """The description that `name` means: a path ending in .toml, .dts or .dtb, or NAME for images/NAME.toml.

    An installed bootwright also has the images that came with it. Raises SourceError.
    """
    if name.endswith((".toml", ".dts", ".dtb")):
        return Path(name)
    places = dict.fromkeys([root() / "images", stub_directory().parent / "images"])
    for place in places:
        if (place / f"{name}.toml").is_file():
            return Path(shown(place / f"{name}.toml"))
    known = sorted({path.stem for place in places for path in place.glob("*.toml")})
    raise SourceError(f"no description images/{name}.toml; there is: {', '.join(known) or 'none'}")


def output(image: str) -> Path:
    """The directory that the output of the image with this name goes to."""
    return root() / "build" / image


def recorded(path: Path) -> str:
    """A path as records have it: relative to the project's root where it lies below, else absolute."""
    absolute, top = Path(os.path.abspath(path)), Path(os.path.abspath(root()))
    return str(absolute.relative_to(top)) if absolute.is_relative_to(top) else str(absolute)


def shown(path: Path) -> str:
    """A path as people like to read it: relative to the working directory where it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
