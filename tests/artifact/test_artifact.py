"""Finished images, looked into and changed: by themselves, on an ISO, on a disk, in a folder."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lief
import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from project import ROOT
from signing_keys import make_key

from bootwright.artifact import change, describe, difference, foreign, modules, stored
from bootwright.artifact.stored import StoredImage
from bootwright.cli import artifact as cli_artifact
from bootwright.common import paths
from bootwright.common.errors import BootwrightError, PlanError, SourceError
from bootwright.common.ranges import Range
from bootwright.emulate import qemu, run
from bootwright.image import build, efi_image, manifest, verify
from bootwright.image import built as image_built
from bootwright.image.built import Built
from bootwright.image.origin import Input, Tool
from bootwright.image.sign import Signing
from bootwright.media import MEDIA, Settings
from bootwright.plan import tables

FORMS = ("elf", "efi")
LINE = "another line, from the bench"


@pytest.fixture
def copied(demo: Built, tmp_path: Path) -> Built:
    """The demo's files in a folder of their own."""
    folder = tmp_path / "demo"
    shutil.copytree(demo.elf.parent, folder)
    return image_built.load(folder / "demo.json")


@pytest.fixture(scope="module")
def media(demo: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The demo with all its media."""
    folder = tmp_path_factory.mktemp("media") / "demo"
    shutil.copytree(demo.elf.parent, folder)
    built = replace(image_built.load(folder / "demo.json"), origin=None)
    for name in ("iso", "disk", "pxe"):
        MEDIA[name].make(built, Settings())
    return built


def file_of(built: Built, form: str) -> Path:
    return built.elf if form == "elf" else built.elf.with_suffix(".efi")


def only(path: Path) -> StoredImage:
    (found,) = stored.find(path)
    return found


def checked(image: StoredImage) -> None:
    """Read back by those who read what a build makes."""
    assert image.plan is not None
    if image.form == "elf":
        verify.verify(image.path, image.plan)
    else:
        found = lief.PE.parse(str(image.path))
        assert found is not None and found.optional_header.checksum == found.compute_checksum()
        efi_image.verify(image.path, image.plan, ("bootwright,1,bootwright,bootwright,1,none",))


# --- inspect ---


@pytest.mark.parametrize("form", FORMS)
def test_an_image_says_what_its_map_says(form: str, demo: Built) -> None:
    said = describe.record(only(file_of(demo, form)))
    known = json.loads(demo.elf.with_suffix(".json").read_text())
    assert (said["name"], said["build_id"], said["form"]) == (known["name"], known["build_id"], form)
    assert said["bootwright"] == known["tool"]
    for module, other in zip(said["modules"], known["modules"], strict=True):
        assert {key: module[key] for key in ("name", "kind", "pack", "size", "unpacked_size", "sha256")} == {
            key: other[key] for key in ("name", "kind", "pack", "size", "unpacked_size", "sha256")
        }
        assert module["right"] is True
    assert [domain["cmdline"] for domain in said["domains"]] == [domain["cmdline"] for domain in known["domains"]]
    assert said["description"]["text"] == (ROOT / "images/demo.toml").read_text()
    assert {one["sha256"] for one in said["inputs"]} == {one["sha256"] for one in known["inputs"]}
    assert "hello from the description" in describe.text(said)


def test_the_manifest_is_read_without_us(demo: Built, tmp_path: Path) -> None:
    out = tmp_path / "manifest"
    subprocess.run(["objcopy", "--dump-section", f".manifest={out}", demo.elf, tmp_path / "copy"], check=True)
    data = out.read_bytes()
    assert data.startswith(b"BWMANIF1")
    said = json.loads(data[16 : 16 + int.from_bytes(data[8:12], "little")])
    assert said["text"] == (ROOT / "images/demo.toml").read_text()
    assert str(ROOT) not in data.decode("latin-1"), "no place of this machine"


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_module_is_said(form: str, copied: Built, capsys: pytest.CaptureFixture[str]) -> None:
    path = file_of(copied, form)
    place = only(path).modules[1].place
    assert place is not None
    with path.open("r+b") as file:
        file.seek(place.start)
        file.write(b"X")
    assert not cli_artifact.inspect(str(path), as_json=False)
    assert "DAMAGED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("suffix", "forms"), [(".iso", ["efi"]), (".img", ["efi"]), ("", ["elf", "efi"])], ids=["iso", "disk", "folder"]
)
def test_an_image_is_found_on_its_media(suffix: str, forms: list[str], media: Built) -> None:
    where = media.elf.with_suffix(suffix) if suffix else media.elf.parent / "pxe"
    found = stored.find(where)
    assert sorted({image.form for image in found}) == sorted(set(forms))
    for image in found:
        assert image.build_id == media.build_id and all(module.is_right() for module in image.modules)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), form=st.sampled_from(FORMS))
def test_whatever_is_damaged_ends_in_a_sentence(data: st.DataObject, form: str, demo: Built, tmp_path: Path) -> None:
    content = bytearray(file_of(demo, form).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(0, 4095), st.integers(0, len(content) - 1)))
        content[at] = data.draw(st.integers(0, 255))
    del content[data.draw(st.sampled_from([len(content), len(content) // 2, 5000])) :]
    path = tmp_path / "damaged"
    path.write_bytes(content)
    try:
        for image in stored.find(path):
            describe.text(describe.record(image))
        foreign.describe(path)
    except BootwrightError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)


# --- extract ---


def test_a_ramdisk_comes_out_as_it_was(demo: Built, tmp_path: Path) -> None:
    image = only(demo.elf)
    assert image.plan is not None
    out = modules.extract(image.modules[1], image.plan, tmp_path)
    assert out.read_bytes() == (ROOT / "images/demo.txt").read_bytes()
    with pytest.raises(SourceError, match="is there already"):
        modules.extract(image.modules[1], image.plan, tmp_path)


@pytest.mark.slow
def test_a_kernel_that_comes_out_boots(demo: Built, tmp_path: Path) -> None:
    image = only(file_of(demo, "efi"))
    assert image.plan is not None
    out = modules.extract(image.modules[0], image.plan, tmp_path)
    with out.open("rb") as file:
        assert ELFFile(file)["e_entry"] == image.plan.domains[0].entry
    arguments = qemu.command(qemu.Machine(128 << 20), ["-kernel", str(out), "-append", "out of the image"])
    seen = qemu.run(arguments, expect=None, timeout=60, show=lambda text: None, directory=tmp_path)
    assert "demo: command line: out of the image" in seen.transcript


# --- changes ---


@pytest.mark.parametrize("form", FORMS)
def test_another_command_line(form: str, copied: Built) -> None:
    path = file_of(copied, form)
    before = only(path)
    assert change.apply(path, [change.with_cmdline(before, "dom0", LINE)]) == ()
    after = only(path)
    assert describe.record(after)["domains"][0]["cmdline"] == LINE
    assert after.manifest.changes == (f"cmdline of dom0: {LINE}",)
    assert after.manifest.text == before.manifest.text
    assert after.build_id != before.build_id and len(after.build_id) == len(before.build_id)
    assert path.stat().st_size == before.place.size
    checked(after)


def test_both_forms_get_the_same_build_id(copied: Built) -> None:
    for form in FORMS:
        path = file_of(copied, form)
        change.apply(path, [change.with_cmdline(only(path), "dom0", LINE)])
    assert only(copied.elf).build_id == only(file_of(copied, "efi")).build_id


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 41, 4096])
def test_another_ramdisk(form: str, size: int, copied: Built, tmp_path: Path) -> None:
    path, new = file_of(copied, form), tmp_path / "new.txt"
    new.write_bytes(b"\xa5" * size)
    change.apply(path, [change.with_module(only(path), "demo.txt", new, tmp_path)])
    after = only(path)
    assert after.modules[1].planned.size == size and after.modules[1].is_right()
    checked(after)
    assert after.plan is not None
    (tmp_path / "out").mkdir()
    assert modules.extract(after.modules[1], after.plan, tmp_path / "out").read_bytes() == new.read_bytes()


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("dom1", "x", "there is no domain dom1; there is: dom0"),
        ("hypervisor", "x", "there is no domain hypervisor"),
        ("dom0", "a\nb", "has no control characters"),
        ("dom0", "{console}", "is known to a build alone"),
        ("dom0", "x" * 70000, "would be 70001 bytes long"),
    ],
)
def test_a_command_line_that_cannot_be(name: str, line: str, message: str, demo: Built) -> None:
    with pytest.raises(PlanError, match=message):
        change.with_cmdline(only(demo.elf), name, line)


def test_without_room_it_is_refused(demo: Built) -> None:
    image = only(demo.elf)
    assert image.plan is not None and image.tables.size >= len(tables.encode(image.plan)) + 4096, "the usual slack"
    with pytest.raises(PlanError, match=r"and there is room for 0x2bc \(`slack` in \[image\]\)"):
        change.with_cmdline(replace(image, tables=Range(0, 700)), "dom0", "x" * 200)


def test_a_module_that_cannot_be_replaced(demo: Built, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(bytes(4097))
    image = only(demo.elf)
    for name, file, message in (
        ("demo", "new", "is looked into and placed when an image is built"),
        ("demo.txt", "new", r"new has 0x1001 bytes, and \[0x1, 0x1000\] fit where it lies"),
        ("none", "new", "there is no module none; there is: demo, demo.txt"),
        ("demo.txt", "missing", "cannot be read: No such file"),
    ):
        with pytest.raises((PlanError, SourceError), match=message):
            change.with_module(image, name, tmp_path / file, tmp_path)


@pytest.mark.parametrize("suffix", [".iso", ".img"])
def test_on_a_medium_in_place(suffix: str, media: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file system around it stays as it was: mtools reads the changed application out of it."""
    path = tmp_path / f"demo{suffix}"
    shutil.copy(media.elf.with_suffix(suffix), path)
    if suffix == ".img":
        shutil.copy(media.elf.with_suffix(".img.bmap"), tmp_path)
    size = path.stat().st_size
    cli_artifact.cmdline(str(path), "dom0", LINE, "", "", "")
    image = only(path)
    assert path.stat().st_size == size and describe.record(image)["domains"][0]["cmdline"] == LINE
    assert not (tmp_path / "demo.img.bmap").exists()
    assert ("is removed" in capsys.readouterr().err) is (suffix == ".img")
    with path.open("rb") as file:
        file.seek(image.place.start)
        here = file.read(image.place.size)
    if suffix == ".img":
        got = ["mtype", "-i", f"{path}@@2M", "::EFI/BOOT/BOOTX64.EFI"]
        assert subprocess.run(got, capture_output=True, check=True).stdout == here
    found = lief.PE.parse(list(here))
    assert found is not None and found.optional_header.checksum == found.compute_checksum()


@pytest.mark.slow
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_a_changed_disk_boots(firmware: str, media: Built, tmp_path: Path) -> None:
    path = tmp_path / "demo.img"
    shutil.copy(media.elf.with_suffix(".img"), path)
    cli_artifact.cmdline(str(path), "dom0", LINE, "", "", "")
    machine = qemu.Machine(run.FIRMWARE_MEMORY * 4, firmware=firmware)
    arguments = qemu.command(machine, ["-drive", f"file={path},format=raw,if=virtio"])
    seen = qemu.run(arguments, expect=None, timeout=60, show=lambda text: None, directory=tmp_path)
    assert f"demo: command line: {LINE}" in seen.transcript
    assert f"build {only(path).build_id[:8]} at" in seen.transcript


# --- signatures ---


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    return make_key(tmp_path_factory.mktemp("key"))


@pytest.fixture
def signed(key: Signing, project: Path) -> Iterator[Path]:
    built = build.build(ROOT / "images/demo.toml", lambda stage: None, signing=key)
    assert built.efi is not None
    yield built.efi


def is_signed_by(path: Path, key: Signing) -> bool:
    return subprocess.run(["sbverify", "--cert", key.cert, path], capture_output=True, check=False).returncode == 0


def test_a_signature_is_taken_off_and_said(signed: Path, key: Signing) -> None:
    assert is_signed_by(signed, key) and only(signed).signature.size
    notes = change.apply(signed, [change.with_cmdline(only(signed), "dom0", LINE)])
    assert notes == ("efi: the signature is off",)
    assert not only(signed).signature.size and not is_signed_by(signed, key)
    checked(only(signed))


def test_signed_again(signed: Path, key: Signing) -> None:
    assert change.apply(signed, [change.with_cmdline(only(signed), "dom0", LINE)], key) == ()
    assert is_signed_by(signed, key)
    assert describe.record(only(signed))["domains"][0]["cmdline"] == LINE


# --- diff ---


def test_the_two_forms_of_an_image_are_the_same_image(demo: Built) -> None:
    one, other = (describe.record(only(file_of(demo, form)), check=False) for form in FORMS)
    assert difference.differences(one, other) == []


def test_what_was_changed_is_what_differs(demo: Built, copied: Built) -> None:
    change.apply(copied.elf, [change.with_cmdline(only(copied.elf), "dom0", LINE)])
    one, other = (describe.record(only(built.elf), check=False) for built in (demo, copied))
    assert [what for what, _, _ in difference.differences(one, other)] == [
        "build_id",
        "changes",
        "domains dom0 cmdline",
    ]


# --- the manifest ---


@given(st.text(max_size=200), st.integers(0, 300), st.integers(0, 400))
def test_a_manifest_has_room_whatever_is_in_it(text: str, inputs: int, changes: int) -> None:
    found = manifest.Manifest(
        "lab",
        Tool("1", "a" * 64),
        "images/lab.toml",
        text * 300,
        tuple(Input(f"file{number}", number, f"{number:064x}") for number in range(inputs)),
        tuple(f"cmdline of dom0: {number}" for number in range(changes)),
    )
    data = manifest.encode(found)
    assert len(data) <= manifest.ROOM
    back = manifest.decode(data.ljust(manifest.ROOM, b"\0"))
    assert back.name == "lab" and (back.text == found.text or "left out" in back.text)


# --- other files ---


def test_what_other_files_are(demo: Built, tmp_path: Path) -> None:
    (tmp_path / "cpio").write_bytes(b"070701" + bytes(200))
    (tmp_path / "xz").write_bytes(b"\xfd7zXZ\0")
    (tmp_path / "text").write_bytes(b"hello")
    (tmp_path / "none").write_bytes(b"")
    for name, said in (
        ("cpio", "a cpio archive"),
        ("xz", "an xz file"),
        ("text", "a file of a form that is not known"),
        ("none", "an empty file"),
    ):
        assert foreign.describe(tmp_path / name).startswith(said)
    shim = Path("/usr/lib/shim/shimx64.efi.signed")
    if shim.exists():
        assert foreign.describe(shim).startswith("an EFI application with sections ")
    assert foreign.describe(Path("/bin/true")).startswith(
        "a position-independent executable or library of ELF, 64 bits"
    )


def test_a_name_is_that_of_a_built_image(
    demo: Built, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "output", lambda name: demo.elf.parent if name == "demo" else Path("/none"))
    assert cli_artifact.inspect("demo", as_json=False)
    assert "image demo, build " in capsys.readouterr().out
    with pytest.raises(SourceError, match="lab: there is no such file, and no image of that name is built"):
        cli_artifact.inspect("lab", as_json=False)
