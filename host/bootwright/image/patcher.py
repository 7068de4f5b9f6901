"""LIEF in a process of its own: importing it takes as long as all else that a build does, and goes on meanwhile.

    start()                                                         # as early as can be
    image = patch_in_place(stub, tables, manifest, identity, loads)     # as elf_image does

Nothing heavy is imported here, since that process should not wait for it.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bootwright.common.errors import LinkError

_HOST = Path(__file__).resolve().parents[2]
_ONE_AT_A_TIME = threading.Lock()


def start() -> None:
    """Have LIEF imported from now on. It is there until this process ends."""
    _process()


def patch_in_place(
    stub: bytes, tables: bytes, manifest: bytes, identity: bytes, loads: Sequence[tuple[int, int, int, int]]
) -> bytes:
    """As elf_image.patch_in_place, with the fields of each elf_image.Load.

    Raises LinkError as that does, and where its process has ended.
    """
    with _ONE_AT_A_TIME:
        process = _process()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((stub, tables, manifest, identity, loads), process.stdin)
            process.stdin.flush()
            answer: bytes | str = pickle.load(process.stdout)
        except (BrokenPipeError, EOFError) as error:
            _process.cache_clear()
            raise LinkError("the process in which LIEF patches the stub has ended") from error
    if isinstance(answer, str):
        raise LinkError(answer)
    return answer


@cache
def _process() -> subprocess.Popen[bytes]:
    paths = [str(_HOST), *filter(None, [os.environ.get("PYTHONPATH")])]
    # -P: no module is taken from the working directory. A group of its own: an interrupt is for this process alone.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "bootwright.image.elf_image"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
