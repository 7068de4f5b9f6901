"""What `inspect`, `extract`, `cmdline`, `replace` and `diff` show and do."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bootwright.artifact import change, describe, difference, foreign, layout, modules, rebuild, stored
from bootwright.artifact.change import Change
from bootwright.artifact.stored import StoredImage
from bootwright.common import paths
from bootwright.common.errors import DeviceError, SourceError
from bootwright.flash import block_devices
from bootwright.image import patcher
from bootwright.image.sign import Signing, signing
from bootwright.media import bmap

_SHOWN = 60  # characters of a value in a difference


def inspect(name: str, as_json: bool) -> bool:
    """Show what a file, a device or a built image is. False where something in it is damaged."""
    path = _path(name)
    found = stored.find(path)
    records = [describe.record(image) for image in found]
    other = None if found else foreign.describe(path)
    medium = None if path.is_dir() else layout.record(path)
    if as_json:
        said = {"file": str(path), "images": records, "other": other, "medium": medium}
        print(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        print("\n".join([describe.text(one) for one in records] or [f"{path}: {other}"]))
        for line in layout.text(medium) if medium else ():
            print(line)
    return all(module["right"] is not False for one in records for module in one["modules"])


def extract(name: str, wanted: str, everything: bool, output: str) -> None:
    """Write modules to files. Raises SourceError."""
    image = _images(_path(name))[0]
    if image.plan is None:
        raise SourceError(f"{image.path}: the generic stub has no modules")
    known = {module.planned.name: module for module in image.modules}
    if everything == bool(wanted):
        raise SourceError(f"name a module, or say --all; there is: {', '.join(known)}")
    if wanted and wanted not in known:
        raise SourceError(f"there is no module {wanted}; there is: {', '.join(known)}")
    folder = Path(output or ".")
    folder.mkdir(parents=True, exist_ok=True)
    for module in known.values() if everything else [known[wanted]]:
        written = modules.extract(module, image.plan, folder)
        print(f"{paths.shown(written)} ({written.stat().st_size:,} bytes)")


def cmdline(name: str, domain: str, line: str, profile: str, key: str, cert: str) -> None:
    """Give a domain, or the hypervisor, of an image another command line, in one of its profiles."""
    _changed(name, lambda image, work: change.with_cmdline(image, domain, line, profile), key, cert)


def replace(name: str, module: str, new: str, key: str, cert: str) -> None:
    """Put another file in a module's place: where it lies, or else in an image that is made anew of what it holds."""
    try:
        _changed(name, lambda image, work: change.with_module(image, module, Path(new), work), key, cert)
    except change.NoRoom:
        path = _path(name)
        if path.is_dir() or path.is_block_device():
            raise
        _made_anew(path, module, Path(new), signing(key, cert))


def _made_anew(path: Path, module: str, new: Path, signer: Signing | None) -> None:
    patcher.start()
    images = _images(path)
    with tempfile.TemporaryDirectory(prefix="rebuild-") as work:
        made = rebuild.rebuilt(images[0], module, new, Path(work))
        notes = rebuild.write(path, images, made, signer, Path(work))
    for note in [*notes, *_stale_map(path)]:
        print(f"note: {note}", file=sys.stderr)
    for image in _images(path):
        print(f"{paths.shown(path)}: {image.form}, build {image.build_id[:8]}: {made.says}")


def _stale_map(path: Path) -> list[str]:
    """Remove a block map beside a file, which is of the file as it was; say so."""
    stale = bmap.path(path)
    if stale == path or not stale.exists():
        return []
    stale.unlink()
    return [f"{paths.shown(stale)} was of the image as it was, and is removed"]


def diff(one: str, other: str, as_json: bool) -> bool:
    """Show what differs between two images; whether they are the same."""
    ours, theirs = (describe.record(_images(_path(name))[0], check=False) for name in (one, other))
    found = difference.differences(ours, theirs)
    if as_json:
        said = [{"what": what, "one": left, "other": right} for what, left, right in found]
        print(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        for what, left, right in found:
            print(f"{what}\n  - {_short(left)}\n  + {_short(right)}")
    return not found


def _changed(name: str, make: Callable[[StoredImage, Path], Change], key: str, cert: str) -> None:
    path = _path(name)
    if path.is_dir():
        raise SourceError(f"{path}: is a folder; name a file of it")
    signer = signing(key, cert)
    if path.is_block_device() and (reason := block_devices.refusal(block_devices.find(path), 0)):
        raise DeviceError(f"{path} {reason}")
    found = _images(path)
    with tempfile.TemporaryDirectory(prefix="change-") as work:
        changes = [make(image, Path(work)) for image in found]
        notes = list(change.apply(path, changes, signer))
    notes += _stale_map(path)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    after = _images(path)
    for image, one in zip(after, changes, strict=True):
        print(f"{paths.shown(path)}: {image.form}, build {image.build_id[:8]}: {one.says}")


def _path(name: str) -> Path:
    """A file, a device or a folder; or of a built image its NAME.elf. Raises SourceError."""
    path = Path(name)
    built = paths.output(name) / f"{name}.elf"
    if not path.exists() and built.exists():
        return Path(paths.shown(built))
    if not path.exists():
        raise SourceError(f"{name}: there is no such file, and no image of that name is built")
    return path


def _images(path: Path) -> Sequence[StoredImage]:
    found = stored.find(path)
    if not found:
        raise SourceError(f"{path}: {foreign.describe(path)}; there is no image of bootwright's in it")
    return found


def _short(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = text.replace("\n", "\\n")
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}... ({len(line)} characters)"
