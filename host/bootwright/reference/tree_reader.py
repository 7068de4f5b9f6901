"""What the stub reads from a device tree at boot: the reference for stub/generic/device_tree.asm, with the
same errors.

    found = read_tree(blob, info)      # BootInfo with domains; None if module 0 is no device tree

It takes what the stub takes and no less: the host's own, devicetree/reader.py, is stricter and has words for
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from bootwright.common.abi import load as load_abi
from bootwright.common.messages import BootFailure, line
from bootwright.description import roles
from bootwright.devicetree import bindings, fdt
from bootwright.devicetree.fdt import Blob, Property
from bootwright.hyperlaunch.model import BootDomain, BootInfo, BootModule, DomainBuilder, MemorySize

UNIT_SHIFT = {b"": 0, b"k": 0, b"m": 10, b"g": 20, b"t": 30}  # of KiB
MAX_DIGITS = 34  # bits of a string's number
MAX_AMOUNT = 48  # bits of the KiB that it may come to
CELLS = ("permissions", "functions", "mode", "domid", "cpus")


def check_tree(blob: bytes) -> Blob | None:
    """Its root, None if it is no device tree. Raises BootFailure for a damaged one."""
    if not fdt.is_tree(blob):
        return None
    try:
        return fdt.parse(blob)
    except fdt.Damage as damage:
        raise BootFailure(damage.name, *damage.values) from damage


def read_tree(blob: bytes, info: BootInfo, lines: list[str] | None = None) -> BootInfo | None:
    """Steps of builder_init with a device tree in module 0, whose bytes are `blob`.

    Gives the model with the tree's domains, its modules' kinds and strings, and its command line; `lines` gets what
    is printed of it. Raises BootFailure.
    """
    root = check_tree(blob)
    if root is None:
        return None
    chosen = _enter(root, b"chosen")
    hypervisor = _enter(chosen, b"hypervisor") if chosen else None
    if hypervisor is None or not hypervisor.compatible(bindings.HYPERVISOR.encode()):
        raise BootFailure("E_FDT_NO_HYPERVISOR")
    reader = _Reader(info)
    for child in hypervisor.enabled:
        if child.compatible(bindings.DOMAIN.encode()):
            reader.read_domain(child)
        elif child.compatible(bindings.CONFIG.encode()):
            reader.read_config(child)
    return reader.info([] if lines is None else lines)


def read_domains(blob: bytes, info: BootInfo) -> tuple[BootDomain, ...] | None:
    """The domains alone of read_tree."""
    found = read_tree(blob, info)
    return found.builder.domains if found and found.builder else None


def _enter(node: Blob, name: bytes) -> Blob | None:
    return next((child for child in node.enabled if child.name.partition(b"@")[0] == name), None)


class _Reader:
    """The tables under way."""

    def __init__(self, info: BootInfo) -> None:
        constants = load_abi().constants
        self._constants = constants
        self._info = info
        self._start = info.mods[0].start
        self._mods = [replace(info.mods[0], kind=constants["BOOTMOD_FDT"]), *info.mods[1:]]
        self._domains: list[BootDomain] = []
        self._handed: dict[int, int] = {}  # module: the domain that it is handed to
        self._cmdline = info.cmdline
        kept = (info.loader, info.cmdline, *(mod.string for mod in info.mods))
        self._strings = sum(len(text.encode()) + 1 for text in kept if text)

    def info(self, lines: list[str]) -> BootInfo:
        if len(self._domains) == 1 and not self._domains[0].is_initial_domain:
            (only,) = self._domains
            permissions, functions = roles.of_the_only_one(only.permissions, only.functions)
            self._domains = [replace(only, permissions=permissions, functions=functions)]
            lines.append(line("M_ALONE", only.name))
        domains = (
            replace(domain, handed=tuple(sorted(mod for mod, to in self._handed.items() if to == index)))
            for index, domain in enumerate(self._domains)
        )
        builder = DomainBuilder(tuple(domains), fdt_enabled=True)
        return replace(self._info, mods=tuple(self._mods), cmdline=self._cmdline, builder=builder)

    def _keep(self, data: bytes, offset: int) -> str:
        """A string that the stub copies; offset: where it is in the tree."""
        limit, space = self._constants["MAX_STRING"], self._constants["STRING_SPACE_SIZE"]
        if self._strings > space - limit:
            raise BootFailure("E_STRING_SPACE", space)
        text = data.partition(b"\0")[0]
        if len(text) >= limit:
            raise BootFailure("E_STRING_TOO_LONG", self._start + offset, limit - 1)
        self._strings += len(text) + 1
        return _shown(text)

    def read_config(self, node: Blob) -> None:
        found = node.find(b"bootargs")
        if found is not None:
            self._cmdline = self._text(node, found)
        self._read_modules(node)  # referred to by nobody

    def read_domain(self, node: Blob) -> None:
        constants = self._constants
        name = self._keep(node.name, node.offset)
        if len(self._domains) >= constants["MAX_DOMAINS"]:
            values = (
                len(self._domains) + 1,
                len(self._mods),
                constants["MAX_DOMAINS"],
                constants["MAX_MODULES"],
            )
            raise BootFailure("E_TABLES_COUNT", *values)
        found = dict(self._cells(node))
        pages = constants["MEMORY_PAGES"]
        memory = MemorySize(pages, self._memory(node))
        uuid = node.find(b"domain-uuid")
        if uuid is not None and len(uuid.value) != 16:
            raise _bad(node, uuid)
        security = node.find(b"security-id")
        limit = constants["BOOT_DOMAIN_KERNEL"] - constants["BOOT_DOMAIN_SECURITY_ID"]
        if security is not None and len(security.value) > limit:
            raise _bad(node, security)
        references = self._read_modules(node, len(self._domains))
        configs = (references.get("BOOTMOD_GUEST_DTB"), references.get("BOOTMOD_GUEST_CONF"))
        self._domains.append(
            BootDomain(
                name=name,
                permissions=found.get("permissions", 0),
                functions=found.get("functions", 0),
                mode=found.get("mode", 0),
                domid=found.get("domid", 0),
                mem_size=memory,
                mem_min=MemorySize(pages, 0),
                mem_max=memory,
                uuid=uuid.value if uuid else bytes(16),
                ncpus=found.get("cpus", 1),
                security_id=_shown(security.value.partition(b"\0")[0]) if security else "",
                kernel=references.get("BOOTMOD_KERNEL"),
                ramdisk=references.get("BOOTMOD_RAMDISK"),
                configs=configs,
            )
        )

    def _cells(self, node: Blob) -> Iterator[tuple[str, int]]:
        for name in CELLS:
            found = node.find(name.encode())
            if found is None:
                continue
            value = int.from_bytes(found.value, "big")
            reserved = self._constants["DOMID_FIRST_RESERVED"]
            if len(found.value) != fdt.CELL or (name == "domid" and value >= reserved):
                raise _bad(node, found)
            yield name, value

    def _memory(self, node: Blob) -> int:
        """Pages, rounded up."""
        found = node.find(b"memory")
        if found is None:
            return 0
        value = found.value
        if value[:1].isdigit() and value.endswith(b"\0"):
            kib = _amount(value.partition(b"\0")[0].lower())
        else:
            kib = int.from_bytes(value, "big") if len(value) in (fdt.CELL, 2 * fdt.CELL) else None
        per_page = self._constants["PAGE_SIZE"] >> 10
        if kib is None or kib + per_page > 1 << 64:  # rounding up would leave 64 bits
            raise _bad(node, found)
        return -(-kib // per_page)

    def _read_modules(self, node: Blob, domain: int | None = None) -> dict[str, int]:
        """The modules in a node, by kind. domain: which one's it is."""
        references: dict[str, int] = {}
        for child in node.enabled:
            number = self._module(child)
            if number is None:
                continue
            kind = _kind(child)
            references[kind] = number
            if kind == bindings.HANDED_KIND and domain is not None:
                self._handed[number] = domain
            mod = replace(self._mods[number], kind=self._constants[kind])
            found = child.find(b"bootargs")
            if found is not None:
                text = self._text(child, found)
                mod = replace(mod, string=text, string_kind=self._constants["BOOTSTR_CMDLINE"])
            self._mods[number] = mod
        return references

    def _module(self, node: Blob) -> int | None:
        """The number of the module that a node names; None if it names none."""
        for compatible, name in bindings.BY_INDEX.items():
            if node.compatible(compatible.encode()):
                return self._index(node, name)
        compatible, name = bindings.BY_ADDRESS
        if not node.compatible(compatible.encode()):
            return None
        value = _value(node, name, 16)
        start, size = int.from_bytes(value[:8], "big"), int.from_bytes(value[8:], "big")
        limit = self._constants["MAX_MODULES"]
        if len(self._mods) >= limit:
            raise BootFailure("E_TOO_MANY_MODULES", limit)
        if start + size >= 1 << 32:
            raise BootFailure("E_LOADER_ADDRESS", start)
        number = len(self._mods)
        self._mods.append(BootModule(0, size, start, name=f"module{number}"))
        return number

    def _index(self, node: Blob, name: str) -> int:
        number = int.from_bytes(_value(node, name, fdt.CELL), "big")
        if not 1 <= number < len(self._mods):
            raise BootFailure("E_FDT_MODULE", _shown(node.name), number, len(self._mods) - 1)
        return number

    def _text(self, node: Blob, found: Property) -> str:
        if not found.value.endswith(b"\0"):
            raise _bad(node, found)
        return self._keep(found.value, found.offset)


