"""What the reference reads from a device tree: the rules, each by its error."""

from __future__ import annotations

import pytest
import trees
from tree_modules import C, info, reference, tree

from bootwright.devicetree import fdt
from bootwright.devicetree.bindings import cells, text
from bootwright.devicetree.fdt import Node
from bootwright.hyperlaunch import builder
from bootwright.hyperlaunch.model import BootInfo
from bootwright.reference import tree_reader


def failure(raw: bytes, count: int = 3) -> str:
    found = reference(raw, info(count))
    assert isinstance(found, str)
    return found


def test_a_tree_gives_domains_kinds_and_command_lines() -> None:
    old = trees.module("multiboot,ramdisk", "multiboot,module", "initrd", mb_index=cells(2))
    kernel = trees.module(bootargs=text("quiet"), module_index=cells(1))
    config = Node("config", {"compatible": text("xen,config"), "bootargs": text("noapic")})
    dom0 = trees.domain(kernel, old, memory=text("16M"), mode=cells(4), security_id=text("label"))
    found = tree_reader.read_tree(tree(config, dom0), info())
    assert found is not None and found.builder is not None and found.builder.fdt_enabled
    (read,) = found.builder.domains
    assert (read.kernel, read.ramdisk, read.mode, read.security_id) == (1, 2, 4, "label")
    assert read.mem_size.value == 4096 and read.mem_min.value == 0 and read.ncpus == 1
    kinds = [C[f"BOOTMOD_{kind}"] for kind in ("FDT", "KERNEL", "RAMDISK")]
    assert [module.kind for module in found.mods] == kinds
    assert [module.string for module in found.mods] == ["", "quiet", "initrd"]
    assert found.mods[1].string_kind == C["BOOTSTR_CMDLINE"] and found.cmdline == "noapic"


def test_builder_init_takes_the_trees_domains() -> None:
    raw = tree(trees.domain(trees.module()))
    found = builder.builder_init(info(), lambda given_info: tree_reader.read_tree(raw, given_info))
    assert found.builder is not None and found.builder.fdt_enabled
    assert tree_reader.read_domains(raw, info()) == found.builder.domains


def test_what_is_no_tree_is_left_to_the_fallback() -> None:
    assert tree_reader.read_tree(b"\x7fELF" + bytes(100), info()) is None
    assert tree_reader.read_tree(b"\xd0\x0d\xfe\xed", info()) is None, "too short to have a header"
    assert tree_reader.read_domains(b"", info()) is None


WRONG = {
    "domid": cells(1, 2),
    "cpus": b"\1",
    "permissions": text("all"),
    "functions": b"",
    "mode": bytes(8),
    "memory": bytes(3),
    "domain-uuid": bytes(15),
    "security-id": bytes(65),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_value_is_named(name: str) -> None:
    size = len(WRONG[name])
    raw = tree(trees.domain(trees.module(), **{name: WRONG[name]}))
    if name == "permissions":  # "all" and its zero byte are a cell
        assert isinstance(reference(raw, info()), BootInfo)
        return
    assert failure(raw) == f"E0905: device tree: node dom0: the {size} bytes of property {name} are no value for it"


@pytest.mark.parametrize("value", ["64 M", "64MB", "17179869184", "99999999999999999999", "262144T", "x"])
def test_memory_that_is_no_amount(value: str) -> None:
    raw = tree(trees.domain(trees.module(), memory=text(value)))
    if value == "x":
        assert "the 2 bytes of property memory" in failure(raw)
    else:
        assert f"the {len(value) + 1} bytes of property memory" in failure(raw)


@pytest.mark.parametrize("index", [0, 3, 0xFFFFFFFF])
def test_a_module_that_is_not_there(index: int) -> None:
    raw = tree(trees.domain(trees.module(module_index=cells(index))))
    assert failure(raw) == f"E0906: device tree: node kernel: module {index} is not one of modules 1 to 2"


def test_other_faults_of_modules() -> None:
    missing = trees.module(bootargs=text("x"))
    assert failure(tree(trees.domain(missing))).endswith("the 0 bytes of property module-index are no value for it")
    kindless = trees.module("module,kernle")
    assert (
        failure(tree(trees.domain(kindless)))
        == "E0907: device tree: node kernel: its compatible names no kind of module"
    )
    cut = trees.module(module_index=cells(1), bootargs=b"quiet")
    assert "the 5 bytes of property bootargs" in failure(tree(trees.domain(cut)))
    far = trees.module(way="module,addr", module_addr=cells(0, 0xFFFFF000, 0, 0x1000))
    assert failure(tree(trees.domain(far))).startswith("E0206: the loader put something at 0xfffff000")
    assert failure(tree(trees.domain(far)), 63).startswith("E0203: the loader handed over more than 63 modules")


def test_strings_have_an_end() -> None:
    long = trees.module(module_index=cells(1), bootargs=text("x" * 2048))
    assert failure(tree(trees.domain(long))).startswith("E0204: the loader's string at 0x500")
    many = [trees.module(name=f"k{i}", module_index=cells(1), bootargs=text("x" * 2000)) for i in range(150)]
    assert failure(tree(trees.domain(*many))).startswith("E0207")


def test_65_domains() -> None:
    raw = tree(*(trees.domain(name=f"d{i}") for i in range(65)))
    assert failure(raw) == "E0305: the tables list 65 domains and 3 modules; at most 64 and 63 are allowed"


@pytest.mark.parametrize(
    "root",
    [
        Node(""),
        Node("", {}, (Node("chosen"),)),
        Node("", {}, (Node("chosen", {}, (Node("hypervisor", {"compatible": text("hypervisor,kvm")}),)),)),
        Node("", {}, (Node("chosen", {}, (Node("hypervisor", {"compatible": b"hypervisor,xen"}),)),)),
    ],
)
def test_a_tree_without_the_node_is_fatal(root: Node) -> None:
    assert failure(fdt.write(root)).startswith("E0904")
