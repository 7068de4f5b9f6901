"""The launch protocols there are. A new one is a module with a PROTOCOL, and its place in the list."""

from __future__ import annotations

from pathlib import Path

from bootwright import pvh
from bootwright.errors import KernelError
from bootwright.kernel import Kernel

PROTOCOLS = (pvh.PROTOCOL,)  # in the order in which "auto" prefers them
NAMES = tuple(protocol.name for protocol in PROTOCOLS)


def choose(wanted: str, path: Path, folder: Path) -> Kernel:
    """The kernel at `path`, entered by the protocol `wanted`, or by the first that fits for "auto".

    Raises KernelError, without the file's name in front, when none fits or `wanted` is not there yet.
    """
    if wanted not in ("auto", *NAMES):
        known = ", ".join(f'"{name}"' for name in NAMES)
        raise KernelError(
            f'cannot be entered by protocol "{wanted}", which is not there yet; there is {known}'
        )
    failures: list[str] = []
    for protocol in PROTOCOLS:
        if wanted in ("auto", protocol.name):
            try:
                return protocol.look(path, folder)
            except KernelError as error:
                failures.append(error.message)
    raise KernelError("; ".join(dict.fromkeys(failures)))
