"""Whether what is in build/ is what would be built now: by what files are, not by how old they are."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from project import ROOT
from signing_keys import make_key, needs_tools

from bootwright.asm import assemble
from bootwright.cli import build as cli_build
from bootwright.common import hashes as file_hashes
from bootwright.common import paths
from bootwright.common.errors import BootwrightError
from bootwright.description import toml_tree
from bootwright.devicetree import dts
from bootwright.devicetree.dtc import Dtc
from bootwright.image import build, origin
from bootwright.image import built as image_built
from bootwright.inputs import debian, resolve
from bootwright.link import layout, linker
from bootwright.media import grub_bios, pxe
from bootwright.media.medium import ensure

KERNELS = ROOT / "stub/kernels"

DESCRIPTION = """\
[image]
name = "{name}"

[[domain]]
name = "dom0"
memory = "64M"
permissions = ["control", "hardware"]
functions = ["initial-domain"]
kernel = "kernel"
ramdisk = "ramdisk"
cmdline = "{cmdline}"
"""

TREE = """\
/dts-v1/;
/include/ "part.dtsi"
/ { chosen { hypervisor {
	compatible = "hypervisor,xen", "xen,x86";
	dom0 {
		compatible = "xen,domain";
		domid = <0>;
		permissions = <3>;
		functions = <0xc0000000>;
		memory = <0 0x10000>;
		mode = <4>;
		cpus = <1>;
		kernel { compatible = "module,kernel", "module,index"; module-index = <1>; };
		ramdisk { compatible = "module,ramdisk", "module,index"; module-index = <2>; };
	};
}; }; };
"""


def describe(folder: Path, name: str = "lab", cmdline: str = "one", file: str = "lab") -> Path:
    """A description, and the files that it names."""
    folder.mkdir(exist_ok=True)
    (folder / "kernel").write_bytes(demo_kernel())
    (folder / "ramdisk").write_bytes(b"ramdisk, one")
    path = folder / f"{file}.toml"
    path.write_text(DESCRIPTION.format(name=name, cmdline=cmdline))
    return path


@functools.cache
def demo_kernel() -> bytes:
    return linker.link([assemble.assemble(KERNELS / "demo.asm")], layout.load("kernel")).image


@pytest.fixture
def lab(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    return describe(project / "images")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an image of a kernel in assembly, built."""
    folder = tmp_path_factory.mktemp("template")
    path = describe(folder / "images")
    path.write_text(path.read_text().replace('"kernel"', '"kernel.asm"'))
    source = (KERNELS / "demo.asm").read_text().replace('"power_off.inc"', '"part.inc"').replace('"../', '"')
    path.with_name("kernel.asm").write_text(source)
    path.with_name("part.inc").write_text('.include "power_off.inc"\n')
    shutil.copy(KERNELS / "power_off.inc", path.parent)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: folder)
        build.build(path, lambda stage: None)
    return folder


