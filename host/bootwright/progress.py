"""What building and running an image show: progress on a terminal, in a pipe only what came out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bootwright import debug, devicetree, export, image, media, places, qemu, report, run, serve
from bootwright.errors import ToolError
from bootwright.media.medium import is_current
from bootwright.sign import Signing


@contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """A callback that shows what is being done, on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda stage: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update


def build(
    name: str,
    modules: Sequence[str] = (),
    wanted: str = "",
    settings: media.Settings | None = None,
    signing: Signing | None = None,
) -> report.Built:
    """Build the image of a description (as in places.description), and media, and say what came out.

    modules: "N=FILE" for modules of a device tree; wanted: media as in media.chosen; signing: of the EFI
    application. Raises BootwrightError.
    """
    files = devicetree.files(modules)
    names = media.chosen(wanted)
    started = time.monotonic()
    with stages() as stage:
        done = image.build(places.description(name), stage, files, signing)
        whole = not wanted or "all" in wanted
        made, notes = make_media(done, names, settings or media.Settings(), stage, whole)
    for note in [*done.notes, *notes]:
        print(f"note: {note}", file=sys.stderr)
    outputs = [f"{places.shown(done.elf)} ({done.elf.stat().st_size:,} bytes)"]
    outputs += [done.elf.with_suffix(suffix).name for suffix in (".map", ".json", ".lst")]
    outputs += [f"{p.name}/" if p.is_dir() else f"{p.name} ({p.stat().st_size:,} bytes)" for p in made]
    seconds = time.monotonic() - started
    print(f"{', '.join(outputs)} in {seconds:.1f} s; stub code and read-only data: {done.stub_size} bytes")
    return done


def make_media(
    built: report.Built,
    names: Sequence[str],
    settings: media.Settings,
    stage: Callable[[str], None],
    whole: bool,
) -> tuple[list[Path], list[str]]:
    """Make media of an image: the files beside the image itself, and notes.

    whole: a medium that cannot be made is no error, but a note. Raises ToolError.
    """
    made, notes = [], []
    for medium in media.for_sector(settings.sector).values():
        path = medium.path(built)
        if medium.name in names:
            stage(f"making {path.name}")
            try:
                result = medium.make(built, settings)
            except ToolError as error:
                if not whole:
                    raise
                # That an image has no EFI application is said by the media that miss it.
                notes += [str(error)] * (medium.name not in media.USUAL)
                continue
            notes += result.notes
            made += [path] * (path != built.elf)
        elif path.exists() and path.stat().st_mtime_ns < built.elf.stat().st_mtime_ns:
            notes.append(f"{path.name} is of an earlier build; --media {medium.name} makes it anew")
    return made, notes


def serve_folder(name: str, options: serve.Options) -> None:
    """Serve an image by network until interrupted; image and folder are made first where they are missing or out
    of date.
    """
    serve.check_rights()  # first what can be wrong
    built = current(name)
    serve.command(built.elf.parent, options, Path())
    for note in serve.notes(options):
        print(f"note: {note}", file=sys.stderr)
    if not is_current(media.pxe.MEDIUM, built):
        for note in media.pxe.make(built, media.Settings()).notes:
            print(f"note: {note}", file=sys.stderr)
    serve.serve(media.pxe.path(built), options)


def export_tree(name: str, form: str, output: str) -> None:
    """Write the device tree of a description; output: "" for build/IMAGE/IMAGE.dts or .dtb. Says where."""
    described = devicetree.describe(places.description(name), {})
    folder = places.output(described.image.name)
    path = Path(output) if output else folder / f"{folder.name}.{form}"
    if not output:
        folder.mkdir(parents=True, exist_ok=True)
    export.write(described, form, path)
    print(f"{places.shown(path)} ({path.stat().st_size:,} bytes)")


def boot(name: str, options: run.Options) -> qemu.Outcome:
    """Boot an image, as `current` gives it; its serial console goes to standard output."""
    built = current(name)
    for note in run.notes(built):
        print(f"note: {note}", file=sys.stderr)
    if options.gdb:
        print(f"QEMU waits for a debugger: gdb -x {places.shown(debug.write_script(built))}", file=sys.stderr)
    result = run.boot(built, options, show)
    if result.transcript and not result.transcript.endswith("\n"):
        print()
    print(f"{result.reason} ({result.seconds:.1f} s)", file=sys.stderr)
    return result.outcome


def current(name: str) -> report.Built:
    """The image of a description, built where it has not been, or where what it is made of is newer."""
    described = places.description(name)
    path = image.map_path(described)
    if not path.exists():
        why = f"{places.shown(path)} is not there yet"
    elif newer := image.newer_input(described, path):
        why = f"{places.shown(newer)} is newer than {places.shown(path)}"
    else:
        return report.load(path)
    print(f"{why}: building {name}", file=sys.stderr)
    return build(name)


def show(text: str) -> None:
    """Print the guest's text as it comes."""
    sys.stdout.write(text)
    sys.stdout.flush()
