"""What bootwright needs of other packages: programs that it calls and files that it copies, each declared once.

    class Dtc(Tool):
        name, package, does = "dtc", "device-tree-compiler", "reads device tree source"

        def blob(self, path: Path) -> bytes:
            return self.run("-O", "dtb", path)

    DTC = Dtc()
    DTC.version()               # "1.6.1"

Whatever is called has no standard input, speaks English, may take so long and no longer, and is in a process group of
its own, of which nothing goes on when the call has ended: by itself, by a time-out, an error or an interruption. The
list of all is in cli/tools.py.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from bootwright.common.errors import ToolError

Process = subprocess.Popen[bytes]
PIPE, QUIET = subprocess.PIPE, subprocess.DEVNULL

_VERSION_TIMEOUT = 20.0
_GRACE = 5.0  # seconds between being asked to end and being killed


@dataclass(frozen=True)
class Done:
    """How a program ended: its status, that of a signal negative, and what it wrote."""

    status: int
    stdout: bytes
    stderr: bytes


class Needed(ABC):
    """Something of another package.

    name: what sentences call it, and of a program the name that it is called by; package: Debian's; does: what it is
    for, as "reads device tree source"; optional: every command can do its work without it.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    does: ClassVar[str]
    optional: ClassVar[bool] = False

    @abstractmethod
    def is_installed(self) -> bool:
        """Whether it is there."""

    def missing(self) -> str:
        """The sentence where it is not."""
        return f"{self.name}, which {self.does}, is not installed; it is in the package {self.package}"


class Files(Needed):
    """Files of another package. folders: where they may lie; files: names that all have to be in one of these."""

    folders: Sequence[Path]
    files: Sequence[str]

    def is_installed(self) -> bool:
        """Whether all of them are there."""
        return self._folder() is not None

    def folder(self) -> Path:
        """The folder that has them. Raises ToolError."""
        found = self._folder()
        if found is None:
            raise ToolError(self.missing())
        return found

    def _folder(self) -> Path | None:
        return next((one for one in self.folders if all((one / file).is_file() for file in self.files)), None)


@contextmanager
def started(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    temporary: Path | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    stdin: int = QUIET,
) -> Iterator[Process]:
    """Start a program, for as long as the block runs; command: its path, and arguments; stdin: nothing, or PIPE.

    Where nothing else is said it writes where this process writes. On leaving, whatever of it still runs is ended.
    Raises ToolError where it cannot be started.
    """
    environment = {**os.environ, "LC_ALL": "C", **({"TMPDIR": str(temporary)} if temporary else {})}
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            process_group=0,
        )
    except OSError as error:
        raise ToolError(f"{command[0]}: cannot be started: {error.strerror}") from error
    try:
        yield process
    finally:
        _end(process)


def _end(process: Process) -> None:
    """End a process that nobody has waited for, and what it has started: first it is asked to, then killed."""
    try:
        if process.returncode is None:  # so its number is still its own
            try:
                _signal(process, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE)
            finally:
                # Some of its children may not have done as they were asked; they hold the group's number.
                _signal(process, signal.SIGKILL)
                process.wait()
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _signal(process: Process, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


class Tool(Needed):
    """A program. A class for each: a method for each use, whose result is what the use is for.

    more_folders: where else it may be than in PATH, in the form of PATH; timeout: seconds that a call may take;
    version_option: makes it say its version; version_form: finds it in that, as its group.
    """

    more_folders: ClassVar[str] = ""
    timeout: ClassVar[float] = 600.0
    version_option: ClassVar[str] = "--version"
    version_form: ClassVar[str] = r"(\d+\.\d[^\s,()]*)"
    start = staticmethod(started)

    def is_installed(self) -> bool:
        """Whether it is in PATH, or where else it may be."""
        return self._found() is not None

    def path(self) -> str:
        """Where the program is. Raises ToolError where it is nowhere."""
        found = self._found()
        if found is None:
            raise ToolError(self.missing())
        return os.path.abspath(found)  # it may be started in another folder

    def version(self) -> str:
        """Its version, as the program itself says it. Raises ToolError."""
        done = self.attempt(self.version_option, timeout=_VERSION_TIMEOUT)
        found = re.search(self.version_form, _text(done.stdout) or _text(done.stderr), re.MULTILINE)
        if found is None:
            raise ToolError(f"{self.name} {self.version_option}: says no version")
        return found[1]

    def run(self, *arguments: str | Path, folder: Path | None = None, temporary: Path | None = None) -> bytes:
        """Run it to its end in `folder`; gives what it wrote to standard output. temporary: a folder for its own files
        of the moment, which it leaves there when it is interrupted.

        Raises ToolError where it is missing or fails; errors.about says what it was called for.
        """
        done = self.attempt(*arguments, folder=folder, temporary=temporary)
        if done.status:
            raise ToolError(self.failure(done))
        return done.stdout

    def attempt(
        self,
        *arguments: str | Path,
        folder: Path | None = None,
        temporary: Path | None = None,
        timeout: float | None = None,
    ) -> Done:
        """As run, for who understands more of a failure: a status other than 0 is no error."""
        limit = self.timeout if timeout is None else timeout
        command = [self.path(), *map(str, arguments)]
        with started(command, folder=folder, temporary=temporary, stdout=PIPE, stderr=PIPE) as process:
            try:
                stdout, stderr = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                raise ToolError(f"{self.name} did not end within {limit:g} s") from None
        return Done(process.returncode, stdout, stderr)

    def failure(self, done: Done) -> str:
        """The sentence about a call that failed: how, and what the program said last."""
        how = f"failed with status {done.status}" if done.status >= 0 else f"was ended by signal {-done.status}"
        return f"{self.name} {how}: {self.last_words(_text(done.stderr))}"

    def last_words(self, said: str) -> str:
        """What of its messages says why it failed."""
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return lines[-1] if lines else "and said nothing"

    def _found(self) -> str | None:
        return shutil.which(self.name) or shutil.which(self.name, path=self.more_folders)


def _text(said: bytes) -> str:
    return said.decode("utf-8", "replace").strip()
