"""Which protocol a kernel is entered by."""

from __future__ import annotations

from pathlib import Path

import pytest
import samples

from bootwright import protocols
from bootwright.errors import KernelError
from bootwright.ranges import Range


@pytest.mark.parametrize("wanted", ["auto", "pvh"])
@pytest.mark.parametrize("name", ["good.elf", "good32.elf", "good.bz"])
def test_pvh(wanted: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(samples.kernels()[name])
    found = protocols.choose(wanted, path, tmp_path)
    assert (found.protocol, found.entry, found.span) == ("pvh", 0x400000, Range(0x400000, 0x400040))
    assert found.size == found.path.stat().st_size
    assert (found.path == path) == name.endswith("elf")


def test_a_protocol_that_is_not_there_yet(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match='protocol "linux", which is not there yet; there is "pvh"'):
        protocols.choose("linux", tmp_path / "good.elf", tmp_path)
