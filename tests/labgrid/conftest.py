from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench_lab import PLACES, Lab, working


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with working(tmp_path_factory.mktemp("lab")) as found:
        yield found
        for name in PLACES:
            found.client("-p", name, "release")
