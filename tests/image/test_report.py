"""report: the map for people and for machines."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import samples

from bootwright.common import paths
from bootwright.common.errors import SourceError
from bootwright.image import build, image_map
from bootwright.image import built as image_built
from bootwright.image.image_map import Domain, Map, Module, Place
from bootwright.image.origin import Input, MadeMedium, Options, Origin, Output, Tool

FOUND = Map(
    name="lab",
    build_id="00ff",
    entry=0x100040,
    pvh_entry=0x100050,
    stub_size=4096,
    machine_memory=512 << 20,
    machine_cpus=1,
    svm=False,
    serial_port=0x2F8,
    memory=(Place(0x200000, 0x2000000, "ramdisk initrd.gz"), Place(0x100000, 0x101000, "stub .text")),
    file=(Place(0x1000, 0x2000, "stub .text"), Place(0x8000, 0x9001, "module vmlinuz")),
    modules=(
        Module("vmlinuz", "kernel", 4097, 1234567, "lz4", "ab" * 32),
        Module("initrd.gz", "ramdisk", 31457280, 31457280, "stored", "cd" * 32, "modules/initrd.gz"),
    ),
    domains=(
        Domain("dom0", True, 512 << 20, "vmlinuz", "initrd.gz", "console=ttyS0", "pvh", 0x1000000),
        Domain("dom1", False, 256 << 20, None, None, "", "", 0),
    ),
    hypervisor=None,
    notes=("something to know",),
)

MADE_OF = Origin(
    Tool("1.2", "aa" * 32),
    "images/lab.toml",
    (Input("images/lab.toml", 99, "bb" * 32), Input("boot/vmlinuz-*", 4097, "cc" * 32, "linux")),
    Options(("1=vmlinuz",), "keys/db.key", "keys/db.pem", "dd" * 32, {"size": None}),
    (Output("lab.elf", 0x9001, "ee" * 32), Output("lab.efi", 0x9000, "ff" * 32)),
    {"lab.img": MadeMedium("disk", {"size": None}, 1 << 20, "")},
)

TEXT = f"""\
image lab

build id   00ff
entry      0x100040 (multiboot), 0x100050 (PVH)
stub       4096 bytes of code and read-only data
machine    512 MiB of memory or more
serial     port 0x2f8

memory
  range                     bytes  what
  [0x100000, 0x101000)       4096  stub .text
  [0x200000, 0x2000000)  31457280  ramdisk initrd.gz

file
  range             bytes  what
  [0x1000, 0x2000)   4096  stub .text
  [0x8000, 0x9001)   4097  module vmlinuz

modules
  name       kind     packed as     bytes  unpacked  where              SHA-256 (as packed)
  vmlinuz    kernel   lz4            4097   1234567  in the image       {"ab" * 32}
  initrd.gz  ramdisk  stored     31457280  31457280  modules/initrd.gz  {"cd" * 32}

domain dom0
  memory   512 MiB
  kernel   vmlinuz, entered by pvh at 0x1000000
  ramdisk  initrd.gz
  cmdline  console=ttyS0

domain dom1, not built
  memory   256 MiB

notes
  something to know
"""


def test_text() -> None:
    assert image_map.text(FOUND) == TEXT


def test_json_holds_the_same_facts() -> None:
    data = json.loads(image_built.as_json(FOUND, MADE_OF))
    assert data["memory"][0] == {"start": 0x200000, "end": 0x2000000, "what": "ramdisk initrd.gz"}
    assert data["domains"][0]["cmdline"] == "console=ttyS0"
    assert [domain["built"] for domain in data["domains"]] == [True, False]
    assert (data["format"], data["name"], data["entry"]) == (image_built.FORMAT, "lab", 0x100040)


def test_a_built_image_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    path.write_text(image_built.as_json(FOUND, MADE_OF))
    built = image_built.load(path)
    assert built.elf == tmp_path / "lab.elf"
    assert [(m.name, m.file) for m in built.modules] == [("initrd.gz", "modules/initrd.gz")]
    assert (built.machine_memory, built.stub_size, built.notes) == (512 << 20, 4096, FOUND.notes)
    assert built.serial_port == 0x2F8
    assert built.origin == MADE_OF and built.efi == tmp_path / "lab.efi"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 0}', '{"format": 1, "name": "lab"}', "\xff"])
def test_what_is_no_map(content: str, tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(SourceError, match=r"lab\.json: is not the map of an image; build the image anew"):
        image_built.load(path)


def test_a_missing_map(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"lab\.json: cannot be read: No such file"):
        image_built.load(tmp_path / "lab.json")


OTHERS = """
[[domain]]
name = "other"
mode = "{mode}"
memory = "64M"
kernel = "good.elf"

[[domain]]
name = "empty"
mode = "{mode}"
memory = "64M"
"""
XEN = '[hypervisor]\nkernel = "mb2.elf"\n'


@pytest.mark.parametrize(
    ("launcher", "hypervisor", "mode", "built"),
    [
        ("native", "", "pvh", ["dom0"]),
        ("xen", XEN, "pv", ["dom0"]),
        ("xen", f"{XEN}lcm = true\n", "pv", ["dom0", "other"]),
    ],
)
def test_what_is_not_built_is_said_in_every_place(
    launcher: str, hypervisor: str, mode: str, built: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    samples.write_kernels(tmp_path)
    dom0 = samples.DOMAIN.replace('"initial-domain"', '"console", "xenstore", "initial-domain"')
    text = f'[image]\nlauncher = "{launcher}"\n{hypervisor}{dom0}mode = "{mode}"\n{OTHERS.format(mode=mode)}'
    (tmp_path / "lab.toml").write_text(text)
    elf = build.build(tmp_path / "lab.toml", lambda stage: None).elf
    mapped, shown = json.loads(elf.with_suffix(".json").read_text()), elf.with_suffix(".map").read_text()
    assert [domain["name"] for domain in mapped["domains"] if domain["built"]] == built
    for name in ("dom0", "other", "empty"):
        left = name not in built
        assert (f"domain {name}, not built\n" in shown) == left
        assert any(note.startswith(f'domain "{name}" is not built by') for note in mapped["notes"]) == left


def test_the_demo_is_mapped_completely(demo: image_built.Built) -> None:
    data = json.loads(demo.elf.with_suffix(".json").read_text())
    named = {place["what"] for place in data["memory"]}
    assert {"stub .text", "stub .bss", "stub .tables"} <= named
    placed = sorted((place["start"], place["end"]) for place in data["file"])
    assert all(one[1] <= other[0] for one, other in pairwise(placed))
    assert placed[-1][1] == demo.elf.stat().st_size
    assert demo.elf.with_suffix(".map").read_text().startswith("image demo\n")
    assert ".text" in demo.elf.with_suffix(".lst").read_text()
