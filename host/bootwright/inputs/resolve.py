"""Where a description's files come from: found, assembled, or fetched from a Debian package.

files = resolve(description, workdir)       # {(OfDomain(0), "kernel"): Path, ...}
info = model.build(description, files)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bootwright.asm.preprocess import read as read_assembly
from bootwright.common import utf8
from bootwright.common.abi import stub_directory
from bootwright.common.errors import BootwrightError, ErrorList, SourceError, ToolError
from bootwright.description.load import Description, FaultyDescription, FileSource, PackageSource, Source
from bootwright.description.records import Owner
from bootwright.inputs import cpio, debian
from bootwright.link.program import program

ASSEMBLY_SUFFIX = ".asm"
KERNEL_LAYOUT = "kernel"
PROGRAM_LAYOUT = "linux"  # of a program in a ramdisk
INTERPRETER = 256  # bytes of a script's first line that Linux looks at (BINPRM_BUF_SIZE)


def cache_directory() -> Path:
    """Where fetched packages are kept: .cache of a checkout, or the user's cache once installed."""
    root = stub_directory().parent
    if root != Path(__file__).resolve().parent.parent:
        return root / ".cache"
    user = os.environ.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "bootwright"


def resolve(description: Description, workdir: Path, cache: Path | None = None) -> dict[tuple[Owner, str], Path]:
    """A readable file for each that is named: by whose it is, and its key, such as "kernel".

    Kernels in assembly are assembled, and ramdisks made of a package are built, in workdir, which is
    created. Two domains that name the same source get the same file. Raises ErrorList of everything that
    cannot be had, each with its place in the description (errors in assembly with theirs in the source).
    """
    resolver = _Resolver(description.folder, workdir, cache or cache_directory())
    files: dict[tuple[Owner, str], Path] = {}
    errors: list[BootwrightError] = []
    for owner, key, source in _wanted(description):
        described = description.owners[owner]
        subject, where = f"{described.subject}: {key}", described.place(key)
        try:
            files[owner, key] = resolver.resolve(source, key)
        except (SourceError, ToolError) as error:
            joint = " " if isinstance(error, SourceError) else ": "
            message = error.message if error.where else f"{subject}{joint}{error.message}"
            errors.append(type(error)(message, error.where or where))
        except BootwrightError as error:
            errors.append(error)
        except OSError as error:
            message = f"{subject} {error.filename or 'its file'} cannot be read: {error.strerror or error}"
            errors.append(SourceError(message, where))
    if errors:
        raise ErrorList(dict.fromkeys(errors))
    return files


def missing(faulty: FaultyDescription) -> Iterator[SourceError]:
    """An error for each file of the user's own that a description with faults names, and that cannot be had either."""
    for subject, where, source in faulty.files:
        for path in _own(source):
            try:
                _readable(faulty.folder / path)
            except SourceError as error:
                yield SourceError(f"{subject} {error.message}", where)


def named(description: Description) -> Iterator[Path]:
    """The files of the user's own: those that are named by a path, and what is included where that is assembly."""
    for *_, key, source in _wanted(description):
        for relative in _own(source):
            path = description.folder / relative
            yield path
            if (key == "kernel" or isinstance(source, PackageSource)) and path.suffix == ASSEMBLY_SUFFIX:
                with suppress(BootwrightError):  # the build says what is wrong with it
                    yield from read_assembly(path).files


def _own(source: Source) -> tuple[str, ...]:
    """The user's own files of a source, by their paths."""
    return (source.path,) if isinstance(source, FileSource) else source.own


def packaged(description: Description) -> Iterator[PackageSource]:
    """The files out of packages."""
    return (source for *_, source in _wanted(description) if isinstance(source, PackageSource))


def _wanted(description: Description) -> Iterator[tuple[Owner, str, Source]]:
    """Every file that is named: whose it is, its key and value."""
    for owner, described in description.owners.items():
        for key, source in described.files.items():
            yield owner, key, source


def shown(source: Source | None, folder: Path, path: Path) -> str:
    """How an error names a file that a description in `folder` names by `source`, None for a file of ours: as it stands
    there, not by where what was made of it lies, which is gone by then. path: that.
    """
    if isinstance(source, PackageSource):
        return f"{path.name} of package {source.package}"
    return path.name if source is None else str(folder / source.path)


class _Resolver:
    def __init__(self, folder: Path, workdir: Path, cache: Path) -> None:
        self._folder = folder
        self._workdir = workdir
        self._cache = cache
        self._known: dict[tuple[Source, str], Path] = {}

    def resolve(self, source: Source, key: str) -> Path:
        known = self._known.get((source, key))
        if known is None:
            known = self._known[source, key] = self._resolve(source, key)
        return known

    def _resolve(self, source: Source, key: str) -> Path:
        if isinstance(source, PackageSource):
            return self._from_package(source)
        path = _readable(self._folder / source.path)
        return self._assembled(path, KERNEL_LAYOUT) if key == "kernel" else path

    def _from_package(self, source: PackageSource) -> Path:
        found = debian.fetch(source.package, source.file, self._cache)
        if source.init is None:
            return found
        init = _script(self._folder / source.init)
        programs = [self._assembled(_readable(self._folder / path), PROGRAM_LAYOUT) for path in source.programs]
        out = self._scratch() / f"{found.name}.cpio"
        cpio.write(cpio.busybox_ramdisk(found, init, programs), out)
        return out

    def _assembled(self, path: Path, layout: str) -> Path:
        """The file, or what it is assembled to."""
        if path.suffix != ASSEMBLY_SUFFIX:
            return path
        out = self._scratch() / path.stem
        out.write_bytes(program([path], layout, self._cache).image)
        return out

    def _scratch(self) -> Path:
        # A folder for each, since two sources may have files of the same name.
        folder = self._workdir / f"source{len(self._known)}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _script(path: Path) -> Path:
    """The path, if it is a program that Linux can start. Raises SourceError for a script that only looks like one."""
    with _readable(path).open("rb") as file:
        head = file.read(utf8.HEAD + INTERPRETER)
    if encoding := utf8.other(head):
        raise SourceError(f"{path} {utf8.sentence(encoding)}")
    if head.startswith(utf8.MARK):
        raise SourceError(f"{path} starts with a byte order mark, so Linux does not start it: save it without one")
    first, ended, _ = head.partition(b"\n")
    if ended and first.startswith(b"#!") and first.endswith(b"\r"):
        raise SourceError(
            f"{path}: line 1 ends with a carriage return, which Linux takes as part of the interpreter's name: "
            "save it with the line ends of Linux"
        )
    return path


def _readable(path: Path) -> Path:
    """The path, if it is a file that can be read. Raises SourceError that names it."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):  # opening a named pipe would wait for its other end
            path.open("rb").close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{path} cannot be read: {reason}") from error
    if not stat.S_ISREG(mode):
        raise SourceError(f"{path} is not a regular file")
    return path


__all__ = ["FileSource", "PackageSource", "cache_directory", "resolve"]
