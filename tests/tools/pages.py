"""All that `invoke docs` writes from the source alone; the boot in README.md needs a machine, and is readme_page's."""

from __future__ import annotations

import description_page
import errors_page
import kernel_rules
import packages_page
import partition_page
import pictures
import records_page
import stages_page
import stub_page
import syntax_files
import tasks_page
from project import ROOT

from bootwright.description import json_schema

PAGES = (
    *(description_page, errors_page, kernel_rules, packages_page, partition_page, records_page, stages_page, stub_page),
    tasks_page,
)


def write() -> None:
    """Each page and syntax file, to its place."""
    for page in PAGES:
        page.PAGE.write_text(page.render(), encoding="utf-8")
    schema = {ROOT / json_schema.FILE: json_schema.text()}
    for path, text in {**syntax_files.render(), **pictures.render(), **schema}.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
