"""The console of a run: typed on, watched for what must not come, reported, with Secure Boot."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from project import ROOT
from signing_keys import make_key

from bootwright.cli import junit
from bootwright.common.errors import RunError, SourceError
from bootwright.emulate import qemu, run, secure_boot
from bootwright.emulate.qemu import Outcome, Result
from bootwright.image import build
from bootwright.image.built import Built

# A boot sector that sends back what it is sent on COM1:
# next: mov dx, 0x3fd; in al, dx; test al, 1; jz next; mov dx, 0x3f8; in al, dx; out dx, al; jmp next
ECHO = bytes.fromhex("ba fd 03 ec a8 01 74 f8 ba f8 03 ec ee eb f1").ljust(510, b"\0") + b"\x55\xaa"


def echoing(folder: Path, typed: bytes, **options: object) -> Result:
    """A machine that echoes, on which that is typed, byte by byte, when it has started."""
    (folder / "sector").write_bytes(ECHO)
    keyboard, hand = os.pipe()

    def type_on() -> None:
        for _ in range(200):  # SeaBIOS takes what comes before it starts the sector
            for byte in typed:
                os.write(hand, bytes([byte]))
            time.sleep(0.05)

    thread = threading.Thread(target=type_on, daemon=True)
    thread.start()
    arguments = qemu.command(qemu.Machine(32 << 20), ["-drive", f"file={folder / 'sector'},format=raw,if=ide"])
    settings: dict[str, object] = {"expect": None, "timeout": 30.0, "show": lambda text: None, **options}
    return qemu.run(arguments, keyboard=keyboard, **settings)  # type: ignore[arg-type]


@pytest.mark.slow
def test_what_is_typed_reaches_the_guest(tmp_path: Path) -> None:
    assert echoing(tmp_path, b"hello\n", expect="hello").outcome is Outcome.AS_EXPECTED


@pytest.mark.slow
@pytest.mark.parametrize(("expect", "outcome"), [(None, Outcome.AS_EXPECTED), ("never", Outcome.ENDED)])
def test_the_key_that_ends_it(expect: str | None, outcome: Outcome, tmp_path: Path) -> None:
    result = echoing(tmp_path, b"\x1d", expect=expect)
    assert result.outcome is outcome and result.reason.startswith("ended from the keyboard") and result.seconds < 20


@pytest.mark.slow
def test_what_must_not_be_shown_ends_it(tmp_path: Path) -> None:
    result = echoing(tmp_path, b"panic\n", expect="never", fail=["panic"])
    assert (result.outcome, result.reason) == (Outcome.FAILED, "the console showed 'panic'")


@pytest.mark.slow
def test_arguments_of_ones_own(demo: Built) -> None:
    options = run.Options(qemu_args=["-name", "lab", "-no-such-option"])
    result = run.boot(demo, options, lambda text: None)
    assert result.outcome is Outcome.ENDED and "-no-such-option: invalid option" in result.reason


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, None])
def test_the_terminal_is_as_before(number: signal.Signals | None) -> None:
    """However the run ends: by itself, by a signal as Task handles it."""
    code = (
        "import signal, sys, time\n"
        "from bootwright.cli import console\n"
        "for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, lambda *_: sys.exit(3))\n"
        "with console.typing():\n"
        "    print('typing', flush=True)\n"
        f"    time.sleep({0 if number is None else 60})\n"
    )
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=theirs,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "host")},
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"typing\n"
        if number is not None:
            assert not termios.tcgetattr(theirs)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
            process.send_signal(number)
        process.wait(20)
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


# --- the report for CI ---


@given(st.text(), st.sampled_from(list(Outcome)))
def test_a_report_is_xml_whatever_the_console_showed(text: str, outcome: Outcome) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.xml"
        junit.write(
            path, "lab", "by kernel, bios", Result(outcome, "because", text.encode(errors="replace").decode(), 1)
        )
        root = ElementTree.parse(path).getroot()
    (case,) = root.iter("testcase")
    assert (root.tag, case.get("classname"), case.get("name")) == ("testsuites", "lab", "boot by kernel, bios")
    failures = [failure.get("message") for failure in case.iter("failure")]
    assert failures == ([] if outcome is Outcome.AS_EXPECTED else ["because"])
    assert root.get("failures") == str(len(failures))


# --- Secure Boot ---


@pytest.mark.slow
def test_secure_boot_starts_what_its_owner_signed_alone(project: Path, tmp_path: Path) -> None:
    mine, other = make_key(tmp_path, "mine"), make_key(tmp_path, "other")
    built = build.build(ROOT / "images/demo.toml", lambda stage: None, signing=mine)
    options = run.Options(via="efi", firmware="uefi", secure_boot=True, timeout=60)
    result = run.boot(built, options, lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result.transcript[-2000:]
    mine.cert.write_bytes(other.cert.read_bytes())  # the machine knows another one
    refused = run.boot(built, run.Options(**{**vars(options), "expect": "Access Denied"}), lambda text: None)
    assert refused.outcome is Outcome.AS_EXPECTED, refused.transcript[-2000:]
    assert "bootwright: image" not in refused.transcript


def test_secure_boot_wants_a_signature(demo: Built, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="demo is not signed: build it by `image` with --sign KEY --cert CERT"):
        run.boot(demo, run.Options(via="efi", firmware="uefi", secure_boot=True), lambda text: None)
    with pytest.raises(RunError, match="it is UEFI's, so say --firmware uefi"):
        run.Options(secure_boot=True)
    (tmp_path / "cert").write_text("none")
    with pytest.raises(SourceError, match="is no certificate that can be read"):
        secure_boot.write_variables(tmp_path / "cert", tmp_path / "out")
