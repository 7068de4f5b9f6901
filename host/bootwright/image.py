"""The recipe: from a description to an image, its map and its listing.

    built = build(Path("images/demo.toml"), stage=print)     # report.Built

Everything is written into a folder of its own beside the output and moved there at the end, so that a build
that fails leaves what was there before. Outputs are a pure function of the inputs: same inputs, same bytes.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from bootwright import (
    abi,
    assemble,
    description,
    layout,
    link,
    listing,
    model,
    patch,
    places,
    plan,
    report,
    sources,
    tables,
    verify,
)
from bootwright.plan import Plan

Stage = Callable[[str], None]


def build(path: Path, stage: Stage) -> report.Built:
    """Build the image that the description at `path` describes, below places.output.

    stage is told what is being done. Raises BootwrightError for everything that a person can put right.
    """
    stage("reading the description")
    described = description.load(path)
    output = places.output(described.image.name)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as scratch:
        work, made = Path(scratch, "work"), Path(scratch, "made")
        work.mkdir()
        made.mkdir()
        stage("fetching what it names")
        info = model.build(described, sources.resolve(described, work))
        planned = plan.make(described, info, work, _bytes_done(stage))
        blob = tables.encode(planned)
        stage("assembling the stub")
        embedded = payloads(planned)
        linked = link_stub(len(blob), len(embedded))
        stage("writing the image")
        elf = made / f"{output.name}.elf"
        patched = patch.patch(linked.image, blob, embedded, elf)
        write_modules(planned, made)
        stage("reading it back")
        found = report.map_image(planned, linked, patched, verify.verify(elf, planned))
        elf.with_suffix(".map").write_text(report.text(found), encoding="utf-8")
        elf.with_suffix(".json").write_text(report.as_json(found), encoding="utf-8")
        elf.with_suffix(".lst").write_text(listing.render(linked), encoding="utf-8")
        publish(made, output)
    return report.load(output / elf.with_suffix(".json").name)


def map_path(path: Path) -> Path:
    """The NAME.json that building the description at `path` writes. Raises as description.load does."""
    name = description.load(path).image.name
    return places.output(name) / f"{name}.json"


def link_stub(tables_size: int, modules: int) -> link.Linked:
    """The stub with that many bytes reserved for tables, and that many spare program headers."""
    objects = [assemble.assemble(path) for path in sorted(abi.stub_directory().glob("*.asm"))]
    return link.link(objects, layout.load("stub"), reserve={"tables": tables_size}, spare_headers=modules)


def payloads(planned: Plan) -> list[patch.Payload]:
    """The modules that travel in the image."""
    return [
        patch.Payload(m.name, m.payload, m.load_address, m.size, m.sha256)
        for m in planned.modules
        if m.embedded and m.payload is not None
    ]


def write_modules(planned: Plan, directory: Path) -> None:
    """Copy the modules that a loader is to bring to modules/NAME."""
    for module in planned.modules:
        if not module.embedded and module.payload is not None:
            file = directory / report.module_file(module.name)
            file.parent.mkdir(exist_ok=True)
            shutil.copyfile(module.payload, file)


def publish(made: Path, output: Path) -> None:
    """Move the files in `made` to `output`, each in one step, over what an earlier build left."""
    output.mkdir(exist_ok=True)
    shutil.rmtree(output / report.MODULES, ignore_errors=True)
    for file in sorted(made.iterdir()):
        file.replace(output / file.name)


def _bytes_done(stage: Stage) -> plan.Progress:
    return lambda what, done, total: stage(f"{what}: {done / total:.0%}" if total else what)
