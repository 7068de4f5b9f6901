"""What a boot prints: the lines of stub/abi/messages.h, and the failures of stub/abi/errors.h."""

from __future__ import annotations

from bootwright.common.abi import load as load_abi
from bootwright.common.errors import BootwrightError


class BootFailure(BootwrightError):
    """What ends a boot: a number of stub/abi/errors.h and its sentence, as the stub prints them."""

    def __init__(self, name: str, *values: int | str) -> None:
        abi = load_abi()
        self.name = name
        self.values = values
        self.number = abi.constants[name]
        self.text = abi.format(f"{name}_TEXT", *values)
        super().__init__(f"E{self.number:04x}: {self.text}")

    @property
    def line(self) -> str:
        """Its line of the transcript."""
        return f"{load_abi().strings['M_PREFIX']}{self.message}"


def line(name: str, *values: int | str) -> str:
    """A line of the transcript: M_PREFIX, and the message of this name with its values."""
    abi = load_abi()
    return abi.strings["M_PREFIX"] + abi.format(name, *values)


def shown_build(build_id: str) -> str:
    """What the first line shows of a build id (hex)."""
    return build_id[: load_abi().constants["BUILD_ID_SHOWN"]]
