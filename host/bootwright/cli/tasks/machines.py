"""Tasks: machines that were probed, and what fits them."""

from __future__ import annotations

from invoke.context import Context

from bootwright.cli.invoke_task import task


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
    help={
        "name": "as for image",
        "machine": "a machine that probe stored, or a file ending in .json (default: a plain PC)",
        "json": "one JSON document instead of text",
    },
)
def plan(context: Context, name: str = "demo", machine: str = "", json: bool = False) -> None:
    """Say whether and where an image fits on a machine, and what its boot prints. Status 1 if it does not."""
    from bootwright.cli import lab

    lab.plan(name, machine, json)


@task(
    positional=["name"],
    help={
        "name": "as for image",
        "machine": "a machine that probe stored, or a file ending in .json (default: a plain PC)",
        "log": "a captured console: the memory as that boot had it; of `run --record` its times too",
        "svg": "a file to draw the memory to; with times these too, as NAME-time.svg",
        "html": "a file for one page with the drawings and tables of all regions",
        "json": "one JSON document instead of text",
    },
)
def map(
    context: Context,
    name: str = "demo",
    machine: str = "",
    log: str = "",
    svg: str = "",
    html: str = "",
    json: bool = False,
) -> None:
    """Show the machine's memory at each stage of a boot, and the time of a recorded one: as text, SVG or HTML."""
    from bootwright.cli import chart

    chart.run(name, machine, log, chart.Output(svg, html, json))


TASKS = (
    probe,
    plan,
    map,
)
