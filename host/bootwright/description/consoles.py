"""{console} in a command line: the words that make its reader use the image's consoles.

    for_linux(console)                          # "console=tty0 console=ttyS0,115200"
    filled = fill(description)                  # the description, with the words in place of {console}

Specifications: Linux Documentation/admin-guide/kernel-parameters.txt, "console="; Xen docs/misc/xen-command-line,
"com1" and "console".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bootwright.common import words
from bootwright.description.records import Description, DomainDescription
from bootwright.description.values import COM_PORTS, UART_CLOCK, Console

PLACE = "{console}"
XEN_PORTS = ("com1", "com2")  # those that Xen knows by name; one elsewhere is com1 with its place said


def for_linux(console: Console) -> str:
    """What Linux is told, or another kernel that takes the same words. The last one is /dev/console: the serial port,
    where there is one.
    """
    told = ["console=tty0"] if console.vga else []
    if console.serial_port is not None:
        names = {port: f"ttyS{number}" for number, port in enumerate(COM_PORTS.values())}
        name = names.get(console.serial_port, f"uart8250,io,{console.serial_port:#x}")
        told.append(f"console={name},{_baud(console)}")
    return " ".join(told)


def for_xen(console: Console) -> str:
    """What Xen itself is told."""
    told, names = [], []
    if console.serial_port is not None:
        known = {COM_PORTS[name]: name for name in XEN_PORTS}
        name = known.get(console.serial_port, XEN_PORTS[0])
        # Without an interrupt it asks the port itself.
        place = "" if console.serial_port in known else f",{console.serial_port:#x},0"
        told.append(f"{name}={_baud(console)},8n1{place}")
        names.append(name)
    names += ["vga"] if console.vga else []
    return " ".join([*told, f"console={','.join(names)}"])


def for_domain_of_xen(console: Console, *, initial: bool) -> str:
    """What Linux is told in a domain of Xen: its console is Xen's; the screen is the initial domain's, once it runs."""
    screen = ["console=tty0"] if console.vga and initial else []
    xen = ["console=hvc0"] if console.serial_port is not None or not screen else []
    return " ".join([*screen, *xen])


def for_partition(domain: DomainDescription) -> str:
    """What Linux is told in a partition: a UART of the machine's, or one of ours that is com1 to it."""
    if domain.console.kind == "none":
        return ""
    port = domain.console.port if domain.console.kind == "passed" else COM_PORTS["com1"]
    return for_linux(Console(port, 1, vga=False))


def for_domain(description: Description, domain: DomainDescription) -> str:
    """What a domain of a description is told."""
    if description.image.launcher == "partition":
        return for_partition(domain)
    if description.hypervisor is None:
        return for_linux(description.image.console)
    return for_domain_of_xen(description.image.console, initial=domain.initial)


def fill(description: Description) -> Description:
    """The same with {console} replaced, where it is a word of a command line or of a string of `modules`."""
    console, hypervisor = description.image.console, description.hypervisor
    if hypervisor is not None:
        own, extra = words.split_hypervisors(hypervisor.cmdline)
        initial = for_domain_of_xen(console, initial=True)
        cmdline = _filled(own, for_xen(console)) + (f" {words.MARK}{_filled(extra, initial)}" if extra else "")
        hypervisor = replace(hypervisor, cmdline=cmdline) if PLACE in hypervisor.cmdline else hypervisor
    domains = tuple(_filled_domain(domain, for_domain(description, domain)) for domain in description.domains)
    return replace(description, domains=domains, hypervisor=hypervisor)


def _filled_domain(domain: DomainDescription, told: str) -> DomainDescription:
    modules = tuple(replace(module, string=_filled(module.string, told)) for module in domain.modules)
    return replace(domain, cmdline=_filled(domain.cmdline, told), modules=modules)


def _filled(line: str, told: str) -> str:
    return " ".join(told if word == PLACE else word for word in line.split(" "))


def _baud(console: Console) -> int:
    return UART_CLOCK // console.serial_divisor


READERS: dict[str, Callable[[Console], str]] = {
    "Linux": for_linux,
    "Xen": for_xen,
    "Linux as the initial domain of Xen": lambda console: for_domain_of_xen(console, initial=True),
    "Linux as another domain": lambda console: for_domain_of_xen(console, initial=False),
}
