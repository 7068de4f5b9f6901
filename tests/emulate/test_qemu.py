"""qemu: how a run ended is told apart. A script that takes QEMU's arguments stands in for it."""

import shutil
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootwright import media
from bootwright.common.errors import DeviceError, RunError, ToolError
from bootwright.common.ranges import Range
from bootwright.emulate import qemu, run
from bootwright.emulate.qemu import Machine, Outcome, Result
from bootwright.image.built import Built, Loaded
from bootwright.lab import serial

# What the stand-in begins with: serial() prints on the console, stopped() is what QMP says at the end.
PRELUDE = """
import json, os, re, sys, time
control = int(re.search(r"socket,id=control,fd=(\\d+)", " ".join(sys.argv))[1])
def serial(text):
    os.write(1, text if isinstance(text, bytes) else text.encode())
def stopped(reason):
    os.write(control, json.dumps({"event": "SHUTDOWN", "data": {"reason": reason}}).encode() + b"\\r\\n")
os.write(control, b'{"QMP": {"version": {}}}\\r\\n')
"""


def pretend(
    tmp_path: Path,
    script: str,
    expect: str | None = None,
    timeout: float = 10,
    inspect: qemu.Inspect | None = None,
) -> Result:
    program = tmp_path / "qemu"
    program.write_text(f"#!{sys.executable}\n{PRELUDE}\n{textwrap.dedent(script)}")
    program.chmod(0o755)
    shown: list[str] = []
    result = qemu.run([str(program)], expect=expect, timeout=timeout, show=shown.append, inspect=inspect)
    assert "".join(shown) == result.transcript
    return result


def test_expected_text(tmp_path: Path) -> None:
    result = pretend(tmp_path, "serial('one INIT-OK two\\n'); time.sleep(60)", expect="INIT-OK")
    assert result.outcome is Outcome.AS_EXPECTED
    assert result.seconds < 5


def test_expected_text_in_parts_and_between_terminal_control(tmp_path: Path) -> None:
    script = """
        for part in (b"IN", b"IT\\x1b", b"[31;1", b"m-O", b"K\\xc3", b"\\xa9\\r\\n"):
            serial(part)
            time.sleep(0.05)
        time.sleep(60)
        """
    result = pretend(tmp_path, script, expect="INIT-OK\u00e9\n")
    assert result.outcome is Outcome.AS_EXPECTED
    assert result.transcript == "INIT-OK\u00e9\n"


def test_memory_is_read_while_the_guest_stands_still(tmp_path: Path) -> None:
    script = """
        def command():
            text = b""
            while not text.endswith(b"\\n"):
                text += os.read(control, 1)
            return json.loads(text)
        said = [command()["execute"]]
        serial("not yet\\n")
        time.sleep(0.1)
        serial("now\\n")
        said.append(command()["execute"])
        read = command()
        reply = {"return": "0000000000001000: 0x01 0xfe\\r\\n", "id": read["id"]}
        os.write(control, json.dumps(reply).encode() + b"\\r\\n")
        said += [read["arguments"]["command-line"], command()["execute"]]
        serial(repr(said) + "\\n")
        stopped("guest-shutdown")
        """

    def inspect(text: str) -> list[Range] | None:
        return [Range.sized(0x1000, 2)] if "now" in text else None

    result = pretend(tmp_path, script, inspect=inspect)
    assert result.memory == (b"\x01\xfe",)
    assert "['qmp_capabilities', 'stop', 'xp /2xb 0x1000', 'cont']" in result.transcript


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["time.sleep(60)", "while True: stopped('guest-panic'); time.sleep(0.05)"])
def test_a_qemu_that_never_answers_is_given_up(answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "_ANSWER", 0.5)
    script = f"serial('now')\n{answer}"
    started = time.monotonic()
    result = pretend(tmp_path, script, timeout=2, inspect=lambda text: [Range(0, 1)] if text else None)
    assert (result.outcome, result.memory) == (Outcome.TIME_OUT, (b"",))
    assert time.monotonic() - started < 6


