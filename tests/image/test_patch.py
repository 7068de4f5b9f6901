"""patch: everything lands in its reserved place, nothing else moves, and payloads never go through memory."""

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from project import ROOT

from bootwright.common.errors import LinkError, SourceError
from bootwright.image import patcher
from bootwright.image.embed import Payload, patch
from bootwright.image.stub import build_id, link_stub
from bootwright.link.layout import PAGE
from bootwright.link.linked import Linked

HOST = ROOT / "host"
TABLES = b"tables" * 100
IDENTITY = bytes(range(1, 21))


@pytest.fixture(scope="module")
def linked() -> Linked:
    return link_stub(len(TABLES), 3)


def payload(path: Path, data: bytes, load_address: int) -> Payload:
    path.write_bytes(data)
    return Payload(path.name, path, load_address, len(data), hashlib.sha256(data).digest())


def test_lands_in_place_and_moves_nothing(linked: Linked, tmp_path: Path) -> None:
    first = payload(tmp_path / "first", b"1" * 5001, 0x400000)
    second = payload(tmp_path / "second", b"2" * 10, 0x200000)
    output = tmp_path / "image.elf"
    patched = patch(linked.image, TABLES, [first, second], IDENTITY, output)
    data = output.read_bytes()
    assert len(data) == patched.size == patched.offsets[1] + second.size
    assert patched.offsets[0] >= len(linked.image)

    with output.open("rb") as file:
        elf = ELFFile(file)
        for section in linked.sections:
            found = elf.get_section_by_name(section.name)
            assert found is not None
            place = (found["sh_addr"], found["sh_offset"], found["sh_size"])
            assert place == (section.address, section.offset, section.size)
            same = linked.image[section.offset : section.offset + section.size]
            if section.name == ".tables":
                assert found.data() == TABLES
            elif section.name == ".note.gnu.build-id":
                assert found.data()[-20:] == IDENTITY
                assert found.data()[:-20] == same[:-20]
            elif found["sh_type"] != "SHT_NOBITS":
                assert found.data() == same
        assert elf["e_entry"] == linked.entry
        segments = list(elf.iter_segments())
        assert [s["p_type"] for s in segments[-3:]] == ["PT_LOAD", "PT_LOAD", "PT_NULL"]
        for segment, part, offset in zip(segments[-3:], (first, second), patched.offsets, strict=False):
            assert segment["p_offset"] == offset
            assert offset % PAGE == 0
            assert segment["p_paddr"] == segment["p_vaddr"] == part.load_address
            assert segment["p_filesz"] == segment["p_memsz"] == part.size
            assert segment.data() == part.path.read_bytes()


def test_readelf_has_no_complaint(linked: Linked, tmp_path: Path) -> None:
    output = tmp_path / "image.elf"
    patch(linked.image, TABLES, [payload(tmp_path / "m", b"m" * 5000, 0x400000)], IDENTITY, output)
    done = subprocess.run(["readelf", "-lhnS", output], capture_output=True, text=True, check=True)
    assert "arning" not in done.stdout + done.stderr
    assert not done.stderr


