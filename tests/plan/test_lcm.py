"""The launch control module: what Xen gets, and every fact about its parser as a rule."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import samples

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError
from bootwright.description import load
from bootwright.description.load import Description
from bootwright.devicetree import bindings, fdt, reader
from bootwright.devicetree.bindings import cells, text
from bootwright.hyperlaunch import model
from bootwright.hyperlaunch.model import BootInfo, BootModule
from bootwright.inputs import resolve
from bootwright.plan import lcm
from bootwright.plan import make as plan_make
from bootwright.plan.make import Plan
from bootwright.reference import tree_reader

C = load_abi().constants

XEN = """
[image]
launcher = "xen"

[hypervisor]
kernel = "good.elf"
lcm = true

[[domain]]
name = "dom0"
permissions = ["control", "hardware"]
functions = ["console", "xenstore", "initial-domain"]
mode = "pv"
memory = "512M"
kernel = "good.bz"
ramdisk = "ramdisk"
cmdline = "console=hvc0"

[[domain]]
name = "dom1"
mode = "pv"
memory = "256M"
kernel = "good.elf"
cmdline = "quiet"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with kernels in it."""
    monkeypatch.chdir(tmp_path)
    samples.write_kernels(tmp_path)
    return tmp_path


def read(written: str) -> tuple[Description, BootInfo]:
    described = load.parse(written, Path("lab.toml"))
    return described, model.build(described, resolve.resolve(described, Path("work")))


def make(written: str) -> fdt.Node:
    """The nodes of the domains in the blob, below /chosen/hypervisor."""
    tree = fdt.strict(fdt.parse(lcm.make(*read(written))))
    hypervisor = tree.children[0].children[0]
    assert hypervisor.properties["compatible"] == text("hypervisor,xen", "xen,x86")
    return hypervisor


def refused(written: str) -> str:
    with pytest.raises(BootwrightError) as caught:
        make(written)
    return str(caught.value)


def test_what_xen_was_seen_to_boot() -> None:
    dom0, dom1 = make(XEN).children
    assert dom0.properties == {
        "compatible": text("xen,domain"),
        "domid": cells(0),
        "permissions": cells(3),
        "functions": cells(0xC0000004),
        "mode": cells(5),
        "cpus": cells(1),
        "memory": text("512M"),
    }
    kernel, ramdisk = dom0.children
    assert kernel.properties == {
        "compatible": text("module,kernel", "module,index"),
        "module-index": cells(1),
        "bootargs": text("console=hvc0"),
    }
    assert ramdisk.properties == {
        "compatible": text("module,ramdisk", "module,index"),
        "module-index": cells(2),
    }
    assert dom1.name == "dom1" and dom1.children[0].properties["module-index"] == cells(3)


def test_memory_is_a_string() -> None:
    for node in make(XEN.replace("256M", "1048580K")).children:
        value = node.properties["memory"]
        assert value.endswith(b"\0") and value[:-2].isdigit() and value[-2:-1] in b"KMGT"


def test_every_module_has_its_number() -> None:
    found = [child.properties["module-index"] for node in make(XEN).children for child in node.children]
    assert found == [cells(1), cells(2), cells(3)]


@pytest.mark.parametrize("numbers", [{0: 0, 1: 1, 2: 2}, {0: 1, 1: 2, 2: 9}, {0: 1, 1: 2}])
def test_numbers_that_would_crash_xen(numbers: dict[int, int]) -> None:
    described, info = read(XEN)
    with pytest.raises(BootwrightError, match=r"lab.toml:\d+:\d+: domain .* which Xen does not check"):
        lcm.make(described, info, numbers)


@pytest.mark.parametrize("word", ["console", "xenstore"])
def test_a_function_that_nobody_has(word: str) -> None:
    assert refused(XEN.replace(f'"{word}", ', "")) == (
        f'lab.toml:7:7: [hypervisor]: lcm: no domain has the function "{word}", and Xen crashes on such a '
        f'device tree: give it to one, as functions = ["{word}"]'
    )


def test_another_domain_may_have_the_function() -> None:
    assert make(XEN.replace('"xenstore", ', "").replace('name = "dom1"', 'name = "dom1"\nfunctions = ["xenstore"]'))


BOOTED = XEN.replace('"good.elf"\nlcm', '"mb2.elf"\nlcm')
PACKINGS = ("gzip", "xz", "LZ4", "zstd", "bzip2", "LZMA")


@pytest.mark.parametrize("packing", [*PACKINGS, "as it is", "gzip of all"])
def test_every_kernel_is_handed_over_as_an_elf_file(packing: str) -> None:
    file = samples.elf()
    if packing in PACKINGS:
        kernel = samples.bzimage(samples.pack_payload(file, packing.lower()))
    else:
        kernel = gzip.compress(file) if packing == "gzip of all" else file
    Path("kernel").write_bytes(kernel)
    made = planned(BOOTED.replace("good.bz", "kernel").replace("[image]", '[image]\npack = "none"'))
    handed = made.modules[1]
    assert handed.payload is not None and handed.payload.read_bytes() == file
    assert (handed.name, handed.unpacked_size) == ("kernel", len(file))


@pytest.mark.parametrize(
    ("kernel", "why"),
    [
        ("early.bz", "kernel early.bz ends early: "),
        ("unknown.bz", "kernel unknown.bz has a payload that starts with "),
        ("noelf.bz", "kernel noelf.bz is a bzImage whose payload is no ELF file"),
        ("empty", "kernel empty is no kernel"),
        ("text.txt", "kernel text.txt is no kernel"),
    ],
)
def test_a_kernel_that_cannot_be_unpacked(kernel: str, why: str) -> None:
    with pytest.raises(BootwrightError) as caught:
        planned(BOOTED.replace("good.bz", kernel))
    assert str(caught.value).startswith(f'lab.toml:15:10: domain "dom0": {why}')


TWINS = (
    BOOTED.replace('cmdline = "console=hvc0"', 'cmdline = "quiet"\nconfig = "text.txt"')
    .replace("good.bz", "good.elf")
    .replace('memory = "256M"', 'memory = "256M"\nramdisk = "ramdisk"\nconfig = "text.txt"')
)


def test_no_module_is_shared_by_two_domains() -> None:
    """Xen gives a ramdisk's pages to the first domain that has it, and sets its size to 0."""
    made = planned(TWINS)
    payload = made.modules[0].payload
    assert payload is not None
    Path("lcm.dtb").write_bytes(payload.read_bytes())
    found = []
    for node in ("dom0", "dom1"):
        for kind in ("kernel", "ramdisk", "config"):
            path = f"/chosen/hypervisor/{node}/{kind}"
            index = subprocess.run(["fdtget", "lcm.dtb", path, "module-index"], check=True, capture_output=True)
            found.append(int(index.stdout))
    assert found == [1, 2, 3, 4, 5, 6]
    modules = [made.modules[number] for number in found]
    for one, other in zip(modules[:3], modules[3:], strict=True):
        assert (one.kind, one.sha256) == (other.kind, other.sha256), "the same file"
    places = sorted((module.load_range.start, module.load_range.end) for module in made.modules)
    assert all(one[1] <= other[0] for one, other in pairwise(places)), "in places of their own"
    used = [module.start or module.load_address for module in modules]
    assert len(set(used)) == 6


