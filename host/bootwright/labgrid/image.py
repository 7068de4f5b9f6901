"""Images for labgrid: built from a description when they are first asked for, once for all that use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attr
from labgrid.driver import Driver
from labgrid.factory import target_factory
from labgrid.step import step

from bootwright.flash import write
from bootwright.flash.source import open_source
from bootwright.flash.target import target
from bootwright.library.image import Image, build


@target_factory.reg_driver
@attr.s(eq=False)
class BootwrightImage(Driver):
    """An image. description: its file; output: the folder in place of build/. Nothing is bound.

    given: an image that is built already, in place of that: files by medium, and its build id.
    """

    description = attr.ib(default="", validator=attr.validators.instance_of(str))
    output = attr.ib(default="", validator=attr.validators.instance_of(str))

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._built: dict[str, Image] = {}
        self.given: dict[str, Any] | None = None

    @Driver.check_active
    @step(args=["medium"], result=True)
    def path(self, medium: str = "elf") -> Path:
        """The image's file for a medium (elf, efi, iso, disk, pxe). Raises BootwrightError as a build does."""
        if self.given is not None:
            return Path(self.given["files"][medium])
        if medium not in self._built:
            self._built[medium] = build(self.description, media=(medium,), output=self.output)
        return self._built[medium].files[medium]

    @Driver.check_active
    def build_id(self) -> str:
        """Of the image that was built; "" before."""
        if self.given is not None:
            return str(self.given["build_id"])
        return next((image.build_id for image in self._built.values()), "")


@target_factory.reg_driver
@attr.s(eq=False)
class BootwrightStick(Driver):
    """What a board boots from, where this machine reaches it: a stick behind a multiplexer, or a file. path: of the
    device or file; it is written as `flash` writes: read back and compared. Nothing is bound.
    """

    path = attr.ib(validator=attr.validators.instance_of(str))

    @Driver.check_active
    @step(args=["filename"])
    def write_image(self, filename: str) -> None:
        """Write an image's file to it. Raises BootwrightError as `flash` does."""
        image = Path(filename)
        with open_source(image) as source:
            size = source.size
        write.write(image, target(Path(self.path), size), lambda *said: None, self.logger.warning, size)


@target_factory.reg_driver
@attr.s(eq=False)
class BootwrightNetboot(Driver):
    """The folder for network boot, staged on a board's TFTP or HTTP server by labgrid's own driver for that."""

    bindings = {  # noqa: RUF012  # as labgrid reads it
        "image": "BootwrightImage",
        "provider": {"TFTPProviderDriver", "HTTPProviderDriver"},
    }

    @Driver.check_active
    @step(result=True)
    def stage(self) -> tuple[str, ...]:
        """Give each file to the server; gives their addresses there."""
        folder = self.image.path("pxe")
        return tuple(self.provider.stage(str(path)) for path in sorted(folder.rglob("*")) if path.is_file())
