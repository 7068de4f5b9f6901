"""Files by HTTP: a process of its own, which gives up the rights of root, and says as lines of JSON what it sent.

    python http_server.py FOLDER DESCRIPTOR USER    # of a socket that listens

    {"client": "10.0.0.51", "path": "demo/demo.efi", "method": "GET", "status": 200, "sent": 569344, "size": 569344}
    {"error": "Error handling request from 10.0.0.52: BadStatusLine"}

The kernel copies a file to its connection (sendfile): however many machines load it, none of it is in this process.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  # what asyncio would import later, when this user may not read it
import json
import logging
import os
import pwd
import socket
import stat
import sys
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

_SILENCE = 30_000  # milliseconds after which a machine that acknowledges nothing is gone (tcp(7), TCP_USER_TIMEOUT)


class _Files:
    """The files of a folder, sent to who asks for them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def send(self, request: web.Request) -> web.StreamResponse:
        try:
            path = (self._folder / request.match_info["path"]).resolve()
            status = path.stat() if path.is_relative_to(self._folder) else None
        except (OSError, ValueError):  # a name that no file can have
            status = None
        if status is None or not stat.S_ISREG(status.st_mode):
            _say(request, 404, 0, 0)
            raise web.HTTPNotFound
        size = status.st_size
        if request.transport is not None:
            connection = request.transport.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE)
        return _File(path, size)


class _File(web.FileResponse):
    """A file that says when it has been sent."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(path)
        self._size = size

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        try:
            writer = await super().prepare(request)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            _say(request, self.status, 0, self._size)
            raise
        _say(request, self.status, 0 if request.method == "HEAD" else self.content_length or 0, self._size)
        return writer


def _say(request: web.BaseRequest, status: int, sent: int, size: int) -> None:
    record = {"client": request.remote, "path": request.path.lstrip("/"), "method": request.method}
    print(json.dumps(record | {"status": status, "sent": sent, "size": size}), flush=True)


class _Faults(logging.Handler):
    """Says what aiohttp logs: of a request that is none, or of one that could not be answered."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else record.levelname
        print(json.dumps({"error": f"{record.getMessage()}: {kind}"}), flush=True)


def _become(user: str) -> None:
    """Give up root's rights, where this process has them."""
    if os.geteuid() == 0:
        record = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(record.pw_gid)
        os.setuid(record.pw_uid)


async def _serve(folder: Path, listening: socket.socket, user: str) -> None:
    app = web.Application()
    app.router.add_get("/{path:.*}", _Files(folder).send)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    _become(user)
    await web.SockSite(runner, listening).start()
    await asyncio.Event().wait()


def main(folder: str, descriptor: str, user: str) -> None:
    """What the process does, until it is ended."""
    logging.basicConfig(level=logging.WARNING, handlers=[_Faults()])
    asyncio.run(_serve(Path(folder), socket.socket(fileno=int(descriptor)), user))


if __name__ == "__main__":
    main(*sys.argv[1:4])
