"""Files out of Debian packages, fetched with apt-get into a cache and never installed. Needs no root.

A fetched file stays in the cache and is used from there, without asking apt again, until the cache is
emptied. A meta package is followed to what it depends on.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from bootwright.common import scratch
from bootwright.common.errors import SourceError, ToolError

TIMEOUT = 600  # seconds for one call of apt-get
MAX_DEPTH = 3  # of meta packages that depend on meta packages


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
        depends = _run(["dpkg-deb", "--field", str(deb), "Depends"]).decode(errors="replace")
        for name, wanted in _first_choices(depends):
            try:
                return _fetch(name, wanted, pattern, work, out, depth - 1)
            except SourceError:
                continue
    raise SourceError(f'package "{package}": it has no file "{pattern}"')


def _download(package: str, version: str, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    wanted = f"{package}={version}" if version else package
    # The sandbox user could not write to the cache; apt would only warn and go on as root.
    _run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", wanted], folder, package)
    found = sorted(folder.glob("*.deb"))
    if len(found) != 1:
        raise SourceError(f'package "{package}": apt-get left {len(found)} packages instead of one')
    return found[0]


def _extract(deb: Path, pattern: str, out: Path) -> tuple[list[str], bool]:
    """Write the files that match to `out`; gives their paths, and whether the package holds documentation
    only.
    """
    import tarfile

    found: list[str] = []
    only_meta = True
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    try:
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as archive,
        ):
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
    except FileNotFoundError as error:
        raise ToolError("dpkg-deb is not there, which unpacks Debian packages") from error
    except tarfile.TarError as error:
        raise SourceError(f"package {deb.name} is damaged: {error}") from error
    return found, only_meta


def _first_choices(depends: str) -> Iterator[tuple[str, str]]:
    """Name and exact version ("" for any) of the first alternative of each dependency."""
    for clause in depends.split(","):
        match = re.match(r"\s*([a-z0-9][a-z0-9+.-]+)(?::\w+)?\s*(?:\(=\s*([^)\s]+)\s*\))?", clause)
        if match:
            yield match[1], match[2] or ""


def _run(command: Sequence[str], folder: Path | None = None, package: str = "") -> bytes:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except FileNotFoundError as error:
        raise ToolError(f"{command[0]} is not there, which Debian packages are fetched with") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f'package "{package}": {command[0]} did not end within {TIMEOUT} s') from error
    if done.returncode:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.startswith("E:")]
        reason = (said or ["E: nothing said"])[0].removeprefix("E: ")
        hint = " (is the list of packages there? apt-get update fetches it)" if "locate" in reason else ""
        raise SourceError(f'package "{package}": {command[0]} failed: {reason}{hint}')
    return done.stdout
