"""Media by name: one file each, registered here."""

from bootwright.media import grub, kernel
from bootwright.media.medium import Medium

MEDIA: dict[str, Medium] = {medium.name: medium for medium in (kernel.MEDIUM, grub.MEDIUM)}

__all__ = ["MEDIA", "Medium"]
