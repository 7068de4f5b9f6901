"""Devices being written to, several at once: bars with rates, a line when one is done."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootwright.common import paths
from bootwright.common.ranges import MIB
from bootwright.flash import write
from bootwright.flash.target import Target


@dataclass(frozen=True)
class Job:
    """A file, its size in bytes when it is unpacked, and where it goes."""

    file: Path
    size: int
    to: Target

    def write(self, step: write.Progress) -> str:
        """Do it, and say what was done. Raises BootwrightError."""
        figures = write.write(self.file, self.to, step, lambda said: print(said, file=sys.stderr), self.size)
        return summary(self.file, self.to, figures)


class Writers:
    """Threads that write, a device each. Left early, as by an interruption, they end as an interrupted one does."""

    def __init__(self, step: write.Progress) -> None:
        self._step = step
        self._ended = threading.Event()
        self._done: queue.Queue[str | BaseException] = queue.Queue()
        self._threads: list[threading.Thread] = []

    def start(self, job: Job) -> None:
        """Begin with a device."""
        self._threads.append(threading.Thread(target=self._run, args=[job]))
        self._threads[-1].start()

    def _run(self, job: Job) -> None:
        def step(what: str, done: int, total: int) -> None:
            if self._ended.is_set():
                raise KeyboardInterrupt
            self._step(f"{job.to.path}: {what}", done, total)

        try:
            self._done.put(job.write(step))
        except BaseException as error:
            self._done.put(error)

    def results(self) -> Iterator[str | BaseException]:
        """What each said, or failed with, as they end."""
        for _ in self._threads:
            yield self._done.get()

    def ready(self) -> Iterator[str | BaseException]:
        """Those that have ended since it was asked last."""
        while not self._done.empty():
            yield self._done.get()

    def __enter__(self) -> Writers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._ended.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def shown() -> Iterator[write.Progress]:
    """A callback for flash.write: bars with rates on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress("{task.description}", *columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield step


def summary(file: Path, target: Target, figures: write.Figures) -> str:
    """The line that says what was done, and at what rate."""

    def rate(seconds: float) -> str:
        return f"{figures.size / MIB / max(seconds, 1e-3):.1f} MiB/s"

    return (
        f"{paths.shown(file)} is on {target.path}: {figures.size:,} bytes "
        f"written in {figures.writing:.1f} s ({rate(figures.writing)}), "
        f"read back in {figures.reading:.1f} s ({rate(figures.reading)}), equal"
    )
