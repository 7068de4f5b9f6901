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
        "junit": "write a JUnit report to this file",
        "json": "one JSON document instead of lines",
    },
)
def lab(
    context: Context,
    environment: str = "lab.yaml",
    target: list[str] | None = None,
    state: str = "shell",
    junit: str = "",
    json: bool = False,
) -> None:
    """Boot all boards of a labgrid environment at once, and say what became of each. Status 1 if one failed."""
    from bootwright.cli import bench

    raise Exit(code=0 if bench.run(environment, target or (), state, junit, json) else 1)


TASKS = (lab,)
