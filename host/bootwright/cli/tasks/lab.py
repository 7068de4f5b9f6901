"""Tasks: boards of a lab, by labgrid."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from bootwright.cli.invoke_task import task


@task(
    positional=["environment"],
    iterable=["target"],
    help={
        "environment": "a YAML file of labgrid's, whose targets have a BootwrightStrategy (docs/how-to/labgrid.md)",
        "target": "only this one; may be given again",
        "state": "booted, launched or shell: what each is to reach",
        "acquire": "acquire the boards' places, and release them in the end",
        "junit": "write a JUnit report to this file",
        "json": "one JSON document instead of lines",
    },
)
def lab(
    context: Context,
    environment: str = "lab.yaml",
    target: list[str] | None = None,
    state: str = "shell",
    acquire: bool = False,
    junit: str = "",
    json: bool = False,
) -> None:
    """Boot all boards of a labgrid environment at once, and say what became of each. Status 1 if one failed."""
    from bootwright.cli import bench

    raise Exit(code=0 if bench.run(environment, target or (), state, junit, json, acquire) else 1)


@task(
    positional=["line"],
    iterable=["expect", "fail"],
    help={
        "line": "a serial line, as /dev/ttyUSB0, at 115200 baud",
        "power": "a command that takes on, off or cycle behind it: the machine is switched when somebody listens",
        "expect": "text that the line must show; may be given again; without it the stub must launch something",
        "fail": "text that must not be shown: it ends with status 6; may be given again",
        "timeout": "seconds for all of it",
        "record": "write what the line said, with times, as an asciicast: for map --log",
        "junit": "write a JUnit report to this file",
        "json": "one JSON document in place of the line's text",
        "off": "switch the machine off in the end",
    },
)
def watch(
    context: Context,
    line: str = "",
    power: str = "",
    expect: list[str] | None = None,
    fail: list[str] | None = None,
    timeout: float = 300.0,
    record: str = "",
    junit: str = "",
    json: bool = False,
    off: bool = False,
) -> None:
    """Watch a machine on its serial line, and judge its boot. The statuses are those of run."""
    from bootwright.cli import watching

    raise Exit(code=watching.run(line, power, expect or (), fail or (), timeout, record, junit, json, off))


TASKS = (lab, watch)
