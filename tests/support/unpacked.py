"""Debian packages unpacked into the cache, beside what is installed: a newer QEMU, and Bochs.

    folder = newer_qemu()       # with a qemu-system-x86_64 of its own, to be the first of PATH; raises Unavailable
    root = unpacked("bochs", ["bochs", "bochsbios"])

Packages come by apt-get, from where the machine's own come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bootwright.common import scratch
from bootwright.common.errors import BootwrightError
from bootwright.emulate.qemu import QEMU
from bootwright.inputs import resolve
from bootwright.inputs.debian import APT_GET, DPKG_DEB

FIRST_WITH_X2APIC = 9  # QEMU's version whose emulation has it
NEWER = ("qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios")  # of its version each
# It is not where it was made for, so it is told where its own files lie; ROMs that are no part of it are the machine's.
START = """#!/bin/sh
root={root}
export QEMU_MODULE_DIR=$(echo $root/usr/lib/*/qemu)
exec $root/usr/bin/qemu-system-x86_64 -L $root/usr/share/qemu -L $root/usr/share/seabios -L /usr/lib/ipxe/qemu "$@"
"""


class Unavailable(Exception):
    """A sentence about what is not to be had here, and why."""


def unpacked(name: str, packages: Sequence[str], options: Sequence[str] = (), suite: str = "") -> Path:
    """The folder `name` of the cache with the files of all `packages`. options: of apt-get; suite: theirs, "" for the
    one that apt prefers. Raises Unavailable.
    """
    root = resolve.cache_directory() / "unpacked" / name
    if root.is_dir():
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with scratch.own(root.parent, "unpack") as work:
        (work / "root").mkdir()
        for package in packages:
            folder = work / package
            folder.mkdir()
            wanted = f"{package}/{suite}" if suite else package
            _apt_get(*options, "download", wanted, folder=folder)
            for deb in folder.glob("*.deb"):
                DPKG_DEB.run("-x", deb, work / "root")
        (work / "root").rename(root)
    return root


def missing(packages: Sequence[str]) -> list[str]:
    """All that apt-get would have to install for them. Raises Unavailable."""
    said = _apt_get("--simulate", "--no-install-recommends", "install", *packages)
    return [*packages, *{line.split()[1] for line in said.splitlines() if line.startswith("Inst ")} - set(packages)]


def newer_qemu() -> Path:
    """A folder for PATH whose QEMU has x2APIC: of the distribution's backports, unless what is installed has it. Raises
    Unavailable.
    """
    if int(QEMU.version().split(".")[0]) >= FIRST_WITH_X2APIC:
        return Path(QEMU.path()).parent
    cache = resolve.cache_directory() / "unpacked"
    root = cache / "newer-qemu"
    if not root.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with scratch.own(cache, "lists") as work:
            options, suite = _backports(work)
            unpacked(root.name, NEWER, options, suite)
    folder = cache / "newer-qemu-bin"
    folder.mkdir(exist_ok=True)
    program = folder / QEMU.name
    program.write_text(START.format(root=root))
    program.chmod(0o755)
    return folder


def _backports(work: Path) -> tuple[list[str], str]:
    """Options by which apt-get knows the backports of the distribution, and their suite. Its lists are in `work`, and
    the machine's settings are left alone.
    """
    said = _apt_get("indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages")
    archives = [line.split() for line in said.splitlines()]
    plain = next((words for words in archives if len(words) > 1 and "-" not in words[1]), None)
    if plain is None:
        raise Unavailable("apt-get knows no archive of a distribution whose backports could have a newer QEMU")
    suite = f"{plain[1]}-backports"
    for folder in ("sources", "lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "sources" / "backports.list").write_text(f"deb {plain[0]} {suite} main\n")
    settings = {
        "APT::Sandbox::User": "root",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": work / "sources",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    _apt_get(*options, "-o", "APT::Update::Error-Mode=any", "update")
    return options, suite


def _apt_get(*arguments: str, folder: Path | None = None) -> str:
    try:
        return APT_GET.run("-q", *arguments, folder=folder).decode()
    except BootwrightError as error:
        raise Unavailable(str(error)) from error
