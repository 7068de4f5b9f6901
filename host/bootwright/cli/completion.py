"""What a shell completes a command line with: tasks and options, as invoke knows them, and the values they may have.

invoke is asked with `--complete -- WORDS`, and is not told whether the last word is whole: so what may stand in its
place, and what may stand behind it, are both said, and the shell takes those that begin with what was typed.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from typing import Any

from invoke import program
from invoke.completion.complete import complete as complete_names
from invoke.exceptions import Exit
from invoke.parser.argument import Argument

BASH = """\
# In a bash: source <(./bootstrap completion)
_bootwright() { COMPREPLY=($(compgen -W "$("$1" --complete -- "${COMP_WORDS[@]}" 2>/dev/null)" -- "$2")); }
complete -o default -F _bootwright bootstrap bootwright
"""


def _images() -> Iterable[str]:
    from bootwright.common import paths

    return paths.descriptions()


def _ways() -> Iterable[str]:
    from bootwright.media import BOOT_METHODS

    return BOOT_METHODS


def _media() -> Iterable[str]:
    from bootwright.media import MEDIA

    return (*MEDIA, "all")


def _firmware() -> Iterable[str]:
    from bootwright.emulate.qemu import FIRMWARE

    return FIRMWARE


def _accelerators() -> Iterable[str]:
    from bootwright.emulate.qemu import ACCELERATORS

    return ACCELERATORS


def _machines() -> Iterable[str]:
    from bootwright.lab import report

    return (path.stem for path in report.stored())


def _numbers() -> Iterable[str]:
    from bootwright.lab import explain

    return (found.number for found in explain.all_explanations())


def _formats() -> Iterable[str]:
    from bootwright.devicetree.writer import FORMATS

    return FORMATS


# By the name of a task's argument, whichever task it is.
VALUES: dict[str, Callable[[], Iterable[str]]] = {
    "name": _images,
    "via": _ways,
    "media": _media,
    "firmware": _firmware,
    "accelerator": _accelerators,
    "machine": _machines,
    "number": _numbers,
    "format": _formats,
    "medium": _media,
    "sector": lambda: ("512", "4096"),
}


def complete(names: list[str], core: Any, initial_context: Any, collection: Any, parser: Any) -> Exit:
    """In place of invoke's: the values as well. Without them the shell completes the names of files."""
    _, _, core.remainder = core.remainder.partition(" ")  # the program, by whatever path
    words = shlex.split(core.remainder)
    context = parser.contexts.get(words[0]) if words else None
    if context is None or (len(words) == 1 and words[0] not in collection.task_names):
        return complete_names(names, core, initial_context, collection, parser)
    own, following = _arguments(context, words[1:])
    print("\n".join(value for value in _values(own) if value.startswith(words[-1]) and value != words[-1]))
    print("\n".join(_values(following)))
    if words[-1].startswith("-") and words[-1] not in context.flags:
        return complete_names(names, core, initial_context, collection, parser)
    raise Exit


def _arguments(context: Any, words: list[str]) -> tuple[Argument | None, Argument | None]:
    """The one that the last word is the value of, and the one that a further word would be for."""
    positional = iter(context.positional_args)
    own: Argument | None = None
    option: Argument | None = None
    following: Argument | None = next(positional, None)
    for word in words:
        if option is not None:
            own, option = option, None
        elif word.startswith("-"):
            flag = context.flags.get(word)
            own, option = None, flag if flag is not None and flag.takes_value else None
        else:
            own, following = following, next(positional, None)
    return own, option or following


def _values(argument: Argument | None) -> Iterable[str]:
    values = VALUES.get(argument.name or "") if argument else None
    return values() if values else ()


def install() -> None:
    """The program asks for it by this name."""
    setattr(program, "complete", complete)  # noqa: B010
