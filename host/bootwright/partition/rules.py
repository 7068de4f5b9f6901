"""What of a request cannot be, said from the request alone, with both parties of each clash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError, ErrorList, PlanError, counted
from bootwright.common.ranges import MIB, Range
from bootwright.kernels import linux
from bootwright.partition.bitmaps import PORTS, REFUSED_PORTS, our_ports, owned_ports, uart
from bootwright.partition.request import DomainRequest, Request, SharedRange

MOST_RESTARTS = 1000
LAST_APIC_ID = 0xFE  # an entry of the MADT has one byte for it, and 0xff is all of them
PROTOCOLS = ("pvh", "linux")


def check(request: Request) -> None:
    """Raises PlanError, or ErrorList for several; each begins with the domain or shared range that it is about."""
    errors: list[BootwrightError] = [PlanError(message) for message in _errors(request)]
    if errors:
        raise ErrorList(errors) if len(errors) > 1 else errors[0]


def _errors(request: Request) -> Iterator[str]:
    yield from _counts(request)
    for domain in request.domains:
        for message in (*_memory(domain), *_kernel(domain), *_cmdline(domain), *_own_ports(domain)):
            yield f"{_subject(domain)}: {message}"
    for one, other in combinations(request.domains, 2):
        yield from _clashes(one, other)
    for domain in request.domains:
        for message in _shares(request, domain):
            yield f"{_subject(domain)}: {message}"
    for shared in request.shared:
        for message in _shared(request, shared):
            yield f'shared range "{shared.name}": {message}'


def _subject(domain: DomainRequest) -> str:
    return f'domain "{domain.name}"'


def _counts(request: Request) -> Iterator[str]:
    constants = load_abi().constants
    cpus = sum(len(domain.vcpus) for domain in request.domains)
    for count, limit, what in (
        (len(request.domains), constants["MAX_DOMAINS"], "domains"),
        (cpus, constants["MAX_CPUS"], "cpus"),
        (len(request.shared), constants["MAX_SHARED"], "shared ranges"),
    ):
        if count > limit:
            yield f"{count} {what} are asked for, but at most {limit} are possible"
    if not request.domains:
        yield "there is no domain"


def _memory(domain: DomainRequest) -> Iterator[str]:
    constants = load_abi().constants
    step, least = constants["BANK_ALIGNMENT"], constants["LEAST_DOMAIN_MEMORY"]
    most = constants["GUEST_LIMIT"] - (constants["BANK_HIGH_BASE"] - constants["BANK_LOW_LIMIT"])
    if domain.memory % step:
        yield f"memory {domain.memory:#x} is not a multiple of {step // MIB}M"
    if domain.memory < least:
        yield f"memory {domain.memory:#x} is less than {least // MIB}M"
    if domain.memory > most:
        yield f"memory {domain.memory:#x} is more than {most // MIB}M"
    if not domain.vcpus:
        yield "it has no cpu"
    for number in domain.vcpus:
        if number is not None and not 0 <= number <= LAST_APIC_ID:
            yield f"cpu-ids: {number} is not an APIC id from 0 to {LAST_APIC_ID}"
    if domain.restarts is not None and not 0 < domain.restarts <= MOST_RESTARTS:
        yield f"{domain.restarts} restarts within a minute are not between 1 and {MOST_RESTARTS}"
    wanted = [number for number in domain.vcpus if number is not None]
    for number in sorted(set(wanted)):
        if wanted.count(number) > 1:
            yield f"cpu-ids: {number} is there {wanted.count(number)} times"


def _kernel(domain: DomainRequest) -> Iterator[str]:
    constants = load_abi().constants
    kernel = domain.kernel
    if kernel.protocol not in PROTOCOLS:
        names = " or ".join(f'"{name}"' for name in PROTOCOLS)
        yield f'kernel {kernel.name}: protocol "{kernel.protocol}" is not how a domain is entered: {names} is'
    room = Range(constants["IMAGE_BASE"], min(domain.memory, constants["BANK_LOW_LIMIT"]))
    for part in (*kernel.ranges, *(piece.range for piece in kernel.pieces)):
        if part.start < room.start or part.end > room.end:
            yield f"kernel {kernel.name}: {part} is not within the memory for it, {room}"
            return
    if not any(kernel.entry in part for part in kernel.ranges):
        yield f"kernel {kernel.name}: its entry {kernel.entry:#x} is outside of it"
    if kernel.protocol == "linux":
        whole = constants["BOOT_PARAMS_SIZEOF"]
        header = load_abi().struct("boot_params")(kernel.setup[:whole].ljust(whole, b"\0"))
        if linux.starts_in_real_mode(header):
            yield f"kernel {kernel.name} starts in real mode, but a domain has no BIOS"


def _cmdline(domain: DomainRequest) -> Iterator[str]:
    limit = load_abi().constants["MAX_STRING"] - 1
    if domain.kernel.max_cmdline is not None:
        limit = min(limit, domain.kernel.max_cmdline)
    length = len(domain.cmdline.encode())
    if length > limit:
        reader = f"kernel {domain.kernel.name} takes at most {limit}"
        yield f"cmdline: {length} bytes, with what is added to it, but {reader}"
    if "\0" in domain.cmdline:
        yield "cmdline: it has a zero byte"


def _own_ports(domain: DomainRequest) -> Iterator[str]:
    constants = load_abi().constants
    console = uart(domain)
    for ports in owned_ports(domain):
        if not 0 <= ports.start < ports.end <= PORTS:
            yield f"ports {ports} are not within {Range(0, PORTS)}"
        for refused, reason in REFUSED_PORTS:
            if ports.overlaps(refused):
                yield f"ports {ports}: no domain gets {refused}: {reason}"
        if ports.overlaps(our_ports()):
            yield f"ports {ports} overlap {our_ports()}, which the partition launcher answers"
    if console and domain.console and domain.console.kind != constants["CONSOLE_PASSED"]:
        if console.overlaps(our_ports()) or console.end > PORTS:
            yield f"console: its ports {console} are not free for it"
        for ports in domain.ports:
            if ports.overlaps(console):
                yield f"ports {ports} overlap {console}, where its console is"


def _clashes(one: DomainRequest, other: DomainRequest) -> Iterator[str]:
    for number in one.vcpus:
        if number is not None and number in other.vcpus:
            yield f"{_subject(other)}: cpu-ids: {number} is a cpu of {_subject(one)} already"
    for mine in owned_ports(other):
        for taken in owned_ports(one):
            if mine.overlaps(taken):
                what = "console: UART" if mine == uart(other) else "ports"
                whose = "console" if taken == uart(one) else "ports"
                yield f"{_subject(other)}: {what} {mine} overlap {whose} {taken} of {_subject(one)}"


def _shares(request: Request, domain: DomainRequest) -> Iterator[str]:
    limit = load_abi().constants["MAX_SHARES"]
    names = [share.name for share in domain.shares]
    known = {shared.name for shared in request.shared}
    if len(names) > limit:
        yield f"{len(names)} shared ranges are more than {limit}"
    for name in dict.fromkeys(names):
        if name not in known:
            yield f'there is no shared range "{name}"'
        if names.count(name) > 1:
            yield f'it has the shared range "{name}" {names.count(name)} times'


def _shared(request: Request, shared: SharedRange) -> Iterator[str]:
    step = load_abi().constants["BANK_ALIGNMENT"]
    if shared.size <= 0 or shared.size % step:
        yield f"size {shared.size:#x} is not a multiple of {step // MIB}M, or is none"
    if [other.name for other in request.shared].count(shared.name) > 1:
        yield "there are two of that name"
    users = {domain: share for domain in request.domains for share in domain.shares if share.name == shared.name}
    if len(users) < 2:
        only = "".join(f", {_subject(domain)}" for domain in users)
        yield f"{counted(len(users), 'domain')} in it{only}, but it takes two to share"
    writers = [domain for domain, share in users.items() if share.writable]
    if len(writers) > 1 and not shared.both:
        yield f'{_all(writers)} may write to it, but only one may unless mode = "both"'


def _all(domains: Iterable[DomainRequest]) -> str:
    return " and ".join(_subject(domain) for domain in domains)