def _amount(text: bytes) -> int | None:
    """KiB of a string such as "512m"; None for what the stub does not take."""
    # Python refuses numbers of thousands of digits.
    match = re.fullmatch(rb"0*([0-9]{0,20})([kmgt]?)", text)
    number = int(match[1] or b"0") if match else 1 << MAX_DIGITS
    if match is None or number >> MAX_DIGITS:
        return None
    kib = number << UNIT_SHIFT[match[2]]
    return None if kib >> MAX_AMOUNT else kib


def _value(node: Blob, name: str, size: int) -> bytes:
    found = node.find(name.encode())
    if found is None:
        raise BootFailure("E_FDT_PROPERTY", _shown(node.name), 0, name)
    if len(found.value) != size:
        raise _bad(node, found)
    return found.value


def _kind(node: Blob) -> str:
    for word, kind in bindings.KINDS.items():
        if any(node.compatible(f"{prefix}{word}".encode()) for prefix in bindings.KIND_PREFIXES):
            return kind
    if node.compatible(bindings.HANDED.encode()):
        return bindings.HANDED_KIND
    raise BootFailure("E_FDT_MODULE_KIND", _shown(node.name))


def _bad(node: Blob, found: Property) -> BootFailure:
    return BootFailure("E_FDT_PROPERTY", _shown(node.name), len(found.value), _shown(found.name))


def _shown(data: bytes) -> str:
    return data.decode("utf-8", "replace")
