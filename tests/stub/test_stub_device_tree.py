"""The generic stub with a device tree as module 0, under Unicorn."""

from __future__ import annotations

import random

import pytest
from blobs import Node, blob, cells, domain, module, strings, tree
from booting import PVH, check, line
from generic_kernel import ENTRY, elf
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import C, Machine, pvh_info

TREE, KERNEL, RAMDISK = 0x500000, 0x600000, 0x700000


def boot(data: bytes) -> Machine:
    machine = Machine()
    pvh_info(machine, modules=[(TREE, data, ""), (KERNEL, elf(), "loader"), (RAMDISK, b"files", "disk")])
    machine.boot(PVH)
    return machine


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("version", [16, 17])
def test_a_domain_of_a_tree_is_built(old: bool, version: int) -> None:
    node = domain(**{"kernel@1": module("kernel", 1, "quiet", old), "ramdisk@2": module("ramdisk", 2, None, old)})
    data = blob(tree(node), version)
    machine = boot(data)
    assert line("M_DEVICE_TREE", len(data)) in machine.transcript
    assert line("M_MODULE", 0, "fdt", "module0", TREE, TREE + len(data)) in machine.transcript
    assert line("M_DOMAIN", 0, "domain@0", "module1", "module2", 16) in machine.transcript
    assert line("M_CMDLINE", 0, "quiet") in machine.transcript
    assert line("M_PROBED", 0, "domain@0", "PVH", ENTRY) in machine.transcript
    info = machine.record("hvm_start_info", machine.information[0])
    assert machine.record("hvm_modlist_entry", info.modlist_paddr).paddr == RAMDISK


def test_all_properties_become_the_domain() -> None:
    node = domain(
        domid=cells(7),
        permissions=cells(2),
        functions=cells(5),
        mode=cells(6),
        cpus=cells(3),
        domain_uuid=bytes(range(16)),
        security_id=strings("system_u"),
        **{"dt@1": module("device-tree", 1), "config@2": module("config", 2)},
    )
    machine = boot(blob(tree(node, domain())))
    record = machine.record("boot_domain", machine.symbols["boot_tables"] + C["TABLES_SIZEOF"])
    assert (record.domid, record.permissions, record.functions, record.mode, record.ncpus) == (7, 2, 5, 6, 3)
    assert bytes(record.uuid) == bytes(range(16)) and bytes(record.security_id).startswith(b"system_u\0")
    assert (record.kernel, record.ramdisk, list(record.configs)) == (1, 2, [1, 2])
    assert record.mem_size.value == 16 << 8


@pytest.mark.parametrize(
    "memory, mib",
    [
        (strings("512M"), 512),
        (strings("2G"), 2048),
        (strings("2048"), 2),
        (strings("1024k"), 1),
        (strings("1t"), 1 << 20),
        (cells(1 << 20), 1024),
        (cells(1, 0), 1 << 22),
        (cells(0, 2048), 2),
    ],
)
def test_memory_is_a_string_or_cells_of_kib(memory: bytes, mib: int) -> None:
    assert f"ramdisk module2, {mib} MiB" in boot(blob(tree(domain(memory=memory)))).transcript


def test_a_module_may_be_named_by_its_address() -> None:
    node = {
        "compatible": strings("module,kernel", "module,addr"),
        "module-addr": cells(0, KERNEL, 0, len(elf())),
    }
    machine = boot(blob(tree(domain(**{"kernel@1": node}))))
    assert line("M_DOMAIN", 0, "domain@0", "module3", "module2", 16) in machine.transcript and not machine.failed


