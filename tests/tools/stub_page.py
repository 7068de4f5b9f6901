"""The map of the stub in docs/design.md: folders, sections that are registries, hooks, and the calls of a boot."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from markdown_table import table
from project import ROOT

PAGE = ROOT / "docs/design.md"
STUB = ROOT / "stub"
BEGIN, END = "<!-- stub: made by `invoke docs` -->\n", "<!-- stub: end -->\n"
FOLDERS = (
    "entry",
    "boot",
    "generic",
    "launch",
    "lib",
)  # in the order of a boot; kernels/ and partition/ are programs of their own
REGISTRIES = ("entries", "sources", "movers", "launchers")
START = "main"
_LABEL = re.compile(r"^([a-z_]\w*):")
_CALL = re.compile(r"^\s+(?:call|j[a-z]+)\s+([a-z_]\w*)(?:\.\w+)?\s*$")
_INTO = re.compile(r"^\s+(?:mov|lea)\s+(r\w+), (?:qword ptr \[rip \+ (\w+)\]$)?")
_BY_REGISTER = re.compile(r"^\s+(?:call|jmp)\s+(r\w+)$")
_SET = re.compile(r"^\s+mov\s+qword ptr \[rip \+ (\w+)\], r\w+$")


@dataclass
class Source:
    """A file of the stub. calls: what each routine calls or goes on with, in order of the code."""

    name: str
    exported: set[str] = field(default_factory=set)
    calls: dict[str, list[str]] = field(default_factory=dict)
    registers: set[str] = field(default_factory=set)
    walks: dict[str, str] = field(default_factory=dict)  # registry: routine
    hooks: dict[str, list[str]] = field(default_factory=dict)  # variable: routines that call it
    sets: dict[str, list[str]] = field(default_factory=dict)


@cache
def sources() -> dict[str, Source]:
    """Every file of the stub, by its path below stub/ without the ending."""
    paths = [path for folder in FOLDERS for path in sorted((STUB / folder).glob("*.asm"))]
    return {f"{path.parent.name}/{path.stem}": _read(path) for path in paths}


def _read(path: Path) -> Source:
    found, routine = Source(f"{path.parent.name}/{path.stem}"), ""
    held: dict[str, str] = {}  # variables in registers
    for line in _lines(path):
        if line.startswith(".global "):
            found.exported |= set(re.findall(r"\w+", line.removeprefix(".global ")))
        elif match := re.match(r"\.section \.(\w+)", line):
            found.registers |= {match[1]} & set(REGISTRIES)
        elif label := _LABEL.match(line):
            routine = label[1]
            found.calls.setdefault(routine, [])
        if call := _CALL.match(line):
            found.calls.setdefault(routine, []).append(call[1])
        if loaded := _INTO.match(line):
            held[loaded[1]] = loaded[2] or ""
        if (hook := _BY_REGISTER.match(line)) and held.get(hook[1]):
            found.hooks.setdefault(held[hook[1]], []).append(routine)
        if stored := _SET.match(line):
            found.sets.setdefault(stored[1], []).append(routine)
        for registry in REGISTRIES:
            if f"__start_{registry}" in line:
                found.walks[registry] = routine
    return found


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file without comments, those of what it includes from its own folder among them."""
    for line in path.read_text(encoding="utf-8").splitlines():
        included = re.match(r'\.include "([^"]+)"', line)
        if included and (path.parent / included[1]).is_file():
            yield from _lines(path.parent / included[1])
        yield line.partition(";")[0].rstrip()


@cache
def homes() -> dict[str, str]:
    """The file of each name that the whole link knows."""
    return {name: source.name for source in sources().values() for name in source.exported}


def outward(name: str) -> list[str]:
    """The routines of other files that a routine calls, with what it calls in its own file."""
    found: list[str] = []
    seen: set[str] = set()

    def follow(routine: str, source: Source) -> None:
        if routine in seen:
            return
        seen.add(routine)
        for called in source.calls.get(routine, []):
            if called in source.calls:
                follow(called, source)
            elif called in homes() and called not in found:
                found.append(called)

    follow(name, sources()[homes()[name]])
    return found


def reached(folder: str) -> list[str]:
    """The folders that the files of one call into."""
    called = {
        homes()[name].split("/")[0]
        for source in sources().values()
        if source.name.startswith(f"{folder}/")
        for names in source.calls.values()
        for name in names
        if name not in source.calls and name in homes()
    }
    return [name for name in FOLDERS if name in called - {folder}]


def render() -> str:
    """The page, with the part between the marks made anew."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    parts = "\n".join((_folders(), _registries(), _hooks(), _boot()))
    return before + BEGIN + parts + END + rest.partition(END)[2]


def _folders() -> str:
    rows = []
    for folder in FOLDERS:
        files = [name.split("/")[1] for name in sources() if name.startswith(f"{folder}/")]
        rows.append((f"{folder}/", ", ".join(files), ", ".join(f"{name}/" for name in reached(folder))))
    return table(("folder", "files", "calls into"), rows)


def _registries() -> str:
    rows = []
    for registry in REGISTRIES:
        members = [source.name for source in sources().values() if registry in source.registers]
        walkers = [
            f"`{source.walks[registry]}` ({name})" for name, source in sources().items() if registry in source.walks
        ]
        rows.append((f".{registry}", ", ".join(members), ", ".join(walkers)))
    return table(("section", "who registers", "who walks it"), rows)


def hooks() -> dict[str, tuple[list[str], list[str]]]:
    """The variables that hold a routine of ours: who calls it, who sets it."""
    found = sorted({name for source in sources().values() for name in source.hooks})
    return {name: (_routines(name, "hooks"), _routines(name, "sets")) for name in found}


def _routines(variable: str, of: str) -> list[str]:
    return [
        f"`{routine}` ({name})"
        for name, source in sources().items()
        for routine in dict.fromkeys(getattr(source, of).get(variable, []))
    ]


def _hooks() -> str:
    rows = [(f"`{name}`", ", ".join(called), ", ".join(put)) for name, (called, put) in hooks().items()]
    return table(("hook", "who calls it", "who sets it"), rows)


def _boot() -> str:
    lines = ["```", f"{START:<28} {homes()[START]}"]
    for stage in outward(START):
        lines.append(f"  {stage:<26} {homes()[stage]}")
        lines += [f"    {called:<24} {homes()[called]}" for called in outward(stage)]
    return "\n".join([*lines, "```"]) + "\n"
