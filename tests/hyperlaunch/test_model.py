"""The model: modules, their names, sizes of memory, derived roles."""

from __future__ import annotations

from pathlib import Path

import pytest
import samples

from bootwright.common import abi
from bootwright.common.errors import SourceError
from bootwright.description import load
from bootwright.description.records import OfDomain
from bootwright.hyperlaunch import model
from bootwright.hyperlaunch.model import BootDomain, BootInfo, BootModule, DomainBuilder, MemorySize

CONSTANTS = abi.load().constants
NO_SIZE = MemorySize(0, 0)


def domain(permissions: int = 0, functions: int = 0, mode: int = 4) -> BootDomain:
    return BootDomain("d", permissions, functions, mode, 0, NO_SIZE, NO_SIZE, NO_SIZE)


def test_roles() -> None:
    """Initial: function bit 31. Control: that or permission bit 0. Hardware: that or permission bit 1."""
    assert not domain().is_initial_domain
    assert not domain().is_control_domain
    assert not domain().is_hardware_domain
    initial = domain(functions=1 << 31)
    assert initial.is_initial_domain and initial.is_control_domain and initial.is_hardware_domain
    assert domain(permissions=1).is_control_domain and not domain(permissions=1).is_hardware_domain
    assert domain(permissions=2).is_hardware_domain and not domain(permissions=2).is_control_domain
    assert domain(functions=1 << 30).is_xenstore_domain
    assert domain(functions=1 << 2).is_console_domain
    assert domain(mode=4).is_pvh and not domain(mode=5).is_pvh and not domain(mode=6).is_pvh
    assert domain(mode=5).is_paravirtualized


def test_sizes_of_memory() -> None:
    assert MemorySize.of_bytes(4097) == MemorySize(CONSTANTS["MEMORY_PAGES"], 2)
    assert MemorySize(CONSTANTS["MEMORY_PAGES"], 7).pages(100) == 7
    assert MemorySize(CONSTANTS["MEMORY_SHARE"], 4).pages(100) == 25
    assert MemorySize(CONSTANTS["MEMORY_SHARE"], 0).pages(100) == 0
    assert MemorySize(CONSTANTS["MEMORY_MINUS"], 30).pages(100) == 70
    assert MemorySize(CONSTANTS["MEMORY_MINUS"], 300).pages(100) == 0


@pytest.mark.parametrize(
    ("cmdline", "kextra"),
    [
        ("", ""),
        ("xen", ""),
        ("xen -- a b", " a b"),
        ("xen --   a", " a"),
        ("xen --a", ""),
        ("xen -- ", " "),
        ("-- a", " a"),
    ],
)
def test_kextra(cmdline: str, kextra: str) -> None:
    """Everything behind " -- " on the hypervisor's own command line, with exactly one leading space."""
    assert BootInfo((), cmdline=cmdline).kextra == kextra


def build(text: str, folder: Path, names: dict[tuple[int, str], str]) -> BootInfo:
    described = load.parse(text, folder / "lab.toml")
    return model.build(described, {(OfDomain(index), key): folder / name for (index, key), name in names.items()})


def test_modules_are_shared_and_named(tmp_path: Path) -> None:
    for name in ("vmlinuz", "initrd.gz", "two words"):
        (tmp_path / name).write_bytes(b"x" * 100)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "vmlinuz").write_bytes(b"y")
    text = samples.DOMAIN + 'cmdline = "quiet"\n'
    for number in range(1, 5):
        line = "quiet" if number == 1 else "loud"
        text += f'[[domain]]\nname = "dom{number}"\nmemory = "1M"\ncmdline = "{line}"\n'
    info = build(text, tmp_path, {
        (0, "kernel"): "vmlinuz", (0, "ramdisk"): "initrd.gz",
        (1, "kernel"): "vmlinuz", (1, "ramdisk"): "initrd.gz",
        (2, "kernel"): "vmlinuz", (3, "kernel"): "other/vmlinuz", (4, "ramdisk"): "two words",
    })  # fmt: skip
    assert info.builder is not None
    assert [(d.kernel, d.ramdisk) for d in info.builder.domains] == [
        (0, 1),
        (0, 1),
        (2, None),
        (3, None),
        (None, 4),
    ]
    assert [m.name for m in info.mods] == ["vmlinuz", "initrd.gz", "module2", "module3", "module4"]
    assert info.mods[0] == BootModule(
        CONSTANTS["BOOTMOD_KERNEL"],
        100,
        string="quiet",
        string_kind=CONSTANTS["BOOTSTR_CMDLINE"],
        name="vmlinuz",
    )
    assert info.mods[1].kind == CONSTANTS["BOOTMOD_RAMDISK"]


def test_least_memory_leaves_the_firmware_some(tmp_path: Path) -> None:
    (found,) = (build(samples.DOMAIN, tmp_path, {}).builder or DomainBuilder(())).domains
    assert (found.mem_min.value, found.mem_size.value, found.mem_max.value) == (15360, 16384, 16384)


def test_a_file_that_has_gone(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r'lab\.toml:6:10: domain "dom0": kernel .*gone cannot be read: No such'):
        build(samples.DOMAIN, tmp_path, {(0, "kernel"): "gone"})
