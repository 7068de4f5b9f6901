"""Reports of machines: read from captures, faulty ones, stored; and images planned for them."""

from __future__ import annotations

import copy
import json
import os
import threading
import tty
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import samples

from bootwright import abi, fitting, image, machines, places, probe, qemu, report, run, serial_line
from bootwright.errors import BootwrightError, DeviceError, PlanError, SourceError
from bootwright.shapes import HEX, NUMBER, TEXT, Items, Keys, Nullable, ShapeError, check

ROOT = Path(__file__).parent.parent
ABI = abi.load()
BEGIN, END = (ABI.strings[name] for name in ("PROBE_BEGIN", "PROBE_END"))
MIB = 1 << 20

DOCUMENT: dict[str, Any] = {
    "format": 1,
    "memory": [
        {"start": "0x0", "size": "0x9fc00", "type": 1},
        {"start": "0xf0000", "size": "0x10000", "type": 2},
        {"start": "0x100000", "size": "0xff00000", "type": 1},
    ],
    "acpi": {
        "revision": 2,
        "oem": "ACME  ",
        "rsdt": "0x7fe0000",
        "xsdt": "0x7fe1000",
        "tables": [
            {
                "signature": "XSDT",
                "address": "0x7fe1000",
                "length": 76,
                "oem": "ACME  ",
                "oem_table": "LAB     ",
            },
            {"signature": None, "address": "0x100000000"},
        ],
    },
    "cpus": 4,
    "cpuid": [{"leaf": "0x1", "eax": "0x1", "ebx": "0x2", "ecx": "0x3", "edx": "0x4"}],
    "cpu": {
        "vendor": "GenuineIntel",
        "brand": "Lab CPU",
        "family": 6,
        "model": 158,
        "stepping": 10,
        "hypervisor": "",
        "microcode": "0xf0",
    },
    "smbios": {
        "entry": "0xf0000",
        "bios_vendor": "ACME",
        "bios_version": "1.0",
        "manufacturer": "ACME",
        "product": 'Lab "One"',
        "serial": "S-1",
    },
    "framebuffer": {
        "address": "0x80000000",
        "pitch": 5120,
        "width": 1280,
        "height": 800,
        "bpp": 32,
        "type": 1,
        "colours": [16, 8, 8, 8, 0, 8],
    },
    "booted": {"protocol": "multiboot2", "loader": "bootwright", "cmdline": "", "efi": "0x0"},
}

STUB_LINES = """\
bootwright: image probe at [0x100000, 0x151000), entered by multiboot2 from GRUB 2.06-13
bootwright: cpu: Lab CPU, long mode
bootwright: memory: 3 ranges, 255 MiB of RAM, RSDP at 0x7fe2000
"""


def marked(document: Any = DOCUMENT, text: str | None = None) -> str:
    body = json.dumps(document, indent=1) + "\n" if text is None else text
    return f"{BEGIN}{body}{END}CRC-32 {zlib.crc32(body.encode()):#x}\n"


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return document


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "root", lambda: tmp_path)
    return tmp_path


# --- captures ---


