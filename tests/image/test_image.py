"""image: the recipe gives the same bytes everywhere, and a failed build leaves what was there."""

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from project import ROOT

from bootwright.common import paths
from bootwright.common.errors import BootwrightError, ErrorList, SourceError
from bootwright.image import build as image_build
from bootwright.image import built as image_built
from bootwright.image.stub import link_generic, link_stub
from bootwright.kernels import multiboot

KERNEL = ROOT / "stub/kernels/demo.asm"

DESCRIPTION = """\
[image]
name = "lab"
modules = "{modules}"

[[domain]]
name = "dom0"
permissions = ["control", "hardware"]
functions = ["initial-domain"]
mode = "pvh"
memory = "64M"
kernel = "{kernel}"
ramdisk = "ramdisk"
cmdline = "one two"
"""


def describe(folder: Path, modules: str = "embedded", kernel: Path = KERNEL) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "ramdisk").write_bytes(bytes(range(256)) * 40)
    path = folder / "lab.toml"
    path.write_text(DESCRIPTION.format(modules=modules, kernel=kernel))
    return path


def build(path: Path) -> image_built.Built:
    return image_build.build(path, lambda stage: None)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_outputs(project: Path) -> None:
    stages: list[str] = []
    built = image_build.build(describe(project / "images"), stages.append)
    assert built.elf == project / "build/lab/lab.elf"
    assert set(contents(project / "build")) == {f"lab/lab.{kind}" for kind in ("elf", "efi", "map", "json", "lst")}
    assert "assembling the stub" in stages


def test_one_build_id_in_every_file_of_an_image_and_another_in_each_image(project: Path) -> None:
    path = describe(project / "images")
    ids = set()
    for content in (b"one", b"other"):
        path.with_name("ramdisk").write_bytes(content)
        built = build(path)
        assert built.efi is not None
        identity = bytes.fromhex(built.build_id)
        assert len(identity) == 20
        assert built.elf.read_bytes().count(identity) == built.efi.read_bytes().count(identity) == 1
        ids.add(identity[:4])
    assert len(ids) == 2


