"""The probe itself under QEMU: what it finds of the machine, and a boot that goes as planned for what it found."""

from __future__ import annotations

import pytest
from comparing import ROOT

from bootwright.cli import lab
from bootwright.common import paths
from bootwright.emulate import qemu, run
from bootwright.image import build
from bootwright.image import built as image_built
from bootwright.lab import fit
from bootwright.lab import report as lab_report

pytestmark = pytest.mark.usefixtures("project")
MIB = 1 << 20


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, image_built.Built]:
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: folder)
        names = ("probe", "demo")
        return {name: build.build(ROOT / f"images/{name}.toml", lambda stage: None) for name in names}


WAYS = [("kernel", "bios"), ("efi", "uefi")]


def booted(built: image_built.Built, via: str, firmware: str) -> str:
    options = run.Options(via=via, firmware=firmware, memory=300 << 20, cpus=3, timeout=60)
    result = run.boot(built, options, lambda text: None)
    assert result.outcome is qemu.Outcome.AS_EXPECTED, result
    return result.transcript


@pytest.mark.slow
@pytest.mark.parametrize(("via", "firmware"), WAYS)
def test_the_probe_under_qemu(via: str, firmware: str, built: dict[str, image_built.Built]) -> None:
    found = lab_report.extract(booted(built["probe"], via, firmware).encode())
    document = found.document
    assert document["cpus"] == 3
    assert 285 * MIB < found.ram < 300 * MIB
    assert found.cpu == "QEMU Virtual CPU version 2.5+"
    cpu = document["cpu"]
    assert (cpu["vendor"], cpu["family"], cpu["model"], cpu["stepping"]) == ("AuthenticAMD", 15, 107, 1)
    assert (cpu["hypervisor"], cpu["microcode"], cpu["physical_bits"]) == ("TCGTCGTCGTCG", None, 40)
    assert {"FACP", "DSDT", "APIC"} < {table["signature"] for table in document["acpi"]["tables"]}
    assert found.names["manufacturer"] == "QEMU" and found.names["product"].startswith("Standard PC")
    assert {leaf["leaf"]: leaf["eax"] for leaf in document["cpuid"]}["0x1"] == "0x60fb1"
    assert (document["framebuffer"] is not None) == (firmware == "uefi")
    assert found.entered is not None
    assert found.entered["protocol"] == {"bios": "multiboot1", "uefi": "EFI"}[firmware]


@pytest.mark.slow
def test_a_boot_goes_as_planned_for_the_machine(built: dict[str, image_built.Built]) -> None:
    """The probe first, a plan for what it found, then the boot: every line of the stub was foretold."""
    lab_report.store(lab_report.extract(booted(built["probe"], "kernel", "bios").encode()), "lab")
    found = lab.fitted(ROOT / "images/demo.toml", lab_report.load("lab"), lambda stage: None)
    said = booted(built["demo"], "kernel", "bios").splitlines()
    assert found.reason is None
    assert list(found.lines) == [line for line in said if line.startswith("bootwright: ")]
    assert any("hand-over area" in row for row in fit.table(found))
