"""What several tests share."""

from pathlib import Path

import pytest
from project import ROOT

from bootwright.common import paths
from bootwright.image import build, built

# They assert for the tests that import them.
pytest.register_assert_rewrite("booting", "comparing", "firmware", "probe_machine", "worlds")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that output goes below."""
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> built.Built:
    """The demo's image, built once for all tests."""
    with pytest.MonkeyPatch.context() as patched:
        folder = tmp_path_factory.mktemp("demo")
        patched.setattr(paths, "root", lambda: folder)
        return build.build(ROOT / "images/demo.toml", lambda stage: None)
