"""What a user may want to know of a description that is right: sentences for the map and for the build's output."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from bootwright.common import words
from bootwright.common.abi import load as load_abi
from bootwright.common.errors import KernelError, is_or_are, listed
from bootwright.description import consoles, roles
from bootwright.description.load import Description, DomainDescription
from bootwright.hyperlaunch.model import BootInfo
from bootwright.kernels import bzimage, elf

CONSOLE = "console="
# What lies above that, up to 4 GiB, is for devices in QEMU's q35, and above 3 GiB in its pc.
USUAL_BELOW_4_GIB = 2 << 30
USUAL_MEMORY = 1 << 40
VERSION_START = 16  # bytes of a version that show its kind


def of_description(description: Description, info: BootInfo, built: Collection[int]) -> Iterator[str]:
    """All notes. info: its model; built: the domains that the launcher builds, by their index. OSError passes."""
    for domain in description.domains:
        yield from _alone(domain)
    yield from _consoles(description, info, built)
    yield from _not_built(description, built)
    yield from _left_out(description, built)


def of_memory(description: Description, built: Collection[int], below: int) -> Iterator[str]:
    """Where few machines have the memory that is needed. below: how much RAM must be there below 4 GiB, in bytes."""
    if below > USUAL_BELOW_4_GIB:
        yield f"what is loaded takes {below >> 20} MiB, all of them below 4 GiB: few machines have so much RAM there"
    domains = [description.domains[index] for index in sorted(built)]
    asked = sum(domain.memory for domain in domains)
    if asked > USUAL_MEMORY:
        names = listed([f'"{domain.name}"' for domain in domains])
        what, ask = ("domain", "asks") if len(domains) == 1 else ("domains", "ask")
        yield f"{what} {names}: memory: {ask} for {asked >> 30} GiB: few machines have so much"


def _alone(domain: DomainDescription) -> Iterator[str]:
    if domain.alone:
        given = (
            ("permissions", roles.words("PERMISSION_", domain.permissions)),
            ("functions", roles.words("FUNCTION_", domain.functions)),
        )
        shown = [f"{key} {listed(words)}" for key, words in given]
        yield f"{domain.subject}: there is no other, so it is the initial domain; it has {'; '.join(shown)}"


def _consoles(description: Description, info: BootInfo, built: Collection[int]) -> Iterator[str]:
    """Command lines that name no console, where the image has a serial one."""
    console, hypervisor = description.image.console, description.hypervisor
    if console.serial_port is None:
        return
    extra = ""
    if hypervisor is not None:
        own, extra = words.split_hypervisors(hypervisor.cmdline)
        if not words.has(own, CONSOLE):
            yield f"[hypervisor]: {_no_console(consoles.for_xen(console))}"
    for index in sorted(built):
        domain = description.domains[index]
        mod = info.builder.domains[index].kernel if info.builder else None
        path = None if mod is None else info.mods[mod].path
        said, _ = words.split_kernels(domain.cmdline + (extra if domain.initial else ""))
        if path is not None and not words.has(said, CONSOLE) and is_linux(path):
            yield f"{domain.subject}: {_no_console(consoles.for_domain(description, domain))}"


def _no_console(told: str) -> str:
    return f"cmdline names no console, and the image has a serial one: {consoles.PLACE} in it stands for {told}"


def is_linux(path: Path) -> bool:
    """Is the file a kernel of Linux? A bzImage says its version, as others do whose name comes first; an ELF file has
    notes.
    """
    constants = load_abi().constants
    with path.open("rb") as stream:
        head = stream.read(bzimage.HEADER_END)
        if bzimage.is_bzimage(head):
            offset = int.from_bytes(head[constants["BOOT_PARAMS_KERNEL_VERSION"] :][:2], "little")
            stream.seek(constants["LINUX_SECTOR"] + offset)
            return offset != 0 and re.match(rb"[0-9]+\.[0-9]", stream.read(VERSION_START)) is not None
    try:
        return head.startswith(elf.MAGIC) and elf.read(path).linux
    except KernelError:
        return False


def _not_built(description: Description, built: Collection[int]) -> Iterator[str]:
    for index, domain in enumerate(description.domains):
        if index not in built:
            left = list(domain.files)
            what = f"; its {listed(left)} {is_or_are(left)} left out of the image" if left else ""
            yield f"{domain.subject} is not built by the {description.image.launcher} launcher{what}"


def _left_out(description: Description, built: Collection[int]) -> Iterator[str]:
    """Without a device tree nobody can be told what a domain's configs are."""
    if description.hypervisor is not None and description.hypervisor.lcm:
        return
    for index in sorted(built):
        domain = description.domains[index]
        left = [key for key in ("device-tree", "config") if key in domain.files]
        if left:
            what = f"{listed(left)}: left out of the image"
            told = f"only Xen with lcm = true is told of {'them' if len(left) > 1 else 'it'}"
            yield f"{domain.subject}: {what}; {told}"
