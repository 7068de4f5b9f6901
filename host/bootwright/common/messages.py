"""What a boot prints: the lines of stub/abi/messages.h, and the failures of stub/abi/errors.h."""

from __future__ import annotations

import re
from functools import cache

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


@cache
def pattern(name: str) -> re.Pattern[str]:
    """What finds the lines that this message made in a console's text; its groups are the values."""
    strings = load_abi().strings
    values = {"%u": "([0-9]+)", "%x": "(0x[0-9a-f]+)", "%s": "(.*?)"}
    parts = re.split("(%[uxs])", strings["M_PREFIX"] + strings[name])
    found = "".join(values.get(part) or re.escape(part) for part in parts)
    return re.compile(f"^{found}$", re.MULTILINE)


@cache
def failure_pattern() -> re.Pattern[str]:
    """What finds the line of a BootFailure."""
    return re.compile(f"^{re.escape(load_abi().strings['M_PREFIX'])}E[0-9a-f]{{4}}: .*$", re.MULTILINE)


def shown_build(build_id: str) -> str:
    """What the first line shows of a build id (hex)."""
    return build_id[: load_abi().constants["BUILD_ID_SHOWN"]]
