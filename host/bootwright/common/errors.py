"""Every error a user can meet: one sentence, `where: subject: value broke rule`, with its data.

Library code raises these; only the command line prints them and chooses an exit status.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

# What a write says where there is no room: the disk, a quota, a limit on the size of a file.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class Where:
    """A place in a file: 1-based line and column, each None where it is not known."""

    path: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [self.path, *(str(part) for part in (self.line, self.column) if part is not None)]
        return ":".join(parts)


class BootwrightError(Exception):
    """A sentence for a person. `str()` is "where: message", or the message alone without a place."""

    def __init__(self, message: str, where: Where | None = None) -> None:
        super().__init__(message, where)
        self.message = message
        self.where = where

    def __str__(self) -> str:
        return self.message if self.where is None else f"{self.where}: {self.message}"


class DescriptionError(BootwrightError):
    """The description says something that cannot be."""


class PlanError(BootwrightError):
    """What the description asks for does not fit together, or into the machine."""


class KernelError(BootwrightError):
    """A file is not a kernel that can be booted as asked."""


class SourceError(BootwrightError):
    """A file that is needed is missing, unreadable or malformed."""


class AssemblyError(BootwrightError):
    """Assembly source is wrong, or did not assemble to what was written."""


class LinkError(BootwrightError):
    """Objects do not fit together, or into their layout."""


class VerifyError(BootwrightError):
    """A written image does not read back as planned."""


class RunError(BootwrightError):
    """A machine did not do what was expected of it."""


class ToolError(BootwrightError):
    """A program that bootwright calls is missing or failed."""


class DeviceError(BootwrightError):
    """A device is not one to write to, or failed while it was written or read."""


class ErrorList(BootwrightError):
    """Several errors found in one go; `str()` is one line for each. Lists given are flattened."""

    def __init__(self, errors: Iterable[BootwrightError]) -> None:
        flat: list[BootwrightError] = []
        for error in errors:
            flat.extend(error.errors if isinstance(error, ErrorList) else (error,))
        self.errors: tuple[BootwrightError, ...] = tuple(flat)
        super().__init__("\n".join(str(error) for error in self.errors))


def records(error: BootwrightError) -> list[dict[str, str | int | None]]:
    """Each of its errors for programs: file, line and column, None where they are not known, and the message."""
    errors = error.errors if isinstance(error, ErrorList) else (error,)
    places = [(one, one.where or Where("")) for one in errors]
    return [
        {"file": where.path or None, "line": where.line, "column": where.column, "message": one.message}
        for one, where in places
    ]


def one_or_all(errors: Sequence[BootwrightError]) -> BootwrightError:
    """The error to raise for a list of one or more."""
    return errors[0] if len(errors) == 1 else ErrorList(errors)


@contextmanager
def about(subject: str, where: Where | None = None, joint: str = ": ") -> Iterator[None]:
    """What is raised inside is about `subject`: that goes in front of its sentence, and `where` is its place if it has
    none. Of several, as an ErrorList has them, each gets both. joint: " " where the sentences tell what the subject
    does ("is empty").

    So an inner place stands, and inner subjects come behind outer ones. No subject is put where it stands already.
    """
    try:
        yield
    except ErrorList as found:
        raise ErrorList(_about(error, subject, where, joint) for error in found.errors) from found
    except BootwrightError as error:
        raise _about(error, subject, where, joint) from error


def _about(error: BootwrightError, subject: str, where: Where | None, joint: str) -> BootwrightError:
    lead = f"{subject}{joint}" if subject else ""
    message = error.message if error.message.startswith(lead) else f"{lead}{error.message}"
    return type(error)(message, error.where or where)


def why(error: Exception) -> str:
    """Why a file could not be had, in the words of the system; in Python's, where it was not asked."""
    return getattr(error, "strerror", None) or str(error)


def counted(count: int, what: str) -> str:
    """A number of things: "1 byte", "2 bytes"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def listed(words: Sequence[str]) -> str:
    """Words as a sentence has them: "a", "a and b", "a, b and c"."""
    *most, last = words or ("nothing",)
    return f"{', '.join(most)} and {last}" if most else last


def is_or_are(things: Sequence[object]) -> str:
    """The verb for so many."""
    return "is" if len(things) == 1 else "are"


def format_range(start: int, end: int) -> str:
    """A half-open range of addresses as people read it: "[0x100000, 0x200000)"."""
    return f"[{start:#x}, {end:#x})"