def test_a_tree_may_hand_over_any_number_of_modules() -> None:
    """By number, behind the ramdisk; what two domains name is the second one's."""
    handed = {"compatible": strings("bootwright,module", "module,index"), "bootargs": strings("of the tree")}
    nodes = {f"module@{number}": handed | {"module-index": cells(number)} for number in (4, 3)}
    machine = Machine()
    others = [(RAMDISK + 0x100000 * number, b"more", "loader") for number in (1, 2)]
    data = blob(tree(domain(**nodes)))
    modules = [(TREE, data, ""), (KERNEL, elf(), "loader"), (RAMDISK, b"files", "disk"), *others]
    pvh_info(machine, modules=modules)
    machine.boot(PVH)
    assert line("M_MODULE", 3, "module", "module3", others[0][0], others[0][0] + 4) in machine.transcript
    info = machine.record("hvm_start_info", machine.information[0])
    size = C["HVM_MODLIST_ENTRY_SIZEOF"]
    found = [machine.record("hvm_modlist_entry", info.modlist_paddr + size * n) for n in range(info.nr_modules)]
    told = [(entry.paddr, machine.read_string(entry.cmdline_paddr)) for entry in found]
    assert told == [(RAMDISK, "disk"), (others[0][0], "of the tree"), (others[1][0], "of the tree")]


def test_the_configuration_of_the_hypervisor_is_the_stubs() -> None:
    config = {
        "compatible": strings("xen,config"),
        "bootargs": strings("noapic -- extra"),
        "m@2": module("microcode", 2),
    }
    machine = boot(blob(tree(domain(**{"ramdisk@2": None}), config=config)))
    assert line("M_CMDLINE", 0, "quiet extra noapic") in machine.transcript
    assert "module 2: ucode module2" in machine.transcript


@pytest.mark.parametrize("roles", [{}, {"functions": cells(4)}, {"permissions": cells(2)}])
def test_a_domain_that_is_alone_is_the_initial_domain(roles: dict[str, bytes]) -> None:
    found = {"functions": None, "permissions": None, **roles}
    machine = boot(blob(tree(domain(**found))))
    assert line("M_ALONE", "domain@0") in machine.transcript and not machine.failed
    assert line("M_HWDOM", 0, "domain@0") in machine.transcript
    assert line("M_ALONE", "domain@0") not in boot(blob(tree(domain()))).transcript, "it is said to be"


def test_several_domains_are_named() -> None:
    machine = boot(blob(tree(domain(functions=cells(4)), domain())))
    assert line("M_BUILDER", 2) in machine.transcript and line("M_SKIPPED", "domain@0") in machine.transcript
    assert line("M_HWDOM", 0, "domain@1") in machine.transcript


def test_the_loaders_string_is_the_command_line_where_the_tree_has_none() -> None:
    machine = boot(blob(tree(domain(**{"kernel@1": module("kernel", 1)}))))
    assert line("M_CMDLINE", 0, "loader") in machine.transcript


# --- errors ----------------------------------------------------------------------------------------


def test_what_is_no_device_tree_is_a_kernel() -> None:
    assert line("M_FALLBACK") in boot(elf()).transcript


@pytest.mark.provokes("E_FDT_NO_HYPERVISOR")
@pytest.mark.parametrize(
    "root",
    [
        {},
        {"chosen": {}},
        {"chosen": {"hypervisor": {}}},
        {"hypervisor": {"compatible": strings("hypervisor,xen")}},
        {"chosen": {"hypervisor": {"compatible": strings("hypervisor,kvm", "xen,x86")}}},
        {"chosen": {"hypervisors": {"compatible": strings("hypervisor,xen")}}},
    ],
)
def test_a_tree_without_the_node(root: Node) -> None:
    check(boot(blob(root)), "E_FDT_NO_HYPERVISOR")


@pytest.mark.provokes("E_FDT_CUT_SHORT")
def test_a_tree_that_ends_early() -> None:
    data = blob(tree(domain()))
    check(boot(data[:-1]), "E_FDT_CUT_SHORT", len(data) - 1, "total size", len(data))
    short = data[:4] + cells(len(data) - 1) + data[8:]
    check(boot(short), "E_FDT_CUT_SHORT", len(data) - 1, "strings block", len(data))
    far = data[:36] + cells(len(data)) + data[40:]
    check(boot(far), "E_FDT_CUT_SHORT", len(data), "structure block", 56 + len(data))


