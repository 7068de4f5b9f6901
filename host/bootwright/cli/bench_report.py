"""What became of boards of a lab: lines as it comes, a table, and reports for CI and for people."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bootwright.cli.junit import plain
from bootwright.common.columns import aligned
from bootwright.common.errors import counted

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1120px; padding: 0 1em }
table { border-collapse: collapse } td, th { padding: 0.15em 0.8em; border-bottom: 1px solid #8884; text-align: left }
pre { overflow-x: auto; padding: 0.5em; border: 1px solid #8884 }
.failed { color: #d33 }
"""


@contextmanager
def shown(names: Sequence[str], live: bool) -> Iterator[Callable[[str, str, bool], None]]:
    """Gives what shows a board's step, or its end: on a terminal a table that is kept, else a line for each end.

    live: whether anything is shown at all.
    """
    if not live or not sys.stdout.isatty():
        yield lambda name, said, ended: print(said, flush=True) if live and ended else None
        return
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    steps = dict.fromkeys(names, "waiting")

    def drawn() -> Table:
        table = Table.grid(padding=(0, 2))
        for name, said in steps.items():
            table.add_row(name, Text(said))  # no markup: it may be what a board said
        return table

    with Live(drawn(), auto_refresh=False) as screen:

        def show(name: str, said: str, ended: bool) -> None:
            steps[name] = said.removeprefix(f"{name}: ") if ended else said
            screen.update(drawn(), refresh=True)

        yield show


def line(one: Mapping[str, Any]) -> str:
    """A board's end in one line."""
    return f"{one['target']}: {_verdict(one)} ({one['seconds']:.1f} s){': ' + one['error'] if one['error'] else ''}"


def _verdict(one: Mapping[str, Any]) -> str:
    return "failed" if one["error"] else str(one["reached"])


def table(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """All boards, a row each, and below what differs from their plans."""
    rows = [("target", "verdict", "error", "last stage", "s", "of the plan")]
    for one in found:
        rows.append((*_cells(one), _of_plan(one)))
    wrong = sum(1 for one in found if one["error"])
    differing = [f"{one['target']}: {said}" for one in found for said in one["differences"]]
    return ["", *aligned(rows, right=(4,)), *differing, f"{wrong} of {len(found)} failed"]


def _cells(one: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    verdict = "failed" if one["error"] else "right"
    return one["target"], verdict, one["number"] or "", one["stage"] or "", f"{one['seconds']:.1f}"


def _of_plan(one: Mapping[str, Any]) -> str:
    if one["machine"] is None:
        return "not probed"
    return counted(len(one["differences"]), "difference") if one["differences"] else "as planned"


def write_junit(path: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """A JUnit report: a case for each target, with what its board said."""
    wrong = sum(1 for one in found if one["error"])
    suite = ElementTree.Element("testsuite", name="bootwright lab", tests=str(len(found)), failures=str(wrong))
    for one in found:
        case = ElementTree.SubElement(suite, "testcase", name=one["target"], time=str(one["seconds"]))
        if one["error"]:
            ElementTree.SubElement(case, "failure", message=plain(one["error"]))
        said = [*(f"differs from the plan: {what}" for what in one["differences"]), one["transcript"]]
        ElementTree.SubElement(case, "system-out").text = plain("\n".join(said))
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def write_html(path: Path, found: Sequence[Mapping[str, Any]], image: str) -> None:
    """One page that needs nothing else: the table, and of each board its sentence, differences and transcript."""
    title = f"lab: {image}" if image else "lab"
    head = "".join(f"<th>{name}</th>" for name in ("target", "verdict", "error", "last stage", "s", "of the plan"))
    rows = []
    for one in found:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in (*_cells(one), _of_plan(one)))
        rows.append(f'<tr class="{_cells(one)[1]}">{cells}</tr>')
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f"<table><tr>{head}</tr>{''.join(rows)}</table>",
    ]
    for one in found:
        parts.append(f"<h2>{escape(one['target'])}</h2>")
        if one["error"]:
            parts.append(f'<p class="failed">{escape(one["error"])}</p>')
        parts += ["<ul>", *(f"<li>{escape(said)}</li>" for said in one["differences"]), "</ul>"]
        parts.append(f"<pre>{escape(plain(one['transcript']).replace(chr(13), ''))}</pre>")
    path.write_text("\n".join([*parts, "</body></html>", ""]), encoding="utf-8")
