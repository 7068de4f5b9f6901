"""What a medium is: something made from a built image that a machine boots from, in one or more ways."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bootwright.common import scratch
from bootwright.common.errors import FULL, RunError, ToolError, Where
from bootwright.image.built import Built, add_medium, load
from bootwright.image.origin import MadeMedium, fingerprint

EFI_PATH = "EFI/BOOT/BOOTX64.EFI"  # UEFI 2.10, section 3.5.1.1: what removable media are booted by

BOTH = frozenset({"bios", "uefi"})


@dataclass(frozen=True)
class Settings:
    """What can be said about a medium, that is a disk image: its size in bytes, None for what is needed; and bytes
    of a sector of the device that it is for.
    """

    size: int | None = None
    sector: int = 512


@dataclass(frozen=True)
class Made:
    """What came out: the file or folder, and sentences about what it lacks."""

    path: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Medium:
    """A medium. make(built, settings) writes it beside the image, at path(built).

    tools: the files of other packages that go onto it. make raises ToolError where a program is missing or fails or the
    disk is full. What cannot be on it for want
    of a package it leaves out, and says so in a note, as long as some machine can boot the rest.
    """

    name: str
    path: Callable[[Built], Path]
    make: Callable[[Built, Settings], Made]
    tools: Callable[[], Iterable[Path]] = tuple


@dataclass(frozen=True)
class BootMethod:
    """A boot method: a way to boot an image, for `run --via`.

    attach(built, firmware) prepares what it takes and gives QEMU's arguments, file names relative to the
    image's directory; on leaving, what only the running machine needed ends. Raises ToolError. firmware:
    those it is there for; reason: why not for another. suffix: how the name of a finished file ends that is booted so,
    "" for none; attach_file: the same of such a file, which is built.elf, where attach would make one.
    """

    name: str
    firmware: frozenset[str]
    attach: Callable[[Built, str], AbstractContextManager[list[str]]]
    reason: str = ""
    suffix: str = ""
    attach_file: Callable[[Built, str], AbstractContextManager[list[str]]] | None = None


@contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """Gives a name to write a file or folder to, which then takes the place of `path` in one step.

    Whatever goes wrong leaves `path` as it was and nothing beside it, and whoever else writes it has another name
    for it. Raises ToolError where the disk is full.
    """
    with scratch.own(path.parent, path.name) as folder:
        partial = folder / path.name
        try:
            yield partial
            if partial.is_dir():
                remove(path)
            partial.replace(path)
        except OSError as error:
            if error.errno in FULL:
                raise ToolError(f"cannot be written: {error.strerror}", Where(str(path))) from error
            raise


def remove(path: Path) -> None:
    """Remove the file or folder at `path`, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def made_record(medium: Medium, built: Built, settings: Settings) -> MadeMedium:
    """What NAME.json says of a medium that was made, or would be."""
    path = medium.path(built)
    files = [path] if path.is_file() else path.rglob("*")
    size = sum(file.stat().st_size for file in files if file.is_file())
    return MadeMedium(medium.name, asdict(settings), size, fingerprint(medium.tools()))


def ensure(medium: Medium, built: Built) -> Made:
    """The medium of an image, made where it is not current: of this image, with its settings, by what is installed.

    The settings are those that it was made with before, or else that were said of the image's media.
    """
    path = medium.path(built)
    if built.origin is None:
        return medium.make(built, Settings())
    with scratch.locked(built.elf.parent):
        # Another process may have made it meanwhile; or another image.
        now = load(built.elf.with_suffix(".json"))
        if now.origin is None or now.build_id != built.build_id:
            raise RunError(f"{built.name} was built anew by someone else meanwhile", Where(str(built.elf.parent)))
        known = now.origin.media.get(path.name)
        settings = Settings(**(known.settings if known else now.origin.options.media))
        if path.exists() and known == made_record(medium, now, settings):
            return Made(path)
        made = medium.make(now, settings)
        add_medium(built.elf.with_suffix(".json"), path.name, made_record(medium, now, settings))
    return made


def efi_application(built: Built) -> Path:
    """The image's NAME.efi. Raises ToolError where it has none, or none that could boot."""
    name = f"{built.elf.stem}.efi"
    if built.efi is None:
        raise ToolError(f"{name}: this image has none, and UEFI starts nothing else from here")
    if built.modules:
        raise ToolError(f"{name}: UEFI brings it no modules, and this image gets its modules from the loader")
    return built.efi


def boots_on_uefi(built: Built) -> bool:
    """Whether UEFI can start the image without another loader."""
    return built.efi is not None and not built.modules


def bios_only(built: Built, what: str) -> str:
    """The sentence about a medium called `what` that UEFI cannot boot."""
    try:
        efi_application(built)
    except ToolError as error:
        return f"{what} boots on BIOS only: {error}"
    raise AssertionError(f"{what} boots on UEFI")
