"""The stub's reader of device trees, run on a tree and held against the reference."""

from __future__ import annotations

from typing import Any

from machine import Machine
from tree_modules import OTHERS, TREE, C, reference

from bootwright.hyperlaunch.model import BootDomain, BootInfo


def boot(raw: bytes, given_info: BootInfo) -> Machine:
    """The stub's own reader, run on a tree."""
    machine = Machine()
    machine.call("load_descriptors")
    machine.call("apply_settings")
    machine.write(TREE, raw)
    place = OTHERS + 0x200000
    for number, module in enumerate(given_info.mods):
        machine.write(place, module.string.encode() + b"\0")
        machine.call("add_module", module.start, len(raw) if not number else module.size, place if module.string else 0)
        place += 0x100
    machine.call("make_from_device_tree")
    return machine


def text_at(machine: Machine, base: int, offset: int) -> str:
    return (
        # It may lie in front of the tables.
        machine.read((base + offset) & 0xFFFFFFFF, C["MAX_STRING"]).split(b"\0")[0].decode("utf-8", "replace")
        if offset
        else ""
    )


def domain_of(machine: Machine, base: int, found: Any, handed: tuple[int, ...]) -> dict[str, Any]:
    """A boot_domain as the reference has it."""
    none = C["NO_MODULE"]
    fields: dict[str, Any] = {
        key: getattr(found, key) for key in ("permissions", "functions", "mode", "domid", "ncpus", "constructed")
    }
    fields["uuid"] = bytes(found.uuid)
    fields["name"] = text_at(machine, base, found.name)
    fields["security_id"] = bytes(found.security_id).split(b"\0")[0].decode("utf-8", "replace")
    for key in ("mem_size", "mem_min", "mem_max"):
        fields[key] = (getattr(found, key).kind, getattr(found, key).value)
    for key in ("kernel", "ramdisk"):
        fields[key] = None if getattr(found, key) == none else getattr(found, key)
    fields["configs"] = tuple(None if one == none else one for one in found.configs)
    fields["handed"] = handed
    return fields


def domain_in(domain: BootDomain) -> dict[str, Any]:
    fields = dict(vars(domain))
    for key in ("mem_size", "mem_min", "mem_max"):
        fields[key] = (fields[key].kind, fields[key].value)
    fields["constructed"] = 0
    return fields


def compare(raw: bytes, given_info: BootInfo) -> None:
    """The stub and the reference read the same, or fail the same."""
    expected = reference(raw, given_info)
    machine = boot(raw, given_info)
    if isinstance(expected, str):
        assert machine.error().encode("latin-1").decode("utf-8", "replace") == expected
        return
    assert not machine.error()
    assert machine.zero_flag == (expected is not None)
    if expected is None:
        return
    assert expected.builder is not None
    base = machine.variable("tables")
    header = machine.record("tables", base)
    modules = [
        machine.record("module_record", base + header.modules + i * C["MODULE_RECORD_SIZEOF"])
        for i in range(header.nr_modules)
    ]
    domains = []
    for i in range(header.nr_domains):
        record = machine.record("boot_domain", base + header.domains + i * C["BOOT_DOMAIN_SIZEOF"])
        handed = tuple(number for number, one in enumerate(modules) if one.handed_to == i + 1)
        domains.append(domain_of(machine, base, record, handed))
    assert domains == [domain_in(domain) for domain in expected.builder.domains]
    assert [one.kind for one in modules] == [one.kind for one in expected.mods]
    assert [text_at(machine, base, one.string) for one in modules] == [one.string for one in expected.mods]
    assert [text_at(machine, base, one.name) for one in modules] == [one.name for one in expected.mods]
    cmdline = [bool(one.flags & C["MODULE_CMDLINE"]) for one in modules]
    assert cmdline == [one.string_kind == C["BOOTSTR_CMDLINE"] for one in expected.mods]
    assert [one.size for one in modules[1:]] == [one.size for one in expected.mods[1:]]
