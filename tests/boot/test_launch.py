"""Whole boots by the launch protocols, each compared with the reference: a bzImage, Xen, the generic stub."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pytest
import samples
from comparing import ROOT, C, compare_boot, facts, stub_range, variant
from elftools.elf.elffile import ELFFile

from bootwright.common import paths
from bootwright.emulate import qemu, run
from bootwright.emulate.qemu import Outcome
from bootwright.image import build
from bootwright.image import built as image_built
from bootwright.inputs import debian, resolve
from bootwright.kernels import bzimage
from bootwright.plan.records import Generic
from bootwright.reference import boot, transcript
from bootwright.reference.machine import LoaderModule, Machine

pytestmark = pytest.mark.slow

INIT = "INIT-OK"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("protocols")


@pytest.fixture(autouse=True)
def _output(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "root", lambda: folder)


@pytest.fixture(scope="module")
def linux(folder: Path) -> image_built.Built:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: folder)
        changes = ('protocol = "pvh"', 'protocol = "linux"'), ('name = "debian"', 'name = "linux"')
        return variant(folder, "debian", *changes)


@pytest.fixture(scope="module")
def xen(folder: Path) -> image_built.Built:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: folder)
        return variant(folder, "xen")


@pytest.mark.parametrize(("via", "firmware"), [("kernel", "bios"), ("grub", "bios"), ("grub", "uefi"), ("efi", "uefi")])
def test_a_bzimage_by_the_linux_boot_protocol(via: str, firmware: str, linux: image_built.Built) -> None:
    options = run.Options(via=via, firmware=firmware, expect=INIT, timeout=90)
    result = run.boot(linux, options, lambda text: None, facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    expected = compare_boot(result.transcript, linux, memory=result.memory)
    assert len(result.memory) == (2 if firmware == "uefi" else 1), "with EFI's memory map"
    assert expected.protocol == "linux" and "Kernel command line: console=ttyS0" in result.transcript


def test_by_protocol_auto_linux_finds_efi(folder: Path) -> None:
    """Runtime services and variables: by PVH it would not (images/debian.toml)."""
    built = variant(folder, "debian", ('protocol = "pvh"\n', ""), ('name = "debian"', 'name = "auto"'))
    assert "protocol auto is linux" in built.notes[0] and "is told of EFI" in built.notes[0]
    options = run.Options(via="efi", firmware="uefi", expect=INIT, timeout=90)
    result = run.boot(built, options, lambda text: None, facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert compare_boot(result.transcript, built, memory=result.memory).protocol == "linux"
    assert "efi: EFI v2" in result.transcript and "Registered efivars operations" in result.transcript


MACH = """
[image]
name = "mach"
log = "debug"

