"""Tasks: what helps where something does not go as it should."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

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


@task(
    help={
        "fast": "only look for programs and files: build and boot nothing",
        "json": "one JSON document instead of lines",
    },
)
def doctor(context: Context, fast: bool = False, json: bool = False) -> None:
    """Say which programs are there, what each is for, and whether building and booting work here. Status 1 if not."""
    from bootwright.cli import doctor

    raise Exit(code=0 if doctor.run(fast, json) else 1)


@task(name="completion")
def completion_(context: Context) -> None:
    """Print what a bash sources to complete tasks, options, names of images and other values."""
    from bootwright.cli import completion

    print(completion.BASH, end="")


@task(positional=["page"], help={"page": "its name, as tutorial; without one they are listed"})
def docs(context: Context, page: str = "") -> None:
    """Show a page of the documentation, which comes with bootwright."""
    from bootwright.cli import pages

    pages.show(page)


TASKS = (explain, doctor, completion_, docs)