@pytest.mark.parametrize(
    "capture",
    [
        marked(),
        f"\x1b[2J\x1b[01;01HBdsDxe: starting\n{STUB_LINES}{marked()}probe: powering off\n",
        marked() + "login: " + "x" * 500,
        f"garbage {BEGIN}half of it\n" + marked(),
        marked(changed(lambda d: d.update(cpus=1))) + marked(),
        marked() + f"{BEGIN}cut of",
        marked() + marked().replace("Lab CPU", "Lab C?U"),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r\r\n"])
def test_the_report_is_found_in_whatever_is_around_it(capture: str, line_end: str) -> None:
    data = capture.replace("\n", line_end).encode() + b"\0\xff"
    found = probe.extract(data)
    assert found.document == DOCUMENT
    assert probe.is_complete(data) or capture.endswith("cut of")
    assert (found.entered is not None) == (STUB_LINES in capture)


def test_the_stubs_own_lines_say_how_it_was_entered() -> None:
    found = probe.extract((STUB_LINES + marked()).encode())
    assert found.entered == {"protocol": "multiboot2", "loader": "GRUB 2.06-13", "rsdp": "0x7fe2000"}
    assert found.ram == 0x9FC00 + 0xFF00000 and found.cpu == "Lab CPU"
    rsdp = found.rsdp_bytes
    assert rsdp[:8] == b"RSD PTR " and not sum(rsdp) % 256 and not sum(rsdp[:20]) % 256 and len(rsdp) == 36


GOOD = marked()
TEXT_OF = json.dumps(DOCUMENT)


@pytest.mark.parametrize(
    ("capture", "message"),
    [
        ("", 'holds no report: there is no line "-----BEGIN BOOTWRIGHT MACHINE-----" in it'),
        ("a login prompt\n", "holds no report"),
        (GOOD[: len(GOOD) // 2], 'cut off: there is no line "-----END BOOTWRIGHT MACHINE-----" behind it'),
        (GOOD[: GOOD.index("CRC-32")], "cut off: its CRC-32 is not behind it"),
        (GOOD[:-1], "cut off: its CRC-32 is not behind it"),
        (GOOD.replace("CRC-32 0x", "CRC-32 "), "cut off: its CRC-32 is not behind it"),
        (GOOD.replace("Lab CPU", "Lab  CPU"), "damaged on the way: its CRC-32 is 0x"),
        (GOOD.replace('"cpus": 4', '"cpus": 5'), "damaged on the way"),
        (marked(text="no JSON\n"), "is no JSON: Expecting value"),
        (marked(text=TEXT_OF[:-2]), "is no JSON: "),
        (marked([]), "not as it should be: [] is no object"),
        (marked(changed(lambda d: d.update(format=2))), "has format 2; this is for format 1"),
        (marked(changed(lambda d: d.pop("memory"))), "'memory' is missing"),
        (marked(changed(lambda d: d.update(memory={}))), "memory: {} is no list"),
        (marked(changed(lambda d: d["memory"][1].update(start=4))), "memory[1].start: 4 is no hex number"),
        (marked(changed(lambda d: d["memory"][2].pop("type"))), "memory[2]: 'type' is missing"),
        (marked(changed(lambda d: d["cpu"].update(brand=None))), "cpu.brand: None is no text"),
        (marked(changed(lambda d: d.update(cpus=-1))), "cpus: -1 is no number from 0 up"),
        (marked(changed(lambda d: d.update(cpus=True))), "cpus: True is no number from 0 up"),
        (
            marked(changed(lambda d: d["framebuffer"].update(colours=[1]))),
            "framebuffer.colours: 1 items where 6 belong",
        ),
    ],
)
def test_faulty_captures(capture: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "capture.log"
    path.write_text(capture)
    with pytest.raises(SourceError) as caught:
        machines.read(str(path), "lab", 1)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert not (tmp_path / "machines").exists()


@pytest.mark.parametrize("key", ["acpi", "smbios", "framebuffer"])
def test_what_a_machine_may_lack(key: str) -> None:
    found = probe.extract(marked(changed(lambda d: d.update({key: None}))).encode())
    assert probe.describe(found)
    assert (found.rsdp_bytes == bytes(36)) == (key == "acpi")


@pytest.mark.parametrize(
    ("value", "shape", "message"),
    [
        ("0x", HEX, "'0x' is no hex number"),
        ("0x" + "1" * 17, HEX, "is no hex number"),
        (1 << 64, NUMBER, "is no number from 0 up"),
        ([1, None], Items(Nullable(TEXT)), "[0]: 1 is no text"),
        ({"a": {}}, Keys({"a": Keys({"b": TEXT})}), "a: 'b' is missing"),
    ],
)
def test_shapes(value: Any, shape: Any, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        check(value, shape)
    assert message in str(caught.value)


# --- stored ---


def test_a_machine_is_stored_under_its_product_name_and_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = tmp_path / "capture"
    capture.write_text(STUB_LINES + marked())
    machines.read(str(capture), "", 1)
    path = tmp_path / "machines/Lab-One.json"
    assert capsys.readouterr().out == (
        f'{path}: ACME Lab "One", serial S-1: 4 x Lab CPU, 255 MiB of RAM, screen 1280 x 800\n'
    )
    for name in ("Lab-One", str(path)):
        assert probe.load(name) == probe.extract(capture.read_bytes())
    assert '\n  {"start": "0xf0000", "size": "0x10000", "type": 2},\n' in path.read_text()
    assert list(path.parent.iterdir()) == [path]
    machines.list_all()
    assert capsys.readouterr().out.startswith("Lab-One: ACME")


def test_another_machine_does_not_take_a_name_that_is_taken() -> None:
    probe.store(probe.Report(DOCUMENT), "lab")
    probe.store(probe.Report(changed(lambda d: d.update(cpus=8))), "lab")
    other = probe.Report(changed(lambda d: d["smbios"].update(serial="S-2")))
    with pytest.raises(SourceError, match=r'lab is another machine \(ACME Lab "One", serial S-1\)'):
        probe.store(other, "lab")
    assert probe.load("lab").document["cpus"] == 8


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b"])
def test_bad_names(name: str) -> None:
    with pytest.raises(SourceError, match="may have letters, digits"):
        probe.store(probe.Report(DOCUMENT), name)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"product": "Standard PC (i440FX + PIIX, 1996)"}, "Standard-PC-i440FX-PIIX-1996"),
        ({"product": "To Be Filled By O.E.M.", "board_product": "X470D4U"}, "X470D4U"),
        ({"product": "System Product Name", "manufacturer": "ASUS"}, "ASUS"),
        ({"product": "../..", "manufacturer": ""}, "machine"),
        (None, "machine"),
    ],
)
def test_a_name_is_suggested(names: dict[str, str] | None, expected: str) -> None:
    assert probe.suggest_name(probe.Report(changed(lambda d: d.update(smbios=names)))) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is: other (invoke probe --read makes one)"),
        ("{", "is no JSON"),
        ("[]", "not as it should be: [] is no object"),
        (json.dumps(DOCUMENT | {"entered": 1}), "entered: 1 is no object"),
        (json.dumps(DOCUMENT | {"entered": {"protocol": "x", "loader": "y"}}), "entered: 'rsdp' is missing"),
    ],
)
def test_a_machine_that_cannot_be_loaded(text: str | None, message: str, tmp_path: Path) -> None:
    probe.store(probe.Report(DOCUMENT), "other")
    if text is not None:
        (tmp_path / "machines/lab.json").write_text(text)
    with pytest.raises(SourceError) as caught:
        probe.load("lab")
    assert message in str(caught.value)
    assert "machines/lab.json" in str(caught.value)