def test_without_a_tree_nothing_is_there_twice() -> None:
    made = planned(TWINS.replace("lcm = true", ""))
    assert [module.name for module in made.modules] == ["good.elf", "ramdisk", "mb2.elf"]


def test_a_second_domain_that_is_not_pv() -> None:
    assert refused(XEN.replace('name = "dom1"\nmode = "pv"', 'name = "dom1"\nmode = "pvh"')) == (
        'lab.toml:21:8: domain "dom1": mode: "pvh" is not what Xen builds from a device tree beside the '
        'initial domain; it builds "pv"'
    )


def test_all_faults_at_once() -> None:
    written = XEN.replace('"console", "xenstore", ', "").replace("good.bz", "early.bz")
    with pytest.raises(BootwrightError) as caught:
        planned(written)
    assert len(str(caught.value).splitlines()) == 3


def test_what_xen_does_not_read_is_noted() -> None:
    written = XEN.replace(
        'name = "dom1"', 'name = "dom1"\nuuid = "6f1c1f9e-6f3b-4a53-9d2e-0a6f4a2b7c11"\nmemory-max = "1G"'
    ).replace('kernel = "good.elf"\ncmdline = "quiet"', "")
    described, _ = read(written)
    assert list(lcm.notes(described)) == [
        'domain "dom1": uuid and memory-max: Xen does not read them from a device tree',
    ]
    assert not list(lcm.notes(read(XEN)[0]))


