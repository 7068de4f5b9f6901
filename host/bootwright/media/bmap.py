"""Block maps: which blocks of a disk image must be written to a device, with their SHA-256; the others are free space.

    write(image, parts, path(image))        # NAME.img.bmap, beside the image; parts as extents.used gives them
    mapped = read(path(image), size)        # ranges of bytes with their hashes

The format is bmap 2.0, as bmap-tools has it (bmaptool(1), bmaptool/BmapCreate.py of version 3.6): XML, ranges of blocks
from first to last, and the hash of the map itself, taken with zeros in the place of that hash.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from bootwright.common.errors import SourceError, Where, why
from bootwright.common.hashes import blocks
from bootwright.common.ranges import Range, align_up

BLOCK = 4096
# A map is a line for each range; what is longer is none.
_LONGEST = 16 << 20
_NO_HASH = "0" * 64
_HEAD = """\
<?xml version="1.0" ?>
<bmap version="2.0">
    <ImageSize> {size} </ImageSize>
    <BlockSize> {block} </BlockSize>
    <BlocksCount> {blocks} </BlocksCount>
    <MappedBlocksCount> {mapped} </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> {own} </BmapFileChecksum>
    <BlockMap>
"""
_RANGE = '        <Range chksum="{hash}"> {first}-{last} </Range>\n'
_TAIL = """\
    </BlockMap>
</bmap>
"""


@dataclass(frozen=True)
class Mapped:
    """A range of bytes of an image that must be written, and their SHA-256 in hex, None where the map has none."""

    range: Range
    sha256: str | None


def path(image: Path) -> Path:
    """Where the map of an image lies: NAME.img.bmap, also for NAME.img.xz."""
    name = image.name.removesuffix(".xz").removesuffix(".zst")
    return image.with_name(f"{name}.bmap")


def write(image: Path, parts: Sequence[Range], output: Path) -> None:
    """Write the map of the file `image` to `output`: parts of it, as extents.used gives them. OSError passes."""
    size = image.stat().st_size
    lines = []
    with image.open("rb") as file:
        for part in parts:
            digest = hashlib.sha256()
            for data in blocks(file, part.start, min(part.end, size) - part.start):
                digest.update(data)
            first, last = part.start // BLOCK, part.end // BLOCK - 1
            lines.append(_RANGE.format(hash=digest.hexdigest(), first=first, last=last))
    head = {"size": size, "block": BLOCK, "blocks": -(-size // BLOCK), "mapped": sum(p.size for p in parts) // BLOCK}
    text = _HEAD.format(own=_NO_HASH, **head) + "".join(lines) + _TAIL
    output.write_text(text.replace(_NO_HASH, hashlib.sha256(text.encode()).hexdigest(), 1), encoding="ascii")


def read(file: Path, size: int) -> tuple[Mapped, ...]:
    """What the map `file` says of an image of `size` bytes, in ascending order.

    Raises SourceError for a map that is damaged, or of an image of another size.
    """
    try:
        text = file.open("rb").read(_LONGEST).decode("ascii")
        _check_own(text)
        root = ElementTree.fromstring(text)
        if root.tag != "bmap" or not (root.get("version") or "").startswith("2."):
            raise ValueError(f"is version {root.get('version')} of {root.tag}, not 2 of bmap")
        said, block = int(_field(root, "ImageSize")), int(_field(root, "BlockSize"))
        if said != size:
            raise ValueError(f"is of an image of {said:,} bytes; this one has {size:,}")
        if _field(root, "ChecksumType") != "sha256" or block < 1:
            raise ValueError("has no SHA-256, or no size of a block")
        found = tuple(_mapped(part, block, size) for part in root.iterfind("BlockMap/Range"))
    except OSError as error:
        raise SourceError(f"cannot be read: {why(error)}", Where(str(file))) from error
    except (ValueError, ElementTree.ParseError) as error:
        raise SourceError(f"is no map to go by: it {error}", Where(str(file))) from error
    edges = [0, *(edge for one in found for edge in (one.range.start, one.range.end)), align_up(size, block)]
    if edges != sorted(edges):
        raise SourceError("is no map to go by: its ranges are not in order, or end behind the image", Where(str(file)))
    return found


def _check_own(text: str) -> None:
    said = re.search(r"<BmapFileChecksum>\s*([0-9a-f]{64})\s*</BmapFileChecksum>", text)
    if said is None:
        raise ValueError("does not say its own SHA-256")
    if hashlib.sha256(text.replace(said[1], _NO_HASH).encode()).hexdigest() != said[1]:
        raise ValueError("is damaged: it has another SHA-256 than it says")


def _field(root: ElementTree.Element, name: str) -> str:
    text = root.findtext(name)
    if text is None:
        raise ValueError(f"has no {name}")
    return text.strip()


def _mapped(part: ElementTree.Element, block: int, size: int) -> Mapped:
    first, _, last = (part.text or "").strip().partition("-")
    start, end = int(first) * block, (int(last or first) + 1) * block
    return Mapped(Range(start, min(end, size)), part.get("chksum"))
