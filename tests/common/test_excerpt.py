"""The line of a file under an error, with its mark."""

from pathlib import Path

import pytest

from bootwright.common.errors import BootwrightError, DescriptionError, ErrorList, Where
from bootwright.common.excerpt import marked

TEXT = 'name = "x"\n\tcolour = 1\n' + "a" * 500 + " = here\n\x1b[2Jhidden = 1\n"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "x.toml"
    path.write_text(TEXT)
    return str(path)


def test_the_mark_stands_under_its_column(file: str) -> None:
    for line, column, under in ((1, 8, '"'), (2, 2, "c"), (3, 504, "h")):
        said, shown, mark = marked(DescriptionError("is wrong", Where(file, line, column))).split("\n")
        assert said == f"{file}:{line}:{column}: is wrong"
        assert shown[mark.index("^")] == under
        assert len(shown) < 200


def test_each_of_several_has_its_own(file: str) -> None:
    several = ErrorList([DescriptionError("one", Where(file, 1, 1)), DescriptionError("two"), BootwrightError("three")])
    assert [line.split(" ")[-1] for line in marked(several).split("\n")] == ["one", '"x"', "^", "two", "three"]


@pytest.mark.parametrize("where", [("none", 1, 1), ("", 9, 1), ("", 1, 99), ("", 4, 1), ("", 0, 0), ("", 1, None)])
def test_what_cannot_be_shown_is_left_out(file: str, where: tuple[str, int, int | None]) -> None:
    """No such file, no such line or column, what would move a terminal's cursor. Without a column, its line's begin."""
    path, line, column = where
    text = marked(DescriptionError("is wrong", Where(path or file, line, column)))
    assert text.split("\n")[0].endswith("is wrong")
    assert "\x1b" not in text
    assert ("\n" in text) == (column is None)
