"""Tasks: what is made from a description."""

from __future__ import annotations

from invoke.context import Context

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
        "output": "the folder in place of build/: OUTPUT/NAME/NAME.elf",
        "json": "one JSON document in place of the line: image, build id, files, notes",
        "quiet": "say nothing but errors",
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
    output: str = "",
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Build build/NAME/NAME.elf from a description, with its map, and media to boot it by."""
    from bootwright.image import patcher

    patcher.start()  # before all that is imported meanwhile
    from bootwright.cli import build
    from bootwright.common import paths
    from bootwright.image.sign import signing
    from bootwright.media import chosen, settings

    if size:
        from bootwright.emulate.run import amount
    said = settings(chosen(media), amount(size, "size") if size else None, sector)
    tell = build.document if json else build.nothing if quiet else build.lines
    with paths.outputs_in(output):
        build.build(name, module or (), media, said, signing(sign, cert), tell=tell)


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


TASKS = (
    image,
    export,
)
