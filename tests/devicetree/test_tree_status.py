"""The status of a device tree's nodes: one that is not enabled is as if it were not there, for the host's reader,
for the reference and for the stub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trees
from tree_compare import compare
from tree_modules import info, reference

from bootwright.common.errors import BootwrightError
from bootwright.devicetree import fdt, reader
from bootwright.devicetree.bindings import cells, text
from bootwright.devicetree.fdt import Node

COUNTS = {  # Devicetree Specification 0.4, table 2.4; "ok" is in older trees
    text("okay"): True,
    text("ok"): True,
    text("disabled"): False,
    text("reserved"): False,
    text("fail"): False,
    text("fail-sss"): False,
    text("okay", "okay"): False,
    text("OKAY"): False,
    text("okayy"): False,
    text("o"): False,
    b"okay": False,
    b"ok": False,
    b"okayx": False,
    b"okx": False,
    cells(1): False,
    b"": False,
}


def lab() -> Node:
    """A tree in which every node has a use, and its absence shows."""
    config = Node("config", {"compatible": text("xen,config"), "bootargs": text("a -- b")})
    sound = {"memory": text("64M"), "mode": cells(4), "permissions": cells(3)}
    disk = trees.module("module,ramdisk", name="ramdisk", module_index=cells(2))
    dom0 = trees.domain(trees.module(), disk, functions=cells(1 << 31), **sound)
    second = trees.domain(trees.module(name="kernel", module_index=cells(3)), name="dom1", **sound)
    return trees.hyperlaunch(config, dom0, second)


PLACES = (
    ("chosen",),
    ("chosen", "hypervisor"),
    ("chosen", "hypervisor", "config"),
    ("chosen", "hypervisor", "dom0"),
    ("chosen", "hypervisor", "dom1"),
    ("chosen", "hypervisor", "dom0", "ramdisk"),
    ("chosen", "hypervisor", "dom0", "kernel"),
)


def changed(node: Node, place: tuple[str, ...], status: bytes | None) -> Node:
    """The tree with this status at a place, or without the node there if it is None."""
    children = []
    for child in node.children:
        if child.name != place[0]:
            children.append(child)
        elif len(place) > 1:
            children.append(changed(child, place[1:], status))
        elif status is not None:
            children.append(replace(child, properties={**child.properties, "status": status}))
    return replace(node, children=tuple(children))


def described(tree: Node, path: Path) -> object:
    """What the host makes of it: image and domains, or what is wrong."""
    path.write_bytes(fdt.write(tree))
    try:
        found = reader.load(path)
    except BootwrightError as error:
        return str(error)
    domains = [(one.name, one.kernel, one.ramdisk, one.cmdline, one.memory) for one in found.domains]
    return found.image, domains, found.hypervisor


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("status", COUNTS)
def test_a_node_counts_or_it_is_as_if_it_were_not_there(status: bytes, place: tuple[str, ...], tmp_path: Path) -> None:
    given = changed(lab(), place, status)
    same = lab() if COUNTS[status] else changed(lab(), place, None)
    path = tmp_path / "lab.dtb"
    assert described(given, path) == described(same, path)
    assert described(lab(), path) != described(changed(lab(), place, None), path), "its absence shows"
    read = reference(fdt.write(given), info(4))
    expected = reference(fdt.write(same), info(4))
    assert read == expected


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("status", [text("okay"), text("ok"), text("disabled"), b"okayx", b"okx", b""])
def test_the_stub_takes_a_node_as_the_reference_does(status: bytes, place: tuple[str, ...]) -> None:
    compare(fdt.write(changed(lab(), place, status)), info(4))


def test_a_root_has_no_one_to_leave_it_out() -> None:
    raw = fdt.write(replace(lab(), properties={"status": text("disabled")}))
    assert reference(raw, info(4)) == reference(fdt.write(lab()), info(4))
    compare(raw, info(4))


def test_a_file_for_a_module_that_no_enabled_node_names(tmp_path: Path) -> None:
    path = tmp_path / "lab.dtb"
    path.write_bytes(fdt.write(changed(lab(), PLACES[4], text("disabled"))))
    files = {1: Path("vmlinuz"), 2: Path("initrd"), 3: Path("other")}
    with pytest.raises(BootwrightError, match="--module 3: no node that is enabled refers to module 3"):
        reader.load(path, files)
    del files[3]
    assert [one.name for one in reader.load(path, files).domains] == ["dom0"]
