"""Code that does what nobody should, in place of the stub's `main`: each ends in a report, on a real boot."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from booting import failure
from comparing import read_application, read_elf, variant

from bootwright.common import abi, paths
from bootwright.emulate import run
from bootwright.emulate.qemu import Outcome
from bootwright.image import built as image_built
from bootwright.image.stub import link_stub

C = abi.load().constants
NOT_THERE, PRESENT, WRITE, FETCH = 0, 1 << 0, 1 << 1, 1 << 4  # SDM 3, 4.7: error code of a page fault

pytestmark = pytest.mark.slow

# Code, position-independent, and what its page fault has to be.
READ_NULL = b"\x48\x8b\x04\x25\x08\0\0\0"  # mov rax, [8]
WRITE_NULL = b"\x31\xc0\x88\x40\x07"  # xor eax, eax; mov [rax + 7], al
CALL_NULL = b"\x31\xc0\xff\xd0"  # xor eax, eax; call rax
WRITE_CODE = b"\x48\x8d\x05\0\0\0\0\xc6\x00\x90"  # lea rax, [rip]; mov byte [rax], 0x90
RUN_STACK = b"\x6a\xc3\xff\xd4"  # push a ret; call rsp
RUN_LOW_MEMORY = b"\xb8\0\x80\0\0\xff\xd0"  # mov eax, 0x8000; call rax
RECURSE = b"\xe8\xfb\xff\xff\xff"  # call itself
FAULTS = {
    "read null": (READ_NULL, NOT_THERE, "main", "null+8"),
    "write null": (WRITE_NULL, WRITE, "main+2", "null+7"),
    "call null": (CALL_NULL, FETCH, "null", "null"),
    "write code": (WRITE_CODE, WRITE | PRESENT, "main+7", "main+7"),
    "run the stack": (RUN_STACK, FETCH | PRESENT, "stack-8", "stack-8"),
    "run low memory": (RUN_LOW_MEMORY, FETCH | PRESENT, "low", "low"),
    "recurse": (RECURSE, WRITE, "main", "guard"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[image_built.Built]:
    folder = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: folder)
        yield variant(folder, "demo")


def symbols(firmware: str) -> Mapping[str, int]:
    """Those of the demo's stub: NAME.elf and NAME.efi are two links, and a branch may be longer in one of them."""
    return link_stub(C["PAGE_SIZE"], 2, ("pvh",), efi=firmware == "uefi").symbols


@contextmanager
def in_place_of_main(built: image_built.Built, code: bytes) -> Iterator[None]:
    """In NAME.elf and NAME.efi."""
    originals = {}
    for firmware, path, read in (
        ("bios", built.elf, read_elf),
        ("uefi", built.elf.with_suffix(".efi"), read_application),
    ):
        main = symbols(firmware)["main"]
        place, text = max((p, t) for p, t in read(path).loaded.items() if p <= main)
        old = text[main - place : main - place + 64]
        originals[path] = data = path.read_bytes()
        assert data.count(old) == 1
        path.write_bytes(data.replace(old, code.ljust(64, b"\xcc")))
    yield
    for path, data in originals.items():
        path.write_bytes(data)


@pytest.mark.parametrize(("via", "firmware"), [("kernel", "bios"), ("efi", "uefi")])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_reported(name: str, via: str, firmware: str, built: image_built.Built) -> None:
    code, error, at, what = FAULTS[name]
    with in_place_of_main(built, code):
        result = run.boot(built, run.Options(via=via, firmware=firmware, timeout=90), lambda text: None)
    assert result.outcome is Outcome.STUB_FAILURE, result
    found = symbols(firmware)
    stack, base = found["stack_end"], found["__image_start"]
    named = {"main": found["main"], "stack": stack, "guard": stack - C["STACK_SIZE"] - 8, "null": 0, "low": 0x8000}
    if firmware == "uefi":
        first = re.search(r"^bootwright: image demo.* at \[(0x\w+), ", result.transcript, re.MULTILINE)
        assert first is not None
        named |= {key: named[key] + int(first[1], 16) - base for key in ("main", "stack", "guard")}

    def place(text: str) -> int:
        word, sign, number = re.fullmatch(r"([a-z]+)([+-]?)(\d*)", text).groups()  # type: ignore[union-attr]
        return named[word] + int(f"{sign}{number or 0}")

    said = result.transcript.splitlines()
    assert said.count("bootwright: " + failure("E_EXCEPTION", 14, "#PF", place(at), error)) == 1, said
    registers = "".join(line for line in said if " cr2 " in line)
    assert f" cr2 {place(what):#x} " in registers and registers.count("cr2") == 1, registers
    assert said[-1] == f"bootwright: {abi.load().strings['M_FAILED_HALT']}"
