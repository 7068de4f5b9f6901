"""Descriptions that are right, and random ones."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import samples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from project import ROOT

from bootwright.common import abi
from bootwright.common.errors import BootwrightError, ErrorList
from bootwright.description import load
from bootwright.description.load import FileSource, PackageSource
from bootwright.description.values import Console
from bootwright.hyperlaunch import builder
from bootwright.hyperlaunch.model import BootInfo, BootModule
from bootwright.plan import make, notes, tables
from bootwright.plan.records import Plan

CONSTANTS = abi.load().constants


def parse(text: str) -> load.Description:
    return load.parse(text, Path("lab.toml"))


def test_defaults() -> None:
    found = parse(samples.DOMAIN)
    assert found.image == load.ImageDescription("lab")
    assert found.image.console == Console(0x3F8, 1, True)
    assert found.domains == (
        load.DomainDescription(
            "dom0", 64 << 20, functions=CONSTANTS["FUNCTION_INITIAL_DOMAIN"], kernel=FileSource("good.elf")
        ),
    )
    assert str(found.domains[0].place("kernel")) == "lab.toml:6:10"
    assert str(found.domains[0].place("ramdisk")) == "lab.toml:2:1"


def test_every_key() -> None:
    found = parse(
        """
        [image]
        name = "lab-1"
        launcher = "native"
        console = ["0x2e8,9600"]
        log = "debug"
        on-failure = "reboot after 10 s"
        pack = "none"
        modules = "loader"
        verify = false
        sbat = ["lab,3,Lab,bootwright,1,https://lab.example"]
        [[domain]]
        name = "dom0"
        permissions = ["control", "hardware"]
        functions = ["boot", "crash", "console", "stubdom", "xenstore", "initial-domain"]
        mode = "pvh"
        protocol = "pvh"
        domid = 0
        uuid = "00112233-4455-6677-8899-aabbccddeeff"
        cpus = 4
        memory = "1G"
        memory-min = "512M"
        memory-max = "2GiB"
        security-id = "system_u:system_r:dom0_t"
        kernel = { package = "linux-image-cloud-amd64", file = "boot/vmlinuz-*" }
        ramdisk = { package = "busybox-static", file = "bin/busybox", init = "debian.init" }
        cmdline = "console=ttyS0"
        """
    )
    image, (domain,) = found.image, found.domains
    assert image.console == Console(0x2E8, 12, False)
    assert (image.on_failure, image.verify, image.modules) == (10, False, "loader")
    assert image.sbat == ("lab,3,Lab,bootwright,1,https://lab.example",)
    assert domain.permissions == 3
    assert domain.functions == 0xC000000F
    assert domain.uuid == bytes.fromhex("00112233445566778899aabbccddeeff")
    assert (domain.memory_min, domain.memory, domain.memory_max) == (512 << 20, 1 << 30, 2 << 30)
    assert domain.ramdisk == PackageSource("busybox-static", "bin/busybox", "debian.init")


def test_files_come_in_the_order_of_their_modules() -> None:
    found = parse(
        """
        [image]
        launcher = "xen"

        [hypervisor]
        xsm-policy = { package = "xen-policy", file = "boot/xenpolicy*" }
        microcode = "ucode.bin"
        kernel = "xen"

        [[domain]]
        name = "dom0"
        functions = ["initial-domain"]
        mode = "pv"
        memory = "64M"
        config = "dom0.cfg"
        device-tree = "dom0.dtb"
        kernel = "vmlinuz"
        """
    )
    assert found.hypervisor is not None
    assert found.hypervisor.modules == {
        "microcode": FileSource("ucode.bin"),
        "xsm-policy": PackageSource("xen-policy", "boot/xenpolicy*"),
    }
    assert found.domains[0].files == {
        "kernel": FileSource("vmlinuz"),
        "device-tree": FileSource("dom0.dtb"),
        "config": FileSource("dom0.cfg"),
    }


def test_errors_come_all_at_once() -> None:
    with pytest.raises(ErrorList) as caught:
        parse('[image]\nlog = 1\npack = 2\n[[domain]]\nmemory = "1M"\n[[domain]]\nname = 3\n')
    assert [(e.where.line if e.where else None) for e in caught.value.errors] == [2, 3, 4, 7, 6]


def test_longest_command_line() -> None:
    limit = CONSTANTS["MAX_STRING"] - 1
    assert len(parse(samples.DOMAIN + f'cmdline = "{"a" * limit}"').domains[0].cmdline) == limit
    with pytest.raises(BootwrightError):
        parse(samples.DOMAIN + f'cmdline = "{"a" * (limit - 1)}é"')


@pytest.mark.parametrize("name", ["demo", "debian"])
def test_our_own_images(name: str) -> None:
    assert load.load(ROOT / "images" / f"{name}.toml").image.name == name


values = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["pvh", "64M", "native", "vga", "com1,9600", "com1,300", "com1,1", "0x10,1", "halt"]),
    st.sampled_from(["reboot after 9 s", "initial-domain", "a/b"]),
).flatmap(lambda value: st.sampled_from([value, [value], [value, value], {"package": value, "file": value}]))
IMAGE_KEYS = ["name", "launcher", "console", "log", "on-failure", "pack", "modules", "verify", "sbat", "x"]
DOMAIN_KEYS = ["name", "permissions", "functions", "mode", "protocol", "domid", "uuid", "cpus", "memory",
               "memory-min", "memory-max", "security-id", "kernel", "ramdisk", "device-tree", "config",
               "cmdline", "kernal"]  # fmt: skip


def spell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(spell, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {spell(part)}" for key, part in value.items()) + " }"
    return repr(value)


@given(
    st.dictionaries(st.sampled_from(IMAGE_KEYS), values, max_size=4),
    st.lists(st.dictionaries(st.sampled_from(DOMAIN_KEYS), values, max_size=6), max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_random_descriptions_are_taken_or_refused(image: dict[str, object], domains: list[dict[str, object]]) -> None:
    lines = ["[image]", *(f"{key} = {spell(value)}" for key, value in image.items())]
    for domain in domains:
        lines += ["[[domain]]", *(f"{key} = {spell(value)}" for key, value in domain.items())]
    try:
        tables.encode(Plan(make.settings(parse("\n".join(lines)).image), (), ()))  # its settings fit into their fields
    except BootwrightError as error:
        listed = error.errors if isinstance(error, ErrorList) else (error,)
        assert all(e.where is not None and "\n" not in e.message for e in listed)


@given(st.sampled_from(["com1", "com2", "com3", "com4", "0x1", "0xfff8"]), st.integers(1, 200_000))
@settings(max_examples=200, deadline=None)
@example("com1", 1)
@example("com1", 2)
@example("com2", 288)
@example("com3", 300)
@example("com4", 115200)
def test_every_rate_is_refused_or_fits_the_uart(port: str, rate: int) -> None:
    text = f'[image]\nconsole = ["{port},{rate}"]\n{samples.DOMAIN}'
    if rate < 300 or 115200 % rate:
        with pytest.raises(BootwrightError, match=f'"{rate}" is no baud rate from 300 to 115200 that divides 115200'):
            parse(text)
    else:
        settled = make.settings(parse(text).image)
        assert settled.serial_divisor * rate == 115200


@given(st.text(max_size=80))
@settings(max_examples=100, deadline=None)
def test_any_text_is_taken_or_refused(text: str) -> None:
    with contextlib.suppress(BootwrightError):
        parse(text)


@pytest.mark.parametrize(
    ("cmdline", "pvh"),
    [
        ("dom0=pvh", True),
        ("x dom0=verbose,pvh -- a", True),
        ("x -- dom0=pvh", False),
        ("xdom0=pvh", False),
        ("dom0=pvhx", False),
    ],
)
def test_xen_is_asked_for_a_pvh_domain_by_a_word_of_its_own(cmdline: str, pvh: bool) -> None:
    xen = f'[image]\nlauncher = "xen"\n[hypervisor]\nkernel = "xen"\ncmdline = "{cmdline}"\n'
    text = xen + samples.DOMAIN + 'mode = "pvh"\n'
    if pvh:
        assert parse(text).domains[0].mode == "pvh"
    else:
        with pytest.raises(BootwrightError, match="is not how Xen builds the initial domain"):
            parse(text)


PERMISSIONS = CONSTANTS["PERMISSION_CONTROL"] | CONSTANTS["PERMISSION_HARDWARE"]
INITIAL, CONSOLE, XENSTORE = (CONSTANTS[f"FUNCTION_{name}"] for name in ("INITIAL_DOMAIN", "CONSOLE", "XENSTORE"))
ALONE = '[[domain]]\nname = "dom0"\nmemory = "64M"\nkernel = "good.elf"\n'


@pytest.mark.parametrize(
    ("said", "permissions", "functions", "alone"),
    [
        ("", PERMISSIONS, INITIAL | CONSOLE | XENSTORE, True),
        ("permissions = []\nfunctions = []", PERMISSIONS, INITIAL | CONSOLE | XENSTORE, True),
        ('permissions = ["hardware"]', CONSTANTS["PERMISSION_HARDWARE"], INITIAL | CONSOLE | XENSTORE, True),
        ('functions = ["console"]', PERMISSIONS, INITIAL | CONSOLE, True),
        ('functions = ["initial-domain"]', 0, INITIAL, False),
    ],
)
def test_a_domain_that_is_alone_is_the_initial_domain(
    said: str, permissions: int, functions: int, alone: bool, tmp_path: Path
) -> None:
    """As in a boot without a description."""
    (dom0,) = parse(f"{ALONE}{said}\n").domains
    assert (dom0.permissions, dom0.functions, dom0.alone) == (permissions, functions, alone)
    fallback = builder.builder_init(BootInfo((BootModule(0, 1),))).builder
    assert fallback is not None
    if not said:
        assert (dom0.permissions, dom0.functions) == (fallback.domains[0].permissions, fallback.domains[0].functions)
    noted = list(notes.of_description(parse(f"{ALONE}{said}\n"), BootInfo(()), {0}))
    assert bool(noted) == alone


def test_the_note_about_a_domain_that_is_alone() -> None:
    assert list(notes.of_description(parse(ALONE), BootInfo(()), {0})) == [
        'domain "dom0": there is no other, so it is the initial domain; it has permissions control and hardware; '
        "functions console, xenstore and initial-domain"
    ]


def test_what_a_domain_that_is_alone_lacks_is_said_in_one_round() -> None:
    with pytest.raises(BootwrightError) as caught:
        parse(ALONE.replace('kernel = "good.elf"\n', "domid = 5\n"))
    assert str(caught.value).splitlines() == [
        'lab.toml:1:1: domain "dom0": kernel is missing, and the initial domain needs one',
        'lab.toml:4:9: domain "dom0": domid: 5 is not the initial domain\'s, which is 0',
    ]


def test_of_several_domains_one_round_says_what_is_missing() -> None:
    text = ALONE + ALONE.replace("dom0", "dom1")
    with pytest.raises(BootwrightError, match=r'is the initial domain, .* give "dom0" functions') as caught:
        parse(text)
    assert len(str(caught.value).splitlines()) == 1
    assert parse(text.replace('"dom0"', '"dom0"\nfunctions = ["initial-domain"]')).domains
