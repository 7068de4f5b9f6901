"""Which instructions of the stub no test executes: `invoke test --coverage` runs all tests under Unicorn in its own
process, with a hook on every machine.

An instruction that ran elsewhere counts: code that was moved is known by its bytes, once a part of it that is like
no other has run there.
"""

from __future__ import annotations

import linecache
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import unicorn
from machine import Machine, stub

from bootwright.link import LinkedInstruction

TESTS = Path(__file__).parent
TELLING = 12  # bytes of code that may say where they are from


class Executed:
    """The link addresses of all bytes of the stub's code that ran."""

    def __init__(self) -> None:
        self.addresses: set[int] = set()
        self._base = min(found.address for found in stub().instructions)
        end = max(found.address + len(found.data) for found in stub().instructions)
        self._code = bytearray(end - self._base)
        for found in stub().instructions:
            start = found.address - self._base
            self._code[start : start + len(found.data)] = found.data

    def watch(self, machine: Machine) -> None:
        """From now on, whatever the machine executes."""
        seen: set[tuple[int, int]] = set()
        distances = [0]  # from where code was linked to where it ran

        def on_block(uc: unicorn.Uc, address: int, size: int, data: object) -> None:
            if (address, size) in seen:
                return
            seen.add((address, size))
            block = bytes(uc.mem_read(address, size))
            if size >= TELLING and self._code.count(block) == 1:
                distances.append(address - self._base - self._code.find(block))
            for distance in distances:
                start = address - distance - self._base
                if start >= 0 and self._code[start : start + size] == block:
                    self.addresses.update(range(address - distance, address - distance + size))
                    return

        machine.uc.hook_add(unicorn.UC_HOOK_BLOCK, on_block)


def main() -> int:
    """Runs the tests, prints what is left; gives pytest's exit status."""
    executed = Executed()
    start = Machine.__init__

    def watched(machine: Machine, *arguments: Any, **keywords: Any) -> None:
        start(machine, *arguments, **keywords)
        executed.watch(machine)

    uses = re.compile(r"^(from|import) machine\b", re.MULTILINE)
    tests = [str(path) for path in sorted(TESTS.glob("test_*.py")) if uses.search(path.read_text())]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Machine, "__init__", watched)
        status = pytest.main(["-q", *tests])
    _report([found for found in stub().instructions if found.address not in executed.addresses])
    return int(status)


def _report(left: list[LinkedInstruction]) -> None:
    print(f"{len(left)} of the stub's {len(stub().instructions)} instructions were never executed")
    for path, count in sorted(Counter(found.line.where.path for found in left).items()):
        print(f"{path}: {count}")
        for line in sorted({found.line.where.line for found in left if found.line.where.path == path}):
            print(f"  {path}:{line}: {linecache.getline(str(TESTS.parent / path), line).strip()}")
