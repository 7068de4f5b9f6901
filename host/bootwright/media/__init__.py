"""Media by name, one file each, and the ways to boot by them; all registered here."""

from bootwright.errors import RunError
from bootwright.media import disk, efi, elf, grub, iso, kernel, pxe
from bootwright.media.medium import Made, Medium, Settings, Way

MEDIA: dict[str, Medium] = {
    medium.name: medium for medium in (elf.MEDIUM, efi.MEDIUM, iso.MEDIUM, disk.MEDIUM, pxe.MEDIUM)
}

WAYS: dict[str, Way] = {
    way.name: way for way in (kernel.WAY, grub.WAY, *iso.WAYS, *disk.WAYS, *pxe.WAYS, efi.WAY)
}

# What is made without being asked for, and needs no system package.
USUAL = ("elf", "efi")


def chosen(text: str) -> tuple[str, ...]:
    """The media that "iso,disk" or "all" means, in the order of MEDIA; "" is USUAL. Raises RunError."""
    names = text.replace(" ", "").split(",") if text else list(USUAL)
    unknown = [name for name in names if name not in MEDIA and name != "all"]
    if unknown:
        raise RunError(f"media: {unknown[0]!r} is none of {', '.join(MEDIA)}, all")
    return tuple(MEDIA) if "all" in names else tuple(name for name in MEDIA if name in names)


__all__ = ["MEDIA", "USUAL", "WAYS", "Made", "Medium", "Settings", "Way", "chosen"]
