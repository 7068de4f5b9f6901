"""Descriptions written as device trees: what is read again is what was written, and the command line builds it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import samples
import trees
from hypothesis import given, settings

from bootwright.cli import build
from bootwright.common.errors import BootwrightError, DescriptionError
from bootwright.description import load
from bootwright.description.load import Description, FileSource, PackageSource
from bootwright.devicetree import dts, fdt, reader, writer


@given(trees.descriptions())
@settings(max_examples=150, deadline=None)
def test_round_trip_by_blob(described: Description) -> None:
    tree = writer.tree(described, described.folder)
    assert fdt.strict(fdt.parse(fdt.write(tree))) == tree
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "open", lambda path, mode: __import__("io").BytesIO(fdt.write(tree)))
        back = reader.load(Path("images/lab.dtb"), {})
    assert replace(back, path=described.path) == described


@given(trees.descriptions())
@settings(max_examples=25, deadline=None)
def test_round_trip_by_source(tmp_path_factory: pytest.TempPathFactory, described: Description) -> None:
    path = tmp_path_factory.mktemp("dts") / "lab.dts"
    here = replace(described, path=path)
    writer.write(here, "dts", path)
    assert reader.load(path, {}) == here
    assert dts.read(path)[0] == writer.tree(here, path.parent)


@pytest.mark.parametrize("name", ["demo", "debian"])
@pytest.mark.parametrize("form", writer.FORMATS)
def test_the_models_of_our_images_survive(name: str, form: str, tmp_path: Path) -> None:
    described = load.load(trees.TREES.parent.parent / "images" / f"{name}.toml")
    path = tmp_path / f"other.{form}"
    writer.write(described, form, path)
    back = reader.load(path, {})
    assert back.image == described.image

    def where(one: Description, source: object) -> object:
        assert isinstance(source, FileSource | PackageSource)
        if isinstance(source, FileSource):
            return (one.folder / source.path).resolve()
        return (source.package, source.file, source.init and (one.folder / source.init).resolve())

    for old, new in zip(described.domains, back.domains, strict=True):
        assert replace(new, kernel=None, ramdisk=None) == replace(old, kernel=None, ramdisk=None)
        assert where(back, new.kernel) == where(described, old.kernel)
        assert where(back, new.ramdisk) == where(described, old.ramdisk)


def test_the_same_module_is_there_once() -> None:
    text_ = samples.DOMAIN + samples.DOMAIN.replace("dom0", "dom1").replace("initial-domain", "crash")
    described = load.parse(text_, Path("lab.toml"))
    tree = writer.tree(described, Path())
    numbers = [node.properties["module-index"] for node in trees.nodes(tree) if node.name == "kernel"]
    assert numbers == [b"\0\0\0\1", b"\0\0\0\1"]


def test_too_many_modules() -> None:
    domains = samples.DOMAIN + 'ramdisk = "r"\n'
    for index in range(1, 32):
        domains += f'[[domain]]\nname = "d{index}"\nmemory = "1M"\nkernel = "k{index}"\nramdisk = "r{index}"\n'
    described = load.parse(domains, Path("lab.toml"))
    with pytest.raises(DescriptionError, match=r'domain "d31": kernel: is module 63, but at most 62'):
        writer.tree(described, Path())


def test_an_unknown_format(tmp_path: Path) -> None:
    described = load.parse(samples.DOMAIN, Path("lab.toml"))
    with pytest.raises(DescriptionError, match="format: 'json' is none of dts, dtb"):
        writer.write(described, "json", tmp_path / "lab.json")


# The command line


@pytest.mark.slow
def test_a_tree_is_exported_and_built_by_the_command_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = trees.TREES.parent.parent
    kernel = root / "stub/kernels/demo.asm"
    (project / "images").mkdir()
    shutil.copy(root / "images/demo.txt", project / "images")
    description = project / "images/demo.toml"
    text = (root / "images/demo.toml").read_text()
    description.write_text(text.replace("../stub/kernels/demo.asm", str(kernel)))
    build.export_tree(str(description), "dtb", "")
    tree = project / "build/demo/demo.dtb"
    assert f"demo.dtb ({tree.stat().st_size:,} bytes)" in capsys.readouterr().out
    (project / "elsewhere").mkdir()
    lab = project / "elsewhere/lab.dtb"
    shutil.copy(tree, lab)
    modules = [f"1={kernel}", f"2={root / 'images/demo.txt'}"]
    built = build.build(str(lab), modules)
    assert built.elf == project / "build/demo/demo.elf"
    with pytest.raises(BootwrightError, match=r"demo\.txt cannot be read"):
        build.build(str(lab))
