"""`bootwright serve`: dnsmasq on an image's network folder, until it is interrupted.

By default it is a proxy (PXE 2.1, section 2.2.3): it answers beside the network's own DHCP server, says only
what to boot, and gives no addresses. With a range of addresses it is a DHCP server, for a network that has
none.
"""

from __future__ import annotations

import fcntl
import ipaddress
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bootwright.errors import RunError, ToolError
from bootwright.media import pxe

# linux/sockios.h
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
_PLACES = "/usr/sbin:/sbin:/usr/local/sbin"
_END = 5.0


@dataclass(frozen=True)
class Options:
    """interface: of the network to serve; dhcp_range: as dnsmasq takes it, "" for a proxy."""

    interface: str
    dhcp_range: str = ""


def network(interface: str) -> ipaddress.IPv4Network:
    """The IPv4 network that an interface is in. Raises RunError where it has no address, or is not there."""
    if not interface:
        raise RunError("interface: none is named; --interface takes the one that the machines are on")
    if interface not in (names := [name for _, name in socket.if_nameindex()]):
        raise RunError(f"interface: {interface!r} is none of {', '.join(names)}")
    try:
        address, mask = (_asked(interface, request) for request in (_SIOCGIFADDR, _SIOCGIFNETMASK))
    except OSError:
        raise RunError(f"interface {interface}: has no IPv4 address") from None
    return ipaddress.IPv4Network(f"{address}/{mask}", strict=False)


def _asked(interface: str, request: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, request, struct.pack("256s", interface.encode()))
    return socket.inet_ntoa(answer[20:24])


def command(folder: Path, options: Options, leases: Path) -> list[str]:
    """dnsmasq's command line to serve a folder; leases: a file of its own.

    Raises RunError, and ToolError where dnsmasq is not installed.
    """
    dnsmasq = shutil.which("dnsmasq") or shutil.which("dnsmasq", path=_PLACES)
    if dnsmasq is None:
        raise ToolError("dnsmasq is not installed; it is in the package dnsmasq-base")
    served = network(options.interface)
    configuration = pxe.SERVER_CONFIGURATION if options.dhcp_range else pxe.PROXY_CONFIGURATION
    return [
        dnsmasq,
        "--keep-in-foreground",
        "--log-facility=-",
        f"--conf-file={folder / configuration}",
        "--pid-file",  # none
        f"--dhcp-leasefile={leases}",
        f"--interface={options.interface}",
        f"--tftp-root={folder}",
        # Started as root it becomes who may read the folder.
        f"--user={pwd.getpwuid(folder.stat().st_uid).pw_name}",
        f"--dhcp-range={options.dhcp_range or f'{served.network_address},proxy'}",
    ]


def serve(folder: Path, options: Options) -> None:
    """Run dnsmasq until it ends or this process is interrupted; its log goes where this process' output goes.

    Raises ToolError where it ends by itself, RunError for a network that cannot be served.
    """
    with tempfile.TemporaryDirectory() as scratch:
        arguments = command(folder, options, Path(scratch, "leases"))
        with subprocess.Popen(arguments, stdin=subprocess.DEVNULL) as process:
            try:
                status = process.wait()
            finally:
                process.terminate()
                try:
                    process.wait(_END)
                except subprocess.TimeoutExpired:
                    process.kill()
    raise ToolError(f"dnsmasq ended with status {status}")