@pytest.mark.provokes("E_FDT_VERSION")
@pytest.mark.parametrize("version, last, said", [(15, 15, 15), (18, 18, 18)])
def test_a_tree_of_another_version(version: int, last: int, said: int) -> None:
    data = blob(tree(domain()))
    check(boot(data[:20] + cells(version, last) + data[28:]), "E_FDT_VERSION", said, 16, 17)


@pytest.mark.provokes("E_FDT_STRUCTURE")
@pytest.mark.parametrize(
    "words, place",
    [
        ([5], 0),
        ([9], 4),
        ([2], 0),
        ([1, 0, 9], 8),
        ([1, 0, 2, 1, 0, 2, 9], 12),
        ([1, 0, 3, 0, 99, 2, 9], 8),
        ([1, 0, 3, 0xFFFFFFF0, 0, 2, 9], 8),
        ([1, 0] * 33 + [2] * 33 + [9], 32 * 8),
        ([1, 0], 8),
        ([1, 0x41414141], 0),
    ],
)
def test_a_malformed_structure(words: list[int], place: int) -> None:
    structure = cells(*words)
    head = cells(0xD00DFEED, 60 + len(structure), 60, 56, 40, 17, 16, 0, 4, len(structure))
    machine = boot(head + bytes(16) + b"abc\0" + structure)
    if words == [9]:  # no root: the cursor stands at the end token
        place = 0
    check(machine, "E_FDT_STRUCTURE", place)


@pytest.mark.provokes("E_FDT_PROPERTY")
@pytest.mark.parametrize(
    "name, value",
    [
        ("domid", b""),
        ("domid", cells(0x7FF0)),
        ("mode", cells(1, 2)),
        ("memory", b""),
        ("memory", strings("12X")),
        ("memory", strings("12MB")),
        ("memory", b"12M"),
        ("memory", strings("99999999999999999999G")),
        ("memory", cells(1, 2, 3)),
        ("domain-uuid", b"x" * 15),
        ("security-id", b"x" * 65),
    ],
)
def test_a_property_with_a_wrong_value(name: str, value: bytes) -> None:
    machine = boot(blob(tree(domain(**{name: value}))))
    check(machine, "E_FDT_PROPERTY", "domain@0", len(value), name)


@pytest.mark.provokes("E_FDT_PROPERTY")
@pytest.mark.parametrize(
    "change, name, size",
    [
        ({"module-index": b"x"}, "module-index", 1),
        ({"bootargs": b"no end"}, "bootargs", 6),
        ({"bootargs": b""}, "bootargs", 0),
        ({"compatible": strings("module,kernel", "module,addr")}, "module-addr", 0),
        ({"compatible": strings("module,addr"), "module-addr": cells(0, KERNEL)}, "module-addr", 8),
    ],
)
def test_a_module_with_a_wrong_value(change: Node, name: str, size: int) -> None:
    machine = boot(blob(tree(domain(**{"kernel@1": module("kernel", 1) | change}))))
    check(machine, "E_FDT_PROPERTY", "kernel@1", size, name)


@pytest.mark.provokes("E_FDT_MODULE")
@pytest.mark.parametrize("index", [0, 3, 0xFFFFFFFF])
def test_a_module_that_is_not_there(index: int) -> None:
    check(
        boot(blob(tree(domain(**{"kernel@1": module("kernel", index)})))),
        "E_FDT_MODULE",
        "kernel@1",
        index,
        2,
    )


@pytest.mark.provokes("E_FDT_MODULE_KIND")
def test_a_module_of_no_kind() -> None:
    check(boot(blob(tree(domain(**{"kernel@1": module("kernal", 1)})))), "E_FDT_MODULE_KIND", "kernel@1")


def test_65_domains() -> None:
    assert boot(blob(tree(*[domain()] * 65))).error().startswith("E0305: the tables list 65 domains")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_a_damaged_tree_ends_in_an_error_or_a_launch(seed: int, count: int) -> None:
    dice, data = random.Random(seed), bytearray(blob(tree(domain())))
    for _ in range(count):
        data[dice.randrange(4, len(data))] = dice.choice([0, 1, 2, 3, 4, 9, 0xFF, dice.randrange(256)])
    boot(bytes(data))  # Machine.run fails on a fault, a wild jump, or no end
