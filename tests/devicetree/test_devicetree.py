"""Device trees as descriptions: read, every rule of the bindings broken once, and damaged ones."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import samples
import trees
from hypothesis import given, settings
from hypothesis import strategies as st

from bootwright.common.errors import BootwrightError, DescriptionError, SourceError, ToolError
from bootwright.description import load as description_load
from bootwright.description.load import Description, FileSource, PackageSource
from bootwright.description.records import OfDomain
from bootwright.devicetree import dts, fdt, reader, writer
from bootwright.devicetree.bindings import cells, text
from bootwright.hyperlaunch import model
from bootwright.inputs import resolve
from bootwright.plan import make

BAD = trees.TREES / "bad"
FILES = {
    1: Path("good.elf"),
    2: Path("ramdisk"),
    3: Path("good.bz"),
    4: Path("ramdisk"),
    5: Path("u"),
    6: Path("x"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with kernels in it."""
    monkeypatch.chdir(tmp_path)
    samples.write_kernels(tmp_path)
    return tmp_path


def load(name: str, modules: reader.Files | None = None) -> Description:
    shutil.copy(trees.TREES / f"{name}.dts", ".")
    return reader.load(Path(f"{name}.dts"), modules)


# Reading


def test_a_tree_as_the_documents_write_it(folder: Path) -> None:
    lab = load("lab", FILES)
    dom0, spare = lab.domains
    assert lab.image.name == "lab" and lab.hypervisor is None
    assert dom0.name == "dom0" and dom0.permissions == 3 and dom0.functions == 0xC0000004
    assert dom0.uuid.hex() == "b3fb98fb8f9f67a30011223344556677" and dom0.security_id.endswith(":dom0_t")
    assert dom0.memory == 128 << 20 and dom0.cpus == 2 and dom0.mode == "pvh"
    assert dom0.kernel == FileSource("good.elf") and dom0.ramdisk == FileSource("ramdisk")
    assert dom0.cmdline == 'console=ttyS0 "two words" quiet', "what stands behind -- is the initial domain's"
    assert (spare.name, spare.domid, spare.memory, spare.cpus) == ("domU-1", 1, 32 << 20, 3)
    assert str(spare.place("cpus")) == "lab.dts:78:2", "where it is written, not where the node is"


@pytest.mark.parametrize("roles", [{}, {"permissions": cells(2)}, {"functions": cells(4)}])
def test_a_domain_that_is_alone_is_the_initial_domain(folder: Path, roles: dict[str, bytes]) -> None:
    """It gets what stands behind -- as well; and the tree that is written of it says its roles."""
    config = fdt.Node("config", {"compatible": text("xen,config"), "bootargs": text("x -- single")})
    kernel = trees.module(module_index=cells(1), bootargs=text("quiet"))
    tree = trees.hyperlaunch(config, trees.domain(kernel, memory=text("64M"), mode=cells(4), **roles))
    Path("lab.dtb").write_bytes(fdt.write(tree))
    lab = reader.load(Path("lab.dtb"), {1: Path("good.elf")})
    (dom0,) = lab.domains
    assert dom0.initial and dom0.hardware and dom0.cmdline == "quiet single"
    nodes = trees.nodes(writer.tree(lab, Path()))
    written = [node.properties["functions"] for node in nodes if "functions" in node.properties]
    assert written == [cells(dom0.functions)]


def test_both_spellings_of_the_bindings_are_the_same(folder: Path) -> None:
    lab, older = load("lab", FILES), load("older", FILES)
    assert replace(older.image, name="lab") == lab.image
    assert older.domains == lab.domains


def test_a_whole_description(folder: Path) -> None:
    own = load("own", {})
    assert own.image == description_load.ImageDescription(
        "own", "xen", description_load.Console(0x2F8, 12, False), "debug", 5, "none", "embedded", False
    )
    assert own.hypervisor is not None and own.hypervisor.lcm and own.hypervisor.cmdline == "console=com1"
    assert own.hypervisor.kernel == PackageSource("xen-hypervisor-4.17-amd64", "boot/xen-*.gz")
    (dom0,) = own.domains
    assert (dom0.name, dom0.mode, dom0.memory_min, dom0.memory_max) == ("dom0", "pv", 256 << 20, 1 << 30)
    assert dom0.ramdisk == PackageSource("busybox-static", "bin/busybox", "debian.init")


