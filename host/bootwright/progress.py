"""What building and running an image show: progress on a terminal, in a pipe only what came out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bootwright import image, places, qemu, report, run


@contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """A callback that shows what is being done, on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda stage: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update


def build(name: str) -> report.Built:
    """Build the image of a description (as in places.description) and say what came out."""
    started = time.monotonic()
    with stages() as stage:
        done = image.build(places.description(name), stage)
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    outputs = [f"{places.shown(done.elf)} ({done.elf.stat().st_size:,} bytes)"]
    outputs += [done.elf.with_suffix(suffix).name for suffix in (".map", ".json", ".lst")]
    seconds = time.monotonic() - started
    print(f"{', '.join(outputs)} in {seconds:.1f} s; stub code and read-only data: {done.stub_size} bytes")
    return done


def boot(name: str, options: run.Options) -> qemu.Outcome:
    """Boot an image, built first where it has not been; its serial console goes to standard output."""
    path = image.map_path(places.description(name))
    if path.exists():
        built = report.load(path)
    else:
        print(f"{places.shown(path)} is not there yet: building {name}", file=sys.stderr)
        built = build(name)
    result = run.boot(built, options, show)
    if result.transcript and not result.transcript.endswith("\n"):
        print()
    print(f"{result.reason} ({result.seconds:.1f} s)", file=sys.stderr)
    return result.outcome


def show(text: str) -> None:
    """Print the guest's text as it comes."""
    sys.stdout.write(text)
    sys.stdout.flush()