def test_the_stubs_reader_and_ours_take_it() -> None:
    described, info = read(XEN)
    blob = lcm.make(described, info)
    Path("lcm.dtb").write_bytes(blob)
    tree = BootModule(C["BOOTMOD_FDT"], len(blob))
    back = tree_reader.read_tree(blob, BootInfo((tree, *info.mods)))
    assert back is not None and back.builder is not None and info.builder is not None
    for new, old in zip(back.builder.domains, info.builder.domains, strict=True):
        assert (new.name, new.functions, new.mode, new.mem_size) == (
            old.name,
            old.functions,
            old.mode,
            old.mem_size,
        )
        assert new.kernel is not None and old.kernel is not None
        assert back.mods[new.kernel].string == info.mods[old.kernel].string
    with pytest.raises(BootwrightError, match="a PV domain needs launcher"):
        reader.load(Path("lcm.dtb"))


FULL = (
    XEN.replace('"good.elf"\nlcm = true', '"mb2.elf"\nlcm = true\nxsm-policy = "text.txt"\nmicrocode = "ucode"')
    .replace('kernel = "good.bz"', 'kernel = "good.bz"\nconfig = "dom0.cfg"\ndevice-tree = "dom0.dtb"')
    .replace('kernel = "good.elf"\ncmdline = "quiet"', 'kernel = "good.elf"\nconfig = "dom0.cfg"')
)


def indices(node: fdt.Node) -> dict[str, int]:
    return {child.name: int.from_bytes(child.properties["module-index"], "big") for child in node.children}


@pytest.fixture
def guests() -> None:
    """The files that FULL names beside kernels and ramdisk."""
    for name in ("dom0.cfg", "dom0.dtb", "ucode"):
        Path(name).write_bytes(name.encode() * 5000)


@pytest.mark.usefixtures("guests")
def test_modules_of_every_kind_are_handed_over_as_the_tree_counts_them() -> None:
    made = planned(FULL)
    names = ["lcm.dtb", "good.bz", "ramdisk", "dom0.dtb", "dom0.cfg", "good.elf", "module5", "ucode", "text.txt"]
    assert [one.name for one in made.modules] == [*names, "mb2.elf"]
    kinds = ("FDT", "KERNEL", "RAMDISK", "GUEST_DTB", "GUEST_CONF", "KERNEL", "GUEST_CONF", "UCODE", "XSM", "XEN")
    assert [one.kind for one in made.modules] == [C[f"BOOTMOD_{kind}"] for kind in kinds]
    payload = made.modules[0].payload
    assert payload is not None
    config, dom0, dom1 = fdt.strict(fdt.parse(payload.read_bytes())).children[0].children[0].children
    assert config.properties == {"compatible": text("xen,config")}
    assert indices(config) == {"microcode": 7, "xsm-policy": 8}
    assert indices(dom0) == {"kernel": 1, "ramdisk": 2, "device-tree": 3, "config": 4}
    assert indices(dom1) == {"kernel": 5, "config": 6}
    assert [one.domain.configs for one in made.domains] == [(3, 4), (None, 6)]
    assert made.hypervisor is not None and "ucode=" not in made.hypervisor.cmdline, "the tree says it"
    assert not any("left out" in note for note in made.notes)


@pytest.mark.usefixtures("guests")
def test_the_stubs_reader_finds_modules_of_every_kind() -> None:
    described, info = read(FULL)
    blob = lcm.make(described, info)
    mods = tuple(BootModule(0, one.size, name=one.name) for one in info.mods[:-1])
    back = tree_reader.read_tree(blob, BootInfo((BootModule(0, len(blob)), *mods)))
    assert back is not None and back.builder is not None and info.builder is not None
    assert [one.kind for one in back.mods[1:]] == [one.kind for one in info.mods[:-1]]
    assert [one.modules for one in back.builder.domains] == [
        {key: mod + 1 for key, mod in one.modules.items()} for one in info.builder.domains
    ]


