"""The HTTP server's process: started, and ended.

with started(folder, "10.0.0.1", 8080, "nobody") as process:
    for line in process.stdout: ...         # what http_server says
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootwright.common import tool
from bootwright.common.errors import RunError, why

_BACKLOG = 256  # machines that wait to be let in
_PROGRAM = Path(__file__).with_name("http_server.py")


@contextmanager
def started(folder: Path, address: str, port: int, user: str) -> Iterator[tool.Process]:
    """Serve a folder as this user, as long as the block runs. Raises RunError where the port cannot be had."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address, port))
            listening.listen(_BACKLOG)  # who comes before the process is there waits
        except (OSError, OverflowError) as error:
            raise RunError(f"http-port: {address}:{port} cannot be listened on: {why(error)}") from error
        descriptor = listening.fileno()
        # -P: no module is taken from the program's own folder.
        arguments = [sys.executable, "-P", str(_PROGRAM), str(folder), str(descriptor), user]
        with tool.started(arguments, stdout=tool.PIPE, pass_fds=[descriptor]) as process:
            listening.close()
            yield process
