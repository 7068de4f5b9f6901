"""The bindings of a Hyperlaunch device tree (docs/domain-builder.md): names, and values as bytes.

Readers take a property's bytes and give the value as a description has it; they raise ValueError with what is
wrong. `bootwright,KEY` properties carry what a description has and the bindings have not.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import counted
from bootwright.description import roles
from bootwright.devicetree.fdt import CELL

Value = str | int | bool | list[str] | list[int]

HYPERVISOR = "hypervisor,xen"
ARCHITECTURE = "xen,x86"
DOMAIN = "xen,domain"
CONFIG = "xen,config"
OWN = "bootwright,"
SHARED = f"{OWN}shared"

BY_INDEX = {"module,index": "module-index", "multiboot,module": "mb-index"}  # the second in older documents
BY_ADDRESS = ("module,addr", "module-addr")
KIND_PREFIXES = ("module,", "multiboot,")
KINDS = {
    "kernel": "BOOTMOD_KERNEL",
    "ramdisk": "BOOTMOD_RAMDISK",
    "device-tree": "BOOTMOD_GUEST_DTB",
    "config": "BOOTMOD_GUEST_CONF",
    "microcode": "BOOTMOD_UCODE",
    "xsm-policy": "BOOTMOD_XSM",
}
# Any number of files for a kernel that takes more than a ramdisk.
HANDED, HANDED_KIND = f"{OWN}module", "BOOTMOD_MODULE"
# What any node may have, and what has nothing to do with us.
GENERAL = ("compatible", "phandle", "name", "reg", "ranges", "#address-cells", "#size-cells", "status")


def cell(value: bytes) -> int:
    """One 32-bit cell."""
    if len(value) != CELL:
        raise ValueError(f"is {counted(len(value), 'byte')} long, not one cell such as <1>")
    return int.from_bytes(value, "big")


def cell_list(value: bytes) -> list[int]:
    """Cells, at least one."""
    if not value or len(value) % CELL:
        raise ValueError(f"is {counted(len(value), 'byte')} long, not cells such as <2 3>")
    return [int.from_bytes(value[at : at + CELL], "big") for at in range(0, len(value), CELL)]


def string(value: bytes) -> str:
    """One string."""
    found = strings(value)
    if len(found) != 1:
        raise ValueError(f"is a list of {len(found)} strings, not one")
    return found[0]


def strings(value: bytes) -> list[str]:
    """A list of strings, at least one."""
    if not value.endswith(b"\0"):
        raise ValueError(f"is {counted(len(value), 'byte')} long and does not end as a string does, with a zero byte")
    try:
        return value[:-1].decode("utf-8").split("\0")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} of it, {value[error.start]:#04x}, is not UTF-8 text") from error


def boolean(value: bytes) -> bool:
    """Nothing at all or <1> for true, <0> for false."""
    if not value:
        return True
    found = cell(value)
    if found > 1:
        raise ValueError(f"{found} is neither 1, for true, nor 0, for false")
    return bool(found)


def memory(value: bytes) -> str:
    """An amount of memory as a description spells it.

    A string such as "512M" (KiB without a unit, as Xen has it), or KiB in one or two cells. What starts
    with a digit and ends with a zero byte is a string.
    """
    letters = value[:-1].isalpha()  # "all": a string, and no sensible number
    if (value[:1].isdigit() or letters) and value.endswith(b"\0"):
        match = re.fullmatch(rb"([0-9]{1,18})([KMGTkmgt]?)\0", value)
        if not match:
            raise ValueError(f'{string(value)!r} is no amount of memory such as "512M"'.replace("'", '"'))
        return match[1].decode() + (match[2].decode().upper() or "K")
    if len(value) not in (CELL, 2 * CELL):
        raise ValueError(
            f'is {counted(len(value), "byte")} long, neither a string such as "512M" nor KiB in one or two cells'
        )
    return f"{int.from_bytes(value, 'big')}K"


def uuid_text(value: bytes) -> str:
    """16 bytes, in the usual spelling of a UUID."""
    if len(value) != 16:
        raise ValueError(f"is {counted(len(value), 'byte')} long, not 16")
    return str(uuid.UUID(bytes=value))


def bits(prefix: str) -> Callable[[bytes], list[str]]:
    """A reader of a cell of bits, as words."""

    def read(value: bytes) -> list[str]:
        found = cell(value)
        unknown = found & ~sum(roles.bits(prefix).values())
        if unknown:
            what = prefix.removesuffix("_").lower()
            raise ValueError(f"{found:#x} has bits that are no {what}: {unknown:#x}")
        return roles.words(prefix, found)

    return read


def mode(value: bytes) -> str:
    """The cell `mode`."""
    found, known = cell(value), {number: word for word, number in roles.modes().items()}
    if found in known:
        return known[found]
    long = found | load_abi().constants["MODE_LONG"]
    if long in known:
        raise ValueError(f"{found:#x} asks for a 32-bit domain; only 64-bit ones are built, which is {long:#x}")
    raise ValueError(f"{found:#x} is none of PVH, PV and HVM")


# How a domain's properties are read: the key of a description, and the reader.
DOMAIN_PROPERTIES: dict[str, tuple[str, Callable[[bytes], Value]]] = {
    "domid": ("domid", cell),
    "permissions": ("permissions", bits("PERMISSION_")),
    "functions": ("functions", bits("FUNCTION_")),
    "mode": ("mode", mode),
    "domain-uuid": ("uuid", uuid_text),
    "cpus": ("cpus", cell),
    "memory": ("memory", memory),
    "security-id": ("security-id", string),
    f"{OWN}name": ("name", string),
    f"{OWN}protocol": ("protocol", string),
    f"{OWN}memory-min": ("memory-min", memory),
    f"{OWN}memory-max": ("memory-max", memory),
    f"{OWN}cpu-ids": ("cpu-ids", cell_list),
    f"{OWN}ports": ("ports", strings),
    f"{OWN}console": ("console", string),
    f"{OWN}on-end": ("on-end", string),
    f"{OWN}restarts": ("restarts", cell),
}

# What a node of memory that domains share has, by the key of a description.
SHARED_PROPERTIES: dict[str, tuple[str, Callable[[bytes], Value]]] = {
    f"{OWN}size": ("size", memory),
    f"{OWN}between": ("between", strings),
    f"{OWN}mode": ("mode", string),
    f"{OWN}as": ("as", string),
}

# The settings of the image, in the node /chosen/hypervisor: `bootwright,KEY` for each key.
IMAGE_PROPERTIES: dict[str, Callable[[bytes], Value]] = {
    "name": string,
    "launcher": string,
    "console": strings,
    "log": string,
    "on-failure": string,
    "pack": string,
    "modules": string,
    "verify": boolean,
    "sbat": strings,
    "generic": boolean,
}

# What the node of Xen's own settings has beside a file.
HYPERVISOR_PROPERTIES: dict[str, tuple[str, Callable[[bytes], Value]]] = {
    "bootargs": ("cmdline", string),
    f"{OWN}lcm": ("lcm", boolean),
}

# A file: the keys of a table in a description; `path` alone is a string there.
FILE_PROPERTIES: dict[str, Callable[[bytes], Value]] = {
    "path": string,
    "package": string,
    "file": string,
    "init": string,
    "programs": strings,
}


def cells(*numbers: int) -> bytes:
    """Cells as bytes."""
    return b"".join(number.to_bytes(CELL, "big") for number in numbers)


def text(*parts: str) -> bytes:
    """Strings as bytes."""
    return b"".join(part.encode() + b"\0" for part in parts)
