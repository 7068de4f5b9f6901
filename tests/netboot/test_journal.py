"""One line for each boot, from what dnsmasq 2.90 and the HTTP server said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bootwright.netboot.journal import QUIET, READY, Journal

MAC, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"
WANTED = {
    "demo": (frozenset({"demo.elf", "modules/m0"}), frozenset({"demo.efi"})),
    "xen": (frozenset({"xen.elf"}),),
}
NEIGHBOURS = {"10.0.0.51": MAC, "10.0.0.52": OTHER}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def journal(clock: Clock, names: dict[str, str] | None = None, others: bool = True) -> Journal:
    return Journal(
        Path("/srv/x"), WANTED, names or {}, others, mac_of=lambda address: NEIGHBOURS.get(address, ""), clock=clock
    )


def asks(mac: str, number: int = 7) -> list[str]:
    return [
        f"dnsmasq-dhcp[31]: {number} available DHCP range: 10.0.0.50 -- 10.0.0.99",
        f"dnsmasq-dhcp[31]: {number} vendor class: PXEClient:Arch:00007:UNDI:003000",
        f"dnsmasq-dhcp[31]: {number} DHCPDISCOVER(br0) {mac} ",
        f"dnsmasq-dhcp[31]: {number} DHCPOFFER(br0) 10.0.0.51 {mac} ",
    ]


def sent(file: str, client: str = "10.0.0.51") -> str:
    return f"dnsmasq-tftp[31]: sent /srv/x/{file} to {client}"


def got(path: str, client: str = "10.0.0.51", **more: Any) -> dict[str, Any]:
    return {"client": client, "path": path, "method": "GET", "status": 200, "sent": 1000, "size": 1000} | more


def said(*parts: Iterator[str]) -> list[str]:
    return [line for part in parts for line in part]


def test_a_boot_by_tftp_is_a_line_once_all_is_there(clock: Clock) -> None:
    told = journal(clock)
    assert not said(*map(told.dnsmasq, asks(MAC)))
    clock.now += 1.5
    files = ("demo/undionly.kpxe", "demo/boot.ipxe", "demo/demo.elf")
    assert not said(*(told.dnsmasq(sent(file)) for file in files))
    (line,) = said(told.dnsmasq(sent("demo/modules/m0")))
    assert line.startswith(f"{MAC} (10.0.0.51): demo: undionly.kpxe, boot.ipxe, demo.elf, modules/m0: all of it, ")
    assert line.endswith(" in 1.5 s")
    assert not said(told.close()), "it is done"


def test_a_file_that_firmware_loads_twice_is_one_boot(clock: Clock) -> None:
    told = journal(clock)
    lines = said(told.dnsmasq(sent("demo/demo.efi")), told.dnsmasq(sent("demo/demo.efi")))
    assert len(lines) == 1
    again = said(*map(told.dnsmasq, asks(MAC, 8)), told.dnsmasq(sent("demo/demo.efi")))
    assert len(again) == 1, "asked for once more it is another boot"


def test_a_boot_by_http_with_the_name_of_its_place(clock: Clock) -> None:
    told = journal(clock, {OTHER: "rome"})
    head = told.http(got("xen/xen.elf", "10.0.0.52", method="HEAD", sent=0))
    (line,) = said(head, told.http(got("xen/xen.elf", "10.0.0.52")))
    assert line == f"rome ({OTHER}, 10.0.0.52): xen: xen.elf: all of it, 1,000 bytes in 0.0 s"


def test_how_far_a_boot_came_that_does_not_go_on(clock: Clock) -> None:
    told = journal(clock)
    assert not said(*map(told.dnsmasq, asks(MAC)), told.dnsmasq(sent("demo/boot.ipxe")))
    clock.now += QUIET - 1
    assert not said(told.quiet())
    clock.now += 1
    assert said(told.quiet()) == [f"{MAC} (10.0.0.51): demo: boot.ipxe: nothing more for 60 s"]
    assert not said(told.quiet())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dnsmasq-tftp[31]: failed sending /srv/x/demo/demo.efi to 10.0.0.51", "gone while demo.efi was sent"),
        ("dnsmasq-tftp: file /srv/x/demo/other not found for 10.0.0.51", "asked for demo/other, which there is not"),
    ],
)
def test_what_goes_wrong_by_tftp(line: str, expected: str, clock: Clock) -> None:
    assert said(journal(clock).dnsmasq(line)) == [f"{MAC} (10.0.0.51): {expected}"]


def test_what_goes_wrong_by_http(clock: Clock) -> None:
    told = journal(clock)
    assert said(told.http(got("demo/demo.efi", sent=0))) == [f"{MAC} (10.0.0.51): gone while demo.efi was sent"]
    (line,) = said(told.http(got("demo/none", status=404, sent=0, size=0)))
    assert line.endswith("asked for demo/none, which there is not")
    assert said(told.http({"error": "Error handling request"})) == ["HTTP: Error handling request"]


def test_a_machine_that_nothing_is_for_is_named_once(clock: Clock) -> None:
    told = journal(clock, {OTHER: OTHER}, others=False)
    lines = said(*map(told.dnsmasq, asks(MAC) + asks(MAC, 8) + asks(OTHER, 9)))
    assert lines == [f"{MAC}: asks for something to boot, and nothing is for it"]


def test_a_range_that_is_used_up_and_a_fault_of_dnsmasq(clock: Clock) -> None:
    told = journal(clock)
    assert "no address" in said(told.dnsmasq("dnsmasq-dhcp[3]: no address range available for DHCP request"))[0]
    assert said(told.dnsmasq("dnsmasq-tftp[3]: cannot access /srv/x/demo: Permission denied")) == [
        "dnsmasq: cannot access /srv/x/demo: Permission denied"
    ]
    assert said(told.dnsmasq("dnsmasq-tftp[3]: TFTP root is /srv/x")) == [READY]
