"""A folder for a TFTP or HTTP server that machines boot from by network.

boot.ipxe       what iPXE is to do: NAME.elf by multiboot1 on a BIOS, NAME.efi on UEFI
NAME.elf, NAME.efi, modules/
undionly.kpxe, ipxe.efi   iPXE for machines that have none (where Debian's package ipxe is installed)
dnsmasq.conf, dnsmasq-server.conf     who gets what, for a dnsmasq that is started by hand
"""

from __future__ import annotations

import functools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from bootwright.common.tool import Files
from bootwright.image.built import Built
from bootwright.image.image_map import MODULES
from bootwright.media import dnsmasq
from bootwright.media.medium import (
    BOTH,
    BootMethod,
    Made,
    Medium,
    Settings,
    atomic_output,
    bios_only,
    boots_on_uefi,
    efi_application,
    ensure,
)

SCRIPT = "boot.ipxe"
PROXY_CONFIGURATION, SERVER_CONFIGURATION = "dnsmasq.conf", "dnsmasq-server.conf"


class Ipxe(Files):
    """iPXE, in Debian's builds for a BIOS and for UEFI."""

    name = "iPXE"
    package = "ipxe"
    does = "boots machines by network whose card has no iPXE"
    optional = True
    folders = (Path("/usr/lib/ipxe"),)
    files = ("undionly.kpxe", "ipxe.efi")


IPXE = Ipxe()

# Network cards whose ROM in QEMU is iPXE on a BIOS; without a ROM UEFI's own network boot is used.
_CARD = "virtio-net-pci,netdev=net,bootindex=0"
_HOST = "10.0.2.2"  # QEMU's user-mode network: the machine that it runs on


def path(built: Built) -> Path:
    """The folder pxe."""
    return built.elf.with_name("pxe")


def make(built: Built, settings: Settings) -> Made:
    """Write the folder. Files are linked to, where the file system can, or else copied."""
    output = path(built)
    name = built.elf.stem
    notes = []
    with atomic_output(output) as partial:
        partial.mkdir()
        for source in [built.elf, *([efi_application(built)] if boots_on_uefi(built) else [])]:
            link(source, partial / source.name)
        for module in built.modules:
            (partial / MODULES).mkdir(exist_ok=True)
            link(built.elf.parent / module.file, partial / module.file)
        (partial / SCRIPT).write_text(script(built), encoding="utf-8")
        for file, proxy in ((PROXY_CONFIGURATION, True), (SERVER_CONFIGURATION, False)):
            (partial / file).write_text(configuration(name, proxy), encoding="utf-8")
        for program in tools():
            shutil.copyfile(program, partial / program.name)
        missing = [program for program in IPXE.files if not (partial / program).is_file()]
    if missing:
        notes.append(
            f"pxe: {' and '.join(missing)} not there: machines with a BIOS need iPXE in their network card; "
            f"it is in the package {IPXE.package}"
        )
    if not boots_on_uefi(built):
        notes.append(bios_only(built, output.name))
    return Made(output, tuple(notes))


def link(source: Path, target: Path) -> None:
    """Give a file another name; where the file system has no links, a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def script(built: Built, profile: str = "") -> str:
    """What iPXE does; its names are relative to where it got this script from. profile: the one that is started."""
    name, started = built.elf.stem, f" profile={profile}" if profile else ""
    modules = [f"module {module.file} {module.name} || goto failed" for module in built.modules]
    application = [f"kernel {name}.efi{started} || goto failed", "boot || goto failed"]
    if not boots_on_uefi(built):
        application = [f"echo bootwright: {name} boots on a BIOS only"]
    lines = [
        "#!ipxe",
        f"# {built.name}, build {built.build_id}",
        "iseq ${platform} efi && goto efi ||",
        f"kernel {name}.elf{started} || goto failed",
        *modules,
        "boot || goto failed",
        ":efi",
        *application,
        ":failed",
        f"echo bootwright: {name} was not loaded: ${{errno}}",
        "sleep 10",
        "exit 1",
    ]
    return "\n".join(lines) + "\n"


def configuration(name: str, proxy: bool) -> str:
    """For dnsmasq, started by hand: who gets which file of this folder."""
    kind = (
        ("a proxy, beside the DHCP server that is there", "ADDRESS-OF-THE-NETWORK,proxy", PROXY_CONFIGURATION)
        if proxy
        else ("the only DHCP server of its network", "FIRST,LAST", SERVER_CONFIGURATION)
    )
    heading = [
        f"# Boots machines from this folder, as {kind[0]}.",
        f"# `bootwright serve {name} --interface IF` does all that; by hand, as root:",
        f"# dnsmasq -d --conf-file={kind[2]} --tftp-root=THIS-FOLDER --interface=IF --dhcp-range={kind[1]}",
    ]
    http = [] if proxy else [f"# With an HTTP server of yours: dhcp-boot=tag:http-boot,http://HOST/{name}.efi"]
    answer = dnsmasq.Answer(name, SCRIPT, IPXE.files[0], f"{name}.efi")
    return "\n".join([*heading, *dnsmasq.configuration([answer], proxy), *http]) + "\n"


@contextmanager
def http(folder: Path, address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Serve a folder by HTTP as long as the block runs; gives the port."""
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer((address, port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def attach(by_http: bool) -> Callable[[Built, str], AbstractContextManager[list[str]]]:
    """A BootMethod's attach: the folder on QEMU's own TFTP server, or on an HTTP server beside it.

    On a BIOS iPXE in the card's ROM fetches it. On UEFI it is UEFI's own network boot by TFTP, and by HTTP
    iPXE.
    """

    @contextmanager
    def attached(built: Built, firmware: str) -> Iterator[list[str]]:
        if firmware == "uefi":
            efi_application(built)
        folder = ensure(MEDIUM, built).path
        with ExitStack() as opened:
            file, card = SCRIPT, _CARD
            if by_http:
                file = f"http://{_HOST}:{opened.enter_context(http(folder))}/{SCRIPT}"
            elif firmware == "uefi":
                file, card = f"{built.elf.stem}.efi", f"{_CARD},romfile="
            root = folder.name.replace(",", ",,")
            yield ["-netdev", f"user,id=net,tftp={root},bootfile={file}", "-device", card]

    return attached


def tools() -> list[Path]:
    """The files of iPXE that are there."""
    return [path for folder in IPXE.folders for name in IPXE.files if (path := folder / name).is_file()]


MEDIUM = Medium("pxe", path, make, tools)
BOOT_METHODS = (BootMethod("pxe", BOTH, attach(by_http=False)), BootMethod("pxe-http", BOTH, attach(by_http=True)))
