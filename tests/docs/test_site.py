"""docs/ as a site, and as it comes with the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import records_page
import stages_page
import tasks_page
import yaml
from project import ROOT

from bootwright.cli import pages
from bootwright.common.errors import SourceError

DOCS = ROOT / "docs"


@pytest.mark.parametrize("page", [records_page, stages_page, tasks_page], ids=lambda page: page.__name__)
def test_a_page_from_the_source_is_up_to_date(page: object) -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render(), "run: invoke docs"  # type: ignore[attr-defined]


def test_every_page_is_in_the_contents_once() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    def named(entries: object) -> list[str]:
        if isinstance(entries, str):
            return [entries]
        values = entries.values() if isinstance(entries, dict) else entries
        return [name for value in values for name in named(value)]  # type: ignore[attr-defined]

    assert sorted(named(config["nav"])) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_the_site_is_built_with_right_links_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    """mkdocs checks links and anchors; a browser that opens it needs no network."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {
        "NO_MKDOCS_2_WARNING": "1",
        "http_proxy": "http://0.0.0.0:9",
        "https_proxy": "http://0.0.0.0:9",
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    made = sorted((tmp_path / "site").rglob("*.html"))
    assert len(made) > len(list(DOCS.rglob("*.md")))
    for path in made:
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="(https?:[^"]+)"', text)
        assert not [address for address in loaded if "canonical" not in address], path
    assert 'href="../media.html"' in (tmp_path / "site/how-to/secure-boot.html").read_text(encoding="utf-8")


def test_the_pages_come_with_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    pages.show("")
    listed = capsys.readouterr().out
    assert all(path.stem in listed for path in DOCS.rglob("*.md"))
    pages.show("dark-machine")
    assert capsys.readouterr().out == (DOCS / "how-to/dark-machine.md").read_text(encoding="utf-8")
    with pytest.raises(SourceError, match='did you mean "tutorial"'):
        pages.show("tutorail")
