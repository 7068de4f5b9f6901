"""The tasks: each is a sentence and a call. What they call is imported when they run."""

from __future__ import annotations

from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from bootwright.cli.invoke_task import task


@task(
    positional=["name"],
    iterable=["module"],
    help={
        "name": "a description: NAME for images/NAME.toml, or a path ending in .toml, .dts or .dtb",
        "module": "N=FILE: the file for module-index N of a device tree; once for each",
        "media": "elf, efi, iso, disk, pxe (several with commas) or all (default: elf,efi)",
        "size": "of the disk, as 256M or 2G (default: what is needed)",
        "sector": "bytes of a sector of the device that the disk is for: 512 or 4096",
        "sign": "a private key (PEM): sign the EFI application for Secure Boot",
        "cert": "the key's certificate (PEM)",
    },
)
def image(
    context: Context,
    name: str = "demo",
    module: list[str] | None = None,
    media: str = "",
    size: str = "",
    sector: int = 512,
    sign: str = "",
    cert: str = "",
) -> None:
    """Build build/NAME/NAME.elf from a description, with its map, and media to boot it by."""
    from bootwright.image import patcher

    patcher.start()  # before all that is imported meanwhile
    from bootwright.cli import build
    from bootwright.image.sign import signing
    from bootwright.media import chosen, settings

    if size:
        from bootwright.emulate.run import amount
    said = settings(chosen(media), amount(size, "size") if size else None, sector)
    build.build(name, module or (), media, said, signing(sign, cert))


@task(
    positional=["name"],
    help={
        "name": "as for image; built first if it is missing or out of date",
        "interface": "the network interface that the machines are on",
        "dhcp-range": "FIRST,LAST[,TIME]: give addresses, too (default: proxy, beside the DHCP server there)",
        "http": "for UEFI's HTTP boot: the address of NAME.efi on an HTTP server of yours; with --dhcp-range",
    },
)
def serve(context: Context, name: str = "demo", interface: str = "", dhcp_range: str = "", http: str = "") -> None:
    """Boot machines by network: runs dnsmasq on build/NAME/pxe until interrupted."""
    from bootwright.cli import build
    from bootwright.media import dnsmasq

    build.serve_folder(name, dnsmasq.Options(interface, dhcp_range, http))


@task(
    positional=["name"],
    help={
        "name": "as for image",
        "format": "dts (source) or dtb (blob)",
        "output": "the file to write (default: build/NAME/NAME.dts or .dtb)",
    },
)
def export(context: Context, name: str = "demo", format: str = "dts", output: str = "") -> None:
    """Write a description as a Hyperlaunch device tree."""

    from bootwright.cli import build

    build.export_tree(name, format, output)


@task(
    positional=["name"],
    iterable=["expect"],
    help={
        "name": "as for image; built first if it is missing or out of date",
        "via": "how the machine loads it: kernel (QEMU's own loader), grub (grub-mkrescue's ISO), iso-cd, "
        "iso-usb, disk-ide, disk-ahci, disk-virtio, disk-usb, pxe, pxe-http, efi",
        "expect": "text that the serial console must show; may be given again, and all must be shown; without it "
        "the guest must power off",
        "timeout": "seconds to wait for that",
        "memory": "the machine's memory, as 512M or 2G (default: what the image needs)",
        "cpus": "the machine's cpus (default: what the image needs)",
        "cpu": "QEMU's model of them, as EPYC,+svm,+npt,+x2apic (default: what the image needs)",
        "firmware": "bios or uefi",
        "accelerator": "tcg (the same everywhere) or kvm",
        "keep-log": "write what the serial console showed to this file",
        "gdb": "wait for a debugger, for an hour at least: gdb -x build/NAME/NAME.gdb",
    },
)
def run(
    context: Context,
    name: str = "demo",
    via: str = "kernel",
    expect: list[str] | None = None,
    timeout: float = 120.0,
    memory: str = "",
    cpus: int = 0,
    cpu: str = "",
    firmware: str = "bios",
    accelerator: str = "tcg",
    keep_log: str = "",
    gdb: bool = False,
) -> None:
    """Boot an image under QEMU. Status: 0 as expected, 3 stub failure, 4 time-out, 5 QEMU ended before."""
    from bootwright.cli import build
    from bootwright.emulate import run

    options = run.Options(
        via=via,
        expect=expect,
        timeout=timeout,
        memory=run.amount(memory, "memory") if memory else None,
        cpus=cpus or None,
        cpu=cpu,
        firmware=firmware,
        accelerator=accelerator,
        keep_log=Path(keep_log) if keep_log else None,
        gdb=gdb,
    )
    raise Exit(code=build.boot(name, options))


@task(
    positional=["name", "device"],
    help={
        "name": "as for image, built first if it is missing or out of date; or a file ending in .img or .iso",
        "device": "what to write to, as /dev/sdb, or a file; without one the candidates are listed",
        "medium": "disk (an image with a GPT) or iso (hybrid)",
        "yes": "do not ask for the device's model or serial number",
    },
)
def flash(context: Context, name: str = "demo", device: str = "", medium: str = "disk", yes: bool = False) -> None:
    """Write an image to a USB stick or a disk, read it back and compare."""
    from bootwright.cli import flash as cli_flash

    cli_flash.run(name, device, medium, yes)


@task(
    help={
        "read": "a capture of the serial line, or the line itself, as /dev/ttyUSB0",
        "name": "the machine's name (default: its product name in SMBIOS)",
        "timeout": "seconds of silence on a serial line after which to give up; 0 waits for ever",
    },
)
def probe(context: Context, read: str = "", name: str = "", timeout: float = 300.0) -> None:
    """Store what the image `probe` reported in machines/NAME.json; without --read, list the machines."""

    from bootwright.cli import lab

    if read:
        lab.read(read, name, timeout)
    else:
        lab.list_all()


@task(
    positional=["name"],
    help={"name": "as for image", "machine": "a machine that probe stored, or a file ending in .json"},
)
def plan(context: Context, name: str = "demo", machine: str = "") -> None:
    """Say whether and where an image fits on a machine, and what its boot prints. Status 1 if it does not."""
    from bootwright.cli import lab

    lab.plan(name, machine)


namespace = Collection(image, export, run, serve, flash, probe, plan)
