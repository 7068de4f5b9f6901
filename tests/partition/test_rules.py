"""What of a request cannot be: one tiny fault each, and the sentence with both parties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from partition_data import GIB, KERNEL, MIB, PASSED, STEP, VIRTUAL, C, domain, linux_kernel, pair, request

from bootwright.common.errors import BootwrightError, ErrorList, PlanError
from bootwright.common.ranges import Range
from bootwright.partition.compute import compute
from bootwright.partition.request import DomainConsole, Ramdisk, Request, Share, SharedRange

LOG = SharedRange("log", STEP)


def sharing(*shares: Share, shared: SharedRange = LOG) -> Request:
    """A domain for each share."""
    return request(*(domain(f"d{number}", shares=(share,)) for number, share in enumerate(shares)), shared=(shared,))


def faults() -> Iterator[tuple[Request, str]]:
    yield request(domain(memory=64 * MIB + 0x1000)), 'domain "d0": memory 0x4001000 is not a multiple of 2M'
    yield request(domain(memory=30 * MIB)), 'domain "d0": memory 0x1e00000 is less than 32M'
    yield request(domain(memory=1 << 40)), 'domain "d0": memory 0x10000000000 is more than 1047552M'
    yield request(domain(vcpus=())), 'domain "d0": it has no cpu'
    yield request(domain(vcpus=(255,))), 'domain "d0": cpu-ids: 255 is not an APIC id from 0 to 254'
    yield request(domain(vcpus=(4, 4))), 'domain "d0": cpu-ids: 4 is there 2 times'
    yield (
        request(domain(vcpus=(4, 5)), domain("d1", vcpus=(5,))),
        'domain "d1": cpu-ids: 5 is a cpu of domain "d0" already',
    )
    yield request(domain(restarts=0)), 'domain "d0": 0 restarts within a minute are not between 1 and 1000'
    many = [domain(f"d{number}") for number in range(65)]
    yield (
        request(*many),
        "65 domains are asked for, but at most 64 are possible\n65 cpus are asked for, but at most 64 are possible",
    )
    yield request(domain(vcpus=(None,) * 65)), "65 cpus are asked for, but at most 64 are possible"
    yield Request(request().image, ()), "there is no domain"

    # ports
    yield (
        request(domain(ports=(Range(0x60, 0x65),))),
        'domain "d0": ports [0x60, 0x65): no domain gets [0x61, 0x62): NMI and the timer\'s gate\n'
        'domain "d0": ports [0x60, 0x65): no domain gets [0x64, 0x65): the keyboard controller, and reset',
    )
    yield (
        request(domain(ports=(Range(0xCF9, 0xCFA),))),
        'domain "d0": ports [0xcf9, 0xcfa): no domain gets [0xcf8, 0xd00): PCI configuration, and reset',
    )
    yield (
        request(domain(ports=(Range(0x55FF, 0x5601),))),
        'domain "d0": ports [0x55ff, 0x5601) overlap [0x5600, 0x5610), which the partition launcher answers',
    )
    yield (
        request(domain(ports=(Range(0xFFFF, 0x10001),))),
        'domain "d0": ports [0xffff, 0x10001) are not within [0x0, 0x10000)',
    )
    yield request(domain(ports=(Range(0x70, 0x70),))), 'domain "d0": ports [0x70, 0x70) are not within [0x0, 0x10000)'
    yield (
        request(domain(ports=(Range(0x300, 0x310),)), domain("d1", ports=(Range(0x30F, 0x320),))),
        'domain "d1": ports [0x30f, 0x320) overlap ports [0x300, 0x310) of domain "d0"',
    )
    com2 = DomainConsole(PASSED, 0x2F8)
    yield (
        request(domain(console=com2), domain("d1", console=com2)),
        'domain "d1": console: UART [0x2f8, 0x300) overlap console [0x2f8, 0x300) of domain "d0"',
    )
    yield (
        request(domain(console=com2), domain("d1", ports=(Range(0x2FF, 0x301),))),
        'domain "d1": ports [0x2ff, 0x301) overlap console [0x2f8, 0x300) of domain "d0"',
    )
    yield (
        request(domain(console=DomainConsole(VIRTUAL, 0x3F8), ports=(Range(0x3FF, 0x401),))),
        'domain "d0": ports [0x3ff, 0x401) overlap [0x3f8, 0x400), where its console is',
    )
    yield (
        request(domain(console=DomainConsole(VIRTUAL, 0x5600))),
        'domain "d0": console: its ports [0x5600, 0x5608) are not free for it',
    )

    # kernel, command line, ramdisk
    yield (
        request(domain(kernel=replace(KERNEL, protocol="multiboot2"))),
        'domain "d0": kernel vmlinux: protocol "multiboot2" is not how a domain is entered: "pvh" or "linux" is',
    )
    yield (
        request(domain(kernel=replace(KERNEL, ranges=(Range(63 * MIB, 65 * MIB),)))),
        'domain "d0": kernel vmlinux: [0x3f00000, 0x4100000) is not within the memory for it, [0x100000, 0x4000000)',
    )
    yield (
        request(domain(kernel=replace(KERNEL, ranges=(Range(0x8000, 0x9000),), pieces=()))),
        'domain "d0": kernel vmlinux: [0x8000, 0x9000) is not within the memory for it, [0x100000, 0x4000000)',
    )
    far = tuple(piece.moved(3 * GIB) for piece in KERNEL.pieces)
    yield (
        request(domain(memory=5 * GIB, kernel=replace(KERNEL, pieces=far))),
        'domain "d0": kernel vmlinux: [0xc1000000, 0xc1003800) is not within the memory for it, [0x100000, 0xc0000000)',
    )
    yield (
        request(domain(kernel=replace(KERNEL, entry=MIB))),
        'domain "d0": kernel vmlinux: its entry 0x100000 is outside of it',
    )
    yield (
        request(domain(kernel=linux_kernel(code32_start=0))),
        'domain "d0": kernel vmlinuz starts in real mode, but a domain has no BIOS',
    )
    yield (
        request(domain(cmdline="x" * 2048)),
        'domain "d0": cmdline: 2048 bytes, with what is added to it, but kernel vmlinux takes at most 2047',
    )
    yield (
        request(domain(kernel=replace(KERNEL, max_cmdline=255), cmdline="x" * 256)),
        'domain "d0": cmdline: 256 bytes, with what is added to it, but kernel vmlinux takes at most 255',
    )
    yield request(domain(cmdline="a\0b")), 'domain "d0": cmdline: it has a zero byte'
    yield (
        request(domain(ramdisk=Ramdisk("initrd", 1, 47 * MIB))),
        'domain "d0": ramdisk initrd of 0x2f00000 bytes does not fit beside kernel vmlinux into [0x100000, 0x4000000)',
    )

    # shared ranges
    yield (
        request(domain(shares=(Share("log"),)), shared=(LOG,)),
        'shared range "log": 1 domain in it, domain "d0", but it takes two to share',
    )
    yield request(shared=(LOG,)), 'shared range "log": 0 domains in it, but it takes two to share'
    yield (
        sharing(Share("log", True), Share("log", True)),
        'shared range "log": domain "d0" and domain "d1" may write to it, but only one may unless mode = "both"',
    )
    for size in (0x1000, 0):
        yield (
            sharing(Share("log"), Share("log"), shared=SharedRange("log", size)),
            f'shared range "log": size {size:#x} is not a multiple of 2M, or is none',
        )
    yield request(domain(shares=(Share("log"),))), 'domain "d0": there is no shared range "log"'
    yield (
        request(domain(shares=(Share("log"), Share("log"))), domain("d1", shares=(Share("log"),)), shared=(LOG,)),
        'domain "d0": it has the shared range "log" 2 times',
    )
    yield (
        request(*(domain(f"d{number}", shares=(Share("log"),)) for number in range(2)), shared=(LOG, LOG)),
        'shared range "log": there are two of that name\nshared range "log": there are two of that name',
    )
    for place, reason in (
        (3 * GIB + 0x1000, "0xc0001000 is not a multiple of 0x200000"),
        (32 * MIB, "[0x2000000, 0x2200000) overlaps memory [0x0, 0x4000000)"),
        (0xFEE00000, "[0xfee00000, 0xff000000) overlaps the LAPIC's [0xfee00000, 0xff000000)"),
        (1 << 40, "[0x10000000000, 0x10000200000) ends beyond 0x10000000000, the last address that every cpu reaches"),
    ):
        yield sharing(Share("log", guest=place), Share("log")), f'domain "d0": shared range "log": {reason}'
    both = (Share("log", guest=4 * GIB), Share("more", guest=4 * GIB))
    yield (
        request(domain(shares=both), domain("d1", shares=both), shared=(LOG, SharedRange("more", STEP))),
        'domain "d0": shared range "more": [0x100000000, 0x100200000) overlaps shared range "log" '
        "[0x100000000, 0x100200000)",
    )
    yield (
        sharing(Share("log"), Share("log"), shared=SharedRange("log", GIB)),
        'domain "d0": shared range "log": no room for its 0x40000000 bytes is left in [0xc0000000, 0xfee00000)',
    )


FAULTS = list(faults())


@pytest.mark.parametrize(("asked", "message"), FAULTS, ids=[message.splitlines()[0] for _, message in FAULTS])
def test_a_fault_is_refused_with_both_parties(asked: Request, message: str) -> None:
    with pytest.raises(BootwrightError) as caught:
        compute(asked)
    errors = caught.value.errors if isinstance(caught.value, ErrorList) else (caught.value,)
    assert all(isinstance(error, PlanError) and error.where is None for error in errors)
    assert str(caught.value) == message


def test_too_many_shared_ranges() -> None:
    ranges = tuple(SharedRange(f"s{number}", STEP) for number in range(C["MAX_SHARES"] + 1))
    shares = tuple(Share(shared.name) for shared in ranges)
    with pytest.raises(ErrorList, match='domain "d0": 9 shared ranges are more than 8'):
        compute(request(domain(shares=shares), domain("d1", shares=shares), shared=ranges))


def test_what_can_be_is_taken() -> None:
    compute(pair())
    compute(sharing(Share("log", True), Share("log", True), shared=replace(LOG, both=True)))
    compute(request(*(domain(f"d{number}", memory=32 * MIB) for number in range(64))))
    compute(request(domain(ramdisk=Ramdisk("initrd", 1, 46 * MIB)), domain("d1", cmdline="x" * 2047)))
