"""What `run` shows: the guest's console, and how it ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bootwright import media
from bootwright.cli import build, console, junit
from bootwright.cli.colours import Colours
from bootwright.common import paths
from bootwright.common.errors import RunError, Where
from bootwright.emulate import debug, qemu, run
from bootwright.image.built import Built

# Seconds that a run may take where nobody says; at a terminal somebody sees how it goes.
USUAL_TIMEOUT = 120.0


@dataclass(frozen=True)
class Shown:
    """What comes out beside the console, or in its place: a JUnit report; one JSON document; nothing."""

    junit: Path | None = None
    as_json: bool = False
    quiet: bool = False

    @property
    def silent(self) -> bool:
        """Whether the console is not shown."""
        return self.as_json or self.quiet


def usual_timeout(shown: Shown) -> float:
    """Seconds, where nobody says."""
    return run.LONGEST if console.is_there() and not shown.silent else USUAL_TIMEOUT


def methods(name: str) -> Mapping[str, media.BootMethod]:
    """How what `name` means can be booted: an image by all ways that there are, a file as it is."""
    return media.of_file(Path(name)) if name.endswith(media.SUFFIXES) else media.BOOT_METHODS


def profile_arguments(profile: str, via: str) -> list[str]:
    """QEMU's arguments that choose a profile. Raises RunError where the command line is another loader's."""
    if not profile:
        return []
    if via != "kernel":
        raise RunError(f"profile: by {via} it is chosen in the menu, or on the loader's own command line")
    return ["-append", f"profile={profile}"]


def _found(name: str, options: run.Options, shown: Shown) -> Built:
    """Raises RunError for what only a build has."""
    if not name.endswith(media.SUFFIXES):
        return build.current(name, build.nothing if shown.silent else None)
    if options.gdb or options.secure_boot:
        what = "gdb: the sources of" if options.gdb else "secure-boot: the certificates for"
        raise RunError(f"{what} a finished file are not known; name a description", Where(name))
    from bootwright.artifact import bootable

    return bootable.built(Path(name))


def boot(name: str, options: run.Options, shown: Shown) -> qemu.Outcome:
    """Boot an image, as build.current gives it, or a finished file; its serial console goes to standard output, and
    comes from the terminal where there is one.
    """
    at_terminal = console.is_there() and not shown.silent and not options.gdb
    built = _found(name, options, shown)
    for note in [] if shown.silent else run.notes(built):
        print(f"note: {note}", file=sys.stderr)
    if options.gdb:
        print(f"QEMU waits for a debugger: gdb -x {paths.shown(debug.write_script(built))}", file=sys.stderr)
    if at_terminal:
        print("the terminal is the serial console; Ctrl-] ends the machine", file=sys.stderr)
    show = _nothing if shown.silent else build.show
    coloured = Colours(show) if built.svm and sys.stdout.isatty() and not shown.silent else None
    with console.typing() if at_terminal else nullcontext() as keyboard:
        result = run.boot(built, replace(options, keyboard=keyboard), coloured.add if coloured else show)
        if coloured:
            coloured.end()
    if shown.junit is not None:
        junit.write(shown.junit, built.name, f"by {options.via}, {options.firmware}", result)
    if shown.as_json:
        print(json.dumps(_record(built, options, result), indent=2, ensure_ascii=False))
    elif not shown.silent:
        if result.transcript and not result.transcript.endswith("\n"):
            print()
        print(f"{result.reason} ({result.seconds:.1f} s)", file=sys.stderr)
    return result.outcome


def _nothing(text: str) -> None:
    pass


def _record(built: Built, options: run.Options, result: qemu.Result) -> dict[str, Any]:
    from bootwright.lab import explain

    found = explain.read(result.transcript)
    return {
        "image": built.name,
        "build_id": built.build_id,
        "via": options.via,
        "firmware": options.firmware,
        "outcome": result.outcome.name.lower(),
        "status": int(result.outcome),
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
        "stage": found.stage.name if found.stage else None,
        "errors": [one.number for one in found.errors],
        "transcript": result.transcript,
    }
