"""{console}: what it becomes, where it is left alone, and who is told that a console is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
import samples

from bootwright.description import consoles, load
from bootwright.description.load import Description
from bootwright.devicetree import writer
from bootwright.hyperlaunch import model
from bootwright.inputs import resolve
from bootwright.plan import make

IMAGE = "[image]\nconsole = {}\n"
XEN = '[image]\nlauncher = "xen"\nconsole = {}\n[hypervisor]\nkernel = "mb2.elf"\n'
BOTH, SERIAL, SCREEN = '["com1,115200", "vga"]', '["com1,115200"]', '["vga"]'


def parse(text: str) -> Description:
    return load.parse(text, Path("lab.toml"))


def domain(cmdline: str = "{console}") -> str:
    return f'{samples.DOMAIN}cmdline = "{cmdline}"\n'


# Linux: Documentation/admin-guide/kernel-parameters.txt, console=: ttyS0 to ttyS3 are the PC's four ports, others are
# named by their address. Xen: docs/misc/xen-command-line, comN=<baud>,DPS,<io-base>,<irq>; an irq of 0 polls.
@pytest.mark.parametrize(
    ("console", "linux", "xen", "initial", "other"),
    [
        (
            BOTH,
            "console=tty0 console=ttyS0,115200",
            "com1=115200,8n1 console=com1,vga",
            "console=tty0 console=hvc0",
            "console=hvc0",
        ),
        (SERIAL, "console=ttyS0,115200", "com1=115200,8n1 console=com1", "console=hvc0", "console=hvc0"),
        ('["com2,9600"]', "console=ttyS1,9600", "com2=9600,8n1 console=com2", "console=hvc0", "console=hvc0"),
        (
            '["vga", "com3,38400"]',
            "console=tty0 console=ttyS2,38400",
            "com1=38400,8n1,0x3e8,0 console=com1,vga",
            "console=tty0 console=hvc0",
            "console=hvc0",
        ),
        ('["com4"]', "console=ttyS3,115200", "com1=115200,8n1,0x2e8,0 console=com1", "console=hvc0", "console=hvc0"),
        ('["0x3f8,115200"]', "console=ttyS0,115200", "com1=115200,8n1 console=com1", "console=hvc0", "console=hvc0"),
        (
            '["0x2f0,115200"]',
            "console=uart8250,io,0x2f0,115200",
            "com1=115200,8n1,0x2f0,0 console=com1",
            "console=hvc0",
            "console=hvc0",
        ),
        (SCREEN, "console=tty0", "console=vga", "console=tty0", "console=hvc0"),
    ],
)
def test_what_it_stands_for(console: str, linux: str, xen: str, initial: str, other: str) -> None:
    (native,) = parse(IMAGE.format(console) + domain("a {console}  b")).domains
    assert native.cmdline == f"a {linux}  b"
    second = domain().replace("dom0", "dom1").replace('functions = ["initial-domain"]\n', "")
    text = XEN.format(console) + 'cmdline = "x {console} -- y {console}"\n' + domain() + second
    found = parse(text.replace('memory = "64M"', 'memory = "64M"\nmode = "pv"'))
    assert found.hypervisor is not None and found.hypervisor.cmdline == f"x {xen} -- y {initial}"
    assert [one.cmdline for one in found.domains] == [initial, other]


@pytest.mark.parametrize("line", ["{consol}", "x{console}", "{console}y", "{{console}}", "{}", "{0} { console }", "$x"])
def test_other_braces_are_left_as_they_are(line: str) -> None:
    (found,) = parse(IMAGE.format(BOTH) + domain(line)).domains
    assert found.cmdline == line


def test_it_is_filled_in_for_handed_modules_too() -> None:
    """Where a kernel such as tboot hands one of them on as Linux."""
    (found,) = parse(
        IMAGE.format(SERIAL) + domain("logging=serial") + 'modules = [{ path = "linux", string = "{console} quiet" }]\n'
    ).domains
    assert [module.string for module in found.modules] == ["console=ttyS0,115200 quiet"]


def noted(text: str, folder: Path) -> list[str]:
    described = load.parse(text, folder / "lab.toml")
    info = model.build(described, resolve.resolve(described, folder / "work"))
    return [note for note in make.make(described, info, folder / "work").notes if "console" in note]


LINUX = 'domain "dom0": cmdline names no console, and the image has a serial one: {console} in it stands for '


@pytest.mark.parametrize(
    ("cmdline", "missing"),
    [
        ("", True),
        ("quiet", True),
        ("xconsole=tty0 netconsole=x", True),
        ("quiet -- console=ttyS0", True),
        ("console=tty0", False),
        ("{console}", False),
    ],
)
@pytest.mark.parametrize("kernel", ["linux.bz", "linux.elf"])
def test_a_note_where_linux_has_no_console(kernel: str, cmdline: str, missing: bool, tmp_path: Path) -> None:
    write_kernels(tmp_path)
    text = IMAGE.format(SERIAL) + domain(cmdline).replace("good.elf", kernel)
    assert noted(text, tmp_path) == ([f"{LINUX}console=ttyS0,115200"] if missing else [])


def test_no_note_without_a_serial_console_or_for_another_kernel(tmp_path: Path) -> None:
    write_kernels(tmp_path)
    assert not noted(IMAGE.format(SCREEN) + domain("").replace("good.elf", "linux.bz"), tmp_path)
    for kernel in ("good.elf", "good.bz", "memdisk"):
        assert not noted(IMAGE.format(SERIAL) + domain("").replace("good.elf", kernel), tmp_path)


@pytest.mark.parametrize("lcm", ["", "lcm = true\n"])
@pytest.mark.parametrize("kernel", ["linux.bz", "linux.elf"])
def test_notes_where_xen_and_its_domain_have_no_console(kernel: str, lcm: str, tmp_path: Path) -> None:
    write_kernels(tmp_path)
    dom0 = domain("").replace("good.elf", kernel) + 'mode = "pv"\n'
    dom0 = dom0.replace('"initial-domain"', '"console", "xenstore", "initial-domain"')
    xen = XEN.format(BOTH) + lcm
    assert noted(xen + dom0, tmp_path) == [
        "[hypervisor]: cmdline names no console, and the image has a serial one: {console} in it stands for "
        "com1=115200,8n1 console=com1,vga",
        f"{LINUX}console=tty0 console=hvc0",
    ]
    assert not noted(xen + 'cmdline = "{console} -- {console}"\n' + dom0, tmp_path), "behind -- it is the domain's"


def test_a_tree_that_is_written_has_what_was_filled_in(tmp_path: Path) -> None:
    described = parse(IMAGE.format(SERIAL) + domain())
    writer.write(described, "dts", tmp_path / "lab.dts")
    assert 'bootargs = "console=ttyS0,115200"' in (tmp_path / "lab.dts").read_text()
    assert consoles.fill(described) == described, "nothing is filled in twice"


def write_kernels(folder: Path) -> None:
    """Beside the usual ones: Linux as a bzImage that says its version and as an ELF file with Linux's note, and a
    bzImage that is something else.
    """
    samples.write_kernels(folder)
    elf = samples.elf(notes=samples.pvh_note(0x400000) + samples.note(0x101, b"6.1.0\0", b"Linux"))
    (folder / "linux.elf").write_bytes(elf)
    for name, version in (("linux.bz", b"6.1.0-50-cloud-amd64 (x)\0"), ("memdisk", b"MEMDISK 6.04\0")):
        data = bytearray(samples.bzimage(samples.pack_payload(elf if name == "linux.bz" else samples.elf(), "gzip")))
        data[0x20E:0x210] = (0x150).to_bytes(2, "little")
        data[0x350 : 0x350 + len(version)] = version
        (folder / name).write_bytes(data)
