"""What `serve` makes of a network: 32 machines at once fetch one file, in network namespaces, as ratios to the wire.

`invoke test --network` prints it; root alone can make namespaces. The wire is a server that does nothing but give the
file to the kernel (sendfile), asked by the same client, on the same network, in the same run: once as fast as these two
processors copy, and once held to 1 Gbit/s, as a lab's cable. Of three runs the fastest counts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab_network import ADDRESS, INTERFACE, Network, network
from project import TESTS
from served import RANGE, described, memory, serving

CLIENTS = 32
RUNS = 3
HTTP, TFTP = 32 << 20, 4 << 20  # bytes of a file: TFTP waits for an answer to each block
WIRE, WIRE_PORT = TESTS / "support/bare_wire.py", 9000
GIGABIT = ("tbf", "rate", "1gbit", "burst", "256kb", "latency", "50ms")


def main() -> None:
    """Measure, and print the table. Raises CalledProcessError where a machine does not get its file."""
    with tempfile.TemporaryDirectory(prefix="network-") as name, network() as lab:
        folder = Path(name)
        for number in range(CLIENTS):
            lab.client(f"c{number}", f"52:54:00:00:00:{number:02x}")
            lab.run(f"c{number}", "ip", "addr", "add", f"10.77.0.{200 + number}/24", "dev", "eth0")
        large, small = described(folder, "large", HTTP), described(folder, "small", TFTP)
        rules = [f"52:54:00:00:00:{number:02x}={small if number else large}" for number in range(2)]
        arguments = [word for rule in rules for word in ("--machine", rule)]
        with serving(lab, folder, *arguments, "--dhcp-range", RANGE) as said:
            root = next((folder / "out").glob(".serve.*"))
            files = {name: root / name / f"{name}.efi" for name in ("large", "small")}
            wire = lab.ended(lab.start("", sys.executable, str(WIRE), str(files["large"]), ADDRESS, str(WIRE_PORT)))
            _fetched(lab, f"http://{ADDRESS}:8080/large/large.efi", 1)
            before = {program: memory(said, program) for program in ("http_server.py", "dnsmasq")}
            print(f"{CLIENTS} machines at once{'':23} MB/s   of the wire")
            for shown, limit in (("as fast as they copy", ()), ("1 Gbit/s", GIGABIT)):
                if limit:
                    lab.run("", "tc", "qdisc", "add", "dev", INTERFACE, "root", *limit)
                of_wire = _row(lab, f"wire, {shown}", f"http://{ADDRESS}:{WIRE_PORT}/", files["large"])
                _row(lab, f"serve by HTTP, {shown}", f"http://{ADDRESS}:8080/large/large.efi", files["large"], of_wire)
                _row(lab, f"serve by TFTP, {shown}", f"tftp://{ADDRESS}/small/small.efi", files["small"], of_wire)
            wire.kill()
            for program, had in before.items():
                now = memory(said, program)
                print(f"{program}: {now >> 20} MiB of memory at most, {(now - had) / (1 << 20):.1f} MiB of them since")


def _row(lab: Network, what: str, address: str, file: Path, wire: float = 0) -> float:
    """Print a line; gives bytes per second."""
    size = file.stat().st_size * CLIENTS
    rate = max(size / _fetched(lab, address, CLIENTS) for _ in range(RUNS))
    print(f"{what:40} {rate / 1e6:6.0f}" + (f"   {rate / wire:.2f}" if wire else ""), flush=True)
    return rate


def _fetched(lab: Network, address: str, machines: int) -> float:
    """Seconds until each of so many has the file. curl checks that it is whole."""
    started = time.monotonic()
    command = [
        "curl",
        "-sS",
        "--fail",
        "--max-time",
        "300",
        "--retry",
        "20",
        "--retry-connrefused",
        "--retry-delay",
        "1",
        "--tftp-blksize",
        "1468",
        "-o",
        "/dev/null",
        address,
    ]
    asking = [lab.start(f"c{number}", *command) for number in range(machines)]
    for process in asking:
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, command)
    return time.monotonic() - started
