"""What `list`, `new` and `check` show and do: the descriptions that there are, a new one, what a build would refuse."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from bootwright.common import paths
from bootwright.common.columns import aligned
from bootwright.common.errors import BootwrightError, SourceError, Where, records
from bootwright.common.ranges import MIB, align_up
from bootwright.description import json_schema

_LEAST_MEMORY = 256 * MIB
_STEP = 64 * MIB
_NAME = """\
# {title}
#
# {kernel}
# Every key: docs/description.md. What is wrong here, and whether it fits: ./bootstrap check {name}

[image]
name = "{name}"
launcher = "{launcher}"
# Where the stub's messages go: a serial port with its rate, and the screen.
console = ["com1,115200", "vga"]
# What follows an error: "halt", or "reboot after 10 s".
on-failure = "halt"
"""
_XEN = """
[hypervisor]
# Debian's; or a path, as "xen.gz".
kernel = {{ package = "xen-hypervisor-4.17-amd64", file = "boot/xen-*.gz" }}
# Memory and cpus of the initial domain are added from its description; {{console}} is what [image] console says.
cmdline = "{{console}} noreboot"
"""
_DOMAIN = """
[[domain]]
name = "dom0"
permissions = ["control", "hardware"]
functions = ["console", "xenstore", "initial-domain"]
mode = "{mode}"
# What kernel and ramdisk are placed in, and what the machine must have.
memory = "{memory}"
kernel = {kernel}
"""


def list_all(as_json: bool) -> None:
    """Every description that a name means, with what it describes and whether it is built."""
    records = [_described(path) for path in paths.descriptions().values()]
    if as_json:
        _say(records)
        return
    rows = [(one["name"], one["launcher"], ", ".join(one["domains"]), one["built"], one["says"]) for one in records]
    print("\n".join(aligned([("name", "launcher", "domains", "built", ""), *rows])))


def _described(path: Path) -> dict[str, Any]:
    from bootwright.description import load
    from bootwright.image import built

    record = paths.output(path.stem) / f"{path.stem}.json"
    state = "no"
    if record.exists():
        try:
            state = built.load(record).build_id[:8]
        except SourceError:
            state = "by another bootwright"
    try:
        found = load.load(path)
    except BootwrightError as error:
        says = str(error).splitlines()[0]
        return {"name": path.stem, "launcher": "", "domains": [], "built": state, "says": f"cannot be built: {says}"}
    return {
        "name": path.stem,
        "launcher": "generic" if found.image.generic else found.image.launcher,
        "domains": [domain.name for domain in found.domains],
        "built": state,
        "says": _title(path),
    }


def _title(path: Path) -> str:
    """What its first comment says: to the end of a sentence, or to what is explained."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next((line for line in lines if not line.startswith(json_schema.DIRECTIVE)), "")
    return re.split(r"[.:](?: |$)", first.removeprefix("#").strip())[0] if first.startswith("#") else ""


def check(name: str, as_json: bool) -> bool:
    """Say what a build of a description would refuse, without building. Whether it would refuse nothing."""
    from bootwright.cli import planning
    from bootwright.image import build

    path = Path(name)
    try:
        path = paths.description(name)
        described = build.describe(build.read(path))
        planned = None if described.image.generic else planning.planned(path, None, "", lambda stage: None)
    except BootwrightError as error:
        if not as_json:
            raise
        _say({"right": False, "errors": records(error), "notes": [], "machine_memory": None})
        return False
    notes = list(planned.plan.notes) if planned else []
    if as_json:
        _say({"right": True, "errors": [], "notes": notes, "machine_memory": planned.needs if planned else None})
        return True
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    domains = ", ".join(domain.name for domain in described.domains) or "the generic stub"
    memory = f"; a machine needs {-(-planned.needs // MIB)} MiB" if planned else ""
    print(f"{paths.shown(path)}: nothing is wrong: {described.image.name}: {domains}{memory}")
    return True


def _say(document: object) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False))


def new(name: str, kernel: str, ramdisk: str, cmdline: str, xen: bool, memory: str, output: str) -> None:
    """Write a description with a comment on each part, for a kernel and a ramdisk. Raises SourceError."""
    from bootwright.description import load, values

    if not name:
        raise SourceError("new: how is it to be called? name it: new NAME --kernel FILE")
    if not kernel:
        raise SourceError("new: name the kernel: --kernel FILE")
    path = Path(output) if output else paths.root() / "images" / f"{name}.toml"
    said, proposed = _looked_into(Path(kernel), Path(ramdisk) if ramdisk else None)
    line = cmdline or ("console=hvc0" if xen else "{console}" if "Linux" in said else "")
    text = _NAME.format(title=f"{name}: made by `new`.", kernel=said, name=name, launcher="xen" if xen else "native")
    text += _XEN.format() if xen else ""
    text += _DOMAIN.format(
        mode="pv" if xen else "pvh", memory=memory or values.in_units(proposed), kernel=_quoted(path, kernel)
    )
    text += f"ramdisk = {_quoted(path, ramdisk)}\n" if ramdisk else '# ramdisk = "initrd.img"\n'
    text += "# {console} stands for what the kernel is to be told of [image] console.\n" if "{console}" in line else ""
    text += f"cmdline = {json.dumps(line, ensure_ascii=False)}\n" if line else '# cmdline = ""\n'
    text = _directive(path) + text
    load.parse(text, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise SourceError("is there already; it is not written over", Where(str(path))) from error
    target = name if path == paths.root() / "images" / f"{name}.toml" else paths.shown(path)
    print(f"{paths.shown(path)}: {said}\nnext: check {target}, run {target}")


def _directive(description: Path) -> str:
    """The line by which an editor finds the schema, where a checkout has that."""
    file = paths.root() / json_schema.FILE
    if not file.is_file():
        return ""
    return f"{json_schema.DIRECTIVE}{os.path.relpath(file, description.parent)}\n"


def _looked_into(kernel: Path, ramdisk: Path | None) -> tuple[str, int]:
    """What the kernel is, in a sentence, and how much memory is proposed. Raises SourceError."""
    from bootwright.artifact import foreign

    sizes = []
    for what, path in (("kernel", kernel), ("ramdisk", ramdisk)):
        if path is not None and not path.is_file():
            raise SourceError(f"{what}: there is no file {path}")
        sizes.append(path.stat().st_size if path else 0)
    # Packed to about a third, a kernel needs that and itself; a ramdisk itself, and what the kernel unpacks of it.
    needed = 6 * sizes[0] + 4 * sizes[1]
    said = "assembly of ours" if kernel.suffix == ".asm" else foreign.describe(kernel)
    return f"{kernel.name} is {said}", max(_LEAST_MEMORY, align_up(needed, _STEP))


def _quoted(description: Path, file: str) -> str:
    """A file as the description names it: from its folder on where that is near, else whole."""
    absolute, folder = Path(file).resolve(), description.parent.resolve()
    if absolute.is_relative_to(folder):
        return json.dumps(str(absolute.relative_to(folder)), ensure_ascii=False)
    return json.dumps(str(absolute), ensure_ascii=False)
