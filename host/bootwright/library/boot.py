"""Boots, for other programs: an image or a finished file under QEMU, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootwright import media
from bootwright.artifact import bootable
from bootwright.common.errors import RunError, Where
from bootwright.emulate import run as emulated
from bootwright.emulate.qemu import Outcome
from bootwright.image import built as image_built
from bootwright.lab import explain
from bootwright.library.image import Image


@dataclass(frozen=True)
class Boot:
    """A boot that is over. outcome: "as_expected", "stub_failure", "time_out", "ended" or "failed"; reason: the same in
    a sentence; stage: the last that the stub reached, None for none; errors: its numbers, as "E0404"; transcript: the
    serial console, without terminal control; seconds: how long it took.
    """

    outcome: str
    reason: str
    stage: str | None
    errors: tuple[str, ...]
    transcript: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it went as expected."""
        return self.outcome == Outcome.AS_EXPECTED.name.lower()


def run(
    image: Image | str | Path,
    *,
    via: str = "",
    firmware: str = "",
    expect: Sequence[str] = (),
    fail: Sequence[str] = (),
    timeout: float = 120.0,
    memory: int | None = None,
    cpus: int | None = None,
    accelerator: str = "tcg",
    qemu_args: Sequence[str] = (),
    show: Callable[[str], None] | None = None,
) -> Boot:
    """Boot an image under QEMU, until the console has shown all of `expect`; where that is empty, until it powers off.

    image: as build gives it, or a file ending in .elf, .efi, .iso or .img; via, firmware: as for `run`, by default the
    first way that there is; fail: what must not be shown; timeout: in seconds; memory: in bytes, by default what the
    image needs; show: is given the console's text as it comes.

    Raises BootwrightError for what cannot be booted, or where QEMU is missing.
    """
    if isinstance(image, Image):
        methods = media.BOOT_METHODS
        built = image_built.load(image.files["elf"].with_suffix(".json"))
        if built.build_id != image.build_id:
            raise RunError(f"{image.name} was built anew meanwhile", Where(str(built.elf.parent)))
    else:
        methods = media.of_file(Path(image))
        built = bootable.built(Path(image))
    via, firmware = emulated.usual(methods, via, firmware)
    options = emulated.Options(
        via=via,
        firmware=firmware,
        expect=tuple(expect) or None,
        fail=tuple(fail),
        timeout=timeout,
        memory=memory,
        cpus=cpus,
        accelerator=accelerator,
        qemu_args=tuple(qemu_args),
        methods=methods,
    )
    result = emulated.boot(built, options, show or (lambda text: None))
    found = explain.read(result.transcript)
    return Boot(
        outcome=result.outcome.name.lower(),
        reason=result.reason,
        stage=found.stage.name if found.stage else None,
        errors=tuple(one.number for one in found.errors),
        transcript=result.transcript,
        seconds=result.seconds,
    )
