"""The installed command `bootwright`: the tasks of cli/tasks, through invoke's Program."""

from __future__ import annotations

from invoke.program import Program

from bootwright import __version__
from bootwright.cli import tasks


def main() -> None:
    """Run the command line; ends the process with the task's exit status."""
    Program(name="bootwright", version=__version__, namespace=tasks.namespace, binary="bootwright").run()
