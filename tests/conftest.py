"""What several tests share."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootwright import image, places, report

# They assert for the tests that import them.
pytest.register_assert_rewrite("booting", "firmware", "probe_machine", "worlds")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def _stub_linked_once() -> Iterator[None]:
    """The stub is the same in all tests: it is linked once for each size of tables and number of modules."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(image, "link_stub", functools.cache(image.link_stub))
        yield


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that output goes below."""
    monkeypatch.setattr(places, "root", lambda: tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> report.Built:
    """The demo's image, built once for all tests."""
    with pytest.MonkeyPatch.context() as patched:
        folder = tmp_path_factory.mktemp("demo")
        patched.setattr(places, "root", lambda: folder)
        return image.build(ROOT / "images/demo.toml", lambda stage: None)
