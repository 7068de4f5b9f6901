"""docs/description.md, made from host/bootwright/keys.py."""

from __future__ import annotations

from pathlib import Path

from bootwright import keys
from bootwright.fields import Field

PAGE = Path(__file__).parent.parent / "docs" / "description.md"

HEAD = """\
# The description

A TOML file, such as images/demo.toml. It has a table [image], one [[domain]] or more, and for Xen a table
[hypervisor]. Everything that is wrong in it is said at once, each with file, line and column. A Hyperlaunch device
tree is a description as well (docs/domain-builder.md). This page is made by `invoke docs` from
host/bootwright/keys.py; `invoke test` fails when it is out of date.
"""


def render() -> str:
    """The page. Raises KeyError for a key that nothing is said about."""
    tables = {"[image]": keys.image(), "[[domain]]": keys.domain(), "[hypervisor]": keys.hypervisor()}
    return HEAD + "".join(_table(name, fields) for name, fields in tables.items())


def _table(name: str, fields: dict[str, Field]) -> str:
    rows = [_row(key, field) for key, field in fields.items()]
    return "\n".join([f"\n## {name}\n", "| key | value | default | |", "|---|---|---|---|", *rows]) + "\n"


def _row(key: str, field: Field) -> str:
    if not (field.form and field.says):
        raise KeyError(key)
    return f"| {key} | {field.form} | {_default(field)} | {field.says} |"


def _default(field: Field) -> str:
    if field.usual:
        return field.usual
    if field.required:
        return "must be there"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, int):
        return str(field.default)
    return f'`"{field.default}"`' if field.default else "none"