[[domain]]
name = "mach"
functions = ["initial-domain"]
memory = "64M"
kernel = { package = "gnumach-image-1.8-486", file = "boot/gnumach-*" }
cmdline = "console=com0"
"""


@pytest.mark.parametrize(("via", "firmware"), [("kernel", "bios"), ("grub", "bios")])
def test_gnu_mach(via: str, firmware: str, folder: Path) -> None:
    """A multiboot1 kernel of 64 bits that reads the memory map, and stops without the Hurd's servers."""
    (folder / "mach.toml").write_text(MACH)
    built = build.build(folder / "mach.toml", lambda stage: None)
    options = run.Options(via=via, firmware=firmware, expect="bootstrap_create: No bootstrap code loaded", timeout=60)
    result = run.boot(built, options, lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert compare_boot(result.transcript, built).protocol == "multiboot1"
    assert "biosmem: physical memory map:" in result.transcript


def test_a_bzimage_whose_place_the_loader_has_cut_out_of_memory(linux: image_built.Built, tmp_path: Path) -> None:
    """GRUB's cutmem, which is for bad RAM, takes 64 KiB out of the memory map: between 15 MiB and the kernel's code."""
    config = tmp_path / "grub.cfg"
    config.write_text(
        "serial\nterminal_output console serial\ntimeout=0\nmenuentry x {\n"
        "cutmem 0xff8000 0x1008000\nmultiboot2 /linux.elf\n}\n"
    )
    iso = tmp_path / "x.iso"
    grafts = [f"boot/grub/grub.cfg={config}", f"linux.elf={linux.elf}"]
    subprocess.run(["grub-mkrescue", "-o", iso, *grafts], check=True, capture_output=True)
    command = qemu.command(qemu.Machine(768 << 20), ["-cdrom", str(iso)])
    result = qemu.run(command, expect=INIT, timeout=60, show=lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert "d0: kernel moved from [0x1000000, " in result.transcript
    expected = compare_boot(result.transcript, linux)
    assert expected.protocol == "linux" and expected.entry > 0x1000200


@pytest.mark.parametrize("protocol", ["linux", "pvh"])
def test_linux_reads_2047_bytes_of_command_line(protocol: str, folder: Path) -> None:
    """Its console is the last word, without which it would say nothing."""
    text = (ROOT / "images/debian.toml").read_text()
    (said,) = re.findall(r'^cmdline = "(.*)"$', text, re.MULTILINE)
    console, _, others = said.partition(" ")
    longest = f"{others} ".ljust(2047 - len(f" {console}"), "x") + f" {console}"
    assert len(longest) == 2047 and console.startswith("console=")
    changes = (f'cmdline = "{said}"', f'cmdline = "{longest}"'), ('protocol = "pvh"', f'protocol = "{protocol}"')
    built = variant(folder, "debian", *changes, ('name = "debian"', f'name = "long-{protocol}"'))
    result = run.boot(built, run.Options(expect=INIT, timeout=90), lambda text: None, facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert compare_boot(result.transcript, built, memory=result.memory).protocol == protocol


@pytest.mark.parametrize(
    ("via", "firmware", "protocol"),
    [("kernel", "bios", "multiboot2"), ("grub", "bios", "multiboot2"), ("efi", "uefi", "multiboot2_efi")],
)
def test_xen_with_a_paravirtualised_domain(via: str, firmware: str, protocol: str, xen: image_built.Built) -> None:
    options = run.Options(via=via, firmware=firmware, expect=INIT, timeout=180)
    result = run.boot(xen, options, lambda text: None, facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    expected = compare_boot(result.transcript, xen, memory=result.memory)
    assert expected.protocol == protocol
    assert "(XEN) Command line: console=com1,vga" in result.transcript, "without the file's name in front"


def test_what_is_for_xen_and_what_is_for_its_domain(folder: Path) -> None:
    """Real readers of both command lines, each split at " -- "; and the domains that Xen does not build."""
    other = '\n[[domain]]\nname = "{}"\nmode = "pv"\nmemory = "64M"\n'
    own = 'cmdline = "console=com1,vga com1=115200,8n1 noreboot"'
    domain = 'cmdline = "console=hvc0 earlyprintk=xen panic=-1"'
    built = variant(
        folder,
        "xen",
        ('name = "xen"\nlaunch', 'name = "split"\nlaunch'),
        (own, 'cmdline = "{console} noreboot -- extra=dom0_mem=1"'),
        (domain, 'cmdline = "{console} earlyprintk=xen panic=-1"\n' + other.format("dom1") + other.format("dom2")),
    )
    result = run.boot(built, run.Options(expect=INIT, timeout=180), lambda text: None, facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    compare_boot(result.transcript, built, memory=result.memory)
    told = "com1=115200,8n1 console=com1,vga noreboot dom0_mem=524288K,max:524288K dom0_max_vcpus=1"
    assert re.search(rf"\(XEN\) Command line: {told}\s*$", result.transcript, re.MULTILINE)
    assert "(XEN) Dom0 has maximum 1 VCPUs" in result.transcript
    linux = "console=tty0 console=hvc0 earlyprintk=xen panic=-1 extra=dom0_mem=1"
    assert re.search(rf"Kernel command line: {linux}\s*$", result.transcript, re.MULTILINE)
    kernel = "hypervisor xen-4.17-amd64.gz builds 1 of 3 domains"
    assert f"bootwright: builder: {kernel}" in result.transcript.replace("\r", "")
    assert result.transcript.count("is not built: without a device tree Xen builds only the initial domain") == 2
    assert result.transcript.count("(XEN) PHYSICAL MEMORY ARRANGEMENT") == 1, "Xen lays out one domain"


@pytest.mark.parametrize("port", ["com1", "com3"])
def test_linux_on_the_consoles_of_the_image(port: str, folder: Path) -> None:
    consoles = ('"com1,115200", "vga"', f'"{port},115200", "vga"')
    line = ('"console=ttyS0,115200 panic=-1"', '"{console} panic=-1"')
    built = variant(folder, "debian", ('name = "debian"', f'name = "{port}"'), consoles, line)
    result = run.boot(built, run.Options(expect=INIT, timeout=90), lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    for console in ("tty0", {"com1": "ttyS0", "com3": "ttyS2"}[port]):
        assert f"printk: console [{console}] enabled" in result.transcript


@pytest.mark.parametrize(("via", "firmware"), [("kernel", "bios"), ("grub", "uefi"), ("efi", "uefi")])
def test_the_probe_by_multiboot2(via: str, firmware: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told what the screen is, the RSDP itself, and EFI's system table."""
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    built = variant(tmp_path, "probe", ('cmdline = ""', 'cmdline = "halt"'))
    options = run.Options(via=via, firmware=firmware, expect="END BOOTWRIGHT MACHINE", timeout=60)
    result = run.boot(built, options, lambda text: None, facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert compare_boot(result.transcript, built, memory=result.memory).protocol == "multiboot2"
    assert ("bootwright: firmware: system table at 0x" in result.transcript) == (firmware == "uefi")


def test_xen_behind_a_loader_that_leaves_boot_services_running(xen: image_built.Built) -> None:
    """GRUB on UEFI: a whole boot, to dom0's user space."""
    options = run.Options(via="grub", firmware="uefi", expect=INIT, timeout=120)
    result = run.boot(xen, options, lambda text: None, facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert "entered by multiboot2 from GRUB 2" in result.transcript
    assert compare_boot(result.transcript, xen, memory=result.memory).protocol == "multiboot2_efi"
    assert "(XEN) EFI RAM map:" in result.transcript, "it found EFI"


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_xen_with_modules_from_the_loader(firmware: str, folder: Path) -> None:
    """GRUB puts them where Xen is to go."""
    built = variant(folder, "xen", ('name = "xen"\nlaunch', 'name = "loaded"\nmodules = "loader"\nlaunch'))
    options = run.Options(via="grub", firmware=firmware, expect=INIT, timeout=120)
    result = run.boot(built, options, lambda text: None, facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    protocol = {"bios": "multiboot2", "uefi": "multiboot2_efi"}[firmware]
    assert compare_boot(result.transcript, built, memory=result.memory).protocol == protocol


MEMTEST = """
[image]
name = "{name}"
log = "debug"

[[domain]]
name = "dom0"
functions = ["initial-domain"]
memory = "64M"
kernel = {{ package = "memtest86+", file = "boot/memtest86+{name}.bin" }}
cmdline = "console=ttyS0,115200"
"""


@pytest.mark.parametrize(("name", "entry"), [("x64", 0x100200), ("ia32", 0x100000)])
def test_a_bzimage_where_the_stub_is(name: str, entry: int, folder: Path) -> None:
    """memtest86+, by its 64-bit and by its 32-bit entry."""
    path = folder / f"{name}.toml"
    path.write_text(MEMTEST.format(name=name))
    built = build.build(path, lambda stage: None)
    assert "protocol auto is linux" in built.notes[0]
    result = run.boot(built, run.Options(expect="Memtest86+ v", timeout=60), lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    assert compare_boot(result.transcript, built).entry == entry


# --- the generic stub ---


@pytest.fixture(scope="module")
def generic(folder: Path) -> Path:
    """The generic image, which prints everything."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(paths, "root", lambda: folder)
        built = build.build(ROOT / "images/generic.toml", lambda stage: None)
    data = bytearray(built.elf.read_bytes())
    elf = ELFFile(io.BytesIO(data))
    (symbol,) = elf.get_section_by_name(".symtab").get_symbol_by_name("log_level")
    segment = next(s for s in elf.iter_segments("PT_LOAD") if s.section_in_segment(elf.get_section_by_name(".data")))
    data[segment["p_offset"] + symbol["st_value"] - segment["p_paddr"]] = C["LOG_DEBUG"]
    path = folder / "generic.elf"
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def kernels(linux: image_built.Built, folder: Path) -> dict[str, Path]:
    """Debian's kernel as it is, unpacked, and the ramdisk."""
    cache = resolve.cache_directory()
    packed = debian.fetch("linux-image-cloud-amd64", "boot/vmlinuz-*", cache)
    bzimage.unpack(packed, folder / "vmlinux")
    busybox = debian.fetch("busybox-static", "*bin/busybox", cache)
    resolve.cpio.write(resolve.cpio.busybox_ramdisk(busybox, ROOT / "images/debian.init"), folder / "initrd")
    (folder / "bzimage").symlink_to(packed)
    return {name: folder / name for name in ("vmlinux", "bzimage", "initrd")}


def compare_generic(result: qemu.Result, stub: Path, files: list[Path], strings: list[str], cmdline: str) -> boot.Boot:
    said = transcript.parse_transcript(result.transcript)
    modules = [LoaderModule(m.place.start, m.place.size, s) for m, s in zip(said.modules, strings, strict=True)]
    elf = ELFFile(io.BytesIO(stub.read_bytes()))
    machine = Machine(
        said.entry,
        said.ranges,
        stub_range(elf),
        build=elf.get_section_by_name(".note.gnu.build-id").data()[-20:].hex()[:8],
        loader=said.loader,
        cmdline=cmdline,
        modules=tuple(modules),
        rsdp=said.rsdp,
        rsdp_bytes=b"".join(result.memory),
        framebuffer=said.screen,
        boot_device=said.boot_device,
        cpu=said.cpu,
        contents={number: path.read_bytes() for number, path in enumerate(files)},
    )
    expected = boot.boot(machine, Generic())
    assert said.lines == expected.shown(C["LOG_DEBUG"])
    return expected


@pytest.mark.parametrize(("kernel", "protocol"), [("vmlinux", "pvh"), ("bzimage", "linux")])
def test_the_first_module_is_the_kernel_and_the_second_the_ramdisk(
    kernel: str, protocol: str, generic: Path, kernels: dict[str, Path]
) -> None:
    strings = [f"{kernel} console=ttyS0", "initrd"]
    command = qemu.command(
        qemu.Machine(768 << 20),
        ["-kernel", str(generic), "-initrd", ",".join(strings), "-append", "noapic -- panic=-1"],
    )
    directory = generic.parent
    result = qemu.run(command, expect=INIT, timeout=60, show=lambda text: None, directory=directory)
    assert result.outcome is Outcome.AS_EXPECTED, result
    files = [kernels[kernel], kernels["initrd"]]
    expected = compare_generic(result, generic, files, strings, f"{generic} noapic -- panic=-1")
    assert expected.protocol == protocol
    assert "command line: console=ttyS0 panic=-1 noapic" in result.transcript


def test_the_generic_stub_from_grub(generic: Path, kernels: dict[str, Path], tmp_path: Path) -> None:
    config = tmp_path / "grub.cfg"
    config.write_text(
        "serial\nterminal_output console serial\ntimeout=0\nmenuentry x {\n"
        "multiboot2 /generic.elf\nmodule2 /vmlinux console=ttyS0 panic=-1\nmodule2 /initrd disk\n}\n"
    )
    grafts = {"boot/grub/grub.cfg": config, "generic.elf": generic, **kernels}
    grafts.pop("bzimage")
    iso = tmp_path / "x.iso"
    made = [f"{name}={path}" for name, path in grafts.items()]
    subprocess.run(["grub-mkrescue", "-o", iso, *made], check=True, capture_output=True)
    command = qemu.command(qemu.Machine(768 << 20), ["-cdrom", str(iso)])
    result = qemu.run(command, expect=INIT, timeout=60, show=lambda text: None)
    assert result.outcome is Outcome.AS_EXPECTED, result
    files = [kernels["vmlinux"], kernels["initrd"]]
    compare_generic(result, generic, files, ["console=ttyS0 panic=-1", "disk"], "")


# --- a kernel of no format, whose header says where it goes ---

FLAT_BASE, FLAT_ENTRY, FLAT_TEXT, FLAT_BSS = 0x800000, 0x80, 0x100, 0x1000  # where it goes, and offsets in it
FLAT_SAID = "FLAT-OK"


def flat_kernel(protocol: str) -> bytes:
    """One that says FLAT-OK on COM1 if it was entered by this protocol, and its bss is clear."""
    entry = FLAT_BASE + FLAT_ENTRY
    code = b"\x3d" + C[f"{protocol.upper()}_LOADER_MAGIC"].to_bytes(4, "little")  # cmp eax, magic
    code += b"\x75\x1a"  # jne .stop
    code += b"\x83\x3d" + (FLAT_BASE + FLAT_BSS).to_bytes(4, "little") + b"\0"  # cmp dword ptr [bss], 0
    code += b"\x75\x11"  # jne .stop
    code += b"\xbe" + (FLAT_BASE + FLAT_TEXT).to_bytes(4, "little")  # mov esi, text
    code += b"\x66\xba\xf8\x03"  # mov dx, COM1
    code += b"\xac\x84\xc0\x74\x03\xee\xeb\xf8"  # .next: lodsb; test al, al; jz .stop; out dx, al; jmp .next
    code += b"\xf4\xeb\xfd"  # .stop: hlt; jmp .stop
    addresses = FLAT_BASE, FLAT_BASE, FLAT_BASE + FLAT_BSS, FLAT_BASE + 2 * FLAT_BSS
    if protocol == "multiboot1":
        header = samples.multiboot1(C["MULTIBOOT1_ADDRESSES"], *addresses, entry)
    else:
        header = samples.multiboot2(samples.tag2(2, *addresses), samples.tag2(3, entry))
    file = header.ljust(entry - FLAT_BASE, b"\0") + code
    return file.ljust(FLAT_TEXT, b"\0") + FLAT_SAID.encode().ljust(FLAT_BSS - FLAT_TEXT, b"\0") + b"symbols"


@pytest.mark.parametrize("protocol", ["multiboot1", "multiboot2"])
def test_a_flat_kernel_by_the_generic_stub(protocol: str, generic: Path) -> None:
    path = generic.parent / f"flat.{protocol}"
    path.write_bytes(flat_kernel(protocol))
    command = qemu.command(qemu.Machine(128 << 20), ["-kernel", str(generic), "-initrd", path.name])
    result = qemu.run(
        command, expect=FLAT_SAID, timeout=30, show=lambda text: None, directory=generic.parent, inspect=facts
    )
    assert result.outcome is Outcome.AS_EXPECTED, result
    expected = compare_generic(result, generic, [path], [path.name], f"{generic} ")
    assert (expected.protocol, expected.entry) == (protocol, FLAT_BASE + FLAT_ENTRY)


@pytest.mark.parametrize("protocol", ["multiboot1", "multiboot2"])
def test_a_flat_kernel_of_a_description(protocol: str, folder: Path) -> None:
    kernel = folder / f"flat.{protocol}"
    kernel.write_bytes(flat_kernel(protocol))
    built = variant(
        folder, "demo", ('name = "demo"', f'name = "flat-{protocol}"'), ("../stub/kernels/demo.asm", str(kernel))
    )
    result = run.boot(built, run.Options(expect=FLAT_SAID, timeout=30), lambda text: None, facts)
    assert result.outcome is Outcome.AS_EXPECTED, result
    expected = compare_boot(result.transcript, built, memory=result.memory)
    assert (expected.protocol, expected.entry) == (protocol, FLAT_BASE + FLAT_ENTRY)
