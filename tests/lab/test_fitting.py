"""Images planned for a machine that the probe has seen: they fit, or what is in the way is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import samples
from lab_report import DOCUMENT, changed
from project import ROOT

from bootwright.cli import lab
from bootwright.common.errors import PlanError
from bootwright.lab import report

pytestmark = pytest.mark.usefixtures("project")
MIB = 1 << 20

LINUX = """
[image]
name = "linux"
[[domain]]
name = "dom0"
functions = ["initial-domain"]
memory = "64M"
kernel = "bzimage"
"""


# The probe was entered by GRUB, which loads one file from a medium of ours, and another when it is told to.
BY_GRUB = "note: shown is NAME.elf; on an ISO or a disk GRUB loads NAME.efi, and decides where it lies\n"


def stored(change: Callable[[dict[str, Any]], object] = lambda document: None) -> None:
    """The machine "lab", with a change."""
    entered = {"protocol": "multiboot2", "loader": "GRUB 2.06", "rsdp": "0x7fe2000"}
    report.store(report.Report(changed(change), entered), "lab")


def memory(*parts: tuple[int, int, int]) -> Callable[[dict[str, Any]], None]:
    """A memory map of (start, end, type)."""
    found = [{"start": f"{a:#x}", "size": f"{b - a:#x}", "type": kind} for a, b, kind in parts]
    return lambda document: document.update(memory=found)


def planned(capsys: pytest.CaptureFixture[str], name: str = "demo") -> tuple[str, str]:
    lab.plan(str(ROOT / f"images/{name}.toml"), "lab")
    said = capsys.readouterr()
    return said.out, said.err


def test_an_image_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    stored()
    out, err = planned(capsys)
    assert err == BY_GRUB
    assert out.startswith('machine lab: ACME Lab "One", serial S-1: 4 x Lab CPU, 255 MiB of RAM')
    for part in (
        "  [0x100000, ",
        "stub and tables\n",
        "    module demo, in its place\n",
        "    module demo.txt, as loaded\n",
        "    hand-over area\n",
        "  bootwright: image demo build ",
        "), entered by multiboot2 from GRUB 2.06\n",
        "  bootwright: screen: 1280 x 800 x 32 at 0x80000000, pitch 5120\n",
        "  bootwright: memory: 3 ranges, 255 MiB of RAM, RSDP at 0x7fe2000\n",
        "  bootwright: d0: domain dom0 is the hardware domain\n",
        "  bootwright: launch by PVH: entry 0x4",
    ):
        assert part in out
    assert out.endswith("\nimage demo fits on machine lab\n")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (memory((0, 0x9F000, 1), (MIB, 40 * MIB, 1)), "domain dom0 needs 61440 KiB of memory"),
        (memory((MIB, 3 * MIB, 1), (16 * MIB, 256 * MIB, 1)), "E0402: demo is to lie at [0x400000, "),
        (memory((0, 256 * MIB, 2)), "stub and tables [0x100000, "),
        (memory((2 * MIB, 256 * MIB, 1)), "stub and tables [0x100000, "),
        (
            memory((MIB, 256 * MIB, 1), (2 * MIB, 2 * MIB + 4096, 2)),
            "module demo.txt, as loaded [0x200000, 0x200029) would not lie in RAM",
        ),
    ],
)
def test_an_image_that_does_not_fit(
    change: Callable[[dict[str, Any]], None], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(change)
    with pytest.raises(PlanError) as caught:
        planned(capsys)
    assert str(caught.value).startswith("image demo does not fit on machine lab: ")
    assert reason in str(caught.value)
    assert "fits on" not in capsys.readouterr().out


def test_a_kernel_that_is_moved_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bzImage").write_bytes(samples.linux(init_size=3 * MIB))
    path = tmp_path / "moved.toml"
    path.write_text('[image]\nname = "moved"\n' + samples.DOMAIN.replace("good.elf", "bzImage"))
    stored(memory((MIB, 15 * MIB, 1), (17 * MIB, 64 * MIB, 1)))
    lab.plan(str(path), "lab")
    out, err = capsys.readouterr()
    assert err == BY_GRUB + (
        "note: kernel bzImage is moved to [0x3c00000, 0x3f00400), for [0x1000000, 0x1300400) is not all free RAM\n"
    )
    assert "  [0x3c00000, 0x3f00400)   3,146,752    module bzImage, in its place\n" in out
    assert "d0: kernel moved from [0x1000000, 0x1300400), which is not free RAM, to [0x3c00000, 0x3f00400)" in out
    stored(memory((MIB, 15 * MIB, 1), (17 * MIB, 20 * MIB, 1), (4 << 30, 5 << 30, 1)))
    with pytest.raises(PlanError, match=r"E0402: bzImage is to lie at \[0x1000000, 0x1300400\), which is not all RAM"):
        lab.plan(str(path), "lab")


def test_more_cpus_than_there_are_is_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored()
    text = (ROOT / "images/demo.toml").read_text().replace('memory = "64M"', 'memory = "64M"\ncpus = 8')
    text = text.replace("../stub", str(ROOT / "stub")).replace('"demo.txt"', f'"{ROOT}/images/demo.txt"')
    (tmp_path / "images").mkdir()
    (tmp_path / "images/many.toml").write_text(text.replace('name = "demo"', 'name = "many"'))
    lab.plan("many", "lab")
    assert capsys.readouterr().err == "note: domain dom0 asks for 8 cpus; the machine has 4\n" + BY_GRUB


def test_efi_and_modules_of_the_loader_are_notes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report.store(report.Report(DOCUMENT, {"protocol": "EFI", "loader": "EDK II", "rsdp": "0x0"}), "lab")
    out, err = planned(capsys)
    assert "firmware decides where an EFI application lies" in err
    assert "entered by EFI from EDK II" in out
    report.store(report.Report(DOCUMENT), "lab")
    assert "the capture had no lines of the stub" in planned(capsys)[1]


@pytest.mark.slow
def test_a_hypervisor_that_grub_puts_where_it_likes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stored()
    samples.write_kernels(tmp_path)
    for entry, noted in ((b"", False), (samples.tag2(9, 0x400038), True)):
        (tmp_path / "xen.elf").write_bytes(samples.headed(samples.multiboot2(entry)))
        (tmp_path / "lab.toml").write_text(
            '[image]\nname = "lab"\nlauncher = "xen"\n[hypervisor]\nkernel = "xen.elf"\n[[domain]]\nname = "dom0"\n'
            'functions = ["initial-domain"]\nmode = "pv"\nmemory = "32M"\nkernel = "good.elf"\n'
        )
        lab.plan(str(tmp_path / "lab.toml"), "lab")
        said = capsys.readouterr()
        assert "launch by multiboot2: entry 0x4000" in said.out, "as on a BIOS"
        assert ("GRUB decides where the image lies" in said.err) == noted


@pytest.mark.parametrize(("system", "noted"), [("0x0", False), ("0x7fee018", True)])
def test_what_linux_is_told_of_efi_is_a_note(
    system: str, noted: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bzimage").write_bytes(samples.linux(bytes(0x1000)))
    (tmp_path / "linux.toml").write_text(LINUX)
    stored(lambda document: document["booted"].update(efi=system))
    lab.plan(str(tmp_path / "linux.toml"), "lab")
    assert ("note: EFI's memory map is not in the capture" in capsys.readouterr().err) == noted


def test_without_a_machine_it_is_a_plain_pc(capsys: pytest.CaptureFixture[str]) -> None:
    stored()
    lab.plan(str(ROOT / "images/demo.toml"), "")
    said = capsys.readouterr()
    assert said.out.startswith(
        "on a plain PC with 64 MiB of RAM; --machine NAME takes one that was probed (there is: lab)"
    )
    assert "\n  launched: " in said.out and "free is for domain dom0" in said.out
    assert said.out.endswith("\nimage demo boots on a plain PC with 64 MiB of RAM\n") and not said.err


def test_the_plan_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    stored()
    lab.plan(str(ROOT / "images/demo.toml"), "lab", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["image"], found["machine"], found["fits"], found["reason"]) == ("demo", "lab", True, None)
    assert [(m["name"], m["kind"]) for m in found["modules"]] == [("demo", "kernel"), ("demo.txt", "ramdisk")]
    assert [d["name"] for d in found["domains"]] == ["dom0"] and found["hypervisor"] is None
    assert sum(part["end"] - part["start"] for part in found["machine_memory"] if part["kind"] == "RAM") == 0xFF9FC00
    for stage in found["stages"]:
        totals = stage["totals"]
        assert sum(totals["by_kind"].values()) == totals["used"] + totals["free"] + totals["reserved"]
        assert totals["by_kind"]["free"] == totals["free"] > 0xF000000
    assert found["modules"][1]["loaded"] == {"start": 0x200000, "end": 0x200029}
    kernel = [r for r in found["stages"][2]["regions"] if r["kind"] == "kernel"]
    assert [{"start": r["start"], "end": r["end"]} for r in kernel] == found["modules"][0]["pieces"]
    assert found["lines"][-1].startswith("bootwright: launch by PVH: ")


def test_the_plan_as_json_of_what_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    stored(memory((0, 256 * MIB, 2)))
    with pytest.raises(PlanError, match="does not fit on machine lab"):
        lab.plan(str(ROOT / "images/demo.toml"), "lab", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] is False and "would not lie in RAM" in found["reason"]
