"""The folder that is served: a folder for each image, of links to its files, and iPXE's script for each profile.

    demo/boot.ipxe, demo/demo.elf, demo/demo.efi, demo/undionly.kpxe, ...
    xen/boot-rescue.ipxe
    dnsmasq.conf

The files have these names for as long as they are served: a build beside it changes nothing for who is in the middle of
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bootwright.common.errors import RunError
from bootwright.image.built import Built
from bootwright.media import pxe
from bootwright.media.dnsmasq import Answer, configuration
from bootwright.media.medium import boots_on_uefi

CONFIGURATION = "dnsmasq.conf"
_BOOT_FILE = 127  # the bytes of a name in BOOTP's field, less its end (RFC 2131)


@dataclass(frozen=True)
class Served:
    """An image, or a profile of it, and the machines that get it: none for all others. folder: its medium pxe."""

    built: Built
    folder: Path
    profile: str = ""
    machines: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What its folder is called among the others."""
        return self.built.elf.stem

    @property
    def script(self) -> str:
        """iPXE's, by its path."""
        beginning, dot, end = pxe.SCRIPT.rpartition(".")
        return f"{self.name}/{beginning}-{self.profile}{dot}{end}" if self.profile else f"{self.name}/{pxe.SCRIPT}"


def make(root: Path, all_served: Sequence[Served], http: str, proxy: bool) -> Path:
    """Fill the folder `root`; gives dnsmasq's configuration in it. http: the address of the HTTP server, "" for none.

    Raises RunError for an address that no machine can be told. OSError passes.
    """
    for served in all_served:
        _link(served.folder, root / served.name)
        if served.profile:
            (root / served.script).write_text(pxe.script(served.built, served.profile), encoding="utf-8")
    answers = [_answer(served, root, http) for served in all_served]
    path = root / CONFIGURATION
    path.write_text("\n".join(configuration(answers, proxy)) + "\n", encoding="utf-8")
    return path


def _link(source: Path, target: Path) -> None:
    if target.is_dir():
        return  # of another profile
    for path in sorted(source.rglob("*")):
        if path.is_file() and path.name not in (pxe.PROXY_CONFIGURATION, pxe.SERVER_CONFIGURATION):
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            pxe.link(path, place)


def _answer(served: Served, root: Path, http: str) -> Answer:
    """A profile is told by iPXE's script alone, so UEFI gets iPXE for one, and else the image."""
    bios, ipxe = (f"{served.name}/{file}" for file in pxe.IPXE.files)
    uefi = ipxe if served.profile else f"{served.name}/{served.built.elf.stem}.efi" * boots_on_uefi(served.built)
    bios, uefi = (file if (root / file).is_file() else "" for file in (bios, uefi))
    script = f"{http}/{served.script}" if http else served.script
    answer = Answer(served.name, script, bios, uefi, f"{http}/{uefi}" if http and uefi else "", served.machines)
    for address in (answer.script, answer.bios, answer.uefi, answer.http):
        if len(address.encode()) > _BOOT_FILE:
            raise RunError(f"{served.name}: {address!r} is longer than the {_BOOT_FILE} bytes that a machine is told")
    return answer
