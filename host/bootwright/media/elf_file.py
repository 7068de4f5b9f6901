"""The image itself, NAME.elf: what multiboot and PVH loaders take. It is always built."""

from __future__ import annotations

from pathlib import Path

from bootwright.image.built import Built
from bootwright.media.medium import Made, Medium, Settings


def path(built: Built) -> Path:
    """NAME.elf."""
    return built.elf


def make(built: Built, settings: Settings) -> Made:
    """Nothing is left to do."""
    return Made(built.elf)


MEDIUM = Medium("elf", path, make)
