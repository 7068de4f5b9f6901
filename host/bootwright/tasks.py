"""The tasks: each is a sentence and a call. What they call is imported when they run."""

from __future__ import annotations

from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from bootwright.command import task


@task(
    positional=["name"],
    help={"name": "a description: NAME for images/NAME.toml, or a path ending in .toml"},
)
def image(context: Context, name: str = "demo") -> None:
    """Build build/NAME/NAME.elf from a description, with its map."""
    from bootwright import progress

    progress.build(name)


@task(
    positional=["name"],
    help={
        "name": "as for image; built first if it has not been",
        "via": "how the machine loads it: kernel (QEMU's own loader) or grub (an ISO, multiboot2)",
        "expect": "text that the serial console must show; without it the guest must power off",
        "timeout": "seconds to wait for that",
        "memory": "the machine's memory, as 512M or 2G (default: what the image needs)",
        "cpus": "the machine's cpus",
        "firmware": "bios or uefi",
        "accelerator": "tcg (the same everywhere) or kvm",
        "keep-log": "write what the serial console showed to this file",
    },
)
def run(
    context: Context,
    name: str = "demo",
    via: str = "kernel",
    expect: str = "",
    timeout: float = 120.0,
    memory: str = "",
    cpus: int = 1,
    firmware: str = "bios",
    accelerator: str = "tcg",
    keep_log: str = "",
) -> None:
    """Boot an image under QEMU. Status: 0 as expected, 3 stub failure, 4 time-out, 5 QEMU ended before."""
    from bootwright import progress, run

    options = run.Options(
        via=via,
        expect=expect or None,
        timeout=timeout,
        memory=run.memory_size(memory) if memory else None,
        cpus=cpus,
        firmware=firmware,
        accelerator=accelerator,
        keep_log=Path(keep_log) if keep_log else None,
    )
    raise Exit(code=progress.boot(name, options))


namespace = Collection(image, run)
