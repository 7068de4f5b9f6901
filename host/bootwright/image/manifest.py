"""The manifest: what an image was made of, inside of it, so that it can be told without NAME.json and without sources.

    data = encode(make("lab", tool, description, inputs))       # for the section .manifest
    decode(data)                                                # Manifest

A magic, the length, and JSON, or JSON packed by zlib where it would not fit otherwise. Nothing at boot reads it. A
change that was made to a finished image is written down in `changes`; the description stays as it was written.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootwright.common import paths
from bootwright.common.errors import VerifyError
from bootwright.common.json_shape import NUMBER, TEXT, Items, Keys, check
from bootwright.image.origin import Input, Tool

MAGIC = b"BWMANIF1"
ROOM = 16 << 10  # bytes that each image has for it: room for changes as well
_HEAD = struct.Struct("<8sII")  # magic, bytes behind the head, 1 if packed
_SHAPE = Keys(
    {
        "name": TEXT,
        "tool": Keys({"version": TEXT, "sha256": TEXT}),
        "description": TEXT,
        "text": TEXT,
        "inputs": Items(Keys({"path": TEXT, "size": NUMBER, "sha256": TEXT, "package": TEXT})),
        "changes": Items(TEXT),
    }
)
_LEFT_OUT = "# left out: the description is too long for the image"


@dataclass(frozen=True)
class Manifest:
    """name: of the image; tool: the bootwright that made it; description: its file, as recorded; text: of that, as
    written (a blob in base64); inputs: with sizes and hashes; changes: a sentence each, the oldest first.
    """

    name: str
    tool: Tool
    description: str
    text: str
    inputs: tuple[Input, ...]
    changes: tuple[str, ...] = ()


def make(name: str, tool: Tool, description: Path, inputs: Sequence[Input]) -> Manifest:
    """That of an image. Where files lie on this machine is not said: of those elsewhere than in the project, the name
    alone. OSError passes.
    """
    plain = tuple(dataclasses.replace(one, path=_plain(one.path)) for one in inputs)
    return Manifest(name, tool, _plain(paths.recorded(description)), text_of(description.read_bytes()), plain)


def _plain(recorded: str) -> str:
    return Path(recorded).name if os.path.isabs(recorded) else recorded


def text_of(data: bytes) -> str:
    """A description's bytes as the manifest has them."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(data).decode("ascii")


def encode(manifest: Manifest) -> bytes:
    """At most ROOM bytes; what does not fit is left out: first the description's text, then inputs, then changes."""
    smaller = dataclasses.replace(manifest, text=_LEFT_OUT)
    least = dataclasses.replace(smaller, inputs=())
    for one in (manifest, smaller, least, dataclasses.replace(least, changes=manifest.changes[-1:])):
        data = json.dumps(dataclasses.asdict(one), ensure_ascii=False, separators=(",", ":")).encode()
        for packed, body in ((0, data), (1, zlib.compress(data, 9))):
            if _HEAD.size + len(body) <= ROOM:
                return _HEAD.pack(MAGIC, len(body), packed) + body
    raise AssertionError("the names alone fit")


def decode(data: bytes) -> Manifest:
    """What the section says, with whatever stands behind it. Raises VerifyError for bytes that are none."""
    try:
        magic, length, packed = _HEAD.unpack_from(data)
        if magic != MAGIC or packed > 1 or length > ROOM:
            raise ValueError("no magic, or a length that cannot be")
        body = data[_HEAD.size : _HEAD.size + length]
        if packed:
            body = zlib.decompressobj().decompress(body, 64 * ROOM)
        said: Any = json.loads(body)
        check(said, _SHAPE)
    except (struct.error, ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise VerifyError(f"manifest: is none, or damaged: {error}") from error
    return Manifest(
        said["name"],
        Tool(**said["tool"]),
        said["description"],
        said["text"],
        tuple(Input(**one) for one in said["inputs"]),
        tuple(said["changes"]),
    )


def changed(manifest: Manifest, changes: Sequence[str]) -> Manifest:
    """The same with these changes behind those that were made already."""
    return dataclasses.replace(manifest, changes=(*manifest.changes, *changes))