@pytest.mark.slow
def test_same_bytes_in_another_place_time_and_locale(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bootwright.common import paths; from bootwright.image import build;"
        "paths.root = lambda: Path(sys.argv[2]); build.build(Path(sys.argv[1]), lambda stage: None)"
    )
    surroundings = [
        {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1"},
        {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2", "SOURCE_DATE_EPOCH": "1"},
    ]
    found = []
    for number, environment in enumerate(surroundings):
        folder = tmp_path.joinpath(f"{number}", *["deeper"] * number)
        folder.mkdir(parents=True)
        path = describe(folder / "images")
        os.utime(path.with_name("ramdisk"), (number, number))
        subprocess.run(
            [sys.executable, "-c", script, path, folder],
            env={**environment, "PYTHONPATH": str(ROOT / "host"), "PATH": os.environ["PATH"]},
            cwd=folder,
            check=True,
        )
        found.append(contents(folder / "build"))
    assert found[0] == found[1]
    assert len(found[0]) == 5


@pytest.mark.parametrize("fault", ["description", "kernel", "assembly", "verify"])
def test_a_failed_build_leaves_the_old_output(fault: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = describe(project / "images")
    build(path)
    before = contents(project / "build")
    if fault == "description":
        path.write_text(path.read_text().replace('mode = "pvh"', 'mode = "none"'))
    elif fault == "kernel":
        kernel = project / "kernel"
        kernel.write_bytes(b"no kernel")
        describe(project / "images", kernel=kernel)
    elif fault == "assembly":
        kernel = project / "kernel.asm"
        kernel.write_text("start: mov eax, nowhere\n")
        describe(project / "images", kernel=kernel)
    else:
        monkeypatch.setattr(image_build.verify, "MULTIBOOT1_SEARCH", 16)
    with pytest.raises(BootwrightError):
        build(path)
    assert contents(project / "build") == before


def test_an_interrupted_build_leaves_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(image_build.verify, "verify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(describe(project / "images"))
    assert contents(project / "build") == {}
    assert list((project / "build").iterdir()) == []


def test_modules_that_the_loader_brings(project: Path) -> None:
    built = build(describe(project / "images", modules="loader"))
    assert [(m.name, m.file) for m in built.modules] == [
        ("demo", "modules/demo"),
        ("ramdisk", "modules/ramdisk"),
    ]
    folder = built.elf.parent
    for module in json.loads((folder / "lab.json").read_text())["modules"]:
        content = (folder / module["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (module["size"], module["sha256"])
    assert (project / "images/ramdisk").stat().st_size == 256 * 40, "the user's own file is untouched"

    build(describe(project / "images"))
    assert not (folder / "modules").exists(), "what an earlier build left is gone"


@pytest.mark.slow
def test_only_a_hypervisor_with_an_entry_for_efi_has_boot_services_left_running(tmp_path: Path) -> None:
    """The image's own multiboot2 header, read as a loader reads it."""
    path = tmp_path / "stub.elf"
    for linked in (link_stub(512, 0, ("pvh",)), link_stub(512, 0, ("multiboot2",)), link_generic()):
        path.write_bytes(linked.image)
        plain = multiboot.parse2(path, tmp_path)
        assert (plain.entry, plain.efi_entry) == (plain_start(path), None)
    linked = link_stub(512, 0, ("multiboot2", "multiboot2_efi"))
    path.write_bytes(linked.image)
    found = multiboot.parse2(path, tmp_path)
    assert found.entry == linked.symbols["start_multiboot2"]
    assert found.efi_entry == linked.symbols["start_multiboot2_efi"]
    tags = header_tags(linked.image)
    assert tags[7] == b"", "EFI boot services"
    lowest, highest, align, preference = struct.unpack("<4I", tags[10])
    assert (lowest, highest, align, preference) == (0x100000, 0xFFFFFFFF, 4096, 2), "relocatable, high"


def plain_start(path: Path) -> int:
    with path.open("rb") as stream:
        return int(ELFFile(stream)["e_entry"])


def header_tags(image: bytes) -> dict[int, bytes]:
    """The tags of a multiboot2 header: Multiboot2 Specification 2.0, 3.1.3."""
    start = image.index(struct.pack("<I", 0xE85250D6))
    place, end = start + 16, start + struct.unpack_from("<I", image, start + 8)[0]
    tags = {}
    while place < end:
        kind, _, size = struct.unpack_from("<HHI", image, place)
        tags[kind] = image[place + 8 : place + size]
        place += -(-size // 8) * 8
    assert place == end and kind == 0, "the end tag is the last"
    return tags


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("x.elf", b"\x7fELF", "an ELF file"),
        ("x.efi", b"MZ", "an EFI application"),
        ("vmlinuz", b"MZ".ljust(0x202) + b"HdrS", r"a Linux kernel \(bzImage\)"),
        ("x.iso", bytes(0x8001) + b"CD001", "an ISO"),
        ("x.img", bytes(512) + b"EFI PART", "a disk image"),
        ("x.4k.img", bytes(4096) + b"EFI PART", "a disk image"),
        ("initrd", b"070701", r"a ramdisk \(cpio\)"),
        ("initrd.gz", b"\x1f\x8b", "a compressed file"),
        ("tree", b"\xd0\x0d\xfe\xed", r"a device tree blob whose name does not end in \.dtb"),
        ("notes.txt", b"", "a file"),
        ("folder", None, "a folder"),
    ],
)
def test_a_file_that_is_no_description_is_called_what_it_is(
    name: str, head: bytes | None, kind: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    Path(name).mkdir() if head is None else Path(name).write_bytes(head)
    message = rf"^{name} is {kind}, no description: name one of .*demo.*, or a path ending in \.toml, \.dts or \.dtb$"
    with pytest.raises(SourceError, match=message):
        paths.description(name)


def test_a_missing_file_is_among_all_that_is_wrong(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    path = describe(project / "images")
    path.write_text(
        path.read_text().replace('"ramdisk"', '"gone"').replace('"64M"', '"much"')
        + 'colour = "red"\nmodules = ["lost", { path = "away", string = "x" }]\n'
    )
    with pytest.raises(ErrorList) as caught:
        build(Path("images/lab.toml"))
    said = str(caught.value)
    for part in ('"colour"', "memory: ", "ramdisk images/gone cannot be read: No such file or directory",
                 "modules images/lost cannot be read", "modules images/away cannot be read"):  # fmt: skip
        assert part in said
    line = next(error for error in caught.value.errors if "images/gone" in error.message)
    assert line.where is not None and path.read_text().splitlines()[(line.where.line or 0) - 1].startswith("ramdisk")


def test_a_missing_file_is_among_all_that_is_wrong_in_a_tree(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    tree = Path(ROOT / "tests/trees/own.dts").read_text()
    Path("own.dts").write_text(tree.replace("permissions = <", "permissions = <0x1000 ", 1))
    with pytest.raises(ErrorList) as caught:
        build(Path("own.dts"))
    assert len([error for error in caught.value.errors if "cannot be read" in error.message]) >= 1
    assert any("permissions" in error.message for error in caught.value.errors)


def test_descriptions_by_name_and_by_path(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    own = describe(project / "images")
    assert paths.description("lab").resolve() == own
    assert paths.description("demo").resolve() == ROOT / "images/demo.toml"
    assert paths.description("some/where.toml") == Path("some/where.toml")
    with pytest.raises(
        SourceError, match=r"no description images/nope\.toml; there is: .*debian, debian-linux, demo, .*lab"
    ):
        paths.description("nope")
