"""Reports of machines: read from captures and from a serial line, faulty ones, and stored."""

from __future__ import annotations

import json
import os
import threading
import tty
from pathlib import Path
from typing import Any

import pytest
from lab_report import BEGIN, DOCUMENT, OLD, STUB_LINES, changed, marked

from bootwright.cli import lab
from bootwright.common.errors import BootwrightError, DeviceError, SourceError
from bootwright.common.json_shape import HEX, NUMBER, TEXT, Items, Keys, Nullable, ShapeError, check
from bootwright.lab import report, serial

pytestmark = pytest.mark.usefixtures("project")


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
    found = report.extract(data)
    assert found.document == DOCUMENT
    assert report.is_complete(data) or capture.endswith("cut of")
    assert (found.entered is not None) == (STUB_LINES in capture)


def test_the_stubs_own_lines_say_how_it_was_entered() -> None:
    found = report.extract((STUB_LINES + marked()).encode())
    assert found.entered == {"protocol": "multiboot2", "loader": "GRUB 2.06-13", "rsdp": "0x7fe2000"}
    assert found.ram == 0x9FC00 + 0xFF00000 and found.cpu == "Lab CPU"
    rsdp = found.rsdp_bytes
    assert rsdp[:8] == b"RSD PTR " and not sum(rsdp) % 256 and not sum(rsdp[:20]) % 256 and len(rsdp) == 36


def test_a_report_of_format_1_is_still_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.extract(marked(OLD).encode()).document == OLD
    report.store(report.Report(OLD), "old")
    assert report.load("old").document == OLD
    lab.list_all()
    assert capsys.readouterr().out == (
        'old: ACME Lab "One", serial S-1: 4 x Lab CPU, 255 MiB of RAM, screen 1280 x 800\n'
        "    SVM: not known\n"
        "    VMX: none\n"  # CPUID's first leaf was reported then, too
        "    x2APIC: none\n"
        "    cpus: not known\n"
        "    IOMMU: not known\n"
        "    TSC: invariant: not known, frequency not known\n"
    )


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
        (marked(changed(lambda d: d.update(format=3))), "has format 3; this is for formats up to 2"),
        (marked(changed(lambda d: d.update(format=[2]))), "format: [2] is no number from 0 up"),
        (marked(changed(lambda d: d.update(format=True))), "format: True is no number from 0 up"),
        (marked(changed(lambda d: d["cpuid"][0].pop("subleaf"))), "cpuid[0]: 'subleaf' is missing"),
        (marked(changed(lambda d: d["msrs"][0].update(value=1))), "msrs[0].value: 1 is no hex number"),
        (marked(changed(lambda d: d["processors"][2].update(apic_id=-1))), "processors[2].apic_id: -1 is no number of"),
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
        lab.read(str(path), "lab", 1)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert not (tmp_path / "machines").exists()


@pytest.mark.parametrize("key", ["acpi", "smbios", "framebuffer"])
def test_what_a_machine_may_lack(key: str) -> None:
    found = report.extract(marked(changed(lambda d: d.update({key: None}))).encode())
    assert report.describe(found)
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
    lab.read(str(capture), "", 1)
    path = tmp_path / "machines/Lab-One.json"
    assert capsys.readouterr().out == (
        f'{path}: ACME Lab "One", serial S-1: 4 x Lab CPU, 255 MiB of RAM, screen 1280 x 800\n'
        "    SVM: none\n"
        "    VMX: none\n"
        "    x2APIC: none\n"
        "    cpus: 4 enabled, APIC ids by core: 0, 1, 2, 3\n"
        "    IOMMU: not known\n"  # behind the table that cannot be looked into
        "    TSC: not invariant, frequency none\n"
    )
    for name in ("Lab-One", str(path)):
        assert report.load(name) == report.extract(capture.read_bytes())
    assert '\n  {"start": "0xf0000", "size": "0x10000", "type": 2},\n' in path.read_text()
    assert list(path.parent.iterdir()) == [path]
    lab.list_all()
    assert capsys.readouterr().out.startswith("Lab-One: ACME")


def test_another_machine_does_not_take_a_name_that_is_taken() -> None:
    report.store(report.Report(DOCUMENT), "lab")
    report.store(report.Report(changed(lambda d: d.update(cpus=8))), "lab")
    other = report.Report(changed(lambda d: d["smbios"].update(serial="S-2")))
    with pytest.raises(SourceError, match=r'lab is another machine \(ACME Lab "One", serial S-1\)'):
        report.store(other, "lab")
    assert report.load("lab").document["cpus"] == 8


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b"])
def test_bad_names(name: str) -> None:
    with pytest.raises(SourceError, match="may have letters, digits"):
        report.store(report.Report(DOCUMENT), name)


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
    assert report.suggest_name(report.Report(changed(lambda d: d.update(smbios=names)))) == expected


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
    report.store(report.Report(DOCUMENT), "other")
    if text is not None:
        (tmp_path / "machines/lab.json").write_text(text)
    with pytest.raises(SourceError) as caught:
        report.load("lab")
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
        lab.read(line, "lab", 5)
    finally:
        sender.join()
        os.close(ours)
        os.close(theirs)
    assert report.load("lab").document == DOCUMENT


@pytest.mark.parametrize("sent", [b"", b"hello"])
def test_a_serial_line_that_falls_silent(sent: bytes) -> None:
    ours, theirs = os.openpty()
    tty.setraw(ours)
    os.write(ours, sent)
    try:
        with pytest.raises(DeviceError, match=r"silent for 0.2 s, after (nothing|5 bytes without a whole report)"):
            serial.read(Path(os.ttyname(theirs)), report.is_complete, 0.2, lambda data: None)
    finally:
        os.close(ours)
        os.close(theirs)


def test_what_is_no_serial_line(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"/dev/zero is no serial line: Inappropriate ioctl"):
        lab.read("/dev/zero", "lab", 1)
    with pytest.raises(BootwrightError, match=r"none\.log: cannot be read: No such file"):
        lab.read(str(tmp_path / "none.log"), "lab", 1)
