"""The drawings in docs/pictures: memory of images whose kernels are the project's own, planned for a plain PC; and
those of drawings.py.

Nothing of a machine, a clock or another package goes into them, so that the same source gives the same bytes.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import drawings
from project import ROOT

from bootwright.chart import memory_svg
from bootwright.cli import planning

FOLDER = ROOT / "docs/pictures"
# Two domains at once, of kernels that are assembled from the source.
TWO = """
[image]
name = "two"
launcher = "partition"

[[domain]]
name = "first"
permissions = ["control", "hardware"]
functions = ["console", "xenstore", "initial-domain"]
memory = "32M"
kernel = "stub/kernels/demo.asm"
ramdisk = "images/demo.txt"

[[domain]]
name = "second"
memory = "48M"
kernel = "stub/kernels/ticks.asm"

[[shared]]
name = "count"
size = "2M"
between = ["second", "first"]
"""


@cache
def planned(name: str) -> planning.Planned:
    """An image, "demo" or "two", on a plain PC."""
    if name == "demo":
        return planning.planned(ROOT / "images/demo.toml", None, "", lambda stage: None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.toml")
        path.write_text(TWO, encoding="utf-8")
        for beside in ("stub", "images"):  # by no path of this machine
            Path(folder, beside).symlink_to(ROOT / beside)
        return planning.planned(path, None, "", lambda stage: None)


def render() -> dict[Path, str]:
    """Each drawing, by its place."""
    memory = {f"memory-{name}.svg": memory_svg.draw(planned(name).chart) for name in ("demo", "two")}
    return {FOLDER / name: text for name, text in {**memory, **drawings.render()}.items()}