@pytest.mark.parametrize(
    ("port", "options"),
    [
        (None, "-serial stdio"),
        (0x3F8, "-serial stdio"),
        (0x5000, "-serial stdio"),
        (0x2F8, "-serial chardev:console -serial chardev:console"),
        (0x2E8, "-serial chardev:console -serial null -serial null -serial chardev:console"),
    ],
)
def test_the_serial_port_that_is_watched(port: int | None, options: str, tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text('#!/bin/sh\necho "$*"\n')
    program.chmod(0o755)
    result = qemu.run([str(program)], expect="mode", timeout=9, show=lambda text: None, serial_port=port)
    assert f"{options} -chardev socket" in result.transcript


def test_a_serial_port_that_the_machine_lacks_is_noted() -> None:
    assert [run.notes(replace(BUILT, serial_port=port)) for port in (None, 0x3F8, 0x2E8)] == [[], [], []]
    (note,) = run.notes(replace(BUILT, serial_port=0x5000))
    assert note.startswith("QEMU's machine has no serial port at 0x5000")


def test_power_off(tmp_path: Path) -> None:
    result = pretend(tmp_path, "serial('bye'); stopped('guest-shutdown')")
    assert (result.outcome, result.reason) == (Outcome.AS_EXPECTED, "the guest powered off")


def test_power_off_before_the_text(tmp_path: Path) -> None:
    result = pretend(tmp_path, "serial('bye'); stopped('guest-shutdown')", expect="INIT-OK")
    assert result.outcome is Outcome.ENDED
    assert result.reason == "the guest powered off without 'INIT-OK' on the console"


def test_triple_fault(tmp_path: Path) -> None:
    result = pretend(tmp_path, "stopped('guest-reset')")
    assert result.outcome is Outcome.ENDED
    assert "reset" in result.reason


def test_qemu_fails(tmp_path: Path) -> None:
    result = pretend(tmp_path, "print('qemu: no such machine', file=sys.stderr); sys.exit(1)")
    assert result.outcome is Outcome.ENDED
    assert result.reason == "QEMU ended with status 1: qemu: no such machine"


def test_qemu_ends_for_no_reason(tmp_path: Path) -> None:
    assert pretend(tmp_path, "").outcome is Outcome.ENDED


def test_time_out_and_the_process_is_gone(tmp_path: Path) -> None:
    started = time.monotonic()
    script = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); serial('on'); time.sleep(60)"
    result = pretend(tmp_path, script, expect="INIT-OK", timeout=1)
    assert (result.outcome, result.transcript) == (Outcome.TIME_OUT, "on")
    assert time.monotonic() - started < 4
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_time_out_with_endless_output(tmp_path: Path) -> None:
    result = pretend(tmp_path, "while True: serial('x' * 100); time.sleep(0.001)", expect="INIT", timeout=1)
    assert result.outcome is Outcome.TIME_OUT


def test_stub_failure_that_halts(tmp_path: Path) -> None:
    script = """
        serial("bootwright: tables\\nbootwright: E04")
        time.sleep(0.2)
        serial("0a: no RAM at all\\nbootwright: halted\\n")
        time.sleep(60)
        """
    result = pretend(tmp_path, script, expect="INIT-OK")
    assert (result.outcome, result.reason) == (Outcome.STUB_FAILURE, "bootwright: E040a: no RAM at all")
    assert result.transcript.endswith("halted\n")
    assert result.seconds < 5


def test_stub_failure_that_reboots(tmp_path: Path) -> None:
    script = "serial('bootwright: E0401: no RAM\\nrebooting'); stopped('guest-reset')"
    assert pretend(tmp_path, script).outcome is Outcome.STUB_FAILURE


def test_a_failure_that_is_expected(tmp_path: Path) -> None:
    script = "serial('bootwright: E0401: no RAM\\n'); time.sleep(60)"
    assert pretend(tmp_path, script, expect="bootwright: E0401").outcome is Outcome.AS_EXPECTED


def test_failures_of_others_are_none(tmp_path: Path) -> None:
    script = "serial('> bootwright: E0401: no\\nbootwright: EXIT: no\\n'); stopped('guest-shutdown')"
    assert pretend(tmp_path, script).outcome is Outcome.AS_EXPECTED


def test_qemu_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be started"):
        qemu.run([str(tmp_path / "none")], expect=None, timeout=1, show=lambda text: None)


