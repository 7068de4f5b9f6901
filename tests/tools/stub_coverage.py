"""What of the stub no test executes: `invoke test --coverage` runs all tests under Unicorn in its own process, with a
hook on every machine, and lists the instructions that never ran and the branches that went one way only.

Code that ran elsewhere counts: it is known by its bytes, once a part of it that is like no other has run there.
"""

from __future__ import annotations

import linecache
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import unicorn
from machine import Machine, stub
from project import TESTS

from bootwright.link.linked import LinkedInstruction

TELLING = 12  # bytes of code that may say where they are from


class Executed:
    """bytes: the link addresses of all that ran; ways: of where a block ended, whether the next ran."""

    def __init__(self) -> None:
        self.bytes: set[int] = set()
        self.ways: set[tuple[int, bool]] = set()
        self._base = min(found.address for found in stub().instructions)
        end = max(_end(found) for found in stub().instructions)
        self._code = bytearray(end - self._base)
        for found in stub().instructions:
            self._code[found.address - self._base : _end(found) - self._base] = found.data

    def watch(self, machine: Machine) -> None:
        """From now on, whatever the machine executes."""
        known: dict[tuple[int, int], int] = {}
        distances = {0}  # from where code was linked to where it ran
        last = 0  # the end of the block before

        def link_address(address: int, size: int) -> int:
            block = bytes(machine.uc.mem_read(address, size))
            if size >= TELLING and self._code.count(block) == 1:
                distances.add(address - self._base - self._code.find(block))
            for distance in distances:
                start = address - distance - self._base
                if start >= 0 and self._code[start : start + size] == block:
                    self.bytes.update(range(address - distance, address - distance + size))
                    return address - distance
            return 0  # a kernel, or what a test put there

        def on_block(uc: unicorn.Uc, address: int, size: int, data: object) -> None:
            nonlocal last
            if (address, size) not in known:
                known[address, size] = link_address(address, size)
            start = known[address, size]
            self.ways.add((last, start == last))
            last = start + size if start else 0

        machine.uc.hook_add(unicorn.UC_HOOK_BLOCK, on_block)

    def left(self) -> Iterator[tuple[LinkedInstruction, str]]:
        """Instructions that never ran, and branches that went one way only."""
        for found in stub().instructions:
            if found.address not in self.bytes:
                yield found, "never executed"
            elif re.match(r"\s*j(?!mp)", found.line.text):
                if (_end(found), False) not in self.ways:
                    yield found, "never taken"
                if (_end(found), True) not in self.ways:
                    yield found, "always taken"


def _end(found: LinkedInstruction) -> int:
    return found.address + len(found.data)


def main() -> int:
    """Runs the tests, prints what is left; gives pytest's exit status."""
    executed = Executed()
    start = Machine.__init__

    def watched(machine: Machine, *arguments: Any, **keywords: Any) -> None:
        start(machine, *arguments, **keywords)
        executed.watch(machine)

    uses = re.compile(r"^(from|import) (booting|firmware|machine|worlds)\b", re.MULTILINE)
    tests = [str(path) for path in sorted(TESTS.rglob("test_*.py")) if uses.search(path.read_text())]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Machine, "__init__", watched)
        status = pytest.main(["-q", *tests])
    left = list(executed.left())
    for path, count in sorted(Counter(found.line.where.path for found, _ in left).items()):
        print(f"{path}: {count}")
        for line, what in sorted({(f.line.where.line, what) for f, what in left if f.line.where.path == path}):
            print(f"  {path}:{line}: {what}: {linecache.getline(str(TESTS.parent / path), line).strip()}")
    never = sum(what == "never executed" for _, what in left)
    print(f"of {len(stub().instructions)} instructions {never} never ran, {len(left) - never} branches went one way")
    return int(status)