@pytest.mark.usefixtures("guests")
def test_a_domain_that_is_not_built_does_not_count() -> None:
    made = planned(FULL.replace('kernel = "good.bz"', 'kernel = "good.elf"').replace(
        'memory = "256M"\nkernel = "good.elf"', 'memory = "256M"\nramdisk = "good.bz"'
    ))  # fmt: skip
    names = ["lcm.dtb", "good.elf", "ramdisk", "dom0.dtb", "dom0.cfg", "ucode", "text.txt", "mb2.elf"]
    assert [one.name for one in made.modules] == names
    payload = made.modules[0].payload
    assert payload is not None
    config, _, dom1 = fdt.strict(fdt.parse(payload.read_bytes())).children[0].children[0].children
    assert indices(config) == {"microcode": 5, "xsm-policy": 6} and not dom1.children
    assert 'domain "dom1" is not built by the xen launcher; its ramdisk and config are left out of the image' in (
        made.notes
    )


@pytest.mark.usefixtures("guests")
@pytest.mark.parametrize(("mod", "key"), [(3, "config"), (6, "microcode"), (7, "xsm-policy")])
def test_any_number_that_would_crash_xen(mod: int, key: str) -> None:
    described, info = read(FULL)
    numbers = {number: number + 1 for number in range(8)} | {mod: 0}
    with pytest.raises(BootwrightError, match=rf"lab.toml:\d+:\d+: .*: {key}: is module 0, which Xen does not"):
        lcm.make(described, info, numbers)


def test_libfdt_reads_it() -> None:
    Path("lcm.dtb").write_bytes(lcm.make(*read(XEN)))

    def get(*arguments: str) -> str:
        return subprocess.run(["fdtget", *arguments], check=True, capture_output=True, text=True).stdout.strip()

    node = "/chosen/hypervisor/dom0"
    assert get("lcm.dtb", node, "memory") == "512M"
    assert get("-t", "x", "lcm.dtb", node, "functions") == "c0000004"
    assert get("-l", "lcm.dtb", "/chosen/hypervisor") == "dom0\ndom1"
    assert get("lcm.dtb", f"{node}/kernel", "bootargs") == "console=hvc0"
    assert get("lcm.dtb", node, "compatible") == bindings.DOMAIN


def planned(written: str) -> Plan:
    described, info = read(written)
    return plan_make.make(described, info, Path("work"))


def test_the_plan_brings_the_tree_first_and_the_modules_of_all_domains() -> None:
    made = planned(XEN.replace('kernel = "good.elf"\nlcm', 'kernel = "mb2.elf"\nlcm'))
    assert [one.name for one in made.modules] == ["lcm.dtb", "good.bz", "ramdisk", "good.elf", "mb2.elf"]
    tree = made.modules[0]
    assert tree.kind == C["BOOTMOD_FDT"] and tree.payload is not None and not tree.string
    assert made.hypervisor is not None and made.hypervisor.module == 4
    assert "dom0_mem" not in made.hypervisor.cmdline, "the tree says it"
    # What the tree counts is what Xen is handed: everything but Xen itself.
    nodes = fdt.strict(fdt.parse(tree.payload.read_bytes())).children[0].children[0].children
    for node, domain in zip(nodes, made.domains, strict=True):
        index = {child.name: int.from_bytes(child.properties["module-index"], "big") for child in node.children}
        assert (index["kernel"], index.get("ramdisk")) == (domain.domain.kernel, domain.domain.ramdisk)


def test_without_lcm_xen_gets_its_legacy_order() -> None:
    made = planned(XEN.replace('kernel = "good.elf"\nlcm = true', 'kernel = "mb2.elf"'))
    assert [one.name for one in made.modules] == ["good.bz", "ramdisk", "mb2.elf"]


def test_a_module_with_the_trees_name() -> None:
    shutil.copy("ramdisk", "lcm.dtb")
    made = planned(XEN.replace('"good.elf"\nlcm', '"mb2.elf"\nlcm').replace('"ramdisk"', '"lcm.dtb"'))
    assert [one.name for one in made.modules[:3]] == ["lcm_.dtb", "good.bz", "lcm.dtb"]


def test_the_plans_notes_have_ours() -> None:
    made = planned(
        XEN.replace('"good.elf"\nlcm', '"mb2.elf"\nlcm').replace(
            'mode = "pv"\nmemory = "256M"', 'mode = "pv"\nmemory = "256M"\nmemory-max = "1G"'
        )
    )
    assert 'domain "dom1": memory-max: Xen does not read it from a device tree' in made.notes
