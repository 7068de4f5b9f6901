"""Every key of a description: how its value is read, what it is where it is missing, and what it means.

docs/description.md is made from these tables (`invoke docs`).
"""

from __future__ import annotations

from collections.abc import Iterable

from bootwright.common.abi import load as load_abi
from bootwright.description import readers, roles, values
from bootwright.description.readers import Field

LAUNCHERS = ("native", "xen", "partition")
PACKS = ("auto", "lz4", "none")
MODULES = ("embedded", "loader")
LOG_LEVELS = ("quiet", "normal", "debug")
MAX_CPUS = 4096
MAX_RESTARTS = 1000
SHARED_MODES = ("first", "both")
SHARED_TYPES = ("reserved", "pmem")

FILE = 'a path from the description\'s folder on, or `{ package = "...", file = "..." }`'
MEMORY = 'whole pages, such as `"512M"`; K, M, G or T'
COMMAND_LINE = "a string; the word `{console}` in it stands for what its reader is to be told of [image] `console`"
BOOLEAN = "`true` or `false`"


def image() -> dict[str, Field]:
    """The keys of [image]."""
    return {
        "name": Field(readers.name, form="a name", says="of the outputs: build/NAME/NAME.elf", usual="the file's"),
        "launcher": Field(
            readers.choice(LAUNCHERS),
            default="native",
            form=_words(LAUNCHERS),
            says="who starts what: the stub gives the initial domain the machine; Xen, see [hypervisor]; or every "
            "domain gets cpus and memory of its own (docs/partition.md)",
        ),
        "console": Field(
            values.console,
            default=values.DEFAULT_CONSOLE,
            form=f'an array of `"com1,115200"` (com1 to com4, or a port such as 0x3f8; {values.MIN_BAUD} baud or more) '
            'and `"vga"`',
            says="where the stub's messages go: a serial port, and the screen, be it text or a framebuffer",
            usual='`["com1,115200", "vga"]`',
        ),
        "log": Field(
            readers.choice(LOG_LEVELS),
            default="normal",
            form=_words(LOG_LEVELS),
            says="what is said: warnings and errors; a line for each stage; the memory map as well",
        ),
        "on-failure": Field(
            values.on_failure,
            form=f'`"halt"` or `"reboot after N s"`, N at most {values.MAX_REBOOT_SECONDS}',
            says="what follows an error",
            usual='`"halt"`',
        ),
        "pack": Field(
            readers.choice(PACKS),
            default="auto",
            form=_words(PACKS),
            says="whether modules travel as LZ4: where that saves a tenth; always; never",
        ),
        "modules": Field(
            readers.choice(MODULES),
            default="embedded",
            form=_words(MODULES),
            says="inside the image; or brought by the loader, matched by name, size and hash",
        ),
        "verify": Field(
            readers.boolean, default=True, form=BOOLEAN, says="the SHA-256 of every module is checked at boot"
        ),
        "sbat": Field(
            values.sbat,
            default=values.DEFAULT_SBAT,
            form=f'an array of lines `"{",".join(values.SBAT_COLUMNS)}"`',
            says="what the EFI application says to shim that it is made of, for revocation (docs/media.md)",
            usual=f'`["{values.DEFAULT_SBAT[0]}"]`',
        ),
        "slack": Field(
            values.slack,
            default=values.DEFAULT_SLACK,
            form=f'`"0K"` to `"{values.in_units(values.MAX_SLACK)}"`',
            says="room behind the tables, for longer command lines in a finished image (`invoke cmdline`)",
            usual=f'`"{values.in_units(values.DEFAULT_SLACK)}"`',
        ),
        "profile": Field(
            readers.name,
            default="default",
            form="a name",
            says="what this description is called in the menu and behind `profile=`, where there are more, see "
            "[[profile]]",
        ),
        "menu": Field(
            readers.integer(0, values.MAX_REBOOT_SECONDS),
            default=5,
            form=f"0 to {values.MAX_REBOOT_SECONDS}",
            says="seconds that the menu of profiles waits for a key; 0: there is none",
        ),
        "generic": Field(
            readers.boolean,
            default=False,
            form=BOOLEAN,
            says="the stub alone, with no key but `name`: the loader's modules say what to boot",
        ),
    }