@pytest.mark.parametrize(("word", "way", "index"), [
    ("module", "module,index", "module_index"), ("multiboot", "multiboot,module", "mb_index"),
])  # fmt: skip
def test_modules_of_every_kind(folder: Path, word: str, way: str, index: str) -> None:
    def node(kind: str, number: int) -> fdt.Node:
        return trees.module(f"{word},{kind}", way, kind, **{index: cells(number)})

    own = {"compatible": text("xen,config"), "bootwright,path": text("mb2.elf")}
    config = fdt.Node("settings", own, (node("microcode", 4), node("xsm-policy", 5)))
    domain = trees.domain(
        node("kernel", 1),
        node("device-tree", 2),
        node("config", 3),
        functions=cells(1 << 31),
        mode=cells(5),
        memory=text("64M"),
    )
    tree = trees.hyperlaunch(config, domain, **{"bootwright,launcher": text("xen")})
    Path("lab.dtb").write_bytes(fdt.write(tree))
    given_files = {number: Path(f"file{number}") for number in range(1, 6)}
    lab = reader.load(Path("lab.dtb"), given_files)
    (dom0,) = lab.domains
    assert (dom0.device_tree, dom0.config) == (FileSource("file2"), FileSource("file3"))
    assert lab.hypervisor is not None
    assert (lab.hypervisor.microcode, lab.hypervisor.xsm_policy) == (FileSource("file4"), FileSource("file5"))


@pytest.mark.parametrize("lcm", [False, True])
def test_modules_are_counted_as_the_model_does(folder: Path, lcm: bool) -> None:
    written = """
        [image]
        launcher = "xen"
        [hypervisor]
        kernel = "mb2.elf"
        xsm-policy = "text.txt"
        microcode = "noload.elf"
        [[domain]]
        name = "dom0"
        functions = ["initial-domain"]
        mode = "pv"
        memory = "64M"
        config = "big"
        kernel = "good.elf"
        ramdisk = "ramdisk"
        [[domain]]
        name = "dom1"
        memory = "64M"
        device-tree = "empty"
        config = "big"
        """
    if lcm:  # each domain has its own
        written = written.replace('kernel = "mb2.elf"', 'kernel = "mb2.elf"\nlcm = true')
    described = description_load.parse(written.replace("        ", ""), Path("lab.toml"))
    info = model.build(described, resolve.resolve(described, Path("work")))
    modules = [
        child
        for node in trees.nodes(writer.tree(described, Path()))
        for child in node.children
        if "module-index" in child.properties
    ]
    found = {(child.properties["module-index"], child.properties["bootwright,path"][:-1].decode()) for child in modules}
    assert found == {(cells(number), mod.path.name) for number, mod in enumerate(info.mods[:-1], 1) if mod.path}
    assert len(found) == (7 if lcm else 6), "big is there for each of two domains, or once"
    assert [mod.name for mod in info.mods[-3:]] == ["noload.elf", "text.txt", "mb2.elf"]


def test_a_blob_says_the_same_as_its_source(folder: Path) -> None:
    lab = load("lab", FILES)
    tree, _ = dts.read(Path("lab.dts"))
    Path("lab.dtb").write_bytes(fdt.write(tree))
    assert replace(reader.load(Path("lab.dtb"), FILES), path=lab.path) == lab


def test_places_in_a_blob_are_nodes(folder: Path) -> None:
    tree = trees.hyperlaunch(trees.domain(trees.module(), memory=text("lots")))
    Path("lab.dtb").write_bytes(fdt.write(tree))
    with pytest.raises(BootwrightError) as caught:
        reader.load(Path("lab.dtb"), {1: Path("good.elf")})
    assert str(caught.value) == (
        'lab.dtb:/chosen/hypervisor/dom0: memory: "lots" is no amount of memory such as "512M"'
    )


def test_it_builds_like_a_description(folder: Path) -> None:
    lab = load("lab", FILES)
    info = model.build(lab, resolve.resolve(lab, Path("work")))
    planned = make.make(lab, info, Path("work"))
    assert [module.name for module in planned.modules] == ["good.elf", "ramdisk"]


def test_the_command_line_overrides_a_path_and_is_relative_to_the_working_directory(folder: Path) -> None:
    (folder / "sub").mkdir()
    tree = trees.hyperlaunch(
        trees.domain(
            trees.module(module_index=b"\0\0\0\1", **{"bootwright,path": text("no.elf")}),
            functions=b"\x80\0\0\0",
            memory=text("64M"),
        )
    )
    Path("sub/lab.dtb").write_bytes(fdt.write(tree))
    assert reader.load(Path("sub/lab.dtb")).domains[0].kernel == FileSource("no.elf")
    for given_path in (Path("good.elf"), folder / "good.elf"):
        lab = reader.load(Path("sub/lab.dtb"), {1: given_path})
        assert resolve.resolve(lab, Path("work"))[OfDomain(0), "kernel"].samefile(folder / "good.elf")


def test_without_files_for_a_glance() -> None:
    lab = reader.load(trees.TREES / "lab.dts")
    assert lab.image.name == "lab" and lab.domains[0].kernel == FileSource("module 1")


