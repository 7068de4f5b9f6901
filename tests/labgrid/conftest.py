from __future__ import annotations

import os
from collections.abc import Iterator

import bench_machine
import pytest
from bench_lab import PLACES, Lab, working


@pytest.fixture(scope="session")
def whole_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with working(tmp_path_factory.mktemp("lab")) as found:
        yield found
        for name in PLACES:
            found.client("-p", name, "release")


@pytest.fixture
def lab(whole_lab: Lab) -> Lab:
    """The lab, every board off and with an empty disk. Tags and places stay as the test before left them."""
    for name in PLACES:
        bench_machine.off(whole_lab.folder / name)
        for file in ("arguments", "bad"):
            (whole_lab.folder / name / file).unlink(missing_ok=True)
        os.truncate(whole_lab.folder / name / "disk.img", 0)
    return whole_lab