def test_lief_is_silent(linked: Linked, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    patch(linked.image, TABLES, [payload(tmp_path / "m", b"m" * 5000, 0x400000)], IDENTITY, tmp_path / "out")
    assert capfd.readouterr() == ("", "")


def test_build_id_depends_on_all_inputs_and_nothing_else(tmp_path: Path) -> None:
    one = payload(tmp_path / "one", b"1", 0x200000)
    other = payload(tmp_path / "other", b"2", 0x200000)
    ids = {
        build_id([b"stub", b"efi"], b"tables", [one]),
        build_id([b"Stub", b"efi"], b"tables", [one]),
        build_id([b"stub", b"efi"], b"Tables", [one]),
        build_id([b"stub", b"efi"], b"tables", [other]),
        build_id([b"stub", b"efi"], b"tables", []),
        build_id([b"stub", b"EFI"], b"tables", [one]),
        build_id([b"stub"], b"tables", [one]),
        build_id([b"stube", b"fi"], b"tables", [one]),
    }
    assert len(ids) == 8
    assert all(len(found) == 20 for found in ids)
    moved = payload(tmp_path / "elsewhere", b"1", 0x200000)
    assert build_id([b"stub", b"efi"], b"tables", [one]) == build_id([b"stub", b"efi"], b"tables", [moved])


def test_no_room_for_tables(linked: Linked, tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"section \.tables has 600 bytes, but 601 are needed"):
        patch(linked.image, TABLES + b"!", [], IDENTITY, tmp_path / "out")


def test_no_room_for_a_program_header(linked: Linked, tmp_path: Path) -> None:
    payloads = [payload(tmp_path / f"{i}", b"x", 0x200000 + i * PAGE) for i in range(4)]
    with pytest.raises(LinkError, match="4 modules, but the linked stub has only 3 reserved"):
        patch(linked.image, TABLES, payloads, IDENTITY, tmp_path / "out")


def test_a_payload_that_changed_meanwhile(linked: Linked, tmp_path: Path) -> None:
    changed = payload(tmp_path / "changed", b"before", 0x200000)
    changed.path.write_bytes(b"after, and longer")
    with pytest.raises(SourceError, match="is 17 bytes long, but 6 were planned"):
        patch(linked.image, TABLES, [changed], IDENTITY, tmp_path / "out")


def test_a_large_payload_is_streamed(linked: Linked, tmp_path: Path) -> None:
    """Two payloads of 256 MiB each: the whole process stays under 150 MB."""
    stub = tmp_path / "stub.elf"
    stub.write_bytes(linked.image)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(256 << 20)
    script = f"""
from pathlib import Path
from bootwright.image import patcher
from bootwright.image.embed import Payload, patch
large = Path({str(large)!r})
payloads = [Payload("m", large, address, 256 << 20, b"") for address in (0x200000, 0x20000000)]
patch(Path({str(stub)!r}).read_bytes(), b"", payloads, bytes(20), large.with_name("out"))
# (getrusage's ru_maxrss would include the process that started this one.)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""
    environment = {"PYTHONPATH": str(HOST)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
    assert int(done.stdout) < 150_000
    (tmp_path / "out").unlink()


def test_lief_is_imported_in_its_own_process_alone(linked: Linked, tmp_path: Path) -> None:
    """It ends with this one, however that ends. An interrupt is not for it, and no module in the working directory."""
    (tmp_path / "stub.elf").write_bytes(linked.image)
    (tmp_path / "lief.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "pickle.py").write_text("raise SystemExit('the wrong one')")
    script = """
import os, signal, sys
sys.path.remove("")
from pathlib import Path
from bootwright.image import embed, patcher
patcher.start()
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.killpg(0, signal.SIGINT)
embed.patch(Path("stub.elf").read_bytes(), b"", [], bytes(20), Path("out"))
assert "lief" not in sys.modules
print(patcher._process().pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(HOST)},
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    number = int(done.stdout)
    for _ in range(100):
        if has_ended(number):
            break
        time.sleep(0.1)
    else:
        pytest.fail(f"process {number} goes on")
    assert (tmp_path / "out").stat().st_size == len(linked.image)


def has_ended(number: int) -> bool:
    """Whether a process is not there any more, or nobody has waited for it yet."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_process_of_lief_that_has_ended_is_a_sentence_and_started_anew(linked: Linked, tmp_path: Path) -> None:
    patcher.start()
    patcher._process().kill()
    patcher._process().wait()
    with pytest.raises(LinkError, match="the process in which LIEF patches the stub has ended"):
        patch(linked.image, TABLES, [], IDENTITY, tmp_path / "out")
    patch(linked.image, TABLES, [], IDENTITY, tmp_path / "out")