@pytest.mark.parametrize("form", ["bytes", "KiB", "one cell", "two cells"])
def test_memory_in_every_form(form: str, folder: Path) -> None:
    value = {
        "bytes": text("64M"),
        "KiB": text("65536"),
        "one cell": (65536).to_bytes(4, "big"),
        "two cells": (65536).to_bytes(8, "big"),
    }[form]
    tree = trees.hyperlaunch(trees.domain(trees.module(), functions=b"\x80\0\0\0", memory=value))
    Path("lab.dtb").write_bytes(fdt.write(tree))
    assert reader.load(Path("lab.dtb")).domains[0].memory == 64 << 20


def test_a_16m_string_is_no_cell(folder: Path) -> None:
    tree = trees.hyperlaunch(trees.domain(trees.module(), functions=b"\x80\0\0\0", memory=b"16M\0"))
    Path("lab.dtb").write_bytes(fdt.write(tree))
    assert reader.load(Path("lab.dtb")).domains[0].memory == 16 << 20


# Faults


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.dts")))
def test_bad_tree(name: str, folder: Path) -> None:
    shutil.copy(BAD / f"{name}.dts", folder)
    with pytest.raises(BootwrightError) as caught:
        described = reader.load(Path(f"{name}.dts"), {})
        info = model.build(described, resolve.resolve(described, Path("work"), Path("cache")))
        make.make(described, info, Path("work"))
    assert str(caught.value) == (BAD / f"{name}.txt").read_text().rstrip("\n")


def test_every_message_has_its_tree() -> None:
    assert {path.stem for path in BAD.glob("*.txt")} == {path.stem for path in BAD.glob("*.dts")}


def test_a_tree_that_is_not_there(folder: Path) -> None:
    for suffix in reader.SUFFIXES:
        with pytest.raises(DescriptionError, match=f"no{suffix}: the device tree cannot be read: No such file"):
            reader.load(Path(f"no{suffix}"))
    Path("big.dtb").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(DescriptionError, match="larger than 1048576 bytes"):
        reader.load(Path("big.dtb"))
    Path("text.dtb").write_text("this is no tree, as everybody can see who looks at it")
    with pytest.raises(DescriptionError, match=r"text.dtb: starts with 0x74686973, not with the magic"):
        reader.load(Path("text.dtb"))


def test_without_dtc_the_package_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ToolError, match=r"^lab.dts: dtc, .*, is not installed; it is in the package device-tree-compiler$"
    ):
        load("lab")


def test_a_source_named_like_an_option(folder: Path) -> None:
    shutil.copy(trees.TREES / "lab.dts", "-lab.dts")
    tree, places = dts.read(Path("-lab.dts"))
    assert tree.child("chosen") and places["/"].path == "./-lab.dts"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["vmlinuz"], "--module vmlinuz: write N=FILE, where N is a tree's module-index"),
        (["1="], "--module 1=: write N=FILE, where N is a tree's module-index"),
        (["1=a", "01=b"], "--module 01=b: module 1 is a already"),
    ],
)
def test_bad_module_arguments(arguments: list[str], message: str) -> None:
    with pytest.raises(SourceError) as caught:
        reader.files(arguments)
    assert str(caught.value) == message


def test_module_arguments() -> None:
    assert reader.files(["1=a=b", "2=c"]) == {1: Path("a=b"), 2: Path("c")}


def test_modules_that_nobody_asked_for(folder: Path) -> None:
    with pytest.raises(BootwrightError, match=r"lab.dts: --module 9: no node that is enabled refers to module 9"):
        load("lab", {**FILES, 9: Path("good.elf")})
    with pytest.raises(SourceError, match=r"--module 1: images/demo.toml is no device tree"):
        reader.describe(Path("images/demo.toml"), {1: Path("good.elf")})


# Damage


BLOBS = st.builds(lambda described: fdt.write(writer.tree(described, Path("images"))), trees.descriptions())


@pytest.mark.slow
@given(BLOBS.flatmap(trees.damaged))
@settings(max_examples=300, deadline=None)
def test_damaged_blobs_give_our_errors_alone(raw: bytes) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "open", lambda path, mode: __import__("io").BytesIO(raw))
        try:
            described = reader.load(Path("images/lab.dtb"), {})
        except BootwrightError as error:
            assert str(error).startswith("images/lab.dtb"), "the place is named"
            return
    assert described.domains


@given(st.sampled_from(["lab", "own"]), st.data())
@settings(max_examples=40, deadline=None)
def test_damaged_sources_give_our_errors_alone(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    source = (trees.TREES / f"{name}.dts").read_bytes()
    at = data.draw(st.integers(0, len(source) - 1))
    length = data.draw(st.integers(0, 30))
    junk = data.draw(st.sampled_from([b"", b'"', b"{", b"}", b"<", b">;", b"\xff", b"/*", b"&dom0", b"0", b"= <9>;"]))
    path = tmp_path_factory.mktemp("dts") / "lab.dts"
    path.write_bytes(source[:at] + junk + source[at + length :])
    try:
        reader.load(path)
    except BootwrightError as error:
        assert os.fspath(path.parent) in str(error)
