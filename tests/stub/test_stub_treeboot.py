"""The stub's reader of device trees under Unicorn: of any tree, sound or damaged, it reads what the reference reads."""

from __future__ import annotations

from typing import Any

import pytest
import trees
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_compare import compare
from tree_modules import info, reference, tree

from bootwright.devicetree import fdt, writer
from bootwright.devicetree.bindings import cells, text
from bootwright.devicetree.fdt import Node
from bootwright.hyperlaunch.model import BootInfo
from bootwright.reference import tree_reader

VALUES = st.binary(max_size=9) | st.sampled_from(
    [cells(n) for n in (0, 1, 2, 3, 4, 63, 0x7FEF, 0x7FF0, 0xFFFFFFFF)]
    + [text(word) for word in ("64M", "1g", "12", "7t", "", "9 M", "1MM", "quiet", "a b")]
    + [cells(0, 0x20000), cells(0, 0x1000000, 0, 0x1000), cells(1, 0, 0, 0), bytes(16), bytes(64), bytes(65)]
)
KINDS = st.lists(
    st.sampled_from(
        [f"{way},{kind}" for way in ("module", "multiboot") for kind in ("kernel", "ramdisk", "config", "device-tree")]
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
WAYS = st.dictionaries(st.sampled_from(["module-index", "mb-index", "module-addr", "bootargs"]), VALUES, max_size=3)
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


SOUND = fdt.write(trees.hyperlaunch(trees.domain(trees.module(), memory=text("16M")), trees.domain(name="dom1")))


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
        tree(trees.domain(trees.module(way="module,addr", module_addr=cells(0xFFFFFFFF, 0xFFFFF000, 0, 0x2000)))),
        tree(trees.domain(trees.module(module_index=cells(1), bootargs=text("x" * 2048)))),
        tree(*(trees.domain(name=f"d{i}") for i in range(65))),
    ],
)
def test_the_stub_and_the_reference_agree_at_the_limits(raw: bytes) -> None:
    compare(raw, info())