# --- the serial line ---


def test_a_serial_line_is_read_until_the_report_is_whole(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    tty.setraw(ours)
    line = os.ttyname(theirs)
    data = (STUB_LINES + marked()).replace("\n", "\r\n").encode()

    def send() -> None:
        for start in range(0, len(data), 100):
            os.write(ours, data[start : start + 100])

    sender = threading.Thread(target=send)
    sender.start()
    try:
        machines.read(line, "lab", 5)
    finally:
        sender.join()
        os.close(ours)
        os.close(theirs)
    assert probe.load("lab").document == DOCUMENT


@pytest.mark.parametrize("sent", [b"", b"hello"])
def test_a_serial_line_that_falls_silent(sent: bytes) -> None:
    ours, theirs = os.openpty()
    tty.setraw(ours)
    os.write(ours, sent)
    try:
        with pytest.raises(
            DeviceError, match=r"silent for 0.2 s, after (nothing|5 bytes without a whole report)"
        ):
            serial_line.read(Path(os.ttyname(theirs)), probe.is_complete, 0.2, lambda data: None)
    finally:
        os.close(ours)
        os.close(theirs)


def test_what_is_no_serial_line(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"/dev/zero is no serial line: Inappropriate ioctl"):
        machines.read("/dev/zero", "lab", 1)
    with pytest.raises(BootwrightError, match=r"none\.log: cannot be read: No such file"):
        machines.read(str(tmp_path / "none.log"), "lab", 1)


# --- plans for a machine ---

LINUX = """
[image]
name = "linux"
[[domain]]
name = "dom0"
functions = ["initial-domain"]
memory = "64M"
kernel = "bzimage"
"""


def stored(change: Callable[[dict[str, Any]], object] = lambda document: None) -> None:
    """The machine "lab", with a change."""
    entered = {"protocol": "multiboot2", "loader": "GRUB 2.06", "rsdp": "0x7fe2000"}
    probe.store(probe.Report(changed(change), entered), "lab")


def memory(*parts: tuple[int, int, int]) -> Callable[[dict[str, Any]], None]:
    """A memory map of (start, end, type)."""
    found = [{"start": f"{a:#x}", "size": f"{b - a:#x}", "type": kind} for a, b, kind in parts]
    return lambda document: document.update(memory=found)


def planned(capsys: pytest.CaptureFixture[str], name: str = "demo") -> tuple[str, str]:
    machines.plan(str(ROOT / f"images/{name}.toml"), "lab")
    said = capsys.readouterr()
    return said.out, said.err


def test_an_image_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    stored()
    out, err = planned(capsys)
    assert err == ""
    assert out.startswith('machine lab: ACME Lab "One", serial S-1: 4 x Lab CPU, 255 MiB of RAM')
    for part in (
        "  [0x100000, ",
        "stub and tables\n",
        "    module demo, in its place\n",
        "    module demo.txt, as loaded\n",
        "    hand-over area\n",
        "  bootwright: image demo at [0x100000, ",
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
    machines.plan(str(path), "lab")
    out, err = capsys.readouterr()
    assert err == (
        "note: kernel bzImage is moved to [0x3c00000, 0x3f00400), for [0x1000000, 0x1300400) is not all free RAM\n"
    )
    assert "  [0x3c00000, 0x3f00400)   3,146,752    module bzImage, in its place\n" in out
    assert "d0: kernel moved from [0x1000000, 0x1300400), which is not free RAM, to [0x3c00000, 0x3f00400)" in out
    stored(memory((MIB, 15 * MIB, 1), (17 * MIB, 20 * MIB, 1), (4 << 30, 5 << 30, 1)))
    with pytest.raises(PlanError, match=r"E0402: bzImage is to lie at \[0x1000000, 0x1300400\), which is not all RAM"):
        machines.plan(str(path), "lab")


def test_more_cpus_than_there_are_is_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored()
    text = (ROOT / "images/demo.toml").read_text().replace('memory = "64M"', 'memory = "64M"\ncpus = 8')
    text = text.replace("../stub", str(ROOT / "stub")).replace('"demo.txt"', f'"{ROOT}/images/demo.txt"')
    (tmp_path / "images").mkdir()
    (tmp_path / "images/many.toml").write_text(text.replace('name = "demo"', 'name = "many"'))
    machines.plan("many", "lab")
    assert capsys.readouterr().err == "note: domain dom0 asks for 8 cpus; the machine has 4\n"


def test_efi_and_modules_of_the_loader_are_notes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    probe.store(probe.Report(DOCUMENT, {"protocol": "EFI", "loader": "EDK II", "rsdp": "0x0"}), "lab")
    out, err = planned(capsys)
    assert "firmware decides where an EFI application lies" in err
    assert "entered by EFI from EDK II" in out
    probe.store(probe.Report(DOCUMENT), "lab")
    assert "the capture had no lines of the stub" in planned(capsys)[1]


def test_a_hypervisor_that_grub_puts_where_it_likes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stored()
    samples.write_kernels(tmp_path)
    for entry, noted in ((b"", False), (samples.tag2(9, 0x400038), True)):
        (tmp_path / "xen.elf").write_bytes(samples.headed(samples.multiboot2(entry)))
        (tmp_path / "lab.toml").write_text(
            '[image]\nname = "lab"\nlauncher = "xen"\n[hypervisor]\nkernel = "xen.elf"\n[[domain]]\nname = "dom0"\n'
            'functions = ["initial-domain"]\nmode = "pv"\nmemory = "32M"\nkernel = "good.elf"\n'
        )
        machines.plan(str(tmp_path / "lab.toml"), "lab")
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
    machines.plan(str(tmp_path / "linux.toml"), "lab")
    assert ("note: EFI's memory map is not in the capture" in capsys.readouterr().err) == noted


def test_which_machine(capsys: pytest.CaptureFixture[str]) -> None:
    stored()
    with pytest.raises(PlanError, match=r"which machine.*there is: lab"):
        machines.plan("demo", "")


# --- the probe itself ---


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, report.Built]:
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(places, "root", lambda: folder)
        names = ("probe", "demo")
        return {name: image.build(ROOT / f"images/{name}.toml", lambda stage: None) for name in names}


WAYS = [("kernel", "bios"), ("efi", "uefi")]


def booted(built: report.Built, via: str, firmware: str) -> str:
    options = run.Options(via=via, firmware=firmware, memory=300 << 20, cpus=3, timeout=60)
    result = run.boot(built, options, lambda text: None)
    assert result.outcome is qemu.Outcome.AS_EXPECTED, result
    return result.transcript


@pytest.mark.slow
@pytest.mark.parametrize(("via", "firmware"), WAYS)
def test_the_probe_under_qemu(via: str, firmware: str, built: dict[str, report.Built]) -> None:
    found = probe.extract(booted(built["probe"], via, firmware).encode())
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
def test_a_boot_goes_as_planned_for_the_machine(built: dict[str, report.Built]) -> None:
    """The probe first, a plan for what it found, then the boot: every line of the stub was foretold."""
    probe.store(probe.extract(booted(built["probe"], "kernel", "bios").encode()), "lab")
    found = machines.fitted(ROOT / "images/demo.toml", probe.load("lab"), lambda stage: None)
    said = booted(built["demo"], "kernel", "bios").splitlines()
    assert found.reason is None
    assert list(found.lines) == [line for line in said if line.startswith("bootwright: ")]
    assert any("hand-over area" in row for row in fitting.table(found))
