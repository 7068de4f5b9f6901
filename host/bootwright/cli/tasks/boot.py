"""Tasks: an image under QEMU."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit

from bootwright.cli.invoke_task import task


@task(
    positional=["name"],
    iterable=["expect", "fail"],
    help={
        "name": "as for image, built first if it is missing or out of date; or a finished file: .elf, .efi, .iso, .img",
        "via": "how the machine loads it: kernel (QEMU's own loader, the default), grub (grub-mkrescue's ISO), iso-cd, "
        "iso-usb, disk-ide, disk-ahci, disk-virtio, disk-usb, pxe, pxe-http, efi",
        "profile": "start this profile of the image; by the way kernel alone, elsewhere the menu is there",
        "expect": "text that the serial console must show; may be given again, and all must be shown; without it "
        "the guest must power off",
        "fail": "text that must not be shown: it ends the run with status 6; may be given again",
        "timeout": "seconds to wait for that (default: 120; at a terminal as long as it takes)",
        "memory": "the machine's memory, as 512M or 2G (default: what the image needs)",
        "cpus": "the machine's cpus (default: what the image needs)",
        "cpu": "QEMU's model of them, as EPYC,+svm,+npt,+x2apic (default: what the image needs)",
        "firmware": "bios or uefi (default: bios where it boots there)",
        "accelerator": "tcg (the same everywhere) or kvm",
        "keep-log": "write what the serial console showed to this file",
        "record": "write it to this file with times, as an asciicast: for asciinema play, and map --log",
        "secure-boot": "on a firmware that starts what is signed alone, and knows the certificate of `image --sign`",
        "qemu-args": "more arguments for QEMU, as one word: '-device e1000'",
        "junit": "write a JUnit report to this file",
        "json": "one JSON document in place of the console",
        "quiet": "show no console, and nothing but errors",
        "output": "the folder of builds in place of build/",
        "gdb": "wait for a debugger, for an hour at least: gdb -x build/NAME/NAME.gdb",
    },
)
def run(
    context: Context,
    name: str = "demo",
    via: str = "",
    profile: str = "",
    expect: list[str] | None = None,
    fail: list[str] | None = None,
    timeout: float = -1.0,
    memory: str = "",
    cpus: int = 0,
    cpu: str = "",
    firmware: str = "",
    accelerator: str = "tcg",
    keep_log: str = "",
    record: str = "",
    secure_boot: bool = False,
    qemu_args: str = "",
    junit: str = "",
    json: bool = False,
    quiet: bool = False,
    output: str = "",
    gdb: bool = False,
) -> None:
    """Boot an image under QEMU. Status: 0 as expected, 3 stub failure, 4 time-out, 5 QEMU ended before, 6 --fail."""
    import shlex

    from bootwright.cli import boot
    from bootwright.common import paths
    from bootwright.emulate import run

    shown = boot.Shown(Path(junit) if junit else None, json, quiet)
    methods = boot.methods(name)
    via, firmware = run.usual(methods, via, firmware)
    options = run.Options(
        via=via,
        expect=expect,
        timeout=boot.usual_timeout(shown) if timeout == -1 else timeout,
        fail=tuple(fail or ()),
        qemu_args=[*boot.profile_arguments(profile, via), *shlex.split(qemu_args)],
        secure_boot=secure_boot,
        memory=run.amount(memory, "memory") if memory else None,
        cpus=cpus or None,
        cpu=cpu,
        firmware=firmware,
        accelerator=accelerator,
        keep_log=Path(keep_log) if keep_log else None,
        record=Path(record) if record else None,
        gdb=gdb,
        methods=methods,
    )
    with paths.outputs_in(output):
        raise Exit(code=boot.boot(name, options, shown))


TASKS = (run,)
