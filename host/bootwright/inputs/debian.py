"""Files out of Debian packages, fetched with apt-get into a cache and never installed. Needs no root.

A fetched file stays in the cache and is used from there, without asking apt again, until the cache is
emptied. A meta package is followed to what it depends on.
"""

from __future__ import annotations

import errno
import fnmatch
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bootwright.common import scratch
from bootwright.common.errors import SourceError, about
from bootwright.common.tool import PIPE, QUIET, Tool

if TYPE_CHECKING:
    import tarfile

MAX_DEPTH = 3  # of meta packages that depend on meta packages


class AptGet(Tool):
    """apt-get."""

    name = "apt-get"
    package = "apt"
    does = "fetches Debian packages"

    def download(self, package: str, version: str, folder: Path) -> Path:
        """Fetch a package into an empty folder; version: "" for the one that apt prefers.

        Raises SourceError where it cannot be had, and ToolError.
        """
        wanted = f"{package}={version}" if version else package
        with about(f'package "{package}"'):
            # The sandbox user could not write to the cache; apt would only warn and go on as root.
            done = self.attempt("-q", "-o", "APT::Sandbox::User=root", "download", wanted, folder=folder)
            if done.status:
                said = self.failure(done)
                hint = " (is the list of packages there? apt-get update fetches it)" if "to locate" in said else ""
                raise SourceError(said + hint)
            found = sorted(folder.glob("*.deb"))
            if len(found) != 1:
                raise SourceError(f"apt-get left {len(found)} packages instead of one")
            return found[0]

    def last_words(self, said: str) -> str:
        """Its first error: others follow from that."""
        errors = [line.removeprefix("E:").strip() for line in said.splitlines() if line.startswith("E:")]
        return errors[0] if errors else super().last_words(said)


class DpkgDeb(Tool):
    """dpkg-deb."""

    name = "dpkg-deb"
    package = "dpkg"
    does = "unpacks Debian packages"

    def depends(self, deb: Path) -> str:
        """The field Depends of a package. Raises ToolError."""
        with about(f"package {deb.name}"):
            return self.run("--field", deb, "Depends").decode(errors="replace")

    @contextmanager
    def files(self, deb: Path) -> Iterator[tarfile.TarFile]:
        """The files of a package, to be read one after the other. Raises ToolError; TarError passes."""
        import tarfile

        command = [self.path(), "--fsys-tarfile", str(deb)]
        with (
            self.start(command, stdout=PIPE, stderr=QUIET) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as archive,
        ):
            yield archive


APT_GET = AptGet()
DPKG_DEB = DpkgDeb()


def fetch(package: str, pattern: str, cache: Path) -> Path:
    """The file of `package` whose path matches `pattern` (* and ? are wildcards), in the folder `cache`.

    Raises SourceError when the package cannot be had or has not exactly one such file, ToolError when
    apt-get or dpkg-deb is missing. OSError passes.
    """
    there = cached(package, pattern, cache)
    if there is not None:
        return there
    folder = _folder(package, pattern, cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch.own(folder.parent, "fetch") as work:
        found_in = work / "found"
        found_in.mkdir()
        _fetch(package, "", pattern, work, found_in, MAX_DEPTH)
        # Only a whole file becomes visible, and that of another build that was faster is as good.
        try:
            found_in.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    return next(folder.iterdir())


def cached(package: str, pattern: str, cache: Path) -> Path | None:
    """The file if it has been fetched already."""
    folder = _folder(package, pattern, cache)
    return next(folder.iterdir(), None) if folder.is_dir() else None


def _folder(package: str, pattern: str, cache: Path) -> Path:
    from urllib.parse import quote

    return cache / "debian" / package / quote(pattern, safe="")


def _fetch(package: str, version: str, pattern: str, work: Path, out: Path, depth: int) -> None:
    deb = _download(package, version, work / f"depth{depth}")
    found, only_meta = _extract(deb, pattern, out)
    if len(found) > 1:
        raise SourceError(f'package "{package}": {", ".join(found)} all match "{pattern}"; one must')
    if found:
        return
    if only_meta and depth:
        for name, wanted in _first_choices(DPKG_DEB.depends(deb)):
            try:
                return _fetch(name, wanted, pattern, work, out, depth - 1)
            except SourceError:
                continue
    raise SourceError(f'package "{package}": it has no file "{pattern}"')


def _download(package: str, version: str, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return APT_GET.download(package, version, folder)


def _extract(deb: Path, pattern: str, out: Path) -> tuple[list[str], bool]:
    """Write the files that match to `out`; gives their paths, and whether the package holds documentation
    only.
    """
    import tarfile

    found: list[str] = []
    only_meta = True
    try:
        with DPKG_DEB.files(deb) as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if not member.isreg():
                    continue
                only_meta = only_meta and name.startswith("usr/share/")
                source = archive.extractfile(member)
                if fnmatch.fnmatchcase(name, pattern) and source is not None:
                    found.append(name)
                    with (out / Path(name).name).open("wb") as target:
                        shutil.copyfileobj(source, target)
    except tarfile.TarError as error:
        raise SourceError(f"package {deb.name} is damaged: {error}") from error
    return found, only_meta


def _first_choices(depends: str) -> Iterator[tuple[str, str]]:
    """Name and exact version ("" for any) of the first alternative of each dependency."""
    for clause in depends.split(","):
        match = re.match(r"\s*([a-z0-9][a-z0-9+.-]+)(?::\w+)?\s*(?:\(=\s*([^)\s]+)\s*\))?", clause)
        if match:
            yield match[1], match[2] or ""
