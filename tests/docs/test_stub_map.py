"""The map of the stub in docs/design.md is that of its sources."""

from __future__ import annotations

import stub_page
from project import ROOT
from stub_page import FOLDERS, REGISTRIES, homes, hooks, outward, sources

from bootwright.link import layout


def test_the_page_is_up_to_date() -> None:
    assert stub_page.PAGE.read_text(encoding="utf-8") == stub_page.render(), "run: invoke docs"


def test_every_file_that_is_linked_is_on_the_map() -> None:
    linked = {name for names in layout.load("stub").files.values() for name in names}
    assert linked == set(sources())
    assert {path.name for path in (ROOT / "stub").iterdir() if path.is_dir()} == {
        *FOLDERS,
        "abi",
        "kernels",
        "partition",
    }


def test_a_name_of_the_whole_link_is_in_one_file() -> None:
    named = [name for source in sources().values() for name in source.exported]
    assert len(set(named)) == len(named) == len(homes())


def test_every_registry_is_filled_and_walked() -> None:
    """Those sections of the layout that code walks from its start on, but for what it only measures."""
    for registry in REGISTRIES:
        assert any(registry in source.registers for source in sources().values())
        assert any(registry in source.walks for source in sources().values())


def test_every_hook_is_set_by_somebody() -> None:
    assert hooks() and all(called and put for called, put in hooks().values())


def test_the_stages_of_a_boot_are_found_in_their_order() -> None:
    stages = outward("main")
    wanted = ["console_start", "find_tables", "normalise_memory", "find_modules", "builder_init"]
    assert [name for name in stages if name in wanted] == wanted
    assert "sha256" in outward("find_modules")
