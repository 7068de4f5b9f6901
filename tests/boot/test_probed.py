"""The probe itself under QEMU: what it finds of the machine, and a boot that goes as planned for what it found."""

from __future__ import annotations

from pathlib import Path

import pytest
from comparing import ROOT
from probe_machine import kernel

from bootwright.cli import lab
from bootwright.common import paths
from bootwright.emulate import qemu, run
from bootwright.image import build
from bootwright.image import built as image_built
from bootwright.lab import abilities, fit
from bootwright.lab import report as lab_report
from bootwright.lab.abilities import Abilities, Missing, Processor, Svm

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
    able = abilities.of(found)
    assert able.svm == Svm(1, 16, ()), "qemu64 has SVM without nested paging"
    assert able.vmx is False and able.iommu == {}
    assert able.cores == ((0,), (1,), (2,))
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


def probed(folder: Path, *machine: str) -> tuple[lab_report.Report, Abilities]:
    """The probe as a kernel of its own, which QEMU enters by PVH."""
    path = folder / "probe.elf"
    path.write_bytes(kernel().image)
    command = qemu.command(qemu.Machine(memory=128 << 20), ["-kernel", str(path), *machine])
    result = qemu.run(command, expect=None, timeout=60, show=lambda text: None)
    assert result.outcome is qemu.Outcome.AS_EXPECTED, result
    found = lab_report.extract(result.transcript.encode())
    return found, abilities.of(found)


@pytest.mark.slow
def test_amd_with_svm_threads_and_an_iommu_and_places_for_more_cpus(tmp_path: Path) -> None:
    found, able = probed(
        tmp_path,
        *("-machine", "q35", "-cpu", "EPYC,+svm,+npt", "-device", "amd-iommu"),
        *("-smp", "4,sockets=2,cores=2,threads=2,maxcpus=8"),
    )
    assert able.svm == Svm(1, 16, ("nested paging",)) and able.svm_control == 0
    assert able.vmx is False
    assert able.processors == tuple(Processor(number, number < 4, False) for number in range(8))
    assert able.thread_bits == 1 and able.cores == ((0, 1), (2, 3))
    assert isinstance(able.iommu, dict) and set(able.iommu) == {"IVRS"}
    signatures = {int(table["address"], 16): table["signature"] for table in found.document["acpi"]["tables"]}
    assert signatures[able.iommu["IVRS"]] == "IVRS"
    assert (able.x2apic, able.x2apic_on) == (False, False)
    assert able.tsc_hz is Missing.ABSENT
    assert found.document["cpus"] == 4


@pytest.mark.slow
def test_intel_with_threads_and_an_iommu(tmp_path: Path) -> None:
    found, able = probed(
        tmp_path,
        *("-machine", "q35,kernel-irqchip=split", "-cpu", "Skylake-Client", "-device", "intel-iommu"),
        *("-smp", "6,sockets=1,cores=3,threads=2"),
    )
    assert found.document["cpu"]["vendor"] == "GenuineIntel"
    assert able.svm is Missing.ABSENT
    assert able.vmx is False, "which QEMU itself has not got"
    assert able.cores == ((0, 1), (2, 3), (4, 5))
    assert isinstance(able.iommu, dict) and set(able.iommu) == {"DMAR"}
