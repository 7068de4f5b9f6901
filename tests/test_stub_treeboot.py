"""The stub's reader of device trees under Unicorn: of any tree, sound or damaged, it reads what the reference reads."""

from __future__ import annotations

from typing import Any

import pytest
import trees
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import Machine
from tree_modules import OTHERS, TREE, C, info, reference, tree

from bootwright.devicetree import fdt, writer
from bootwright.devicetree.bindings import cells, text
from bootwright.devicetree.fdt import Node
from bootwright.hyperlaunch.model import BootDomain, BootInfo
from bootwright.reference import tree_reader


def boot(raw: bytes, given_info: BootInfo) -> Machine:
    """The stub's own reader, run on a tree."""
    machine = Machine()
    machine.call("load_descriptors")
    machine.call("apply_settings")
    machine.write(TREE, raw)
    place = OTHERS + 0x200000
    for number, module in enumerate(given_info.mods):
        machine.write(place, module.string.encode() + b"\0")
        machine.call(
            "add_module", module.start, len(raw) if not number else module.size, place if module.string else 0
        )
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
        key: getattr(found, key)
        for key in ("permissions", "functions", "mode", "domid", "ncpus", "constructed")
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


VALUES = st.binary(max_size=9) | st.sampled_from(
    [cells(n) for n in (0, 1, 2, 3, 4, 63, 0x7FEF, 0x7FF0, 0xFFFFFFFF)]
    + [text(word) for word in ("64M", "1g", "12", "7t", "", "9 M", "1MM", "quiet", "a b")]
    + [cells(0, 0x20000), cells(0, 0x1000000, 0, 0x1000), cells(1, 0, 0, 0), bytes(16), bytes(64), bytes(65)]
)
KINDS = st.lists(
    st.sampled_from(
        [
            f"{way},{kind}"
            for way in ("module", "multiboot")
            for kind in ("kernel", "ramdisk", "config", "device-tree")
        ]
        + [
            "module,microcode",
            "multiboot,xsm-policy",
            "bootwright,module",
            "module,index",
            "multiboot,module",
            "module,addr",
            "acme,x",
        ]
    ),
    max_size=4,
)
SOUND_KINDS = (
    "module,device-tree", "multiboot,config", "module,microcode", "multiboot,xsm-policy", "bootwright,module",
)  # fmt: skip
PROPERTIES = st.dictionaries(
    st.sampled_from([*tree_reader.CELLS, "memory", "domain-uuid", "security-id", "bootargs", "acme,x"]),
    VALUES,
    max_size=4,
)
WAYS = st.dictionaries(
    st.sampled_from(["module-index", "mb-index", "module-addr", "bootargs"]), VALUES, max_size=3
)
STATUS = st.sampled_from([None] * 12 + [text("okay"), text("ok"), text("disabled"), text("fail-x"), b"okay", b""])
NAMES = st.from_regex(r"[a-z]{1,8}(@[0-9])?", fullmatch=True)


@st.composite
def statuses(draw: st.DrawFn) -> dict[str, bytes]:
    """A node's status, if it has one."""
    found = draw(STATUS)
    return {} if found is None else {"status": found}


@st.composite
def module_nodes(draw: st.DrawFn) -> Node:
    """A module that may be right or wrong in any way."""
    good = draw(st.booleans())
    ways = {"module-index": cells(draw(st.integers(1, 2)))} if good else {}
    kinds = (
        ["module,index", draw(st.sampled_from(["module,kernel", "multiboot,ramdisk", *SOUND_KINDS]))]
        if good
        else draw(KINDS)
    )
    compatible = {"compatible": text(*kinds) if kinds else b""}
    return Node(draw(NAMES), {**draw(WAYS), **ways, **compatible, **draw(statuses())})


@st.composite
def domain_nodes(draw: st.DrawFn) -> Node:
    """A node in /chosen/hypervisor, of whatever kind."""
    modules = draw(st.lists(module_nodes(), max_size=3))
    sound = draw(st.booleans())
    properties = {} if sound else draw(PROPERTIES)
    kind = draw(st.sampled_from(["xen,domain", "xen,domain", "xen,config", "xen,other"]))
    return Node(draw(NAMES), {"compatible": text(kind), **properties, **draw(statuses())}, tuple(modules))


@given(st.lists(domain_nodes(), max_size=4), st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_the_stub_reads_any_tree_as_the_reference_does(nodes: list[Node], count: int) -> None:
    compare(tree(*nodes), info(count))


@given(trees.descriptions())
@settings(max_examples=25, deadline=None)
def test_the_stub_reads_what_we_write(described: Any) -> None:
    raw = fdt.write(writer.tree(described, described.folder))
    compare(raw, info(30))
    assert isinstance(reference(raw, info(30)), BootInfo)


SOUND = fdt.write(
    trees.hyperlaunch(trees.domain(trees.module(), memory=text("16M")), trees.domain(name="dom1"))
)


@given(trees.damaged(SOUND))
@settings(max_examples=200, deadline=None)
def test_the_stub_reads_damaged_trees_as_the_reference_does(raw: bytes) -> None:
    compare(raw, info())


@pytest.mark.parametrize(
    "raw",
    [
        tree(trees.domain(trees.module(), memory=text("549755813888T"))),
        tree(trees.domain(trees.module(), memory=text("17179869183K"))),
        tree(trees.domain(trees.module(), memory=text("17179869184"))),
        tree(trees.domain(trees.module(), memory=bytes(8))),
        tree(trees.domain(trees.module(), memory=text("9" * 5000))),
        tree(trees.domain(trees.module(), memory=text("0" * 5000 + "8M"))),
        tree(trees.domain(trees.module(), memory=text("0"))),
        tree(trees.domain(trees.module(), memory=b"\xff" * 8)),
        tree(
            trees.domain(
                trees.module(way="module,addr", module_addr=cells(0xFFFFFFFF, 0xFFFFF000, 0, 0x2000))
            )
        ),
        tree(trees.domain(trees.module(module_index=cells(1), bootargs=text("x" * 2048)))),
        tree(*(trees.domain(name=f"d{i}") for i in range(65))),
    ],
)
def test_the_stub_and_the_reference_agree_at_the_limits(raw: bytes) -> None:
    compare(raw, info())
