"""media.pxe and serve: what is in the folder, dnsmasq's own opinion of it, and serving it."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from media_fixtures import make_built

from bootwright import serve
from bootwright.errors import RunError, ToolError
from bootwright.media import pxe
from bootwright.media.medium import Settings

ROOT = Path(__file__).parent.parent


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for that of Debian's package ipxe."""
    folder = tmp_path / "ipxe"
    folder.mkdir()
    for name in pxe.IPXE_FILES:
        (folder / name).write_bytes(b"iPXE")
    monkeypatch.setattr(pxe, "IPXE", folder)
    return folder


def test_folder(tmp_path: Path, programs: Path) -> None:
    built = make_built(tmp_path / "lab")
    made = pxe.make(built, Settings())
    assert made.path == tmp_path / "lab/pxe" and made.notes == ()
    files = {str(path.relative_to(made.path)) for path in made.path.rglob("*") if path.is_file()}
    expected = {
        "boot.ipxe",
        "dnsmasq.conf",
        "dnsmasq-server.conf",
        "ipxe.efi",
        "undionly.kpxe",
        "lab.elf",
        "lab.efi",
    }
    assert files == expected
    assert (made.path / "lab.elf").read_bytes() == built.elf.read_bytes()
    assert pxe.make(built, Settings()) == made, "once more over what is there"


def test_without_ipxe_and_without_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pxe, "IPXE", tmp_path / "none")
    made = pxe.make(make_built(tmp_path / "lab", efi=False), Settings())
    assert made.notes == (
        "pxe: undionly.kpxe and ipxe.efi not there: machines with a BIOS need iPXE in their network card; "
        "it is in the package ipxe",
        "pxe boots on BIOS only: lab.efi: this image has none, and UEFI starts nothing else from here",
    )
    assert {path.name for path in made.path.iterdir()} == {
        "boot.ipxe",
        "dnsmasq.conf",
        "dnsmasq-server.conf",
        "lab.elf",
    }


def test_script(tmp_path: Path) -> None:
    lines = pxe.script(make_built(tmp_path)).splitlines()
    assert lines[0] == "#!ipxe"
    at = [
        lines.index(line)
        for line in ("kernel lab.elf || goto failed", ":efi", "kernel lab.efi || goto failed")
    ]
    assert at == sorted(at)


def test_modules_that_the_loader_brings(tmp_path: Path, programs: Path) -> None:
    built = make_built(tmp_path / "lab", modules=1)
    made = pxe.make(built, Settings())
    assert (made.path / "modules/m0").read_bytes() == b"0" * 5000
    assert "module modules/m0 m0 || goto failed" in pxe.script(built).splitlines()
    assert not (made.path / "lab.efi").exists() and "kernel lab.efi" not in pxe.script(built)
    assert "gets its modules from the loader" in made.notes[0]


def test_dnsmasq_takes_the_configuration(tmp_path: Path, programs: Path) -> None:
    folder = pxe.make(make_built(tmp_path / "lab"), Settings()).path
    for more in ("", "10.9.8.7,10.9.8.9,1h"):
        command = serve.command(folder, serve.Options("lo", more), tmp_path / "leases")
        done = subprocess.run([*command, "--test"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.strip()) == (0, "dnsmasq: syntax check OK.")
    assert f"--dhcp-range={more}" in command


def test_command_is_a_proxy_unless_asked(tmp_path: Path) -> None:
    command = serve.command(tmp_path, serve.Options("lo"), tmp_path)
    assert "--dhcp-range=127.0.0.0,proxy" in command
    assert f"--tftp-root={tmp_path}" in command and "--interface=lo" in command


def test_networks_that_cannot_be_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"^interface: 'nope' is none of lo"):
        serve.network("nope")
    with pytest.raises(RunError, match="--interface takes the one"):
        serve.network("")

    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(serve.fcntl, "ioctl", refuse)
    with pytest.raises(RunError, match=r"^interface lo: has no IPv4 address$"):
        serve.network("lo")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ToolError, match=r"it is in the package dnsmasq-base$"):
        serve.command(tmp_path, serve.Options("lo"), tmp_path)


PROGRAM = """
import sys
from pathlib import Path
from bootwright import serve
serve.command = lambda *_: ["sh", "-c", "echo $$; exec sleep 60"]
signalled = lambda *_: sys.exit(143)
import signal; signal.signal(signal.SIGTERM, signalled)
serve.serve(Path("."), serve.Options("lo"))
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_dnsmasq(sent: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": str(ROOT / "host")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        child = process.stdout.readline().strip()
        time.sleep(0.5)  # until the parent, too, is behind the start of its child
        process.send_signal(sent)
        process.wait(10)
    assert not Path(f"/proc/{child}").exists()


def test_dnsmasq_that_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "command", lambda *_: ["sh", "-c", "exit 2"])
    with pytest.raises(ToolError, match=r"^dnsmasq ended with status 2$"):
        serve.serve(tmp_path, serve.Options("lo"))


def test_http(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with pxe.http(tmp_path) as port, urllib.request.urlopen(f"http://127.0.0.1:{port}/file") as answer:
        assert answer.read() == b"content"
