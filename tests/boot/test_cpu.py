"""What only a whole cpu shows: no long mode, exceptions, and each way in."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from bootwright.common import abi
from bootwright.emulate import qemu
from bootwright.image.stub import link_stub
from bootwright.link.linked import Linked

ABI = abi.load()
pytestmark = pytest.mark.slow


def offset_of(elf: bytes, address: int) -> int:
    """The file offset of a link address."""
    for segment in ELFFile(io.BytesIO(elf)).iter_segments("PT_LOAD"):
        if segment["p_paddr"] <= address < segment["p_paddr"] + segment["p_filesz"]:
            return int(segment["p_offset"] + address - segment["p_paddr"])
    raise AssertionError(f"{address:#x} is in no segment")


def changed(linked: Linked, address: int, data: bytes, path: Path) -> Path:
    """The stub as a file, with other bytes at one address."""
    offset = offset_of(linked.image, address)
    path.write_bytes(linked.image[:offset] + data + linked.image[offset + len(data) :])
    return path


def boot(kernel: Path, *more: str) -> qemu.Result:
    command = qemu.command(qemu.Machine(memory=128 << 20), ["-kernel", str(kernel), *more])
    return qemu.run(command, expect=None, timeout=30, show=lambda text: None)


@pytest.fixture(scope="module")
def stub() -> Linked:
    return link_stub(tables_size=4096, modules=0)


@pytest.mark.provokes("E_NO_LONG_MODE")
def test_a_cpu_without_long_mode(stub: Linked, tmp_path: Path) -> None:
    kernel = changed(stub, stub.symbols["__start_tables"], b"", tmp_path / "stub.elf")
    result = boot(kernel, "-cpu", "qemu32")
    assert result.outcome is qemu.Outcome.STUB_FAILURE
    assert result.reason == f"bootwright: E0101: {ABI.strings['E_NO_LONG_MODE_TEXT']}"


@pytest.mark.provokes("E_EXCEPTION")
def test_an_exception_prints_registers(stub: Linked, tmp_path: Path) -> None:
    main = stub.symbols["main"]
    # mov ebx, 0x12345678; ud2
    kernel = changed(stub, main, bytes.fromhex("bb785634120f0b"), tmp_path / "stub.elf")
    result = boot(kernel)
    assert result.outcome is qemu.Outcome.STUB_FAILURE
    assert result.reason == "bootwright: E0110: " + ABI.format("E_EXCEPTION_TEXT", 6, "#UD", main + 5, 0)
    assert "rbx 0x12345678" in result.transcript and "cr0 0x8001" in result.transcript


@pytest.mark.provokes("E_EXCEPTION")
def test_an_exception_on_a_bad_stack_is_no_triple_fault(stub: Linked, tmp_path: Path) -> None:
    # mov rsp, 0x7000000000; push rax: beyond what is mapped
    kernel = changed(stub, stub.symbols["main"], bytes.fromhex("48bc000000007000000050"), tmp_path / "stub.elf")
    result = boot(kernel)
    assert result.outcome is qemu.Outcome.STUB_FAILURE
    assert "(#PF)" in result.reason and "rsp 0x7000000000" in result.transcript


def test_pvh_is_a_way_in(stub: Linked, tmp_path: Path) -> None:
    # QEMU takes the PVH note only where there is no multiboot1 header
    kernel = changed(stub, stub.symbols["multiboot1_header"], bytes(4), tmp_path / "stub.elf")
    assert "entered by PVH from" in boot(kernel).transcript
