"""docs/description.md, made from host/bootwright/description/schema.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markdown_table import table
from project import ROOT

from bootwright.description import consoles, load, schema
from bootwright.description.readers import Field

PAGE = ROOT / "docs" / "description.md"

HEAD = """\
# The description

A TOML file, such as images/demo.toml. It has a table [image], one [[domain]] or more, for Xen a table [hypervisor], and
for partitions that share memory a [[shared]] each; a [[profile]] for each further way to start the image
(docs/how-to/profiles.md). Everything that is wrong in it is said at once, each with file, line
and column. A Hyperlaunch device tree is a description as well (docs/domain-builder.md). This page is made by
`invoke docs` from host/bootwright/description/schema.py; `invoke test` fails when it is out of date.
"""

CONSOLE_HEAD = """
## {console}

The word `{console}` in a command line, or in the string of a module in `modules`, stands for what makes its reader use
the consoles of [image]: Xen in front of ` -- ` in [hypervisor], the initial domain behind it, a domain's kernel in
[[domain]], which is taken to be Linux or to understand the same words. Where a serial port and the screen are named
both are used, and Linux's /dev/console is the serial port. Other braces, and `{console}` as a part of a word, are left
as they are. Where a command line of Linux or Xen names no console though the image has a serial one, a note says so.
"""
CONSOLES = (
    '["com1,115200", "vga"]',
    '["com1,115200"]',
    '["com2,9600"]',
    '["com3,115200"]',
    '["0x2f0,115200"]',
    '["vga"]',
)
ALONE = '[[domain]]\nname = "dom0"\nmemory = "64M"\nkernel = "vmlinuz"\n'


def render() -> str:
    """The page. Raises KeyError for a key that nothing is said about."""
    tables = {
        "[image]": schema.image(),
        "[[domain]]": schema.domain(),
        "[hypervisor]": schema.hypervisor(),
        "[[shared]]": schema.shared(),
        "[[profile]]": schema.profile(),
    }
    return HEAD + "".join(_table(name, fields) for name, fields in tables.items()) + _consoles()


def _table(name: str, fields: dict[str, Field]) -> str:
    rows = [_row(key, field) for key, field in fields.items()]
    return f"\n## {name}\n\n" + table(("key", "value", "default", ""), rows)


def _consoles() -> str:
    """What {console} becomes, for consoles of every kind."""
    rows = []
    for written in CONSOLES:
        console = load.parse(f"[image]\nconsole = {written}\n{ALONE}", Path("x.toml")).image.console
        rows.append([f"`{written}`", *(f"`{told(console)}`" for told in consoles.READERS.values())])
    return f"{CONSOLE_HEAD}\n" + table(["`console`", *consoles.READERS], rows)


def _row(key: str, field: Field) -> Sequence[str]:
    if not (field.form and field.says):
        raise KeyError(key)
    return key, field.form, _default(field), field.says


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
