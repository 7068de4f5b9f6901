"""media.pxe and serve: what is in the folder, dnsmasq's own opinion of it, and serving it."""

import ipaddress
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from media_fixtures import make_built
from project import ROOT

from bootwright.common.errors import RunError, ToolError
from bootwright.media import dnsmasq, pxe
from bootwright.media.medium import Settings


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for that of Debian's package ipxe."""
    folder = tmp_path / "ipxe"
    folder.mkdir()
    for name in pxe.IPXE.files:
        (folder / name).write_bytes(b"iPXE")
    monkeypatch.setattr(pxe.IPXE, "folders", [folder])
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
    monkeypatch.setattr(pxe.IPXE, "folders", ())
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
    at = [lines.index(line) for line in ("kernel lab.elf || goto failed", ":efi", "kernel lab.efi || goto failed")]
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
    address = "http://127.0.0.1:8000/lab.efi"
    for more, http in (("", ""), ("127.0.0.7,127.0.0.9,1h", ""), ("127.0.0.7,127.0.0.9", address)):
        command = dnsmasq.command(folder, dnsmasq.Options("lo", more, http), tmp_path / "leases")
        done = subprocess.run([*command, "--test"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.strip()) == (0, "dnsmasq: syntax check OK.")
    assert f"--dhcp-range={more}" in command
    assert f"--dhcp-boot=tag:http-boot,{address}" in command
    assert "dhcp-match=set:http-boot,option:client-arch,16" in (folder / "dnsmasq-server.conf").read_text()


def test_command_is_a_proxy_unless_asked(tmp_path: Path) -> None:
    command = dnsmasq.command(tmp_path, dnsmasq.Options("lo"), tmp_path)
    assert "--dhcp-range=127.0.0.0,proxy" in command
    assert f"--tftp-root={tmp_path}" in command and "--interface=lo" in command


def test_networks_that_cannot_be_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match=r"^interface: 'nope' is none of lo"):
        dnsmasq.network("nope")
    with pytest.raises(RunError, match="--interface takes the one"):
        dnsmasq.network("")

    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(dnsmasq.fcntl, "ioctl", refuse)
    with pytest.raises(RunError, match=r"^interface lo: has no IPv4 address$"):
        dnsmasq.network("lo")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ToolError, match=r"it is in the package dnsmasq-base$"):
        dnsmasq.command(tmp_path, dnsmasq.Options("lo"), tmp_path)


OWN = ipaddress.IPv4Interface("10.1.2.3/24")


@pytest.mark.parametrize("given", ["10.1.2.1,10.1.2.254", "10.1.2.9,10.1.2.9,infinite", "10.1.2.1,10.1.2.9,30m"])
def test_ranges_that_the_network_has(given: str) -> None:
    dnsmasq.check_range(given, OWN)


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
        dnsmasq.check_range(given, OWN)
    assert str(caught.value).startswith("dhcp-range: ") and message in str(caught.value)


@pytest.mark.parametrize(
    ("range_", "http", "message"),
    [
        ("", "http://h/lab.efi", "it needs --dhcp-range"),
        ("127.0.0.2,127.0.0.3", "ftp://h/lab.efi", "is no address http://HOST/PATH.efi"),
        ("127.0.0.2,127.0.0.3", "http://h/lab.elf", "is no address http://HOST/PATH.efi"),
        ("127.0.0.2,127.0.0.3", "http://h/a,b.efi", "is no address http://HOST/PATH.efi"),
        ("127.0.0.2,127.0.0.3", f"http://h/{'a' * 120}.efi", "of at most 127 bytes"),
    ],
)
def test_addresses_of_http_boot_that_no_machine_can_be_told(
    range_: str, http: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=message):
        dnsmasq.command(tmp_path, dnsmasq.Options("lo", range_, http), tmp_path)


def test_who_gets_nothing_is_said() -> None:
    (note,) = dnsmasq.notes(dnsmasq.Options("lo"))
    assert "HTTP boot (architecture 16) get no answer" in note
    assert dnsmasq.notes(dnsmasq.Options("lo", "127.0.0.2,127.0.0.3", "http://h/lab.efi")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_a_user_without_a_name(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))  # all can go there, other than to pytest's own
    try:
        (folder / "lab.efi").write_bytes(b"x")
        os.chown(folder, 54321, 54321)
        folder.chmod(0o755)
        assert "--user=nobody" in dnsmasq.command(folder, dnsmasq.Options("lo"), tmp_path)
        for path, mode in ((folder / "lab.efi", 0o600), (folder, 0o700)):
            kept = path.stat().st_mode
            path.chmod(mode)
            with pytest.raises(RunError, match=r"belongs to user 54321, who has no name on this machine, and others"):
                dnsmasq.command(folder, dnsmasq.Options("lo"), tmp_path)
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
            dnsmasq.check_rights(status)
        assert str(caught.value) == (f"serve: DHCP, PXE and TFTP are for root: run it as root (missing: {missing})")
    for held in ("3400", "1ffffffffff"):
        status.write_text(f"CapEff:\t{held.zfill(16)}\n")
        dnsmasq.check_rights(status)


PROGRAM = """
import sys
from pathlib import Path
from bootwright.media import dnsmasq as serve
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
    monkeypatch.setattr(dnsmasq, "command", lambda *_: ["sh", "-c", "exit 2"])
    with pytest.raises(ToolError, match=r"^dnsmasq ended with status 2$"):
        dnsmasq.serve(tmp_path, dnsmasq.Options("lo"))


def test_http(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with pxe.http(tmp_path) as port, urllib.request.urlopen(f"http://127.0.0.1:{port}/file") as answer:
        assert answer.read() == b"content"
