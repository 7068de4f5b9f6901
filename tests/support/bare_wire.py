"""A server that does nothing but give one file to the kernel: what a network can carry.

python bare_wire.py FILE ADDRESS PORT       # whoever connects gets it, as an answer by HTTP/1.0, whatever it asks
"""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path


def serve(path: Path, address: str, port: int) -> None:
    """Until it is ended."""
    head = f"HTTP/1.0 200 OK\r\nContent-Length: {path.stat().st_size}\r\n\r\n".encode()

    def give(connection: socket.socket) -> None:
        with connection, path.open("rb") as file:
            connection.recv(4096)
            connection.sendall(head)
            connection.sendfile(file)

    with socket.create_server((address, port), backlog=64) as listening:
        while True:
            threading.Thread(target=give, args=listening.accept()[:1], daemon=True).start()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
