"""dnsmasq's rights, addresses and command line."""

import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from project import ROOT

from bootwright.common.errors import RunError, ToolError
from bootwright.netboot import dhcp, http, server


def test_command_is_a_proxy_unless_asked(tmp_path: Path) -> None:
    own = dhcp.check(dhcp.Options("lo"))
    command = dhcp.command(tmp_path, tmp_path, dhcp.Options("lo"), own, "nobody", tmp_path)
    assert "--dhcp-range=127.0.0.0,proxy" in command and "--user=nobody" in command
    assert f"--tftp-root={tmp_path}" in command and "--interface=lo" in command


def test_networks_that_cannot_be_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"^interface: 'nope' is none of lo"):
        dhcp.network("nope")
    with pytest.raises(RunError, match="--interface takes the one"):
        dhcp.network("")

    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(dhcp.fcntl, "ioctl", refuse)
    with pytest.raises(RunError, match=r"^interface lo: has no IPv4 address$"):
        dhcp.network("lo")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ToolError, match=r"it is in the package dnsmasq-base$"):
        dhcp.check(dhcp.Options("lo"))


OWN = ipaddress.IPv4Interface("10.1.2.3/24")


@pytest.mark.parametrize("given", ["10.1.2.1,10.1.2.254", "10.1.2.9,10.1.2.9,infinite", "10.1.2.1,10.1.2.9,30m"])
def test_ranges_that_the_network_has(given: str) -> None:
    dhcp.check_range(given, OWN)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "'' is not FIRST,LAST or FIRST,LAST,TIME with two IPv4 addresses"),
        ("10.1.2.4", "is not FIRST,LAST"),
        ("10.1.2.4,10.1.2.5,1h,x", "is not FIRST,LAST"),
        ("10.1.2.4,10.1.2", "is not FIRST,LAST"),
        ("10.1.2.4,fe80::1", "is not FIRST,LAST"),
        ("10.1.2.4,10.1.2.9,soon", "'soon' is no time such as 1h, 30m or infinite"),
        ("10.1.2.9,10.1.2.4", "10.1.2.9 is behind 10.1.2.4"),
        ("10.1.3.4,10.1.3.9", "10.1.3.4 is not in the interface's network, 10.1.2.0/24"),
        ("10.1.2.4,10.1.3.9", "10.1.3.9 is not in the interface's network, 10.1.2.0/24"),
        ("10.1.2.0,10.1.2.9", "10.1.2.0 is no address for a machine in 10.1.2.0/24"),
        ("10.1.2.4,10.1.2.255", "10.1.2.255 is no address for a machine in 10.1.2.0/24"),
        ("10.1.2.3,10.1.2.3", "10.1.2.3 is this machine's own address"),
    ],
)
def test_ranges_that_the_network_has_not(given: str, message: str) -> None:
    with pytest.raises(RunError) as caught:
        dhcp.check_range(given, OWN)
    assert str(caught.value).startswith("dhcp-range: ") and message in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_a_user_without_a_name(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))  # all can go there, other than to pytest's own
    try:
        (folder / "lab.efi").write_bytes(b"x")
        os.chown(folder, 54321, 54321)
        folder.chmod(0o755)
        assert dhcp.reader(folder) == "nobody"
        for path, mode in ((folder / "lab.efi", 0o600), (folder, 0o700)):
            kept = path.stat().st_mode
            path.chmod(mode)
            with pytest.raises(RunError, match=r"belongs to user 54321, who has no name on this machine, and others"):
                dhcp.reader(folder)
            path.chmod(kept)
    finally:
        shutil.rmtree(folder)


def test_without_the_rights_of_root(tmp_path: Path) -> None:
    """CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_NET_RAW are bits 10, 12 and 13."""
    status = tmp_path / "status"
    for held, missing in (
        ("0", "NET_BIND_SERVICE, NET_ADMIN, NET_RAW"),
        ("3000", "NET_BIND_SERVICE"),
        ("2fff", "NET_ADMIN"),
    ):
        status.write_text(f"Name:\tx\nCapEff:\t{held.zfill(16)}\n")
        with pytest.raises(RunError) as caught:
            dhcp.check_rights(status)
        assert str(caught.value) == (f"serve: DHCP, PXE and TFTP are for root: run it as root (missing: {missing})")
    for held in ("3400", "1ffffffffff"):
        status.write_text(f"CapEff:\t{held.zfill(16)}\n")
        dhcp.check_rights(status)


PROGRAM = """
import sys
from pathlib import Path
from bootwright.netboot import dhcp, http, server
dhcp.command = lambda *_: ["sh", "-c", "echo $$ >&2; exec sleep 60"]
signalled = lambda *_: sys.exit(143)
import signal; signal.signal(signal.SIGTERM, signalled)
show = lambda line: print(line, flush=True)
server.serve([], {}, dhcp.Options("lo"), int(sys.argv[2]), Path(sys.argv[1]), print, show)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_what_it_started(sent: signal.Signals, tmp_path: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(port)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "host")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        child = process.stdout.readline().strip()
        socket.create_connection(("127.0.0.1", port)).close()
        process.send_signal(sent)
        process.wait(10)
    assert child and not Path(f"/proc/{child}").exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_dnsmasq_that_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dhcp, "command", lambda *_: ["sh", "-c", "echo no such interface >&2; exit 2"])
    with pytest.raises(ToolError, match=r"^dnsmasq ended with status 2: no such interface$"):
        server.serve([], {}, dhcp.Options("lo"), 0, tmp_path, print)


def test_an_http_server_that_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While dnsmasq lives, which is not waited for."""
    monkeypatch.setattr(dhcp, "command", lambda *_: ["sleep", "60"])
    monkeypatch.setattr(http, "_PROGRAM", tmp_path / "none.py")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with pytest.raises(ToolError, match=r"^the HTTP server ended with status 2$"):
        server.serve([], {}, dhcp.Options("lo"), port, tmp_path, print)