def test_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    command = qemu.command(Machine(memory=(256 << 20) + 1, cpus=2), ["-kernel", "x"])
    line = " ".join(command)
    assert line.startswith("/bin/qemu-system-x86_64 -accel tcg ")
    assert "-m 257M -smp 2" in line
    assert "-no-reboot" in command
    assert command[-2:] == ["-kernel", "x"]


def test_qemu_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r"it is in the package qemu-system-x86$"):
        qemu.command(Machine(1 << 30), [])


def test_firmware_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu.OVMF, "folders", ())
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    with pytest.raises(ToolError, match=r"it is in the package ovmf$"):
        qemu.command(Machine(1 << 30, firmware="uefi"), [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"via": "tape"}, "via: 'tape' is none of kernel, grub"),
        ({"firmware": "openfirmware"}, "firmware: 'openfirmware' is none of bios, uefi"),
        ({"firmware": "uefi"}, "via kernel: boots on bios only"),
        ({"accelerator": "fast"}, "accelerator: 'fast' is none of tcg, kvm"),
        ({"cpus": 0}, "cpus: 0 must be more than 0"),
        ({"timeout": 0}, "timeout: 0 must be more than 0"),
    ],
)
def test_ways_to_boot_that_do_not_exist(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        run.Options(**options)


def test_kvm_that_may_not_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(qemu, "_KVM", tmp_path / "kvm")
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    with pytest.raises(RunError, match="is not there, or may not be opened"):
        qemu.command(Machine(1 << 30, accelerator="kvm"), [])


def test_amounts_of_the_command_line_are_those_of_descriptions() -> None:
    known = {"512": 512 << 20, "512M": 512 << 20, "2G": 2 << 30, "3T": 3 << 40, "64 KiB": 64 << 10, "64T": 64 << 40}
    assert {text: run.amount(text, "size") for text in known} == known
    for text in ("", "0", "0M", "M", "2g", "-1", "1.5G", "512MB", "²", "٣", "9" * 5000, "9" * 5000 + "M"):
        with pytest.raises(RunError, match=r"^size: .* is no amount"):
            run.amount(text, "size")
    for text in ("65T", "999999999999999999T", "99999999999"):
        with pytest.raises(RunError, match="is more than 64T"):
            run.amount(text, "size")


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e300])
def test_waits_that_cannot_be(timeout: float, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"^timeout: \S+ must be more than 0, and at most 2592000 seconds$"):
        run.Options(timeout=timeout)
    if timeout:
        with pytest.raises(DeviceError, match=r"^timeout: \S+ must be 0 or more, and at most 2592000 seconds$"):
            serial.read(tmp_path / "none", lambda data: True, timeout, lambda data: None)


BUILT = Built("lab", Path("/x/lab.elf"), (Loaded("a", "modules/a"), Loaded("b", "modules/b")), 1, 1, ())


def test_kernel_medium() -> None:
    arguments = media.qemu_kernel.make(BUILT, "bios")
    assert arguments == ["-kernel", "lab.elf", "-initrd", "modules/a a,modules/b b"]


def test_grub_configuration() -> None:
    lines = media.grub_iso.configuration(BUILT).splitlines()
    assert '    multiboot2 "/boot/lab.elf"' in lines
    assert '    module2 "/boot/modules/b" "b"' in lines


def test_grub_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    platforms = media.grub_iso.PLATFORMS
    monkeypatch.setattr(platforms["uefi"], "folders", [tmp_path / "none"])
    with pytest.raises(ToolError, match=r"it is in the package grub-efi-amd64-bin$"):
        media.grub_iso.make(BUILT, "uefi")
    monkeypatch.setattr(platforms["bios"], "files", ())
    monkeypatch.setattr(platforms["bios"], "folders", [tmp_path])
    monkeypatch.setenv("PATH", "")
    built = Built("lab", tmp_path / "lab.elf", (), 1, 1, ())
    with pytest.raises(ToolError, match=r"grub-mkrescue, .*, is not installed; it is in the package grub-common$"):
        media.grub_iso.make(built, "bios")
    assert list(tmp_path.iterdir()) == []
