"""The HTTP server, asked by curl: what it gives, what it does not, what it says of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bootwright.common.errors import RunError
from bootwright.netboot import http


class Server:
    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.address = process, f"http://127.0.0.1:{port}"

    def ask(self, path: str, *options: str) -> tuple[int, bytes]:
        command = ["curl", "-sS", "--path-as-is", "--max-time", "20", *options, "-w", "\n%{http_code}"]
        done = subprocess.run([*command, f"{self.address}/{path}"], capture_output=True, check=True)
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status), body

    def said(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        record: dict[str, Any] = json.loads(self.process.stdout.readline())
        return record


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "served"
    (folder / "demo").mkdir(parents=True)
    (folder / "demo/demo.efi").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "secret").write_text("not served")
    (folder / "demo/out").symlink_to(tmp_path / "secret")
    port = free_port()
    with http.started(folder, "127.0.0.1", port, "root") as process:
        yield Server(process, port)
    assert process.poll() is not None


def test_a_file_whole_its_size_and_a_part(server: Server) -> None:
    """UEFI asks for the size first (HEAD), iPXE may ask for a part."""
    whole = bytes(range(256)) * 1000
    assert server.ask("demo/demo.efi") == (200, whole)
    expected = {"client": "127.0.0.1", "path": "demo/demo.efi", "method": "GET", "status": 200}
    assert server.said() == expected | {"sent": len(whole), "size": len(whole)}
    status, head = server.ask("demo/demo.efi", "--head")
    assert status == 200 and f"Content-Length: {len(whole)}".encode() in head
    assert server.said()["sent"] == 0
    assert server.ask("demo/demo.efi", "--range", "256-511") == (206, whole[256:512])
    assert server.said()["sent"] == 256


@pytest.mark.parametrize(
    "path", ["demo", "", "none", "../secret", "demo/../../secret", "demo/out", "%2e%2e/secret", "%00"]
)
def test_what_is_no_file_of_the_folder_is_not_there(path: str, server: Server) -> None:
    assert server.ask(path)[0] == 404
    assert server.said()["status"] == 404


@pytest.mark.parametrize("sent", [b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n"])
def test_what_is_no_request_is_one_line(sent: bytes, server: Server) -> None:
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as asking:
        asking.sendall(sent)
        assert b" 400 " in asking.recv(1000)
    assert server.said()["error"].startswith("Error handling request from 127.0.0.1: ")


def test_a_machine_that_vanishes_is_said(server: Server, tmp_path: Path) -> None:
    big = tmp_path / "served/big"
    with big.open("wb") as file:
        file.truncate(1 << 30)
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as asking:
        asking.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        asking.recv(1000)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closed by a reset
    said = server.said()
    assert (said["path"], said["sent"], said["size"]) == ("big", 0, 1 << 30)
    assert server.ask("demo/demo.efi")[0] == 200, "and the others are served"


def test_a_port_that_somebody_else_has(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(RunError, match=rf"^http-port: 127\.0\.0\.1:{port} cannot be listened on: Address already"),
            http.started(tmp_path, "127.0.0.1", port, "root"),
        ):
            pass
    with pytest.raises(RunError, match="99999 cannot be"), http.started(tmp_path, "127.0.0.1", 99999, "root"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_it_has_no_rights_of_root(tmp_path: Path) -> None:
    with http.started(tmp_path, "127.0.0.1", port := free_port(), "nobody") as process:
        server = Server(process, port)
        assert server.ask("none")[0] == 404
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "\nUid:\t65534\t65534\t65534\t65534\n" in status and "\nCapEff:\t0000000000000000\n" in status
