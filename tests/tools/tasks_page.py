"""docs/tasks.md, made from the tasks themselves: what each does, and its options."""

from __future__ import annotations

from collections.abc import Iterator

from invoke.parser.argument import Argument
from markdown_table import table
from project import ROOT

from bootwright.cli import tasks
from bootwright.cli.invoke_task import Task

PAGE = ROOT / "docs" / "tasks.md"

HEAD = """\
# The tasks

`./bootstrap TASK` in a checkout, `bootwright TASK` where it is installed; `--list` names them, `--help TASK` says what
stands here. Exit statuses: 0 done, 1 an error (its sentence is on standard error), 129, 130 or 143 interrupted; `run`
adds 3 the stub stopped with an error, 4 the time was over, 5 QEMU ended before, 6 what `--fail` names was shown. This
page is made by `invoke docs` from host/bootwright/cli/tasks; a checkout has `test`, and another `docs`, besides.
"""


def render() -> str:
    """The page, the tasks in the order of their rooms."""
    return HEAD + "".join("".join(_task(task)) for room in tasks.ROOMS for task in room.TASKS)


def _task(task: Task) -> Iterator[str]:
    arguments = task.get_arguments()
    positional = " ".join(str(one.name).upper() for one in arguments if one.positional)
    yield f"\n## {task.name} {positional}".rstrip() + "\n\n" + " ".join((task.__doc__ or "").split()) + "\n"
    if arguments:
        yield "\n" + table(("argument", "", "default"), [_row(one) for one in arguments])


def _row(one: Argument) -> tuple[str, str, str]:
    name = str(one.name) if one.positional else f"--{str(one.name).replace('_', '-')}"
    default = vars(one).get("fallback", one.default)
    said = "" if default in (None, "", False, []) or one.kind is bool else f"`{default}`"
    return f"`{name}`", (one.help or "").replace("|", "\\|"), said
