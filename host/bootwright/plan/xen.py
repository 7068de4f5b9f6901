"""What a hypervisor is told that builds the domains in the stub's place: Xen, in its legacy order of modules.

Xen's boot protocol without a device tree: module 0 is the initial domain's kernel, with the domain's command
line as its string, module 1 the ramdisk, behind it microcode and XSM policy. A loader that is not GRUB 2 puts
the file's name in front of every string, and Xen takes it off again (docs/domain-builder.md); the stub says
that it is bootwright.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from bootwright.common import words
from bootwright.common.abi import load as load_abi
from bootwright.common.errors import PlanError
from bootwright.common.messages import line
from bootwright.hyperlaunch.model import BootDomain, BootInfo, BootModule

PLACEHOLDER = "placeholder"  # a word that means nothing to Xen, the one that GRUB's scripts write


def lines(info: BootInfo, built: Collection[int], *, partition: bool = False) -> list[str]:
    """The lines that the stub's domain builder prints then. built: the domains that are, by their index; all others
    have no kernel, or there is no device tree to tell Xen of them. partition: it is not Xen, but our own resident part.
    """
    domains = info.domains
    name = "" if info.hypervisor is None else info.mods[info.hypervisor].name
    tree = info.mods[0].kind == load_abi().constants["BOOTMOD_FDT"]
    left = [domain.name for index, domain in enumerate(domains) if index not in built]
    return [
        line("M_BUILDER", len(domains)),
        line("M_HYPERVISOR", name, len(domains) - len(left), len(domains)),
        *(line("M_NO_KERNEL" if tree or partition else "M_SKIPPED_XEN", name) for name in left),
    ]


def module_string(info: BootInfo, module: BootModule) -> str:
    """The string of a module in the tables. Raises PlanError where it is too long with the name in front."""
    if info.hypervisor is None or module.kind != load_abi().constants["BOOTMOD_KERNEL"]:
        return module.string
    return _bounded(f"{module.name} {module.string}".rstrip(" "), f"the string of kernel {module.name}")


def cmdline(info: BootInfo, microcode: int | None = None) -> str:
    """The hypervisor's command line: its name, what the description says to it, and what that says of the initial
    domain and where the microcode is, unless the command line does; then what is handed on to the initial domain.
    microcode: its number among the modules that are handed over, from 0. Raises PlanError where it is too long.
    """
    if info.hypervisor is None:
        return ""
    own, extra = words.split_hypervisors(info.hypervisor_cmdline)
    options = [option for option in _options(info, microcode) if not words.has(own, f"{option.partition('=')[0]}=")]
    # The name is taken off before Xen looks for the mark with its spaces: something must stand in between.
    told = [word for word in (own, *options) if word] or ([PLACEHOLDER] if extra else [])
    line = " ".join([info.mods[info.hypervisor].name, *told])
    return _bounded(f"{line} {words.MARK}{extra}" if extra else line, "[hypervisor]: cmdline")


def _options(info: BootInfo, microcode: int | None) -> Iterator[str]:
    """Xen's options for the initial domain's memory and cpus, and for microcode (Xen's
    docs/misc/xen-command-line), where no device tree says these. It finds an XSM policy by its first bytes.
    """
    if info.builder is None or info.builder.fdt_enabled:
        return
    if microcode is not None:
        yield f"ucode={microcode}"
    for domain in info.builder.domains:
        if domain.is_initial_domain:
            yield f"dom0_mem={_memory(domain)}"
            yield f"dom0_max_vcpus={domain.ncpus}"


def _memory(domain: BootDomain) -> str:
    page = load_abi().constants["PAGE_SIZE"]
    size, high = (amount.pages(0) * page >> 10 for amount in (domain.mem_size, domain.mem_max))
    return f"{size}K,max:{high}K"


def _bounded(text: str, what: str) -> str:
    limit = load_abi().constants["MAX_STRING"]
    size = len(text.encode()) + 1
    if size > limit:
        raise PlanError(f"{what} would be {size} bytes long with its terminating zero byte; {limit} fit into the stub")
    return text
