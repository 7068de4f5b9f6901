"""Several media of an image, made one after the other while the image is not published yet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from bootwright.common.errors import ToolError
from bootwright.image.built import Built
from bootwright.image.origin import MadeMedium
from bootwright.media import USUAL
from bootwright.media.medium import Medium, Settings, made_record


class Making:
    """Media being made, beside the image. optional: those that are left out, with a note, where they cannot be made;
    made: those that could be; notes: sentences about what they lack.
    """

    def __init__(self, wanted: Sequence[tuple[Medium, Settings]], optional: Collection[str]) -> None:
        self._wanted = wanted
        self._optional = optional
        self.made: list[Medium] = []
        self.notes: list[str] = []

    def make(self, built: Built, stage: Callable[[str], None]) -> dict[str, MadeMedium]:
        """What NAME.json says of each. Raises ToolError."""
        found = {}
        for medium, settings in self._wanted:
            name = medium.path(built).name
            stage(f"making {name}")
            try:
                self.notes += medium.make(built, settings).notes
            except ToolError as error:
                if medium.name not in self._optional:
                    raise
                # That an image has no EFI application is said by the media that miss it.
                self.notes += [f"{name}: {error.message}" if error.where else error.message] * (
                    medium.name not in USUAL
                )
                continue
            self.made.append(medium)
            if medium.name not in USUAL:
                found[name] = made_record(medium, built, settings)
        return found
