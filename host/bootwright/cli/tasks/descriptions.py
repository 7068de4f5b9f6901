"""Tasks: descriptions, before anything is built."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from bootwright.cli.invoke_task import task


@task(help={"json": "one JSON document instead of lines"}, name="list")
def list_(context: Context, json: bool = False) -> None:
    """List the descriptions that there are, with what they describe, and what is built."""
    from bootwright.cli import descriptions

    descriptions.list_all(json)


@task(
    positional=["name"],
    help={
        "name": "of the image, and of images/NAME.toml",
        "kernel": "the kernel's file",
        "ramdisk": "the ramdisk's file",
        "cmdline": "the kernel's command line (default: what its console is, for Linux)",
        "xen": "as the initial domain of Xen",
        "memory": "as 512M (default: what the files' sizes suggest)",
        "output": "another file to write",
    },
)
def new(
    context: Context,
    name: str = "",
    kernel: str = "",
    ramdisk: str = "",
    cmdline: str = "",
    xen: bool = False,
    memory: str = "",
    output: str = "",
) -> None:
    """Write a description with comments, for a kernel and a ramdisk."""
    from bootwright.cli import descriptions

    descriptions.new(name, kernel, ramdisk, cmdline, xen, memory, output)


@task(positional=["name"], help={"name": "as for image", "json": "one JSON document: errors with file, line, column"})
def check(context: Context, name: str = "demo", json: bool = False) -> None:
    """Say what a build of a description would refuse, without building it. Status 1 if anything."""
    from bootwright.cli import descriptions

    raise Exit(code=0 if descriptions.check(name, json) else 1)


@task()
def schema(context: Context) -> None:
    """Print the JSON schema of descriptions, by which an editor completes and explains keys."""
    from bootwright.description import json_schema

    print(json_schema.text(), end="")


TASKS = (list_, new, check, schema)
