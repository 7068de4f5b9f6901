"""The boot that the README shows is the boot there is, with every address, size and checksum in it."""

import pytest
import readme_page

from bootwright.image import built


@pytest.mark.slow
def test_the_boot_in_the_readme(demo: built.Built) -> None:
    found = readme_page.transcript(demo)
    assert found.endswith("demo: powering off\n"), found
    assert demo.build_id[:8] in readme_page.shown(found)[0]
    expected = readme_page.page(found)
    assert readme_page.PAGE.read_text(encoding="utf-8") == expected, "`./bootstrap docs` writes it anew"
