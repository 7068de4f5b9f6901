"""Tasks: what helps where something does not go as it should."""

from __future__ import annotations

from invoke.context import Context

from bootwright.cli.invoke_task import task


@task(
    positional=["number"],
    help={
        "number": "of an error, as E0404; without one all are listed",
        "log": "a captured console, or - for standard input: explain what it has, with its values",
        "json": "one JSON document instead of text",
    },
)
def explain(context: Context, number: str = "", log: str = "", json: bool = False) -> None:
    """Say what an error of the stub means, what usually causes it, and what to try."""
    from bootwright.cli import explain

    explain.run(number, log, json)


TASKS = (explain,)
