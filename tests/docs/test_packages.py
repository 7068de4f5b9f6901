"""The packages of host/bootwright: each says what it is and what it may import, and imports nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

import packages_page
import pytest
from packages_page import ORDER, arrows, imported, modules, said


def allowed(package: str) -> Sequence[str]:
    """What a package says that it may import."""
    found = re.search(r"^May import: (.*?)\.$", said(package), re.MULTILINE | re.DOTALL)
    assert found, f"{package}/__init__.py has no line May import:"
    if found[1] == "everything":  # only the command line
        return arrows(package) if package == ORDER[-1] else []
    return [] if found[1] == "nothing of bootwright" else re.findall(r"\w+", found[1])


def test_every_package_has_its_place() -> None:
    folders = {path.parent.name for path in packages_page.PACKAGE.glob("*/__init__.py")}
    assert folders == set(ORDER)
    loose = {path.name for path in packages_page.PACKAGE.glob("*.py")}
    assert loose == {"__init__.py"}, "a module stands in a package"


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_what_it_says_and_only_what_stands_before_it(package: str) -> None:
    assert set(arrows(package)) == set(allowed(package))
    assert set(allowed(package)) <= set(ORDER[: ORDER.index(package)])


@pytest.mark.parametrize("package", ORDER)
def test_a_package_names_its_modules(package: str) -> None:
    named = re.findall(r"^    ((?:\w+, )*\w+) {2,}\S", said(package), re.MULTILINE)
    assert sorted(name for group in named for name in group.split(", ")) == sorted(
        name for name in modules(package) if name
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from bootwright import __version__", []),
        ("from bootwright import media", ["media"]),
        ("from bootwright.common.errors import Where", ["common"]),
        ("import bootwright.media.gpt", ["media"]),
        ("def later():\n    from bootwright.cli.tasks import build", ["cli"]),
        ("if TYPE_CHECKING:\n    from bootwright.asm import assemble", ["asm"]),
    ],
)
def test_imports_are_found_in_every_form(text: str, found: list[str]) -> None:
    assert list(imported(ast.parse(text))) == found


def test_the_page_is_up_to_date() -> None:
    assert packages_page.PAGE.read_text(encoding="utf-8") == packages_page.render(), "run: invoke docs"
