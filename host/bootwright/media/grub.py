"""GRUB 2 as Debian has it: its programs, with what these call themselves, and its files for each firmware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bootwright.common.errors import about
from bootwright.common.tool import Files, Tool


class GrubMkrescue(Tool):
    """grub-mkrescue."""

    name = "grub-mkrescue"
    package = "grub-common"
    does = "writes GRUB's ISO images"

    def write_iso(self, output: Path, contents: Mapping[str, Path]) -> None:
        """Write an ISO image with GRUB for every firmware that it is installed for, and files by their place on it:
        each is copied from where it lies. What GRUB copies first of its own goes beside `output`. Raises ToolError.
        """
        grafts = [f"{place}={path}" for place, path in contents.items()]
        with about(output.name):
            for program in (self, XORRISO, MFORMAT):
                program.path()
            self.run("-o", output, *grafts, temporary=output.parent.resolve())


class Xorriso(Tool):
    """xorriso, for grub-mkrescue."""

    name = "xorriso"
    package = "xorriso"
    does = "writes ISO images for grub-mkrescue"
    version_option = "-version"


class Mformat(Tool):
    """mformat, for grub-mkrescue."""

    name = "mformat"
    package = "mtools"
    does = "makes the EFI system partition for grub-mkrescue"


class GrubMkimage(Tool):
    """grub-mkimage."""

    name = "grub-mkimage"
    package = "grub-common"
    does = "makes GRUB's core images"

    def core(self, form: str, commands: str, modules: Sequence[str], platform: Path, folder: Path) -> bytes:
        """A core image in GRUB's format `form`, with modules of the folder `platform` and commands that it begins
        with. folder: to work in. Raises ToolError; OSError passes.
        """
        (folder / "commands").write_text(commands, encoding="utf-8")
        begin = ("-O", form, "-d", platform, "-p", "/boot", "-c", "commands", "-o", "core")
        with about(f"GRUB's core image {form}"):
            self.run(*begin, *modules, folder=folder)
        return (folder / "core").read_bytes()


class GrubForBios(Files):
    """GRUB for BIOS."""

    name = "GRUB for BIOS"
    package = "grub-pc-bin"
    does = "loads an image on a BIOS"
    folders = (Path("/usr/lib/grub/i386-pc"),)
    files = ("boot.img",)


class GrubForUefi(Files):
    """GRUB for UEFI."""

    name = "GRUB for UEFI"
    package = "grub-efi-amd64-bin"
    does = "loads an image on UEFI"
    folders = (Path("/usr/lib/grub/x86_64-efi"),)
    files = ("modinfo.sh",)


GRUB_MKRESCUE = GrubMkrescue()
GRUB_MKIMAGE = GrubMkimage()
XORRISO = Xorriso()
MFORMAT = Mformat()
PLATFORMS: dict[str, Files] = {"bios": GrubForBios(), "uefi": GrubForUefi()}  # by firmware
