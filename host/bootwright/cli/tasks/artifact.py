"""Tasks: a finished image, looked into and changed at the bench."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from bootwright.cli.invoke_task import task

_FILE = "NAME.elf, NAME.efi, an ISO, a disk image, a device, or the name of an image that is built"
_SIGN = {
    "sign": "a private key (PEM): sign the changed EFI application; without one a signature is taken off",
    "cert": "the key's certificate (PEM)",
}


@task(positional=["file"], help={"file": _FILE, "json": "one JSON document instead of text"})
def inspect(context: Context, file: str = "demo", json: bool = False) -> None:
    """Say what an image is made of, without sources; of another file what it is. Status 1 if one is damaged."""
    from bootwright.cli import artifact

    raise Exit(code=0 if artifact.inspect(file, json) else 1)


@task(
    positional=["file", "module"],
    help={
        "file": _FILE,
        "module": "its name",
        "all": "every module",
        "output": "a folder (default: here)",
    },
)
def extract(context: Context, file: str = "demo", module: str = "", all: bool = False, output: str = "") -> None:
    """Write a module of an image to a file, as the kernel gets it."""
    from bootwright.cli import artifact

    artifact.extract(file, module, all, output)


@task(
    positional=["file", "domain", "line"],
    help={
        "file": _FILE,
        "domain": "a domain's name, or hypervisor",
        "line": "the new command line",
        "profile": "in which profile of the image (default: the first)",
        **_SIGN,
    },
)
def cmdline(
    context: Context,
    file: str = "",
    domain: str = "",
    line: str = "",
    profile: str = "",
    sign: str = "",
    cert: str = "",
) -> None:
    """Give a domain of a finished image another command line, in place."""
    from bootwright.cli import artifact

    artifact.cmdline(file, domain, line, profile, sign, cert)


@task(
    positional=["file", "module", "new"],
    help={"file": _FILE, "module": "its name", "new": "the file that takes its place", **_SIGN},
)
def replace(context: Context, file: str = "", module: str = "", new: str = "", sign: str = "", cert: str = "") -> None:
    """Put another file in the place of a module of a finished image; where it has no room the image is made anew."""
    from bootwright.cli import artifact

    artifact.replace(file, module, new, sign, cert)


@task(
    positional=["one", "other"],
    help={"one": _FILE, "other": "another one", "json": "one JSON document instead of text"},
)
def diff(context: Context, one: str = "", other: str = "", json: bool = False) -> None:
    """Say what differs between two images. Status 0 if nothing does."""
    from bootwright.cli import artifact

    raise Exit(code=0 if artifact.diff(one, other, json) else 1)


TASKS = (inspect, extract, cmdline, replace, diff)
