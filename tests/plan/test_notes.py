"""What a user is told of a description that is right: here, of memory that few machines have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import samples

from bootwright.common.errors import PlanError
from bootwright.description import load
from bootwright.description.records import OfDomain
from bootwright.hyperlaunch import model
from bootwright.inputs import resolve
from bootwright.kernels.elf import Segment
from bootwright.kernels.kernel import Kernel
from bootwright.plan import make, notes
from bootwright.plan.modules import Job
from bootwright.plan.pack import Packed
from bootwright.plan.place import Placing

GIB = 1 << 30


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    samples.write_kernels(tmp_path)
    return tmp_path


def noted(text: str, folder: Path) -> list[str]:
    described = load.parse(text, folder / "lab.toml")
    info = model.build(described, resolve.resolve(described, folder / "work"))
    return [note for note in make.make(described, info, folder / "work").notes if "few machines" in note]


@pytest.mark.parametrize(("memory", "gib"), [("64T", 65536), ("1025G", 1025), ("1T", None), ("64M", None)])
def test_a_domain_that_asks_for_much(folder: Path, memory: str, gib: int | None) -> None:
    said = f'domain "dom0": memory: asks for {gib} GiB: few machines have so much'
    assert noted(samples.DOMAIN.replace("64M", memory), folder) == ([said] if gib else [])


@pytest.mark.parametrize("lcm", [True, False])
def test_domains_that_ask_for_much_together(folder: Path, lcm: bool) -> None:
    """Only where both are built."""
    dom0 = samples.DOMAIN.replace('"initial-domain"', '"console", "xenstore", "initial-domain"').replace("64M", "600G")
    dom1 = '[[domain]]\nname = "dom1"\nmode = "pv"\nmemory = "600G"\nkernel = "good.elf"\n'
    xen = f'[image]\nlauncher = "xen"\n[hypervisor]\nkernel = "mb2.elf"\nlcm = {str(lcm).lower()}\n'
    said = 'domains "dom0" and "dom1": memory: ask for 1200 GiB: few machines have so much'
    assert noted(f'{xen}{dom0}mode = "pv"\n{dom1}', folder) == ([said] if lcm else [])


def sized(folder: Path, size: int, modules: str) -> Iterator[str]:
    """What is said of a ramdisk of `size` bytes, which is not read: an error, or notes about memory."""
    text = f'[image]\nmodules = "{modules}"\n{samples.DOMAIN}ramdisk = "ramdisk"\n'
    described = load.parse(text.replace("64M", "16G"), folder / "lab.toml")
    files = {(OfDomain(0), "kernel"): folder / "good.elf", (OfDomain(0), "ramdisk"): folder / "ramdisk"}
    info = model.build(described, files)
    info = replace(info, mods=(info.mods[0], replace(info.mods[1], size=size)))
    kernel = Kernel(folder / "good.elf", 64, "pvh", 0x400000, (Segment(0, 64, 0x400000, 64),))
    jobs = [
        Job(0, OfDomain(0), "kernel", Packed(folder / "good.elf", 64, bytes(32), ()), kernel),
        Job(1, OfDomain(0), "ramdisk", Packed(folder / "ramdisk", size, bytes(32), ())),
    ]
    placing = Placing(described, info, jobs)
    try:
        placing.place()
    except PlanError as error:
        yield f"error: {error}"
    else:
        yield from notes.of_memory(described, [0], placing.below)


@pytest.mark.parametrize("modules", ["embedded", "loader"])
@pytest.mark.parametrize(
    ("size", "said"),
    [(GIB, None), (2 * GIB - (32 << 20), None), (2 * GIB, "few"), (3 * GIB, "few"), (4 * GIB, "error")],
)
def test_a_large_ramdisk(folder: Path, size: int, said: str | None, modules: str) -> None:
    """All that is loaded lies below 4 GiB, where a PC has its devices from 2 or 3 GiB on."""
    found = list(sized(folder, size, modules))
    if said is None:
        assert not found
    elif said == "few":
        (note,) = found
        assert re.fullmatch(r"what is loaded takes (\d+) MiB, all of them below 4 GiB: few machines have .*", note)
        assert int(note.split()[4]) >= size >> 20
    else:
        (error,) = found
        assert re.match(r"error: .*lab.toml:\d+:\d+: ", error) and "where a PC can have RAM" in error
