"""A power switch for the boards of a lab of tests, as labgrid's NetworkPowerPort of the model "rest" knows them: PUT of
0 or 1 switches, GET says which it is.

with serving(folder, {"one": 4000}) as port:        # http://127.0.0.1:PORT/one; a board is bench_machine's
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bench_machine


@contextmanager
def serving(folder: Path, boards: Mapping[str, int]) -> Iterator[int]:
    """The switch as long as the block runs; gives its port. boards: the port of each one's serial line."""

    class Switch(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"1" if (folder / self.path.strip("/") / "pid").exists() else b"0")

        def do_PUT(self) -> None:
            name = self.path.strip("/")
            what = "on" if self.rfile.read(int(self.headers["Content-Length"])) == b"1" else "off"
            bench_machine.switch(what, folder / name, boards[name])
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Switch) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
