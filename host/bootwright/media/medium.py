"""What a medium is: something made from a built image that a machine boots from."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootwright.errors import ToolError
from bootwright.report import Built


@dataclass(frozen=True)
class Medium:
    """A way to boot an image.

    make(built, firmware) writes what is needed beside the image and returns QEMU's arguments to boot from
    it, file names relative to the image's directory. It raises ToolError for a program that is missing or
    fails. firmware: those it boots on.
    """

    name: str
    firmware: frozenset[str]
    make: Callable[[Built, str], list[str]]


def call(command: Sequence[str], packages: Mapping[str, str], directory: Path) -> None:
    """Run a program in `directory`; packages names the Debian package of each program that it may need.

    Raises ToolError when one of them is missing, or when the program fails, with what it said last.
    """
    for program, package in packages.items():
        if shutil.which(program) is None:
            raise ToolError(f"{program} is not installed; it is in the package {package}")
    done = subprocess.run(command, cwd=directory, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["and said nothing"]
        raise ToolError(f"{command[0]}: failed with status {done.returncode}: {said[-1]}")
