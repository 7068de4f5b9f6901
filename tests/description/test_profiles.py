"""[[profile]]: each is the description with something else in it, and what cannot be is said with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootwright.common.errors import BootwrightError, ErrorList
from bootwright.description import load
from bootwright.description.values import FileSource

BASE = """\
[image]
profile = "usual"
console = ["com1,115200"]
[[domain]]
name = "dom0"
functions = ["initial-domain"]
memory = "64M"
kernel = "k"
ramdisk = "r"
cmdline = "quiet {console}"
[[domain]]
name = "other"
memory = "64M"
kernel = "k"
cmdline = "of its own"
"""
RESCUE = """\
[[profile]]
name = "rescue"
title = "with a shell"
cmdline = "single {console}"
console = ["com2,9600", "vga"]
log = "debug"
ramdisk = "rescue.img"
"""


def read(text: str) -> load.Description:
    return load.parse(text, Path("x.toml"))


def test_a_profile_is_the_description_with_something_else_in_it() -> None:
    found = read(BASE + RESCUE + '[[profile]]\nname = "plain"\n')
    rescue, plain = found.variants
    assert rescue.domains[0].cmdline == "single console=tty0 console=ttyS1,9600", "of its own console"
    assert rescue.domains[0].ramdisk == FileSource("rescue.img")
    assert (rescue.image.log, rescue.image.console.serial_divisor) == ("debug", 12)
    other = read(BASE + '[[profile]]\nname = "newer"\nkernel = "newer"\n').variants[0]
    assert other.domains[0].kernel == FileSource("newer") and other.domains[1].kernel == FileSource("k")
    assert rescue.domains[1] == found.domains[1] and rescue.domains[0].kernel == found.domains[0].kernel
    assert plain.domains == found.domains
    assert (found.image.profile, [one.name for one in found.profiles]) == ("usual", ["rescue", "plain"])


def test_what_a_profile_says_has_its_place_there() -> None:
    found = read(BASE + RESCUE)
    place = found.variants[0].domains[0].place("cmdline")
    assert place is not None and place.line == len(BASE.splitlines()) + 4
    assert found.variants[0].domains[0].place("memory") == found.domains[0].place("memory")


def test_the_hypervisor_s_own_line() -> None:
    image, mode = '[image]\nlauncher = "xen"\n', 'mode = "pv"\nkernel = '
    text = BASE.replace("[image]\n", image).replace("kernel = ", mode)
    text += '[hypervisor]\nkernel = "x"\ncmdline = "a"\n'
    found = read(text + '[[profile]]\nname = "p"\nhypervisor-cmdline = "b {console}"\n')
    assert found.variants[0].hypervisor is not None
    assert found.variants[0].hypervisor.cmdline == "b com1=115200,8n1 console=com1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE + RESCUE + RESCUE, 'profile "rescue": name: is the name of another profile, at x.toml:'),
        (BASE + RESCUE.replace('"rescue"', '"usual"'), "is the name of another profile, at x.toml:2"),
        (BASE + RESCUE + 'hypervisor-cmdline = "x"\n', "hypervisor-cmdline: there is no hypervisor to read it"),
        (BASE.replace("[image]\n", '[image]\nmodules = "loader"\n') + RESCUE, "ramdisk: a loader brings the modules"),
        (BASE + '[[profile]]\ncmdline = "x"\n', "profile number 1: name is missing"),
        (BASE + '[[profile]]\nname = "x"\nmemory = "k"\n', '"memory" is not a known key'),
        (BASE + "".join(f'[[profile]]\nname = "p{n}"\n' for n in range(9)), "at most 8 are possible"),
        ('[image]\ngeneric = true\n[[profile]]\nname = "x"\n', "a generic image has no profiles"),
        (BASE.replace("[image]\n", "[image]\nmenu = 4000\n"), "menu: 4000 is outside of 0 to 3600"),
    ],
)
def test_what_cannot_be_is_said(text: str, message: str) -> None:
    with pytest.raises(BootwrightError) as raised:
        read(text)
    errors = raised.value.errors if isinstance(raised.value, ErrorList) else (raised.value,)
    assert any(message in str(error) for error in errors), str(raised.value)
    assert all(error.where for error in errors)
