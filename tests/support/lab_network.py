"""A network of machines in network namespaces, which no other network sees: a bridge with a server, machines on it.

with network() as lab:
    lab.client("m1", "52:54:00:00:00:01")       # a namespace of a machine, with its network card "eth0"
    lab.tap("tap1")                             # a card for a QEMU in the server's namespace
    lab.start("m1", "python", ...), lab.start("", ...)      # "": where the server is, on interface "br0"

Only root can make them.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ADDRESS = "10.77.0.1"
INTERFACE = "br0"
_numbers = itertools.count(1)


class Network:
    """The namespaces of one network; their names begin with `prefix`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._names: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._space("")
        self._ip("", "link", "add", INTERFACE, "type", "bridge", "forward_delay", "0")
        self._ip("", "addr", "add", f"{ADDRESS}/24", "dev", INTERFACE)
        self._ip("", "link", "set", INTERFACE, "up")

    def _space(self, name: str) -> None:
        subprocess.run(["ip", "netns", "add", self._prefix + name], check=True)
        self._names.append(self._prefix + name)
        self._ip(name, "link", "set", "lo", "up")

    def _ip(self, name: str, *arguments: str) -> None:
        subprocess.run(["ip", "-n", self._prefix + name, *arguments], check=True)

    def client(self, name: str, mac: str) -> None:
        """A machine's namespace, on the bridge."""
        self._space(name)
        port = f"p{len(self._names)}"
        peer = ["peer", "name", "eth0", "netns", self._prefix + name, "address", mac]
        self._ip("", "link", "add", port, "type", "veth", *peer)
        self._ip("", "link", "set", port, "master", INTERFACE, "up")
        self._ip(name, "link", "set", "eth0", "up")

    def tap(self, name: str) -> None:
        """A tap device on the bridge, in the server's namespace."""
        self._ip("", "tuntap", "add", name, "mode", "tap")
        self._ip("", "link", "set", name, "master", INTERFACE, "up")

    def start(self, name: str, *command: str, **settings: Any) -> subprocess.Popen[bytes]:
        """A program in a namespace."""
        return subprocess.Popen(["ip", "netns", "exec", self._prefix + name, *command], **settings)

    def run(self, name: str, *command: str) -> None:
        """A program in a namespace, to its end. Raises CalledProcessError."""
        subprocess.run(["ip", "netns", "exec", self._prefix + name, *command], check=True)

    def ended(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """The process, which ends with the network at the latest."""
        self._processes.append(process)
        return process

    def remove(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], check=False)


@contextmanager
def network() -> Iterator[Network]:
    """A network as long as the block runs."""
    lab = Network(f"bw{os.getpid()}-{next(_numbers)}-")
    try:
        yield lab
    finally:
        lab.remove()
