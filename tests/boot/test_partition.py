"""Partitions under QEMU: every line of the resident part is the reference's, and so is every refusal, each before any
domain has got its memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comparing import compare_boot, facts, variant
from project import ROOT

from bootwright.common import paths
from bootwright.emulate import qemu, run
from bootwright.emulate.qemu import Outcome
from bootwright.image import build
from bootwright.image import built as image_built

pytestmark = pytest.mark.slow
MIB = 1 << 20
LAUNCHED = "bootwright: launch: {} domains on {} cpus"
# Two kernels of our own; verify = false leaves what is damaged to the resident part.
TWO = """
[image]
name = "two"
launcher = "partition"
console = ["com1,115200"]
log = "debug"
verify = false

[[domain]]
name = "first"
permissions = ["control", "hardware"]
functions = ["console", "xenstore", "initial-domain"]
memory = "32M"
kernel = "stub/kernels/demo.asm"
ramdisk = "images/demo.txt"
cmdline = "hello"

[[domain]]
name = "second"
memory = "48M"
kernel = "stub/kernels/ticks.asm"

[[shared]]
name = "count"
size = "2M"
between = ["second", "first"]
"""
Make = Callable[..., image_built.Built]


def make_in(folder: Path, *changes: tuple[str, str]) -> image_built.Built:
    """The image of TWO with other text in it, built below `folder`, which places.root gives."""
    text = TWO
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    for name in ("stub", "images"):
        (folder / name).symlink_to(ROOT / name)
    path = folder / "two.toml"
    path.write_text(text)
    return build.build(path, lambda stage: None)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> image_built.Built:
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: folder)
        return make_in(folder)


@pytest.fixture
def make(project: Path) -> Make:
    return lambda *changes: make_in(project, *changes)


def boot(built: image_built.Built, **options: Any) -> qemu.Result:
    return run.boot(built, run.Options(timeout=90, **options), lambda text: None)


def launched(built: image_built.Built, *expect: str) -> str:
    result = boot(built, expect=expect)
    assert result.outcome is Outcome.AS_EXPECTED, result
    return result.transcript


def test_every_line_of_two_small_domains(two: image_built.Built) -> None:
    """What they say themselves comes behind the launch, and is no part of the boot."""
    transcript = launched(two, "bootwright: d0: ended: powered off\n", "ticks: counting")
    found = compare_boot(transcript, two)
    assert found.lines[-1] == LAUNCHED.format(2, 2)
    assert "d0: demo: command line: hello\n" in transcript


def test_every_line_by_efi(two: image_built.Built) -> None:
    """The firmware's memory map, and modules that the image brings behind a stub that lies high."""
    options = run.Options(via="efi", firmware="uefi", expect=LAUNCHED.format(2, 2) + "\n", timeout=90)
    result = run.boot(two, options, lambda text: None, facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    compare_boot(result.transcript, two, memory=result.memory)


def test_cpus_by_id_and_memory_beyond_4_gib(make: Make) -> None:
    """The boot cpu is the second domain's, which has three, and more memory than lies in one piece. So says the map."""
    built = make(
        ('memory = "32M"', 'memory = "32M"\ncpu-ids = [2]\non-end = "restart"'),
        ('memory = "48M"', 'memory = "1072M"\ncpus = 3\nconsole = "ring"'),
    )
    transcript = launched(built, LAUNCHED.format(2, 4) + "\n")
    compare_boot(transcript, built)
    assert built.machine_memory >= (3 << 30) + 48 * MIB, "a PC with less has no such piece above 4 GiB"
    assert "d1: cpus 0 1 3, nested tables" in transcript and "from its address 0x100000000 on" in transcript
    text = built.elf.with_suffix(".map").read_text()
    for part in ("1, APIC ids 2", "virtual, port 0x3f8", "restart, 3 times a minute", "3", "ring, port 0x3f8", "stop"):
        assert re.search(rf"^  (cpus|console|on-end) +{re.escape(part)}$", text, re.MULTILINE)
    for part in (
        r"\[0x0, 0x2000000\) +33554432  memory",
        r"\[0x0, 0x40000000\) +1073741824  memory",
        r"\[0x100000000, 0x103000000\) +50331648  memory",
        r"\[0xc0000000, 0xc0200000\) +2097152  shared range count, read-only",
        r"\[0xc0000000, 0xc0200000\) +2097152  shared range count, writable",
    ):
        assert re.search(rf"^    {part}$", text, re.MULTILINE)
    for number, name in enumerate(("first", "second")):
        (place,) = re.findall(rf"d{number}: cpus .* pages at (0x\w+)", transcript)
        assert re.search(rf"^  \[{place}, 0x\w+\) +\d+  nested tables of {name}$", text, re.MULTILINE)


def test_every_line_of_two_debians(project: Path) -> None:
    built = variant(project, "pair")
    compare_boot(launched(built, LAUNCHED.format(2, 2) + "\n"), built)


def refused(built: image_built.Built, name: str, *, platform: dict[str, Any], **options: Any) -> None:
    """The reference fails as the machine does, and nothing was said of any domain's memory."""
    result = boot(built, **options)
    assert result.outcome is Outcome.STUB_FAILURE, result
    found = compare_boot(result.transcript, built, **platform)
    assert found.failure is not None and found.failure.name == name
    assert not any(": memory [" in line for line in found.lines)


@pytest.mark.provokes("E_PARTITION_INTEL", "E_NO_SVM", "E_NO_NESTED_PAGING")
@pytest.mark.parametrize(
    ("name", "cpu", "platform"),
    [
        ("E_PARTITION_INTEL", "Nehalem", {"svm": False, "intel": True}),
        ("E_NO_SVM", "EPYC,-svm", {"svm": False}),
        ("E_NO_NESTED_PAGING", "EPYC,+svm,-npt", {"nested_paging": False}),
    ],
)
def test_a_cpu_that_cannot(name: str, cpu: str, platform: dict[str, bool], two: image_built.Built) -> None:
    refused(two, name, platform=platform, cpu=cpu)


@pytest.mark.provokes("E_TOO_FEW_CPUS")
def test_too_few_cpus(two: image_built.Built) -> None:
    refused(two, "E_TOO_FEW_CPUS", cpus=1, platform={"cpus": (0,)})


@pytest.mark.provokes("E_CPU_MISSING")
def test_a_cpu_that_is_not_there(make: Make) -> None:
    refused(make(('memory = "48M"', 'memory = "48M"\ncpu-ids = [2]')), "E_CPU_MISSING", platform={})


@pytest.mark.provokes("E_NO_BANK")
def test_too_little_memory(two: image_built.Built) -> None:
    refused(two, "E_NO_BANK", memory=80 * MIB, platform={})


def damage(built: image_built.Built, module: str) -> None:
    """Writes over the first bytes of a module in the image, which then do not unpack."""
    places = json.loads(built.elf.with_suffix(".json").read_text())["file"]
    start = next(place["start"] for place in places if place["what"] == f"module {module}")
    with built.elf.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 64)


@pytest.mark.parametrize(("module", "name"), [("ticks", ""), ("demo", "E_DOMAIN_LOAD")])
@pytest.mark.provokes("E_DOMAIN_LOAD")
def test_a_kernel_that_is_damaged(module: str, name: str, make: Make) -> None:
    """The others go on, unless it is the initial domain's."""
    built = make(("verify = false", 'verify = false\npack = "lz4"'))
    damage(built, module)
    result = boot(built, expect="demo: powering off")
    found = compare_boot(result.transcript, built)
    assert (found.failure.name if found.failure else "") == name
    assert result.outcome is (Outcome.STUB_FAILURE if name else Outcome.AS_EXPECTED), result
    if not name:
        assert any("warning: domain second is not launched: a piece does not unpack" in line for line in found.lines)
        assert found.lines[-1] == LAUNCHED.format(1, 1)
