"""What dnsmasq and the HTTP server say, as one line for each boot: who, what, how far.

    rome (52:54:00:12:34:56, 10.0.0.51): demo: undionly.kpxe, boot.ipxe, demo.elf: all of it, 1,234,567 bytes in 1.4 s

A boot is done when a machine has the last file of its image; from then on its console says more. It has failed when a
server gave it up, and where nothing more comes for a minute it says how far it came.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

QUIET = 60.0  # seconds
READY = "machines can be switched on now"
_ARP = Path("/proc/net/arp")  # proc(5)

# dnsmasq 2.90, with --log-dhcp and --log-facility=-.
_TFTP, _DHCP = (rf"dnsmasq-{what}(?:\[\d+\])?: " for what in ("tftp", "dhcp"))
_STARTED = re.compile(rf"{_TFTP}TFTP root is ")
_SENT = re.compile(rf"{_TFTP}sent (?P<path>.+) to (?P<client>[0-9.]+)$")
_FAILED = re.compile(rf"{_TFTP}failed sending (?P<path>.+) to (?P<client>[0-9.]+)$")
_MISSING = re.compile(rf"{_TFTP}file (?P<path>.+) not found for (?P<client>[0-9.]+)$")
_ASKS = re.compile(rf"{_DHCP}(?P<id>\d+) (?:PXE|DHCP\w+)\(\S+\) (?:[0-9.]+ )?(?P<mac>[0-9a-f:]{{17}})\b")
_BOOTS = re.compile(rf"{_DHCP}(?P<id>\d+) vendor class: (?:PXEClient|HTTPClient)")
_FULL = re.compile(rf"{_DHCP}.*no address(?:es)? (?:range )?available")
_FAULT = re.compile(r"dnsmasq(?:-\w+)?(?:\[\d+\])?: (?P<said>cannot .*|failed .*|.*: Permission denied.*)$")


@dataclass
class _Boot:
    mac: str
    client: str
    started: float
    last: float
    folder: str = ""
    files: dict[str, int] = field(default_factory=dict)  # bytes that were sent of each
    whole: set[str] = field(default_factory=set)


class Journal:
    """The boots that go on. root: the folder that is served; wanted: for each folder in it the sets of files of which
    one makes a boot; names: of machines, by MAC address; others: whether machines without a name get something.
    """

    def __init__(
        self,
        root: Path,
        wanted: Mapping[str, Collection[frozenset[str]]],
        names: Mapping[str, str],
        others: bool,
        mac_of: Callable[[str], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root, self._wanted, self._names, self._others = root, wanted, names, others
        self._mac_of, self._clock = mac_of or _neighbour, clock
        self._boots: dict[str, _Boot] = {}
        self._done: dict[str, _Boot] = {}
        self._asking = ""  # the transaction of which a line said that it wants to boot
        self._refused: set[str] = set()

    def dnsmasq(self, line: str) -> Iterator[str]:
        """The lines that a line of dnsmasq's log makes."""
        if match := _SENT.search(line):
            size = _size(match["path"])
            yield from self._sent(match["client"], self._relative(match["path"]), size, size)
        elif match := _FAILED.search(line):
            yield from self._ended(match["client"], f"gone while {Path(match['path']).name} was sent")
        elif match := _MISSING.search(line):
            yield from self._ended(match["client"], f"asked for {self._relative(match['path'])}, which there is not")
        elif match := _BOOTS.search(line):
            self._asking = match["id"]
        elif (match := _ASKS.search(line)) and match["id"] == self._asking:
            yield from self._asked(match["mac"])
        elif _STARTED.search(line):
            yield READY
        elif _FULL.search(line):
            yield "a machine gets no address: those of the range are all given away"
        elif match := _FAULT.search(line):
            yield f"dnsmasq: {match['said']}"

    def http(self, record: Mapping[str, Any]) -> Iterator[str]:
        """The lines that a record of the HTTP server makes."""
        if "error" in record:
            yield f"HTTP: {record['error']}"
            return
        client, path = record["client"], record["path"]
        if record["status"] >= 400:
            how = "which there is not" if record["status"] == 404 else f"and got status {record['status']}"
            yield from self._ended(client, f"asked for {path}, {how}")
        elif record["method"] == "GET" and record["sent"] == 0 and record["size"]:
            yield from self._ended(client, f"gone while {Path(path).name} was sent")
        elif record["method"] == "GET":
            yield from self._sent(client, path, record["sent"], record["size"])

    def quiet(self) -> Iterator[str]:
        """The lines of boots from which nothing more comes."""
        late = self._clock()
        for boot in [boot for boot in self._boots.values() if late - boot.last >= QUIET]:
            yield self._end(boot, f"nothing more for {late - boot.last:.0f} s")

    def close(self) -> Iterator[str]:
        """The lines of boots that are not done."""
        for boot in list(self._boots.values()):
            yield self._end(boot, "not done yet")

    def _asked(self, mac: str) -> Iterator[str]:
        if mac in self._names or self._others:
            self._done.pop(mac, None)
            self._boot(mac, "")
        elif mac not in self._refused:
            self._refused.add(mac)
            yield f"{mac}: asks for something to boot, and nothing is for it"

    def _boot(self, mac: str, client: str) -> _Boot:
        now = self._clock()
        boot = self._boots.setdefault(mac or client, _Boot(mac, client, now, now))
        boot.client, boot.last = client or boot.client, now
        return boot

    def _sent(self, client: str, path: str, sent: int, size: int) -> Iterator[str]:
        mac = self._mac_of(client)
        folder, _, file = path.partition("/")
        if (done := self._done.get(mac or client)) and folder == done.folder and file in done.files:
            return  # OVMF loads a file twice
        boot = self._boot(mac, client)
        boot.folder = folder
        boot.files[file] = boot.files.get(file, 0) + sent
        if boot.files[file] >= size:
            boot.whole.add(file)
        if any(files <= boot.whole for files in self._wanted.get(folder, ())):
            self._done[mac or client] = boot
            seconds = boot.last - boot.started
            yield self._end(boot, f"all of it, {sum(boot.files.values()):,} bytes in {seconds:.1f} s")

    def _ended(self, client: str, how: str) -> Iterator[str]:
        yield self._end(self._boot(self._mac_of(client), client), how)

    def _end(self, boot: _Boot, how: str) -> str:
        del self._boots[boot.mac or boot.client]
        name = self._names.get(boot.mac, boot.mac or boot.client)
        more = ", ".join(one for one in (boot.mac, boot.client) if one and one != name)
        who = f"{name} ({more})" if more else name
        return ": ".join([who, *filter(None, [boot.folder, ", ".join(boot.files)]), how])

    def _relative(self, path: str) -> str:
        return str(Path(path).relative_to(self._root)) if Path(path).is_relative_to(self._root) else path


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _neighbour(address: str) -> str:
    """The MAC address of a machine that was met, "" for one that was not."""
    for line in _ARP.read_text(encoding="ascii").splitlines()[1:]:
        words = line.split()
        if words[0] == address and words[3] != "00:00:00:00:00:00":
            return words[3]
    return ""
