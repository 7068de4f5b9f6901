"""What dnsmasq is told of an image's machines: TFTP, and who gets which file.

A proxy (PXE 2.1, section 2.2.3) names files by PXE's boot services, a DHCP server in its own answer: UEFI takes no
mixture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_HTTP_BOOT = "http-boot"  # dnsmasq's tag for machines that ask for it
_NAMED = "named"  # its tag for machines that some answer names
# Client architectures (RFC 4578 and its registry), and PXE's names for them.
_BIOS, _UEFI = ((0, "x86PC"),), ((7, "BC_EFI"), (9, "X86-64_EFI"))
_HTTP_ARCHITECTURE = 16


@dataclass(frozen=True)
class Answer:
    """What machines boot, by paths below the server's folder. script: for those with iPXE, or the address of an HTTP
    server's; bios, uefi: for those without, "" for nothing; http: the address for UEFI's HTTP boot, "" for nothing;
    machines: the MAC addresses it is for, as 52:54:00:12:34:56, () for all that no other answer names.
    """

    name: str
    script: str
    bios: str = ""
    uefi: str = ""
    http: str = ""
    machines: tuple[str, ...] = ()


def configuration(answers: Sequence[Answer], proxy: bool) -> list[str]:
    """The lines of a configuration; interface, folder and addresses are the command line's."""
    lines = [
        *("port=0", "bind-dynamic", "enable-tftp", "log-dhcp"),
        "# iPXE tells by option 175 what it is, and is given the script.",
        "dhcp-match=set:ipxe,175",
    ]
    if not proxy:
        architectures = (*_BIOS, *_UEFI)
        lines += [f"dhcp-match=set:arch{number},option:client-arch,{number}" for number, _ in architectures]
        lines += [
            "# An address is not pinged first: that takes seconds, and of many machines at once iPXE gives up before.",
            "no-ping",
            "# UEFI's HTTP boot (UEFI 2.10, section 24.7).",
            f"dhcp-match=set:{_HTTP_BOOT},option:client-arch,{_HTTP_ARCHITECTURE}",
            f"dhcp-option-force=tag:{_HTTP_BOOT},60,HTTPClient",
        ]
    named = any(answer.machines for answer in answers)
    for number, answer in enumerate(answers):
        lines += [f"dhcp-mac=set:{tag},{mac}" for mac in answer.machines for tag in (_NAMED, f"answer{number}")]
        tag = f"tag:answer{number}," if answer.machines else f"tag:!{_NAMED}," if named else ""
        lines += _as_proxy(answer, tag) if proxy else _as_server(answer, tag)
    return lines


def _as_proxy(answer: Answer, tag: str) -> Iterator[str]:
    for file, services in ((answer.bios, _BIOS), (answer.uefi, _UEFI)):
        for _, service in services:
            yield f"pxe-service={tag}tag:ipxe,{service},{answer.name},{answer.script}"
            if file:
                yield f"pxe-service={tag}tag:!ipxe,{service},{answer.name},{file}"


def _as_server(answer: Answer, tag: str) -> Iterator[str]:
    for file, services in ((answer.bios, _BIOS), (answer.uefi, _UEFI)):
        for number, _ in services:
            if file:
                yield f"dhcp-boot={tag}tag:!ipxe,tag:arch{number},{file}"
    yield f"dhcp-boot={tag}tag:ipxe,{answer.script}"
    if answer.http:
        yield f"dhcp-boot={tag}tag:{_HTTP_BOOT},{answer.http}"