def hypervisor() -> dict[str, Field]:
    """The keys of [hypervisor]."""
    return {
        "kernel": Field(values.file, True, form=FILE, says="Xen itself; gzip is unpacked"),
        "cmdline": Field(
            readers.bounded_string(load_abi().constants["MAX_STRING"], reader="the stub"),
            default="",
            form=COMMAND_LINE,
            says="its command line; memory and cpus of the initial domain are added in front of ` -- `, unless it says "
            "them itself; what stands behind ` -- ` is for the initial domain",
        ),
        "lcm": Field(
            readers.boolean,
            default=False,
            form=BOOLEAN,
            says="module 0 is a device tree of all domains, for a Xen that reads one",
        ),
        "microcode": Field(values.file, form=FILE, says="for Xen to load into the cpus"),
        "xsm-policy": Field(values.file, form=FILE, says="Xen's security policy"),
    }


def domain() -> dict[str, Field]:
    """The keys of a [[domain]]."""
    constants = load_abi().constants
    permissions, functions = roles.bits("PERMISSION_"), roles.bits("FUNCTION_")
    protocols = sorted(
        key.removeprefix("PROTOCOL_").lower()
        for key, number in constants.items()
        if key.startswith("PROTOCOL_") and number and not key.endswith("_EFI")  # the stub's choice
    )
    last_domid = constants["DOMID_FIRST_RESERVED"] - 1
    security_id = constants["BOOT_DOMAIN_KERNEL"] - constants["BOOT_DOMAIN_SECURITY_ID"]
    return {
        "name": Field(readers.name, True, form="a name", says="what messages and other tables call it"),
        "permissions": Field(
            readers.flags(permissions),
            default=0,
            form=f"an array of {_words(permissions)}",
            says="it may control other domains; it owns the hardware",
            usual="none",
        ),
        "functions": Field(
            readers.flags(functions),
            default=0,
            form=f"an array of {_words(functions)}",
            says="what it does for the others; exactly one is the initial domain, which the launcher starts; a "
            "domain that is alone is that one",
            usual="none",
        ),
        "mode": Field(
            readers.choice(roles.modes()),
            default="pvh",
            form=_words(roles.modes()),
            says='how it is virtualised; native builds `"pvh"`',
        ),
        "protocol": Field(
            readers.choice(("auto", *protocols)),
            default="auto",
            form=_words(("auto", *protocols)),
            says="how the native launcher enters its kernel; auto takes multiboot2, multiboot1, linux (a bzImage) or "
            "pvh, the first that the file has and that can be met, and says which and why. Only linux and multiboot2 "
            "tell a kernel of EFI",
        ),
        "domid": Field(
            readers.integer(0, last_domid),
            default=0,
            form=f"0 to {last_domid:#x}",
            says="0: the initial domain's, and for others the next that is free",
        ),
        "uuid": Field(values.uuid_bytes, default=bytes(16), form="a UUID", says="for the device tree", usual="zero"),
        "cpus": Field(readers.integer(1, MAX_CPUS), default=1, form=f"1 to {MAX_CPUS}", says="virtual cpus"),
        "memory": Field(values.memory, True, form=MEMORY, says="what kernel and ramdisk are placed in"),
        "memory-min": Field(
            values.memory, form=MEMORY, says="what a machine must have at least", usual="15/16 of `memory`"
        ),
        "memory-max": Field(values.memory, form=MEMORY, says="what it may grow to", usual="`memory`"),
        "security-id": Field(
            readers.bounded_string(security_id, terminated=False),
            default="",
            form=f"a string of at most {security_id} bytes",
            says="its label in the security policy",
        ),
        "kernel": Field(
            values.file,
            form=FILE,
            says="ELF, bzImage, or a file whose multiboot header says where it goes (docs/kernels.md); .asm is "
            "assembled first. The initial domain has one",
        ),
        "ramdisk": Field(
            values.ramdisk,
            form=f"{FILE}; with `init`, a script, and `programs`, an array of files",
            says="as it is; with `init` the packaged file is a busybox, and the ramdisk is made of both, with the "
            "programs in /bin; .asm is assembled to one for Linux first",
        ),
        "device-tree": Field(values.file, form=FILE, says="the guest's own, for the device tree"),
        "config": Field(values.file, form=FILE, says="the guest's configuration, for the device tree"),
        "cmdline": Field(
            readers.bounded_string(constants["MAX_STRING"], reader="the stub"),
            default="",
            form=COMMAND_LINE,
            says="its kernel's command line",
        ),
        "modules": Field(
            values.handed_modules,
            default=(),
            form="an array of files, each as for `ramdisk`, or as a table with `path`; a table may have a `string`",
            says="more files for a kernel entered by multiboot or PVH: it is told of them in this order, behind its "
            "ramdisk, each with its string",
            usual="none",
        ),
        **_partition(),
    }


