"""A machine that boots by network, without one: DHCP as firmware asks it, then its files, as iPXE's script names them.

python netboot_client.py INTERFACE KIND     # in a network namespace of its own; one JSON document on standard output

KIND: "bios" is a BIOS whose card has iPXE, "pxe" UEFI's network boot, "http" UEFI's HTTP boot. curl fetches.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

_COOKIE = 0x63825363  # RFC 2131
_DISCOVER, _REQUEST = 1, 3
# Kind: client architecture, vendor class, whether it is iPXE.
KINDS = {"bios": (0, "PXEClient", True), "pxe": (7, "PXEClient", False), "http": (16, "HTTPClient", False)}


def dhcp(interface: str, kind: str) -> dict[str, str]:
    """An address, and what to boot: asked as RFC 2131, RFC 4578 and PXE have it."""
    architecture, vendor, is_ipxe = KINDS[kind]
    mac = bytes.fromhex(Path(f"/sys/class/net/{interface}/address").read_text().strip().replace(":", ""))
    transaction = random.getrandbits(32)
    common = _option(60, f"{vendor}:Arch:{architecture:05}:UNDI:003000".encode())
    common += _option(93, struct.pack(">H", architecture)) + _option(94, bytes([1, 3, 0]))
    common += _option(97, bytes(17)) + _option(55, bytes([1, 3, 43, 60, 66, 67]))
    if is_ipxe:
        common += _option(77, b"iPXE") + _option(175, bytes([1, 1, 1]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        asking.bind(("", 68))
        offer = _ask(asking, transaction, mac, _option(53, bytes([_DISCOVER])) + common)
        more = _option(50, socket.inet_aton(offer["address"])) + _option(54, socket.inet_aton(offer["server"]))
        return _ask(asking, transaction, mac, _option(53, bytes([_REQUEST])) + more + common)


def _option(number: int, data: bytes) -> bytes:
    return bytes([number, len(data)]) + data


def _ask(asking: socket.socket, transaction: int, mac: bytes, options: bytes) -> dict[str, str]:
    head = struct.pack(">BBBBIHH16x16s64x128xI", 1, 1, 6, 0, transaction, 0, 0x8000, mac, _COOKIE)
    for _ in range(8):
        asking.sendto(head + options + b"\xff", ("255.255.255.255", 67))
        asking.settimeout(2)
        try:
            while True:
                data = asking.recv(2048)
                if struct.unpack_from(">I", data, 4)[0] == transaction:
                    return _answer(data)
        except TimeoutError:
            continue
    raise SystemExit("no DHCP server answers")


def _answer(data: bytes) -> dict[str, str]:
    options, rest = {}, data[240:]
    while rest and rest[0] != 255:
        number, size = rest[0], rest[1] if rest[0] else 0
        options[number] = rest[2 : 2 + size]
        rest = rest[2 + size :] if number else rest[1:]
    file = (options.get(67) or data[108:236]).split(b"\0")[0].decode()
    server = socket.inet_ntoa(options[54])
    return {"address": socket.inet_ntoa(data[16:20]), "server": server, "file": file}


def fetch(address: str) -> bytes:
    """A file by TFTP or HTTP, in blocks as EDK2 asks for."""
    command = ["curl", "-sS", "--fail", "--max-time", "240", "--tftp-blksize", "1468", address]
    return subprocess.run(command, check=True, capture_output=True).stdout


def main(interface: str, kind: str) -> None:
    told = dhcp(interface, kind)
    subprocess.run(["ip", "addr", "add", f"{told['address']}/24", "dev", interface], check=True)
    file = told["file"] if "://" in told["file"] else f"tftp://{told['server']}/{told['file']}"
    started = time.monotonic()
    files = {file: fetch(file)}
    if kind == "bios":
        folder = file.rpartition("/")[0]
        for line in files[file].decode().splitlines():
            if line.startswith(":efi"):
                break
            if line.startswith(("kernel ", "module ")):
                address = f"{folder}/{line.split()[1]}"
                files[address] = fetch(address)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    size = sum(len(data) for data in files.values())
    print(json.dumps({"files": hashes, "size": size, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