@pytest.fixture
def built(template: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The description of an image that is built, in a copy of the template."""
    monkeypatch.chdir(project)
    shutil.copytree(template, project, dirs_exist_ok=True)
    return project / "images/lab.toml"


def why(path: Path) -> str | None:
    """Why the image that was built of a description is not current."""
    output = path.parent.parent / "build/lab"
    found = image_built.load(output / "lab.json").origin
    assert found is not None
    return origin.changed(found, path, output)


Say = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Say:
    """Why something was built, "" for not at all."""

    def why() -> str:
        lines = [line for line in capsys.readouterr().err.splitlines() if ": building " in line]
        assert len(lines) <= 1
        return lines[0].rpartition(": building ")[0] if lines else ""

    return why


# --- the inputs ------------------------------------------------------------------------------------


def test_every_input_is_written_down_with_its_hash(built: Path, project: Path) -> None:
    data = json.loads((project / "build/lab/lab.json").read_text())
    found = {part["path"]: (part["size"], part["sha256"]) for part in data["inputs"]}
    named = ["images/lab.toml", "images/kernel.asm", "images/part.inc", "images/power_off.inc", "images/ramdisk"]
    assert set(named) <= set(found), "what lies in the project, as seen from it"
    assert {str(ROOT / "stub/lib/macros.inc"), str(ROOT / "stub/lib/console.asm")} <= set(found), "includes of includes"
    for path, (size, sha256) in found.items():
        content = (project / path).read_bytes()
        assert (size, sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert data["description"] == "images/lab.toml"
    for made in data["outputs"]:
        content = (project / "build/lab" / made["path"]).read_bytes()
        assert (made["size"], made["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert {made["path"] for made in data["outputs"]} == {f"lab.{kind}" for kind in ("elf", "efi", "map", "lst")}


OWN = ("lab.toml", "ramdisk", "kernel.asm", "part.inc")


def other(path: Path) -> bytes:
    """Other bytes for a file, as many of them, and as good."""
    return path.read_bytes().replace(b"one", b"two") if b"one" in path.read_bytes() else path.read_bytes()[:-1] + b" "


def copied_over(path: Path) -> None:
    """As `cp -p` does, from a backup of years ago."""
    path.write_bytes(other(path))
    os.utime(path, (1, 1))


def moved_over(path: Path) -> None:
    backup = path.with_name("backup")
    backup.write_bytes(other(path))
    os.utime(backup, (1, 1))
    backup.replace(path)


def switched(path: Path) -> None:
    """A symbolic link that now leads to an older file."""
    older = path.with_name(f"older.{path.name}")
    older.write_bytes(other(path))
    os.utime(older, (1, 1))
    path.unlink()
    path.symlink_to(older)


def touched_back(path: Path) -> None:
    """Other bytes in place, with the time that it had."""
    status = path.stat()
    path.write_bytes(other(path))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("way", [copied_over, moved_over, switched, touched_back])
@pytest.mark.parametrize("name", OWN)
def test_what_is_another_file_now_is_seen(name: str, way: Callable[[Path], None], built: Path) -> None:
    assert why(built) is None
    way(built.with_name(name))
    assert why(built) == f"images/{name} has changed"


def test_how_old_a_file_is_says_nothing(built: Path, said: Say) -> None:
    for name in OWN:
        for moment in (1, 2**33):
            os.utime(built.with_name(name), (moment, moment))
    cli_build.current("lab")
    assert said() == ""


def test_what_has_changed_is_built_from(lab: Path, said: Say) -> None:
    first = cli_build.current("lab")
    assert said() == "build/lab/lab.json is not there yet"
    copied_over(lab.with_name("ramdisk"))
    second = cli_build.current("lab")
    assert said() == "images/ramdisk has changed" and second.build_id != first.build_id
    assert cli_build.current("lab") == second
    assert said() == ""


@pytest.mark.parametrize("name", ["ramdisk", "kernel.asm", "part.inc"])
def test_an_input_that_is_gone_is_an_error(name: str, built: Path, said: Say, project: Path) -> None:
    before = (project / "build/lab/lab.elf").read_bytes()
    built.with_name(name).unlink()
    with pytest.raises(BootwrightError, match=name):
        cli_build.current("lab")
    assert said() == f"images/{name} is not there any more"
    os.mkfifo(built.with_name(name))
    with pytest.raises(BootwrightError, match=name):  # and nobody waits for who writes to a pipe
        cli_build.current("lab")
    assert said() == f"images/{name} has changed"
    assert (project / "build/lab/lab.elf").read_bytes() == before


def test_a_tree_and_the_files_that_the_command_line_named(
    project: Path, said: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    describe(project / "images").unlink()
    tree = project / "images/lab.dts"
    tree.write_text(TREE)
    (project / "images/part.dtsi").write_text("/ { };\n")
    with pytest.raises(BootwrightError, match="--module 1=FILE"):
        cli_build.current("images/lab.dts")
    said()
    modules = ("1=images/kernel", "2=images/ramdisk")
    first = cli_build.build("images/lab.dts", modules)
    assert first.origin is not None and first.origin.options.modules == modules
    cli_build.current("images/lab.dts")
    assert said() == ""
    for name, content in [
        ("ramdisk", "other"),
        ("part.dtsi", '/ { model = "x"; };\n'),
        ("lab.dts", TREE.replace("0x10000", "0x18000")),
    ]:
        (project / "images" / name).write_text(content)
        monkeypatch.chdir(project / "images")  # the files were named as seen from elsewhere
        cli_build.current("lab.dts")
        monkeypatch.chdir(project)
        assert said() == f"{name} has changed"
    (project / "images/ramdisk").unlink()
    with pytest.raises(BootwrightError, match="ramdisk cannot be read"):
        cli_build.current("images/lab.dts")


def test_what_came_out_of_a_package(project: Path, said: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache may be emptied, or filled by a newer package."""
    monkeypatch.chdir(project)
    path = describe(project / "images")
    path.write_text(path.read_text().replace('"ramdisk"', '{ package = "box", file = "*bin/box", init = "ramdisk" }'))
    monkeypatch.setattr(resolve, "cache_directory", lambda: project / "cache")
    fetched = ["first"]

    def fetch(package: str, pattern: str, cache: Path) -> Path:
        there = debian.cached(package, pattern, cache)
        if there is None:
            there = cache / "debian/box/%2Abin%2Fbox/box"
            there.parent.mkdir(parents=True)
            there.write_text(fetched[0])
        return there

    monkeypatch.setattr(debian, "fetch", fetch)
    first = cli_build.current("lab")
    assert first.origin is not None
    part = next(part for part in first.origin.inputs if part.package)
    assert (part.package, part.path, part.size) == ("box", "*bin/box", 5)
    assert part.sha256 == hashlib.sha256(b"first").hexdigest()
    assert "images/ramdisk" in [part.path for part in first.origin.inputs], "the script that is its init"
    said()
    shutil.rmtree(project / "cache")
    assert cli_build.current("lab").build_id == first.build_id
    assert said() == "*bin/box of package box is not in the cache any more"
    shutil.rmtree(project / "cache")
    fetched[0] = "newer"
    assert cli_build.current("lab").build_id != first.build_id
    cli_build.current("lab")
    said()
    next((project / "cache").rglob("box/box"), next((project / "cache").rglob("*Fbox/box"))).write_text("other")
    cli_build.current("lab")
    assert said() == "*bin/box of package box has changed"


def test_two_descriptions_of_one_name(lab: Path, said: Say) -> None:
    describe(lab.parent, cmdline="two", file="other")
    first = cli_build.current("images/lab.toml")
    said()
    second = cli_build.current("images/other.toml")
    assert said() == "build/lab is what images/lab.toml describes"
    assert second.elf == first.elf and second.build_id != first.build_id
    assert cli_build.current("images/lab.toml").build_id == first.build_id
    assert said() == "build/lab is what images/other.toml describes"


# --- the tool --------------------------------------------------------------------------------------


def test_another_bootwright_makes_another_image(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "host/bootwright", copy / "bootwright", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("stub", "linker"):
        shutil.copytree(ROOT / folder, copy / folder)
    monkeypatch.setattr(origin, "__file__", str(copy / "bootwright/image/origin.py"))
    monkeypatch.setattr(origin.abi, "stub_directory", lambda: copy / "stub")
    monkeypatch.setattr(origin.abi, "linker_directory", lambda: copy / "linker")
    (copy / "bootwright/.run.py.swp").write_bytes(b"an editor's")
    (copy / "stub/boot/main.asm~").write_bytes(b"an editor's")
    assert why(built) is None, "where it lies says nothing"
    for changed in (
        "bootwright/emulate/run.py",
        "bootwright/media/new.py",
        "stub/boot/main.asm",
        "stub/abi/new.h",
        "linker/stub.toml",
    ):
        file = copy / changed
        before = file.read_bytes() if file.exists() else None
        file.write_bytes((before or b"") + b"\n")
        os.utime(file, (1, 1))
        assert why(built) == "build/lab was made by another bootwright"
        file.unlink() if before is None else file.write_bytes(before)
        assert why(built) is None
    monkeypatch.setattr(metadata, "version", lambda library: "another")
    assert why(built) == "build/lab was made by another bootwright"


@pytest.mark.parametrize("spoilt", ['{"format": 1}', "no record", "[]", '{"format": 2, "inputs": 1}'])
def test_a_record_of_an_earlier_bootwright(spoilt: str, lab: Path, project: Path) -> None:
    (project / "build/lab").mkdir(parents=True)
    record = project / "build/lab/lab.json"
    record.write_text(spoilt)
    assert cli_build._state(lab, record) == (None, "build/lab/lab.json is of another bootwright")


# --- what was made ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lab.elf", "lab.efi", "lab.map"])
def test_what_was_made_and_is_another_now_is_seen(name: str, built: Path, project: Path) -> None:
    file = project / "build/lab" / name
    before = file.read_bytes()
    for content in (before[:-1] + b"\1", before[:-1], None):
        file.unlink() if content is None else file.write_bytes(content)
        if content:
            os.utime(file, (1, 1))
        assert why(built) == f"build/lab/{name} is not as it was built"


def test_a_build_that_was_killed_while_it_published_is_known_with_its_options(lab: Path, said: Say) -> None:
    settings = cli_build.media.Settings(size=100 << 20)
    built = cli_build.build("lab", (), "disk", settings)
    record = built.elf.with_suffix(".json")
    record.replace(image_built.pending(record))
    built.elf.with_suffix(".img").unlink()
    said()
    cli_build.current("lab")
    assert said() == "build/lab/lab.json is not there, for a build did not come to its end"
    assert built.elf.with_suffix(".img").stat().st_size == 100 << 20
    assert not image_built.pending(record).exists()


def test_large_files_are_hashed_once(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = lab.with_name("ramdisk")
    large.write_bytes(bytes(3 << 20))
    monkeypatch.setattr(file_hashes, "_CLOCK_STEP", 0)
    hashed: list[str] = []
    really = hashlib.file_digest

    def counted(file: object, name: str) -> object:
        hashed.append(str(getattr(file, "name", "")))
        return really(file, name)  # type: ignore[arg-type]

    cli_build.current("lab")
    monkeypatch.setattr(hashlib, "file_digest", counted)
    assert why(lab) is None
    assert str(large) not in hashed and str(lab) in hashed
    for _ in range(2):
        os.utime(large, (1, 1))
        assert why(lab) is None and why(lab) is None
    assert hashed.count(str(large)) == 2
    large.write_bytes(bytes((3 << 20) - 1) + b"\1")
    os.utime(large, (1, 1))
    assert why(lab) == "images/ramdisk has changed"


def test_a_file_that_was_written_just_now_is_hashed_again(lab: Path, tmp_path: Path) -> None:
    """It may be written twice within the step of the file system's clock."""
    file = tmp_path / "file"
    file.write_bytes(bytes(2 << 20))
    status = file.stat()
    hashes = file_hashes.Hashes()
    hashes.of(file)
    file.write_bytes(b"\1" + bytes((2 << 20) - 1))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert hashes.of(file)[1] == hashlib.sha256(file.read_bytes()).hexdigest()


# --- options: media, sizes, signatures -------------------------------------------------------------


@needs_tools
def test_a_signed_image_is_signed_again_or_not_built(
    lab: Path, said: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    signing = make_key(keys)
    built = cli_build.build("lab", (), "disk", cli_build.media.Settings(size=200 << 20), signing)
    assert built.efi is not None
    assert signature(built.efi)
    cli_build.current("lab")
    assert said() == ""
    lab.with_name("ramdisk").write_bytes(b"edited")
    again = cli_build.current("lab")
    assert said() == "images/ramdisk has changed"
    assert again.build_id != built.build_id and again.efi is not None and signature(again.efi)
    disk = again.elf.with_suffix(".img")
    assert disk.stat().st_size == 200 << 20
    assert again.efi.read_bytes() in disk.read_bytes(), "what is flashed is the signed one"

    kept = signing.key.rename(keys / "away")
    cli_build.current("lab")
    assert said() == "", "what is signed is signed"
    lab.with_name("ramdisk").write_bytes(b"edited again")
    before = again.efi.read_bytes()
    with pytest.raises(BootwrightError, match=r"it was signed, and is not built without: key keys/owner\.key cannot"):
        cli_build.current("lab")
    assert again.efi.read_bytes() == before and said() == "images/ramdisk has changed"
    kept.rename(signing.key)
    cli_build.current("lab")
    said()
    describe(lab.parent, cmdline="two", file="other")
    lab.with_name("ramdisk").write_bytes(b"edited again")
    with pytest.raises(BootwrightError, match=r"build/lab is what images/lab\.toml describes, and signed: give one of"):
        cli_build.current("images/other.toml")
    assert signature(again.efi) and cli_build.current("lab") and said() == ""
    make_key(keys)
    cli_build.current("lab")
    assert said() == "keys/owner.pem has changed"
    assert not image_built.load(cli_build.build("lab").elf.with_suffix(".json")).origin.options.key  # type: ignore[union-attr]


def counted(calls: list[str], name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
    """The same, and each call of it is noted by name."""

    def noting(*given: Any) -> Any:
        calls.append(name)
        return whole(*given)

    return noting


@pytest.mark.parametrize("spelling", ["lab.toml", "lab.dts"])
def test_a_command_reads_a_description_once(spelling: str, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it builds the image for the first time, finds it as it is, or builds it again."""
    texts = {"lab.toml": lab.read_text(), "lab.dts": TREE}
    (lab.parent / "part.dtsi").write_text("")
    modules = ["1=images/kernel", "2=images/ramdisk"] if spelling == "lab.dts" else []
    path = lab.with_name(spelling)
    path.write_text(texts[spelling])
    calls: list[str] = []
    for owner, name in ((toml_tree, "load"), (dts, "read"), (Dtc, "blob"), (Dtc, "annotated")):
        monkeypatch.setattr(owner, name, counted(calls, name, getattr(owner, name)))

    def one_command(command: Callable[[], object]) -> None:
        calls.clear()
        command()
        assert calls == (["load"] if spelling == "lab.toml" else ["read", "blob", "annotated"])

    one_command(lambda: cli_build.build(f"images/{spelling}", modules))
    one_command(lambda: cli_build.current(f"images/{spelling}"))
    lab.with_name("ramdisk").write_bytes(b"edited")
    one_command(lambda: cli_build.current(f"images/{spelling}"))


def signature(application: Path) -> bool:
    """Whether an EFI application has one (PE format, 5.9.1: data directory 4)."""
    data = application.read_bytes()
    start = int.from_bytes(data[0x3C:0x40], "little") + 24 + 112 + 4 * 8
    return int.from_bytes(data[start + 4 : start + 8], "little") > 0


def made(built: image_built.Built) -> dict[str, origin.MadeMedium]:
    found = image_built.load(built.elf.with_suffix(".json")).origin
    assert found is not None
    return dict(found.media)


def test_media_are_made_again_as_they_were(lab: Path, said: Say) -> None:
    cli_build.build("lab", (), "iso,disk,pxe", cli_build.media.Settings(size=150 << 20))
    lab.with_name("ramdisk").write_bytes(b"edited")
    built = cli_build.current("lab")
    assert said() == "images/ramdisk has changed"
    assert set(made(built)) == {"lab.img", "lab.iso", "pxe"}
    assert (built.elf.with_name("lab.img")).stat().st_size == 150 << 20
    assert (built.elf.with_name("pxe") / "lab.elf").read_bytes() == built.elf.read_bytes()
    disk = cli_build.media.MEDIA["disk"]
    before = disk.path(built).read_bytes()
    for spoil in (lambda path: path.unlink(), lambda path: path.write_bytes(b"cut off")):
        spoil(disk.path(built))
        assert ensure(disk, built).path.read_bytes() == before, "of the same size"


def test_a_medium_of_other_packages_is_made_anew(
    lab: Path, said: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GRUB was not there, came, and was another one: a stick must not be written without it."""
    programs = tmp_path / "ipxe"
    programs.mkdir()
    monkeypatch.setattr(pxe.IPXE, "folders", [programs])
    medium = cli_build.media.MEDIA["pxe"]
    built = cli_build.build("lab", (), "pxe")
    folder = medium.path(built)
    assert not (folder / "ipxe.efi").exists()
    for content in (b"first", b"other"):
        (programs / "ipxe.efi").write_bytes(content)
        os.utime(programs / "ipxe.efi", (1, 1))
        ensure(medium, cli_build.current("lab"))
        assert (folder / "ipxe.efi").read_bytes() == content
    assert said() == "", "the image itself is what it was"
    status = folder.stat()
    ensure(medium, cli_build.current("lab"))
    assert folder.stat() == status, "and now it is current"


@pytest.mark.skipif(not grub_bios.GRUB.is_installed(), reason="needs the package grub-pc-bin")
def test_a_disk_made_without_grub_is_not_current_with_it(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = grub_bios.GRUB.folders
    monkeypatch.setattr(grub_bios.GRUB, "folders", ())
    built = cli_build.build("lab", (), "disk")
    disk = cli_build.media.MEDIA["disk"]
    assert b"GRUB" not in disk.path(built).read_bytes()[:440]
    monkeypatch.setattr(grub_bios.GRUB, "folders", really)
    assert b"GRUB" in ensure(disk, cli_build.current("lab")).path.read_bytes()[:440]


def test_what_another_process_built_meanwhile_is_not_taken_for_ours(lab: Path) -> None:
    built = cli_build.current("lab")
    with pytest.raises(BootwrightError, match="was built anew by someone else meanwhile"):
        ensure(cli_build.media.MEDIA["iso"], replace(built, build_id="00" * 20))


def test_an_application_that_the_image_has_not_any_more_goes(lab: Path) -> None:
    built = cli_build.current("lab")
    assert built.efi is not None
    folder = lab.parent.parent / "made"
    folder.mkdir()
    (folder / "lab.json").write_text("{}")
    build.publish(folder, built.elf.parent)
    assert not built.efi.exists()


def test_paths_are_written_down_as_seen_from_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert paths.recorded(Path("images/x")) == paths.recorded(project / "images/../images/x") == "images/x"
    assert paths.recorded(Path("/elsewhere/x")) == "/elsewhere/x"
