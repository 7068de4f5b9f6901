"""For the tests of the assembler: source text in, linked bytes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bootwright.asm import assemble
from bootwright.link import linker
from bootwright.link.layout import Layout, LayoutSection, LayoutSegment
from bootwright.link.linked import Linked

BASE = 0x100000
LAYOUT = Layout(
    path="test.toml",
    base=BASE,
    entry="start",
    strings=".rodata",
    segments=(
        LayoutSegment(
            "code",
            "rx",
            (
                LayoutSection(".text", 16, "code"),
                LayoutSection(".rodata", 16),
                LayoutSection(".note.Xen", 4, "note"),
                LayoutSection(".note.gnu.build-id", 4, "build-id"),
            ),
        ),
        LayoutSegment("data", "rw", (LayoutSection(".data", 16), LayoutSection(".bss", 4096, "nobits"))),
        LayoutSegment("tables", "r", (LayoutSection(".tables", 4096, "reserved"),)),
    ),
)


def link_text(folder: Path, *texts: str, layout: Layout = LAYOUT, **options: Any) -> Linked:
    """Link source texts, each as a file a.asm, b.asm, ... in `folder`; a label `start` is made global."""
    objects = []
    for name, text in zip("abcdef", texts, strict=False):
        path = folder / f"{name}.asm"
        path.write_text(f"{text}\n.global start\n" if "start:" in text else text)
        objects.append(assemble.assemble(path))
    return linker.link(objects, layout, **options)


def contents(linked: Linked, name: str) -> bytes:
    """The bytes of a section in the image."""
    found = next(section for section in linked.sections if section.name == name)
    return linked.image[found.offset : found.offset + found.size]


def code(folder: Path, text: str, mode: int = 64) -> bytes:
    """The bytes of .text of statements in one mode, which start at BASE with the label `start`."""
    return contents(link_text(folder, f".code{mode}\nstart:\n{text}\n"), ".text")


def one(folder: Path, text: str, mode: int = 64) -> str:
    """One statement's bytes, in hex."""
    return code(folder, text, mode).hex()
