"""The pages that are made from the source say what the source says."""

from __future__ import annotations

import description_page
import errors_page

from bootwright import abi


def test_every_error_of_the_stub_is_provoked_by_a_test() -> None:
    assert {error.name for error in abi.load().errors} == set(errors_page.provoked())


def test_the_error_page_is_up_to_date() -> None:
    assert errors_page.PAGE.read_text(encoding="utf-8") == errors_page.render(), "run: invoke docs"


def test_the_description_page_is_up_to_date() -> None:
    assert description_page.PAGE.read_text(encoding="utf-8") == description_page.render(), "run: invoke docs"
