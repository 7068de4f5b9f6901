"""dnsmasq, started on a folder: its rights, its range of addresses, its command line.

By default it is a proxy (PXE 2.1, section 2.2.3): it answers beside the network's own DHCP server, says only
what to boot, and gives no addresses. With a range of addresses it is a DHCP server, for a network that has
none. Machines that ask for HTTP boot (UEFI 2.10, section 24.7) are told an address by a DHCP server alone: as a proxy
dnsmasq answers PXE.
"""

from __future__ import annotations

import fcntl
import ipaddress
import pwd
import re
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from bootwright.common.errors import RunError
from bootwright.common.tool import Tool

# linux/capability.h: ports below 1024, and what dnsmasq does to interfaces and neighbours for DHCP.
_CAPABILITIES = {"NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13}
_STATUS = Path("/proc/self/status")
_ANYONE = "nobody"  # who reads what all can read
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
    """interface: of the network to serve; dhcp_range: FIRST,LAST[,TIME], "" for a proxy."""

    interface: str
    dhcp_range: str = ""


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


def check(options: Options) -> ipaddress.IPv4Interface:
    """The interface's address. Raises RunError for a network that cannot be served so, ToolError without dnsmasq."""
    DNSMASQ.path()
    own = network(options.interface)
    if options.dhcp_range:
        check_range(options.dhcp_range, own)
    return own


def command(
    folder: Path, configuration: Path, options: Options, own: ipaddress.IPv4Interface, user: str, leases: Path
) -> list[str]:
    """dnsmasq's command line to serve a folder; own: as check gives it; user: who may read the folder, whom it becomes;
    leases: a file of its own. Raises ToolError where it is not installed.
    """
    return [
        DNSMASQ.path(),
        "--keep-in-foreground",
        "--log-facility=-",
        f"--conf-file={configuration}",
        "--pid-file",  # none
        f"--dhcp-leasefile={leases}",
        f"--interface={options.interface}",
        f"--tftp-root={folder}",
        f"--user={user}",
        f"--dhcp-range={options.dhcp_range or f'{own.network.network_address},proxy'}",
    ]


def reader(folder: Path) -> str:
    """The name of a user who can read the folder, not root where that can be. Raises RunError where there is none."""
    owner = folder.stat().st_uid
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = ""
    if name and owner != 0:
        return name
    ways = [folder.resolve(), *folder.resolve().parents]
    folders = [*ways, *(path for path in folder.rglob("*") if path.is_dir())]
    files = [path for path in folder.rglob("*") if path.is_file()]
    if all(path.stat().st_mode & stat.S_IXOTH for path in folders) and all(
        path.stat().st_mode & stat.S_IROTH for path in files
    ):
        return _ANYONE
    if name:
        return name
    raise RunError(
        f"{folder}: belongs to user {owner}, who has no name on this machine, and others may not read it: "
        "it cannot be served"
    )
