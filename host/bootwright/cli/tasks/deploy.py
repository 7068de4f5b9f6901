"""Tasks: what brings an image to machines."""

from __future__ import annotations

from invoke.context import Context

from bootwright.cli.invoke_task import task


@task(
    positional=["name"],
    iterable=["machine"],
    help={
        "name": "as for image, or NAME:PROFILE; built first if it is missing or out of date; for all machines that no "
        "--machine names (default: demo, or nothing where there are such)",
        "machine": "MAC=NAME or MAC=NAME:PROFILE: what this machine boots; may be given again",
        "machines": "a file of such rules, one a line",
        "interface": "the network interface that the machines are on",
        "dhcp-range": "FIRST,LAST[,TIME]: give addresses, too (default: proxy, beside the DHCP server there)",
        "http-port": "of the HTTP server beside TFTP; 0 for none",
        "verbose": "show all that the servers say",
        "output": "the folder of builds in place of build/",
    },
)
def serve(
    context: Context,
    name: str = "",
    machine: list[str] | None = None,
    machines: str = "",
    interface: str = "",
    dhcp_range: str = "",
    http_port: int = 8080,
    verbose: bool = False,
    output: str = "",
) -> None:
    """Boot machines by network, with a line for each boot, until interrupted."""
    from bootwright.cli import netboot
    from bootwright.common import paths
    from bootwright.netboot import dhcp

    with paths.outputs_in(output):
        netboot.run(name, machine or (), machines, dhcp.Options(interface, dhcp_range), http_port, verbose)


@task(
    positional=["name", "device"],
    help={
        "name": "as for image, built first if it is missing or out of date; or a file ending in .img or .iso, "
        "or such a file packed, ending in .xz or .zst",
        "device": "what to write to, as /dev/sdb, or a file; several with commas; without one they are listed",
        "medium": "disk (an image with a GPT) or iso (hybrid)",
        "yes": "do not ask for the device's model or serial number",
        "output": "the folder of builds in place of build/",
        "watch": "write to every stick that is put in from now on and that this means, as model=SanDisk*,serial=4C53*",
    },
)
def flash(
    context: Context,
    name: str = "demo",
    device: str = "",
    medium: str = "disk",
    yes: bool = False,
    watch: str = "",
    output: str = "",
) -> None:
    """Write an image to USB sticks or disks, read it back and compare."""
    from bootwright.cli import flash as cli_flash
    from bootwright.common import paths

    with paths.outputs_in(output):
        cli_flash.run(name, device, medium, yes, watch)


TASKS = (
    serve,
    flash,
)
