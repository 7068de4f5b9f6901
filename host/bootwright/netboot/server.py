"""Images, served to many machines at once: dnsmasq and the HTTP server on one folder, until it is interrupted.

serve(all_served, names, dhcp.Options("eth0"), 8080, folder, print)
"""

from __future__ import annotations

import json
import os
import selectors
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from bootwright.common.errors import ToolError
from bootwright.common.tool import PIPE
from bootwright.media.medium import boots_on_uefi
from bootwright.netboot import dhcp, http, tree
from bootwright.netboot.journal import Journal
from bootwright.netboot.tree import Served

_TURN = 1.0  # seconds between two looks at boots that stand still
_PIECE = 1 << 16


def serve(
    all_served: Sequence[Served],
    names: Mapping[str, str],
    options: dhcp.Options,
    port: int,
    root: Path,
    show: Callable[[str], None],
    log: Callable[[str], None] = lambda line: None,
) -> None:
    """Serve them until dnsmasq ends or this process is interrupted. names: of machines, by MAC address; port: of the
    HTTP server, 0 for none; root: an empty folder for it; show: is told a line for each boot; log: all that is said.

    Raises ToolError where a server ends by itself, RunError for a network that cannot be served.
    """
    own = dhcp.check(options)
    address = f"http://{own.ip}:{port}" if port else ""
    configuration = tree.make(root, all_served, address, proxy=not options.dhcp_range)
    user = _readable(root)
    journal = Journal(root, wanted(all_served), names, any(not one.machines for one in all_served))
    with ExitStack() as running:
        leases = Path(running.enter_context(tempfile.TemporaryDirectory()), "leases")
        if port:
            web = running.enter_context(http.started(root, str(own.ip), port, user))
        arguments = dhcp.command(root, configuration, options, own, user, leases)
        process = running.enter_context(dhcp.DNSMASQ.start(arguments, stderr=PIPE))
        said = _Lines(process.stderr)
        reading: dict[_Lines, Callable[[str], Iterator[str]]] = {said: journal.dnsmasq}
        if port:
            reading[_Lines(web.stdout)] = lambda line: journal.http(json.loads(line))
        try:
            ended, last = _follow(reading, journal, show, log)
        finally:
            for line in journal.close():
                show(line)
        if ended is said:
            raise ToolError(f"dnsmasq ended with status {process.wait()}: {last}")
        raise ToolError(f"the HTTP server ended with status {web.wait()}")


def wanted(all_served: Sequence[Served]) -> dict[str, tuple[frozenset[str], ...]]:
    """For each folder, the sets of files of which one makes a boot: on a BIOS, and on UEFI."""
    found = {}
    for one in all_served:
        files = {one.built.elf.name, *(module.file for module in one.built.modules)}
        by_firmware = [files, *([{f"{one.built.elf.stem}.efi"}] if boots_on_uefi(one.built) else [])]
        found[one.name] = tuple(frozenset(files) for files in by_firmware)
    return found


def _readable(root: Path) -> str:
    """Give the folder to who owns what it is in; gives the name of a user who can read it."""
    owner = root.parent.stat()
    for path in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        path.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(path, owner.st_uid, owner.st_gid)
    return dhcp.reader(root)


class _Lines:
    """A pipe, read as whole lines without waiting for one."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        self.pipe, self._rest = pipe, b""

    def read(self) -> list[str] | None:
        """The lines that are whole now; None at the end."""
        data = os.read(self.pipe.fileno(), _PIECE)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]


def _follow(
    reading: Mapping[_Lines, Callable[[str], Iterator[str]]],
    journal: Journal,
    show: Callable[[str], None],
    log: Callable[[str], None],
) -> tuple[_Lines, str]:
    """Read until one of the servers ends; gives which, and the last line that it said."""
    last: dict[_Lines, str] = {}
    with selectors.DefaultSelector() as selector:
        for lines, understood in reading.items():
            selector.register(lines.pipe, selectors.EVENT_READ, (lines, understood))
        while True:
            for key, _ in selector.select(_TURN):
                lines, understood = key.data
                if (new := lines.read()) is None:
                    return lines, last.get(lines, "it said nothing")
                for line in new:
                    last[lines] = line
                    log(line)
                    for said in understood(line):
                        show(said)
            for said in journal.quiet():
                show(said)
