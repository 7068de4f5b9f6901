"""What every task of the command line shares: how errors end it, and positional arguments with a default.

Exit statuses: 0 done, 1 an error (its sentence is on stderr), 129, 130 or 143 interrupted; `run` adds those of
qemu.Outcome.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from invoke import tasks
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.parser import ParseMachine

from bootwright.common.errors import FULL, BootwrightError, records
from bootwright.common.excerpt import marked
from bootwright.common.words import nearest

SIGNALLED = 128  # and the signal's number
INTERRUPTED = SIGNALLED + signal.SIGINT
# New objects between two searches for cycles of them: a task is short, makes many objects, and hardly a cycle.
GARBAGE_STEP = 100_000


class Task(tasks.Task[Callable[..., Any]]):
    """A task whose errors become their sentence and a status; its positional arguments may have defaults."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task. Raises Exit in place of every error that has a sentence."""
        gc.set_threshold(GARBAGE_STEP)
        # Clean-ups (temporary files, a running QEMU) are for a termination, too, and for a terminal that is closed.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, lambda number, _: sys.exit(SIGNALLED + number))
        try:
            return super().__call__(*args, **kwargs)
        except BootwrightError as error:
            if kwargs.get("json") is True:  # a program reads standard output, and gets one document whatever happens
                print(json.dumps({"errors": records(error)}, indent=2, ensure_ascii=False))
            raise Exit(marked(error), code=1) from error
        except BrokenPipeError:
            # Whoever read it has seen enough; Python would complain once more when it ends.
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
            raise Exit(code=SIGNALLED + signal.SIGPIPE) from None
        except OSError as error:
            if error.filename is None and error.errno in FULL:
                raise Exit(f"cannot be written: {error.strerror}", code=1) from error
            if error.filename is None:
                raise
            raise Exit(f"{error.filename}: {error.strerror}", code=1) from error
        except KeyboardInterrupt:
            raise Exit("interrupted", code=INTERRUPTED) from None

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The task's arguments; a positional one with a default is marked for the parser below."""
        arguments = super().get_arguments(ignore_unknown_help)
        for argument in arguments:
            if argument.positional and argument.default is not None:
                vars(argument)["fallback"] = argument.default
                argument.default = None
        return arguments


class _Fallbacks:
    """What invoke's parser lacks.

    It asks for every positional argument, takes an option for one, and lets a bad number escape.
    """

    handle = ParseMachine.handle
    complete_context = ParseMachine.complete_context

    @staticmethod
    def fill(machine: ParseMachine) -> None:
        for argument in machine.context.missing_positional_args if machine.context else ():
            argument.set_value(vars(argument).get("fallback"))

    @classmethod
    def handle_token(cls, machine: ParseMachine, token: str) -> None:
        own = machine.context and (token in machine.context.flags or token in machine.context.inverse_flags)
        if token.startswith("-") and not own and not machine.waiting_for_flag_value:
            cls.fill(machine)
        try:
            cls.handle(machine, token)
        except ParseError as error:
            known = {*machine.contexts, *(machine.context.flags if machine.context else ())}
            raise ParseError(f"{error}{nearest(token, known)}", error.context) from error
        except ValueError as error:
            name = machine.flag.name if machine.flag else token
            raise ParseError(f"{name}: {error}", machine.context) from error

    @classmethod
    def complete(cls, machine: ParseMachine) -> None:
        cls.fill(machine)
        cls.complete_context(machine)


# The state machine under the parser cannot be subclassed, so its methods are replaced.
setattr(ParseMachine, "handle", lambda machine, token: _Fallbacks.handle_token(machine, token))  # noqa: B010
setattr(ParseMachine, "complete_context", lambda machine: _Fallbacks.complete(machine))  # noqa: B010


def task(**options: Any) -> Callable[[Callable[..., Any]], Task]:
    """invoke's `@task(...)`, with the behaviour above."""
    decorate: Callable[[Callable[..., Any]], Task] = tasks.task(klass=Task, **options)
    return decorate
