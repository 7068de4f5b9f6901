"""32 machines boot by network at once, in network namespaces: four in QEMU, the others ask as firmware does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lab_network import ADDRESS, Network, network
from project import TESTS
from served import RANGE, described, memory, serving
from tasks_run import invoke

from bootwright.emulate.qemu import OVMF
from bootwright.netboot.dhcp import DNSMASQ

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make network namespaces"),
]

CLIENT = TESTS / "support/netboot_client.py"
KINDS = ("bios", "pxe", "http", "bios", "http")
NO_PXE = [
    word
    for version in "46"
    for word in ("-fw_cfg", f"name=opt/org.tianocore/IPv{version}PXESupport,string=n")  # OvmfPkg's README
]


def machine(lab: Network, folder: Path, number: int, firmware: str, *more: str) -> subprocess.Popen[bytes]:
    """A QEMU that boots by network and nothing else."""
    lab.tap(f"tap{number}")
    card = f"virtio-net-pci,netdev=net,bootindex=0,mac=52:54:00:00:01:{number:02x}"
    command = ["qemu-system-x86_64", "-m", "512", "-display", "none", "-monitor", "none", "-no-reboot", *more]
    if firmware == "uefi":
        command += ["-bios", str(OVMF.folder() / "OVMF.fd")]
        card += ",romfile="
    command += ["-netdev", f"tap,id=net,ifname=tap{number},script=no,downscript=no", "-device", card]
    command += ["-serial", f"file:{folder}/serial{number}"]
    return lab.start("", *command, stdin=subprocess.DEVNULL)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_32_machines_at_once(tmp_path: Path) -> None:
    """Each gets the image that its rule names, whole, whatever the others do; the server's memory stays what it was."""
    lab_image, big = described(tmp_path, "lab", 1 << 20), described(tmp_path, "big", 16 << 20)
    rules = tmp_path / "rules.txt"
    clients = {f"c{number}": f"52:54:00:00:00:{number:02x}" for number in range(28)}
    rules.write_text("".join(f"{mac}={big}\n" for mac in list(clients.values())[::2]) + "# the others: lab\n")
    with network() as lab:
        for name, mac in clients.items():
            lab.client(name, mac)
        arguments = [str(lab_image), "--machines", str(rules), "--dhcp-range", RANGE]
        arguments += ["--machine", f"52:54:00:00:01:02={lab_image}:rescue"]
        with serving(lab, tmp_path, *arguments) as said:
            asked = lab.start("", "curl", "-sI", f"http://{ADDRESS}:8080/", stdout=subprocess.DEVNULL)
            assert asked.wait(60) == 0, "the process is up, with all of its libraries"
            before = memory(said)
            real = (("bios", ()), ("bios", ()), ("uefi", ()), ("uefi", NO_PXE))
            machines = [
                lab.ended(machine(lab, tmp_path, number, firmware, *more))
                for number, (firmware, more) in enumerate(real, 1)
            ]
            asking = {
                name: lab.start(name, sys.executable, str(CLIENT), "eth0", KINDS[number % len(KINDS)], stdout=-1)
                for number, name in enumerate(clients)
            }
            answers = {name: json.loads(process.communicate(timeout=300)[0]) for name, process in asking.items()}
            for one in machines:
                one.wait(120)
            after = memory(said)
        lines = said.read_text().splitlines()
    out = tmp_path / "out"
    for number, name in enumerate(clients):
        image = "lab" if number % 2 else "big"
        kind = KINDS[number % len(KINDS)]
        last = f"{image}.elf" if kind == "bios" else f"{image}.efi"
        (*_, (address, digest)) = answers[name]["files"].items()
        assert address.endswith(f"/{image}/{last}") and digest == sha256(out / image / last), (name, kind)
        assert address.startswith("tftp:" if kind == "pxe" else "http:")
        assert any(clients[name] in line and f"{last}: all of it" in line for line in lines), (name, kind, lines)
    for number, cmdline in ((1, "lab"), (2, "lab, rescued"), (3, "lab"), (4, "lab")):
        console = (tmp_path / f"serial{number}").read_text(errors="replace")
        assert f"demo: command line: {cmdline}" in console.splitlines(), (number, console[-500:])
    assert sum("all of it" in line for line in lines) == 32, lines
    assert after - before < 16 << 20, "a file does not go through its memory"
    assert not list((tmp_path / "out").glob(".*scratch")), "nothing is left"


def test_a_proxy_beside_another_dhcp_server(tmp_path: Path) -> None:
    """The other gives addresses and knows of no boot; iPXE and UEFI's network boot get theirs of the proxy."""
    image = described(tmp_path, "lab", 4096)
    with network() as lab:
        lab.client("dhcp", "52:54:00:00:02:01")
        other = ["--keep-in-foreground", "--port=0", "--interface=eth0", "--dhcp-range=10.77.0.200,10.77.0.220"]
        other += [f"--dhcp-leasefile={tmp_path}/leases", "--pid-file", "--user=root"]
        lab.start("dhcp", "ip", "addr", "add", "10.77.0.2/24", "dev", "eth0").wait()
        lab.ended(lab.start("dhcp", DNSMASQ.path(), *other))
        with serving(lab, tmp_path, str(image)) as said:
            machines = [lab.ended(machine(lab, tmp_path, number, how)) for number, how in ((1, "bios"), (2, "uefi"))]
            for one in machines:
                one.wait(120)
        lines = said.read_text().splitlines()
    for number in (1, 2):
        console = (tmp_path / f"serial{number}").read_text(errors="replace")
        assert "demo: command line: lab" in console.splitlines(), (number, console[-500:])
        assert any(f"52:54:00:00:01:{number:02x} (10.77.0.2" in line and "all of it" in line for line in lines), lines
    assert any("get no answer of a proxy" in line for line in lines)


def test_what_cannot_be_served_is_a_sentence(tmp_path: Path) -> None:
    image = described(tmp_path, "lab", 4096)
    (tmp_path / "other").mkdir()
    other = tmp_path / "other/lab.toml"
    other.write_text(image.read_text().replace('"payload"', '"../lab/payload"'))
    mac = "52:54:00:12:34:56"
    for arguments, message in (
        (["--machine", f"{mac}={image}", str(other)], "are both the image lab: one would be served for the other"),
        (["--machine", f"{mac}={image}:rescu"], "profile: 'rescu' is none of default, rescue; did you mean"),
        (["--machine", f"{mac}={image}", "--machine", f"{mac}={image}:rescue"], f"machine {mac}: two rules are for it"),
        (["--machine", "rome"], "machine: 'rome' is not MACHINE=IMAGE"),
        (["--machines", "none.txt"], "none.txt: cannot be read: No such file"),
        ([str(image), "--http-port", "99999"], "http-port: 127.0.0.1:99999 cannot be listened on"),
    ):
        done = invoke("serve", "--interface", "lo", "--output", str(tmp_path / "out"), *arguments)
        assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr, (arguments, done)
