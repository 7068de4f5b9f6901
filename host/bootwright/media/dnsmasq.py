"""`bootwright serve`: dnsmasq on an image's network folder, until it is interrupted.

By default it is a proxy (PXE 2.1, section 2.2.3): it answers beside the network's own DHCP server, says only
what to boot, and gives no addresses. With a range of addresses it is a DHCP server, for a network that has
none. Machines that ask for HTTP boot (UEFI 2.10, section 24.7) are told an address by a DHCP server alone: as a proxy
dnsmasq answers PXE. It has no HTTP server, and the one of Python's library is not for the purpose: the user names one.
"""

from __future__ import annotations

import fcntl
import ipaddress
import pwd
import re
import socket
import stat
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bootwright.common.errors import RunError, ToolError
from bootwright.common.tool import Tool
from bootwright.media import pxe

# linux/capability.h: ports below 1024, and what dnsmasq does to interfaces and neighbours for DHCP.
_CAPABILITIES = {"NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13}
_STATUS = Path("/proc/self/status")
_ANYONE = "nobody"  # who reads what all can read
_BOOT_FILE = 127  # the bytes of a name in BOOTP's field, less its end (RFC 2131)
# linux/sockios.h
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B


class Dnsmasq(Tool):
    """dnsmasq, which runs as long as it is wanted: serve."""

    name = "dnsmasq"
    package = "dnsmasq-base"
    does = "serves an image to machines that boot by network"
    more_folders = "/usr/sbin:/sbin:/usr/local/sbin"  # where root's PATH leads


DNSMASQ = Dnsmasq()


@dataclass(frozen=True)
class Options:
    """interface: of the network to serve; dhcp_range: FIRST,LAST[,TIME], "" for a proxy; http: the address of the
    application for machines that ask for HTTP boot, "" for none.
    """

    interface: str
    dhcp_range: str = ""
    http: str = ""


def check_rights(status: Path = _STATUS) -> None:
    """Raises RunError where this process may not do what dnsmasq has to."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    held = int(found[1], 16) if found else 0
    if missing := [name for name, bit in _CAPABILITIES.items() if not held >> bit & 1]:
        raise RunError(f"serve: DHCP, PXE and TFTP are for root: run it as root (missing: {', '.join(missing)})")


def check_range(text: str, own: ipaddress.IPv4Interface) -> None:
    """Raises RunError where FIRST,LAST[,TIME] is no range of addresses that the interface's network has to give."""
    first, last, *time = text.split(",") if text.count(",") in (1, 2) else ("", "", "")
    try:
        low, high = ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)
    except ValueError:
        raise RunError(f"dhcp-range: {text!r} is not FIRST,LAST or FIRST,LAST,TIME with two IPv4 addresses") from None
    if time and not re.fullmatch(r"[1-9][0-9]{0,8}[smhdw]?|infinite", time[0]):
        raise RunError(f"dhcp-range: {time[0]!r} is no time such as 1h, 30m or infinite")
    if low > high:
        raise RunError(f"dhcp-range: {low} is behind {high}")
    for address in (low, high):
        if address not in own.network:
            raise RunError(f"dhcp-range: {address} is not in the interface's network, {own.network}")
        if own.network.prefixlen < 31 and address in (own.network.network_address, own.network.broadcast_address):
            raise RunError(f"dhcp-range: {address} is no address for a machine in {own.network}")
    if low == high == own.ip:
        raise RunError(f"dhcp-range: {own.ip} is this machine's own address")


def check_http(options: Options) -> None:
    """Raises RunError for an address of HTTP boot that no machine can be told."""
    if not options.http:
        return
    if not options.dhcp_range:
        raise RunError("http: as a proxy dnsmasq does not answer HTTP boot; it needs --dhcp-range, or your DHCP server")
    known = re.fullmatch(r"https?://[!-+\--~]+\.efi", options.http)  # visible ASCII, but commas
    if not known or len(options.http) > _BOOT_FILE:
        raise RunError(f"http: {options.http!r} is no address http://HOST/PATH.efi of at most {_BOOT_FILE} bytes")


def notes(options: Options) -> list[str]:
    """Sentences about machines that get nothing."""
    if options.http:
        return []
    return [
        "machines that ask for UEFI's HTTP boot (architecture 16) get no answer: boot them by PXE, or name an "
        "application on an HTTP server of yours, with --dhcp-range and --http"
    ]


def network(interface: str) -> ipaddress.IPv4Interface:
    """An interface's IPv4 address and network. Raises RunError where it has no address, or is not there."""
    if not interface:
        raise RunError("interface: none is named; --interface takes the one that the machines are on")
    if interface not in (names := [name for _, name in socket.if_nameindex()]):
        raise RunError(f"interface: {interface!r} is none of {', '.join(names)}")
    try:
        address, mask = (_asked(interface, request) for request in (_SIOCGIFADDR, _SIOCGIFNETMASK))
    except OSError:
        raise RunError(f"interface {interface}: has no IPv4 address") from None
    return ipaddress.IPv4Interface(f"{address}/{mask}")


def _asked(interface: str, request: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, request, struct.pack("256s", interface.encode()))
    return socket.inet_ntoa(answer[20:24])


def command(folder: Path, options: Options, leases: Path) -> list[str]:
    """dnsmasq's command line to serve a folder; leases: a file of its own.

    Raises RunError, and ToolError where dnsmasq is not installed.
    """
    dnsmasq = DNSMASQ.path()
    own = network(options.interface)
    if options.dhcp_range:
        check_range(options.dhcp_range, own)
    check_http(options)
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
        f"--user={reader(folder)}",
        f"--dhcp-range={options.dhcp_range or f'{own.network.network_address},proxy'}",
        *([f"--dhcp-boot=tag:{pxe.HTTP_BOOT},{options.http}"] if options.http else []),
    ]


def reader(folder: Path) -> str:
    """The name of a user who can read the folder. Raises RunError where there is none."""
    owner = folder.stat().st_uid
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        ways = [folder.resolve(), *folder.resolve().parents]
        folders = [*ways, *(path for path in folder.rglob("*") if path.is_dir())]
        files = [path for path in folder.rglob("*") if path.is_file()]
        if all(path.stat().st_mode & stat.S_IXOTH for path in folders) and all(
            path.stat().st_mode & stat.S_IROTH for path in files
        ):
            return _ANYONE
        raise RunError(
            f"{folder}: belongs to user {owner}, who has no name on this machine, and others may not read it: "
            "dnsmasq cannot serve it"
        ) from None


def serve(folder: Path, options: Options) -> None:
    """Run dnsmasq until it ends or this process is interrupted; its log goes where this process' output goes.

    Raises ToolError where it ends by itself, RunError for a network that cannot be served.
    """
    with tempfile.TemporaryDirectory() as scratch:
        arguments = command(folder, options, Path(scratch, "leases"))
        with DNSMASQ.start(arguments) as process:
            status = process.wait()
    raise ToolError(f"dnsmasq ended with status {status}")