def _partition() -> dict[str, Field]:
    """The keys of a [[domain]] that only the partition launcher knows."""
    return {
        "cpu-ids": Field(
            values.cpu_ids,
            default=(),
            form="an array of APIC ids, one for each of `cpus`",
            says="partition: which cpus of the machine it gets",
            usual="the next of the ACPI tables",
        ),
        "ports": Field(
            values.ports,
            default=(),
            form='an array of I/O ports, each as `"0x60"` or, from first to last, `"0x2f8-0x2ff"`',
            says="partition: ports of the machine that are its own",
            usual="none",
        ),
        "console": Field(
            values.domain_console,
            default=values.VIRTUAL_CONSOLE,
            form='`"virtual"`, `"ring"`, `"none"`, or a UART of the machine: `"com1"` to `"com4"`, or a port such as '
            '`"0x3f8"`',
            says="partition: its serial port; a virtual one is com1 to the domain, whose lines go to the image's "
            "console with `d` and its domid in front; of a ring the monitor shows the text; a UART of the machine is "
            "its own",
            usual='`"virtual"`',
        ),
        "on-end": Field(
            readers.choice(("stop", "restart")),
            default="stop",
            form='`"stop"` or `"restart"`',
            says="partition: what follows when it resets, powers itself off or fails",
        ),
        "restarts": Field(
            readers.integer(1, MAX_RESTARTS),
            default=3,
            form=f"1 to {MAX_RESTARTS}",
            says="partition: how many restarts there may be within a minute; one more stops it",
        ),
    }


def profile() -> dict[str, Field]:
    """The keys of a [[profile]]: what is different when the image is started so."""
    return {
        "name": Field(readers.name, True, form="a name", says="what `profile=` and messages call it"),
        "title": Field(
            readers.bounded_string(load_abi().constants["MAX_NAME"] - len(": ")),
            default="",
            form="a string",
            says="what the menu says of it",
            usual="none",
        ),
        "cmdline": Field(
            readers.bounded_string(load_abi().constants["MAX_STRING"], reader="the stub"),
            form=COMMAND_LINE,
            says="the command line of the initial domain's kernel",
            usual="the domain's",
        ),
        "kernel": Field(values.file, form=FILE, says="the initial domain's", usual="the domain's"),
        "ramdisk": Field(values.ramdisk, form=FILE, says="the initial domain's", usual="the domain's"),
        "hypervisor-cmdline": Field(
            readers.bounded_string(load_abi().constants["MAX_STRING"], reader="the stub"),
            form=COMMAND_LINE,
            says="the hypervisor's command line",
            usual="[hypervisor]'s",
        ),
        "console": Field(
            values.console, form="as in [image]", says="where messages go, from the choice on", usual="[image]'s"
        ),
        "log": Field(readers.choice(LOG_LEVELS), form=_words(LOG_LEVELS), says="what is said", usual="[image]'s"),
    }


def shared() -> dict[str, Field]:
    """The keys of a [[shared]]: memory that several domains of the partition launcher see."""
    return {
        "name": Field(readers.name, True, form="a name", says="what messages call it"),
        "size": Field(values.memory, True, form=f"{MEMORY}; of 2M each", says="of the range"),
        "between": Field(
            values.names,
            True,
            form="an array of names of domains, at least two",
            says="who sees it",
        ),
        "mode": Field(
            readers.choice(SHARED_MODES),
            default="first",
            form=_words(SHARED_MODES),
            says="who may write: the first of `between`, or all",
        ),
        "as": Field(
            readers.choice(SHARED_TYPES),
            default="reserved",
            form=_words(SHARED_TYPES),
            says="what the memory maps of the domains call it: reserved, or persistent memory, of which Linux makes a "
            "device",
        ),
    }


def _words(known: Iterable[str]) -> str:
    return ", ".join(f'`"{word}"`' for word in known)
