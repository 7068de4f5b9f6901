"""Tasks: an image under QEMU."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit

from bootwright.cli.invoke_task import task


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
        "record": "write it to this file with times, as an asciicast: for asciinema play, and map --log",
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
    record: str = "",
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
        record=Path(record) if record else None,
        gdb=gdb,
    )
    raise Exit(code=build.boot(name, options))


TASKS = (run,)
