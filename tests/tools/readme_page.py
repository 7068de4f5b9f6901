"""The boot that README.md shows, made of a real one: `invoke docs` writes it, tests/boot/test_readme.py holds it."""

from __future__ import annotations

import re

from project import ROOT

from bootwright.emulate import run
from bootwright.image import build
from bootwright.image import built as image_built

PAGE = ROOT / "README.md"
# The block that begins with the stub's first line, up to the first line that is no part of it.
_BLOCK = re.compile(r"^    bootwright: image demo .*\n(?:    .*\n)+", re.MULTILINE)
_LEFT_OUT_BEHIND = "demo: memory: "


def shown(transcript: str) -> list[str]:
    """The lines of a boot of the demo that the page shows: of the machine's memory the first range stands for all."""
    lines = [line.rstrip() for line in transcript.splitlines()]
    start = next(number for number, line in enumerate(lines) if line.startswith("bootwright: image demo "))
    end = next(number for number, line in enumerate(lines) if line.startswith(_LEFT_OUT_BEHIND))
    return [*lines[start : end + 1], "...", lines[-1]]


def page(transcript: str) -> str:
    """The page with this boot in it."""
    block = "".join(f"    {line}\n" for line in shown(transcript))
    text, count = _BLOCK.subn(lambda _: block, PAGE.read_text(encoding="utf-8"))
    assert count == 1, "README.md shows one boot of the demo"
    return text


def transcript(built: image_built.Built) -> str:
    """What the demo prints on QEMU's machine, as `invoke run demo` starts it."""
    return run.boot(built, run.Options(timeout=60), lambda text: None).transcript


def render() -> str:
    """The page as it has to be: builds the demo, and boots it."""
    return page(transcript(build.build(ROOT / "images/demo.toml", lambda stage: None)))
