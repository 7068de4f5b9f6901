"""The command line of a domain: docs/domain-builder.md, "Command line of a domain"."""

from __future__ import annotations

from dataclasses import dataclass

from bootwright.common import words
from bootwright.common.abi import load as load_abi
from bootwright.common.messages import BootFailure
from bootwright.hyperlaunch.model import BootDomain, BootInfo, BootModule

OWN_NAME = "the stub"


@dataclass(frozen=True)
class Hypervisor:
    """Settings of the hypervisor that reach the initial domain's command line; acpi None for none."""

    skip_ioapic: bool = False
    acpi: str | None = None
    acpi_disabled: bool = False

    @staticmethod
    def of_cmdline(cmdline: str) -> Hypervisor:
        """What the stub's own command line asks for: noapic and acpi=VALUE, in front of " -- "."""
        own, _ = words.split_hypervisors(cmdline)
        acpi = next((word.removeprefix("acpi=") for word in own.split(" ") if word.startswith("acpi=")), None)
        return Hypervisor(skip_ioapic=words.has(own, "noapic"), acpi=acpi)


@dataclass(frozen=True)
class Reader:
    """Who reads a command line. room: bytes of it, with the terminator; name: what messages call it."""

    room: int
    name: str


def compose_cmdline(
    info: BootInfo, domain: BootDomain, hypervisor: Hypervisor | None = None, reader: Reader | None = None
) -> str:
    """The command line of a domain. Raises BootFailure E_CMDLINE_TOO_LONG where it is more than its reader, or the
    stub, takes: Xen would cut it off in silence.

    A string of kind cmdline (from a description) has no image name; a loader's string has one, unless the
    loader is GRUB 2 or PVH. What the hypervisor adds of its own goes in front of a word "--", behind which a kernel
    looks for nothing.
    """
    constants = load_abi().constants
    module = info.mods[domain.kernel] if domain.kernel is not None else BootModule(constants["BOOTMOD_KERNEL"], 0)
    line = module.string.lstrip(" ")
    if module.string_kind != constants["BOOTSTR_CMDLINE"] and not leaves_out_image_name(info.loader):
        line = line.partition(" ")[2].lstrip(" ")
    if domain.is_initial_domain:
        settings = hypervisor or Hypervisor()
        line += info.kextra
        line, rest = words.split_kernels(line)
        if settings.skip_ioapic and not words.has(line, "noapic"):
            line += " noapic"
        acpi = "off" if settings.acpi is None and settings.acpi_disabled else settings.acpi
        if acpi is not None and not words.has(line, "acpi="):
            line += f" acpi={acpi}"
        line += rest
    room, name = constants["MAX_STRING"], OWN_NAME
    if reader is not None and reader.room <= room:
        room, name = reader.room, reader.name
    if len(line.encode()) >= room:
        raise BootFailure("E_CMDLINE_TOO_LONG", domain.name, room - 1, name)
    return line


def leaves_out_image_name(loader: str) -> bool:
    """Whether a loader of this name puts no image name in front of a module's string: GRUB 2 and PVH."""
    _, grub, version = loader.partition("GRUB ")
    return (bool(grub) and not version.startswith("0")) or loader.startswith("PVH")
