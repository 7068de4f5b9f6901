"""What building and running an image show: progress on a terminal, in a pipe only what came out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bootwright import media
from bootwright.common import paths, scratch
from bootwright.common.errors import BootwrightError, SourceError, Where
from bootwright.devicetree import reader
from bootwright.image import build as image_build
from bootwright.image import built as image_built
from bootwright.image.origin import Origin, changed
from bootwright.image.sign import Signing, check
from bootwright.media.making import Making


@dataclass(frozen=True)
class Report:
    """What came out of a build. media: files and folders beside the image; seconds: how long it took."""

    built: image_built.Built
    media: tuple[Path, ...]
    notes: tuple[str, ...]
    seconds: float


Tell = Callable[[Report], None]


def lines(report: Report) -> None:
    """The notes on standard error, and a line of what there is."""
    done = report.built
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    outputs = [f"{paths.shown(done.elf)} ({done.elf.stat().st_size:,} bytes)"]
    outputs += [done.elf.with_suffix(suffix).name for suffix in (".map", ".json", ".lst")]
    outputs += [f"{p.name}/" if p.is_dir() else f"{p.name} ({p.stat().st_size:,} bytes)" for p in report.media]
    code = f"stub code and read-only data: {done.stub_size} bytes"
    print(f"{', '.join(outputs)} in {report.seconds:.1f} s; {code}")


def document(report: Report) -> None:
    """One JSON document: what there is, by absolute paths."""
    done = report.built
    files = [done.elf, *(done.elf.with_suffix(suffix) for suffix in (".map", ".json", ".lst")), *report.media]
    said = {
        "image": done.name,
        "build_id": done.build_id,
        "files": [str(file.absolute()) for file in files],
        "notes": list(report.notes),
        "machine_memory": done.machine_memory,
        "machine_cpus": done.machine_cpus,
    }
    print(json.dumps(said, indent=2, ensure_ascii=False))


def nothing(report: Report) -> None:
    """For who wants errors alone."""


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
    reading: image_build.Reading | None = None,
    tell: Tell | None = None,
) -> image_built.Built:
    """Build the image of a description (as in places.description), and media, and say what came out.

    reading: what was read of it, None to read it; tell: how it is said, None for lines; modules: "N=FILE" for modules
    of a device tree; wanted: media as in media.chosen; signing: of the EFI application. Raises BootwrightError.
    """
    names = media.chosen(wanted)
    settings = settings or media.Settings()
    known = media.for_sector(settings.sector)
    optional = media.MEDIA if not wanted or "all" in wanted else ()
    source = reading or paths.description(name)
    wanted_media = [(known[name], settings) for name in names]
    return _build(source, modules, wanted_media, settings, signing, optional, tell or lines)


def rebuild(
    name: str,
    before: image_built.Built,
    origin: Origin,
    reading: image_build.Reading | None = None,
    tell: Tell | None = None,
) -> image_built.Built:
    """Build the image of a description again as it was built before: with the same modules, media and signature.

    Raises BootwrightError, also where it was signed and the key is not there.
    """
    options = origin.options
    named = (module.partition("=") for module in options.modules)
    modules = [f"{number}={_found(file)}" for number, _, file in named]
    signing = None
    if options.key:
        signing = Signing(_found(options.key), _found(options.certificate))
        try:
            check(signing)
        except BootwrightError as error:
            message = f"it was signed, and is not built without: {error}; `image` takes another key, or none"
            raise type(error)(message, Where(name)) from error
    wanted = [(media.MEDIA[name], media.Settings()) for name in media.USUAL]
    files = media.by_file(before)
    wanted += [(files[name], media.Settings(**made.settings)) for name, made in origin.media.items() if name in files]
    source = reading or paths.description(name)
    return _build(source, modules, wanted, media.Settings(**options.media), signing, media.USUAL, tell or lines)


def _found(recorded: str) -> Path:
    """The file that a record names (places.recorded)."""
    return Path(paths.shown(paths.root() / recorded))


def _build(
    source: Path | image_build.Reading,
    modules: Sequence[str],
    wanted: Sequence[tuple[media.Medium, media.Settings]],
    settings: media.Settings,
    signing: Signing | None,
    optional: Collection[str],
    tell: Tell,
) -> image_built.Built:
    """optional: media that are left out, with a note, where they cannot be made."""
    files = reader.files(modules)
    started = time.monotonic()
    making = Making(wanted, optional)
    with stages() as stage:
        to_make = image_build.Media(lambda built: making.make(built, stage), asdict(settings))
        done = image_build.build(source, stage, files, signing, to_make)
    made = [medium.path(done) for medium in making.made if medium.path(done) != done.elf]
    tell(Report(done, tuple(made), (*done.notes, *making.notes, *_left(done)), time.monotonic() - started))
    return done


def _left(built: image_built.Built) -> Iterator[str]:
    """A sentence for each medium of an earlier build that still lies beside an image."""
    assert built.origin is not None
    for name, medium in media.by_file(built).items():
        if name not in built.origin.media and medium.path(built).exists():
            yield f"{name} is of an earlier build; --media {medium.name} makes it anew"


def export_tree(name: str, form: str, output: str) -> None:
    """Write the device tree of a description; output: "" for build/IMAGE/IMAGE.dts or .dtb. Says where."""
    from bootwright.devicetree import writer

    described = reader.describe(paths.description(name), {})
    folder = paths.output(described.image.name)
    path = Path(output) if output else folder / f"{folder.name}.{form}"
    if not output:
        folder.mkdir(parents=True, exist_ok=True)
    writer.write(described, form, path)
    if described.profiles:
        print("note: a device tree knows one way to start; the profiles are not in it", file=sys.stderr)
    print(f"{paths.shown(path)} ({path.stat().st_size:,} bytes)")


def current(name: str, tell: Tell | None = None) -> image_built.Built:
    """The image of a description, built where it has not been, or where building it now would make another; as it was
    built before, if that was from the same description. tell: as in build. Raises BootwrightError.
    """
    path = paths.description(name)
    reading = image_build.read(path)
    image_name = image_build.describe(reading).image.name
    record = paths.output(image_name) / f"{image_name}.json"
    before, why = _state(path, record)
    if why is None:
        assert before is not None
        return before
    made_of = before.origin if before is not None else None
    same = made_of is not None and made_of.description == paths.recorded(path)
    if made_of is not None and made_of.options.key and not same:
        raise SourceError(
            f"{why}, and signed: give one of the two another name, or build this one by `image`", Where(name)
        )
    if tell is not nothing:
        print(f"{why}: building {name}", file=sys.stderr)
    if before is not None and made_of is not None and same:
        return rebuild(name, before, made_of, reading, tell)
    return build(name, reading=reading, tell=tell)


def _state(path: Path, record: Path) -> tuple[image_built.Built | None, str | None]:
    """What was built before where the description at `path` goes, None for nothing that is known; and why it is not
    what would be built now, None where it is.
    """
    shown, unfinished = paths.shown(record), image_built.pending(record)
    missing = f"{shown} is not there yet"
    if not record.parent.is_dir():
        return None, missing
    with scratch.locked(record.parent):  # nobody is publishing
        found = record if record.exists() else unfinished
        if not found.exists():
            return None, missing
        try:
            before = image_built.load(record, found)
        except SourceError:
            return None, f"{shown} is of another bootwright"
        assert before.origin is not None
        why = changed(before.origin, path, record.parent)
        if found is unfinished:
            why = why or f"{shown} is not there, for a build did not come to its end"
        return before, why


def show(text: str) -> None:
    """Print the guest's text as it comes."""
    sys.stdout.write(text)
    sys.stdout.flush()
