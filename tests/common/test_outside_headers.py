"""The records of stub/abi against the world's own headers, compiled by gcc: offset and size of each field, each value.

stub/abi is the one truth for the stub and for Python, so a wrong offset there would fool both.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from outside_headers import BY_THE_BOOK, FILLER, JOINED, OUR_HEADERS, OURS, WORLDS, Record, World

from bootwright.common import abi

HEADERS = {path.name: path.read_text(encoding="utf-8") for path in (abi.stub_directory() / "abi").glob("*.h")}


def test_offsets_and_sizes_are_those_of_the_worlds_headers(tmp_path: Path) -> None:
    wrong = []
    for name, world in WORLDS.items():
        theirs = compiled(world, tmp_path / name)
        for what, ours in measured(world):
            there = theirs[what]
            if ours != there:
                wrong.append(f"{name}: {what} is {ours:#x} here and {there:#x} there")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("header", sorted(set(HEADERS) - OUR_HEADERS))
def test_nothing_stands_in_a_header_that_nobody_looked_up(header: str) -> None:
    compared = {name for world in WORLDS.values() for name in (*world.records, *world.constants)}
    unknown = [
        name
        for name in re.findall(r"^(?:struct|#define) (\w+)", HEADERS[header], re.MULTILINE)
        if name not in compared and not OURS.fullmatch(name) and not any(re.fullmatch(p, name) for p in BY_THE_BOOK)
    ]
    assert not unknown


def test_a_wrong_offset_is_seen(tmp_path: Path) -> None:
    world = World("#include <elf.h>\n", {"elf_nhdr": Record("Elf32_Nhdr", {"n_type": "n_descsz"})}, {})
    theirs = compiled(world, tmp_path / "wrong")
    assert [(what, ours, theirs[what]) for what, ours in measured(world) if ours != theirs[what]] == [
        ("elf_nhdr.n_type at", 8, 4)
    ]


def measured(world: World) -> Iterator[tuple[str, int]]:
    """What is compared, and our side of it."""
    constants = abi.load().constants
    for name, _ in compared_constants(world):
        yield name, constants[name]
    for name, record in world.records.items():
        struct = abi.load().struct(name)
        if not record.prefix:
            yield f"{name} size", struct.size
        for ours, _ in compared_fields(world, name, record):
            yield f"{name}.{ours} at", struct.fields[ours].offset
    for name, ours, size in sizes(world):
        yield f"{name}.{ours} size", size


def compiled(world: World, program: Path) -> dict[str, int]:
    """The same, as gcc has it."""
    lines = [f'show("{name}", (unsigned long long)({there}));' for name, there in compared_constants(world)]
    for name, record in world.records.items():
        alias = f"their_{name}"
        lines.append(f'typedef {record.ctype} {alias}; show("{name} size", sizeof({alias}));')
        lines += [
            f'show("{name}.{ours} at", offsetof({alias}, {there}));'
            for ours, there in compared_fields(world, name, record)
        ]
    for name, ours, _ in sizes(world):
        there = dict(compared_fields(world, name, world.records[name]))[ours]
        lines.append(f'show("{name}.{ours} size", sizeof(((their_{name} *)0)->{there}));')
    source = (
        f"#include <stddef.h>\n#include <stdio.h>\n{world.includes}"
        "static void show(const char *what, unsigned long long value) "
        '{ printf("%s\\t%llu\\n", what, value); }\n'
        "int main(void) {\n" + "\n".join(lines) + "\nreturn 0; }\n"
    )
    where = ["-I/usr/include/efi", "-I/usr/include/efi/x86_64"] if "efi.h" in world.includes else []
    command = ["gcc", "-w", "-fshort-wchar", *where, "-x", "c", "-", "-o", str(program)]
    subprocess.run(command, input=source, text=True, check=True)
    shown = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    return {what: int(value) for what, value in (line.split("\t") for line in shown.splitlines())}


def compared_constants(world: World) -> list[tuple[str, str]]:
    """Ours and theirs, of those that we have."""
    return [(ours, there) for ours, there in world.constants.items() if ours in abi.load().constants]


def compared_fields(world: World, name: str, record: Record) -> list[tuple[str, str]]:
    """Ours and theirs, but what holds nothing."""
    found = []
    for ours in abi.load().struct(name).fields:
        spelled = "".join(part.capitalize() for part in ours.split("_")) if world.camel else ours
        there = record.names.get(ours, "" if FILLER.fullmatch(ours) else spelled)
        if there:
            found.append((ours, there))
    return found


def sizes(world: World) -> Iterator[tuple[str, str, int]]:
    """Fields that are numbers, with their size; what is an array here may be several fields there."""
    for name, record in world.records.items():
        struct = abi.load().struct(name)
        for ours, _ in compared_fields(world, name, record):
            size = getattr(struct.fields[ours].type, "size", None)
            number = (
                struct.fields[ours].type.__name__.startswith("uint") and "[" not in struct.fields[ours].type.__name__
            )
            if size and number and (name, ours) not in JOINED:
                yield name, ours, size
